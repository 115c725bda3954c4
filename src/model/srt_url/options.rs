//! The one table of what an endpoint URL's query may hold: names, aliases, kinds, ranges, units.
//!
//! It feeds the parser, the error texts and the README; it knows neither URLs nor sockets. The hard thing
//! is to take other programs' spellings only where they mean the same: ffmpeg's `latency` is in
//! microseconds, libsrt's in milliseconds, and a key that is silently ignored is worse than a refused one.
//!
//! Ranges are libsrt 1.5.1's (`docs/API/API-socket-options.md`, `srtcore/socketconfig.cpp`), narrowed where
//! a legal value would only break a live stream; the spellings are those of GStreamer 1.22's `srtsink`
//! (`ext/srt/gstsrtobject.c`, `srt_options`), which ignores without a word what it doesn't know.

use std::fmt::Write as _;

use super::value::Kind;

/// Highest latency taken, in milliseconds: one minute. More is nearly always a value in microseconds.
pub const LATENCY_MS_MAX: u32 = 60_000;

/// Highest time-out taken by `connect_timeout` and `peeridletimeo`, in milliseconds.
pub const TIMEOUT_MS_MAX: u32 = 60_000;

/// Longest stream id, in bytes (libsrt: `CSrtConfig::MAX_SID_LENGTH`).
pub const STREAMID_LEN_MAX: usize = 512;

/// Shortest passphrase, in bytes (libsrt refuses less).
pub const PASSPHRASE_LEN_MIN: usize = 10;

/// Longest passphrase, in bytes (libsrt: `HAICRYPT_SECRET_MAX_SZ` without its terminator).
pub const PASSPHRASE_LEN_MAX: usize = 79;

/// Largest send or receive buffer taken, in bytes: one URL must not take the memory of all streams.
const BUFFER_BYTES_MAX: i64 = 256 << 20;

/// Most packets in flight taken, for the same reason.
const FLIGHT_PACKETS_MAX: i64 = 262_144;

/// Most callers that a listening endpoint takes, and how many it takes when not told: each may hold some seconds of
/// the stream in its send buffer.
pub const CALLERS_MAX: u32 = 1_000;
/// Callers of a listener that names no limit. Each may have some megabytes of media wait for it.
pub const CALLERS_DEFAULT: u32 = 100;

/// Largest value of libsrt's plain `int` options.
const INT_MAX: i64 = i32::MAX as i64;

/// Where a parsed value goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Slot {
    /// The connection mode.
    Mode,
    /// `SrtUrl::streamid`.
    Streamid,
    /// `SrtUrl::passphrase`.
    Passphrase,
    /// `SrtUrl::pbkeylen`.
    Pbkeylen,
    /// `SrtUrl::latency_ms`.
    Latency,
    /// `SrtUrl::rcvlatency_ms`.
    RcvLatency,
    /// `SrtUrl::peerlatency_ms`.
    PeerLatency,
    /// `SrtUrl::localaddress`.
    LocalAddress,
    /// `SrtUrl::localport`.
    LocalPort,
    /// `SrtUrl::connect_timeout_ms`.
    ConnectTimeout,
    /// `SrtUrl::payload_size`.
    PayloadSize,
    /// `SrtUrl::callers_max`.
    CallersMax,
    /// `SrtUrl::socket_options`.
    Socket,
    /// `SrtUrl::socket_options`, and it sets the UDP socket, so the port can't be shared.
    UdpSocket,
    /// Checked only: endpoints always run with the one value that is accepted.
    Fixed,
}

/// One row of the table.
#[derive(Debug)]
pub struct OptionSpec {
    /// The key; for socket options it is also `srtsink`'s spelling in a URI.
    pub name: &'static str,
    /// Other spellings of the same meaning in the same unit.
    pub aliases: &'static [&'static str],
    /// Unit of the value, or empty.
    pub unit: &'static str,
    /// What it does, one sentence without a full stop.
    pub doc: &'static str,
    pub(super) slot: Slot,
    pub(super) kind: Kind,
}

impl OptionSpec {
    /// Values accepted, in words and with the unit: `a whole number from 5 to 100 (%)`.
    pub fn wanted(&self) -> String {
        let mut text = self.kind.to_string();
        if !self.unit.is_empty() {
            let _ = write!(text, " ({})", self.unit);
        }
        text
    }

    fn is(&self, key: &str) -> bool {
        self.name == key || self.aliases.contains(&key)
    }
}

macro_rules! options {
    ($($name:literal [$($alias:literal)*] $slot:ident, $kind:expr, $unit:literal, $doc:literal;)*) => {
        /// Every key of an endpoint URL's query.
        pub static OPTIONS: &[OptionSpec] = &[$(OptionSpec {
            name: $name,
            aliases: &[$($alias),*],
            unit: $unit,
            doc: $doc,
            slot: Slot::$slot,
            kind: $kind,
        }),*];
    };
}

options! {
    "mode" [] Mode, Kind::Mode, "", "who calls: the endpoint (caller, the default), the receiver (listener), or both (rendezvous)";
    "streamid" ["srt_streamid"] Streamid, Kind::Text { min: 1, max: STREAMID_LEN_MAX }, "", "names the stream to the receiver";
    "passphrase" [] Passphrase, Kind::Secret { min: PASSPHRASE_LEN_MIN, max: PASSPHRASE_LEN_MAX }, "", "encrypts the stream; both sides need the same";
    "pbkeylen" [] Pbkeylen, Kind::OneOf(&[0, 16, 24, 32]), "bytes; 0 lets libsrt choose", "length of the AES key";
    "latency" [] Latency, Kind::Int { min: 0, max: LATENCY_MS_MAX as i64 }, "milliseconds", "time to mend losses in, asked for in both directions; the larger of both sides' holds";
    "rcvlatency" [] RcvLatency, Kind::Int { min: 0, max: LATENCY_MS_MAX as i64 }, "milliseconds", "the same for what the endpoint would receive";
    "peerlatency" [] PeerLatency, Kind::Int { min: 0, max: LATENCY_MS_MAX as i64 }, "milliseconds", "the same for what the receiver gets";
    "localaddress" ["localaddr" "adapter"] LocalAddress, Kind::Address, "", "address of this host to send from";
    "localport" ["local_port"] LocalPort, Kind::Int { min: 1, max: 65_535 }, "", "UDP port of this host to send from";
    "connect_timeout" ["conntimeo"] ConnectTimeout, Kind::Int { min: 100, max: TIMEOUT_MS_MAX as i64 }, "milliseconds; ten times as long in rendezvous", "how long one attempt to connect may take";
    "pkt_size" ["payload_size" "payloadsize"] PayloadSize, Kind::TsPackets, "bytes", "payload of one SRT packet, whole MPEG-TS packets";
    "maxcallers" ["max_callers"] CallersMax, Kind::Int { min: 1, max: CALLERS_MAX as i64 }, "", "with mode=listener: how many callers are served at once, 100 without it; further ones are refused with reject code 1402";
    "maxbw" [] Socket, Kind::Int { min: -1, max: i64::MAX }, "bytes/s; 0: by inputbw and oheadbw, -1: none", "highest sending rate";
    "inputbw" [] Socket, Kind::Int { min: 0, max: i64::MAX }, "bytes/s; 0: measured", "rate of the stream, when maxbw=0";
    "oheadbw" [] Socket, Kind::Int { min: 5, max: 100 }, "% of the stream's rate", "room for retransmission, when maxbw=0";
    "tlpktdrop" [] Socket, Kind::Bool, "", "drop packets that are too late to be played";
    "snddropdelay" [] Socket, Kind::Int { min: -1, max: LATENCY_MS_MAX as i64 }, "milliseconds; -1: never drop", "how much longer than the latency the sender keeps packets";
    "sndbuf" [] Socket, Kind::Int { min: 65_536, max: BUFFER_BYTES_MAX }, "bytes", "send buffer";
    "rcvbuf" [] Socket, Kind::Int { min: 65_536, max: BUFFER_BYTES_MAX }, "bytes", "receive buffer; `fc` limits it too";
    "fc" ["ffs"] Socket, Kind::Int { min: 32, max: FLIGHT_PACKETS_MAX }, "packets", "most packets in flight";
    "nakreport" [] Socket, Kind::Bool, "", "repeat reports of loss";
    "lossmaxttl" [] Socket, Kind::Int { min: 0, max: INT_MAX }, "packets", "how far packets may come out of order before they count as lost";
    "drifttracer" [] Socket, Kind::Bool, "", "follow the drift between both sides' clocks";
    "tsbpdmode" ["tsbpd"] Socket, Kind::Bool, "", "the receiver delivers packets by their time stamps";
    "retransmitalgo" [] Socket, Kind::Int { min: 0, max: 1 }, "", "1 waits a round trip before it sends a lost packet again";
    "peeridletimeo" [] Socket, Kind::Int { min: 1_000, max: TIMEOUT_MS_MAX as i64 }, "milliseconds", "how long a silent receiver counts as connected";
    "minversion" [] Socket, Kind::Version, "as 1.3.0 or as a number, 0x010300", "oldest SRT version accepted from the receiver";
    "packetfilter" [] Socket, Kind::PacketFilter, "", "forward error correction, e.g. fec,cols:10,rows:5";
    "enforcedencryption" ["enforced_encryption"] Socket, Kind::Bool, "", "refuse a connection when the passphrases differ";
    "kmrefreshrate" [] Socket, Kind::Int { min: 1_000, max: INT_MAX }, "packets", "how often the key changes";
    "kmpreannounce" [] Socket, Kind::Int { min: 1, max: INT_MAX / 2 }, "packets", "how long before that the next key is announced";
    "mss" [] UdpSocket, Kind::Int { min: 232, max: 1_500 }, "bytes", "largest IP packet; at least pkt_size + 44";
    "ipttl" [] UdpSocket, Kind::Int { min: 1, max: 255 }, "hops", "time to live of IP packets";
    "iptos" [] UdpSocket, Kind::Int { min: 0, max: 255 }, "", "type of service of IP packets (DSCP × 4)";
    "ipv6only" [] UdpSocket, Kind::OneOf(&[0, 1]), "", "an IPv6 socket takes no IPv4";
    "bindtodevice" [] UdpSocket, Kind::Device, "", "network interface to use; needs CAP_NET_RAW";
    "transtype" [] Fixed, Kind::Word("live"), "", "kind of transmission";
    "congestion" ["smoother"] Fixed, Kind::Word("live"), "", "congestion control";
    "messageapi" [] Fixed, Kind::Only(1), "", "keep packet borders, as live mode has to";
    "linger" [] Fixed, Kind::Only(0), "seconds", "a closed endpoint doesn't wait for what is unsent";
}

/// Keys that other programs have: `(key, why not and what instead)`.
static UNSUPPORTED: &[(&str, &str)] = &[
    ("timeout", "it is ffmpeg's, in microseconds; here `connect_timeout` and `peeridletimeo` are in milliseconds"),
    ("listen_timeout", "an endpoint waits for its receiver without end"),
    ("tsbpddelay", "it is ffmpeg's, in microseconds; here `latency` is in milliseconds"),
    ("send_buffer_size", "the UDP socket is shared with other endpoints; `sndbuf` is this endpoint's own buffer"),
    ("recv_buffer_size", "the UDP socket is shared with other endpoints; `rcvbuf` is this endpoint's own buffer"),
    ("port", "the port goes behind the host, srt://host:port; a port to send from is `localport`"),
    ("blocking", "an endpoint never blocks its stream"),
    ("poll-timeout", "the service sets it"),
    ("wait-for-connection", "the service sets it"),
    ("auto-reconnect", "the service connects again by itself"),
    ("authentication", "the service sets it"),
];

/// The row for a key, by name or alias.
pub(super) fn find(key: &str) -> Option<&'static OptionSpec> {
    OPTIONS.iter().find(|spec| spec.is(key))
}

/// Key and reason, if it is one that can't be taken.
pub(super) fn unsupported(key: &str) -> Option<(&'static str, &'static str)> {
    UNSUPPORTED.iter().find(|(name, _)| *name == key).copied()
}

/// Advice about an unknown key: the keys like it, or else all.
pub(super) fn advise(key: &str) -> String {
    let lower = key.to_ascii_lowercase();
    if let Some(spec) = find(&lower) {
        let name = if spec.name == lower { spec.name.to_owned() } else { lower };
        return format!("keys are written in lower case: `{name}`");
    }
    // A third of the letters may be wrong, at least one; three at most, or any key is like any other.
    let tolerance = (lower.chars().count() / 3).clamp(1, 3);
    let mut near: Vec<(usize, &str)> = OPTIONS
        .iter()
        .flat_map(|spec| std::iter::once(spec.name).chain(spec.aliases.iter().copied()))
        .filter_map(|name| {
            let distance = edits(&lower, name);
            let part = lower.len() >= 4 && (name.starts_with(&lower) || lower.starts_with(name));
            (distance <= tolerance || part).then_some((distance, name))
        })
        .collect();
    near.sort_unstable();
    near.truncate(3);
    if near.is_empty() {
        let all: Vec<&str> = OPTIONS.iter().map(|spec| spec.name).collect();
        return format!("the keys are {}", all.join(", "));
    }
    let near: Vec<String> = near.iter().map(|(_, name)| format!("`{name}`")).collect();
    format!("did you mean {}?", near.join(" or "))
}

/// Levenshtein distance: insertions, deletions and replacements of one character.
fn edits(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, &cb) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(ca != cb);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

/// The table as Markdown, for the README.
pub fn options_markdown() -> String {
    let mut text = String::from("| key | also | value | what it does |\n|---|---|---|---|\n");
    for spec in OPTIONS {
        let aliases: Vec<String> = spec.aliases.iter().map(|alias| format!("`{alias}`")).collect();
        let _ = writeln!(text, "| `{}` | {} | {} | {} |", spec.name, aliases.join(", "), spec.wanted(), spec.doc);
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_spelling_stands_for_one_thing() {
        let mut seen = HashSet::new();
        let unsupported = UNSUPPORTED.iter().map(|(key, _)| *key);
        let taken = OPTIONS.iter().flat_map(|spec| std::iter::once(&spec.name).chain(spec.aliases)).copied();
        for key in taken.chain(unsupported) {
            assert!(seen.insert(key), "{key} twice");
            assert!(key.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-".contains(&b)));
        }
    }

    #[test]
    fn advice_names_the_keys_like_it() {
        for (key, wanted) in [
            ("Latency", "lower case: `latency`"),
            ("CONNTIMEO", "lower case: `conntimeo`"),
            ("latancy", "`latency`"),
            ("stream_id", "`streamid`"),
            ("stream", "`streamid`"),
            ("pasphrase", "`passphrase`"),
            ("payload", "`payload_size`"),
            ("zzz", "the keys are mode, streamid, passphrase"),
        ] {
            let advice = advise(key);
            assert!(advice.contains(wanted), "{key}: {advice}");
        }
    }

    #[test]
    fn the_markdown_has_a_row_for_every_key() {
        let text = options_markdown();
        assert_eq!(text.lines().count(), OPTIONS.len() + 2);
        assert!(text.lines().all(|line| line.matches('|').count() == 5), "{text}");
        assert!(text.contains("| `latency` |  | a whole number from 0 to 60000 (milliseconds) |"));
    }
}
