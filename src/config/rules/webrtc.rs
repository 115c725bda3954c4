//! The keys of `[webrtc]`: type, range, and what they ask of each other. Must not know ICE or GStreamer.

use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::str::FromStr;

use crate::config::reader::Reader;
use crate::config::{Webrtc, ice_url};

/// Fewest UDP ports: a range that is narrower is a slip, or starves after a few publishers.
const UDP_PORTS_MIN: usize = 10;

/// Time between two requests for a key frame, milliseconds: never more than two a second, at least one a minute.
const KEY_FRAME_INTERVAL_MS: RangeInclusive<i64> = 500..=60_000;

/// Wait for a late packet, milliseconds: below 10 nothing that was sent again arrives in time, above 5 s
/// nobody calls it live.
const JITTER_MS: RangeInclusive<i64> = 10..=5_000;

/// Bitrate of a transcoded picture, kb/s.
const VIDEO_BITRATE_KBPS: RangeInclusive<i64> = 100..=100_000;

/// Peer connections at a time. Each has threads of its own.
const SESSIONS: RangeInclusive<i64> = 1..=10_000;

/// Wait for the first media, milliseconds: ICE and DTLS over a slow network take seconds.
const CONNECT_TIMEOUT_MS: RangeInclusive<i64> = 1_000..=120_000;

/// Silence after which a session ends, milliseconds.
const SILENCE_TIMEOUT_MS: RangeInclusive<i64> = 1_000..=600_000;

/// Takes the keys of the section.
pub(super) fn read(reader: &mut Reader, default: Webrtc) -> Webrtc {
    const MS: &str = "milliseconds";
    Webrtc {
        stun_server: reader.take_text(
            "webrtc.stun_server",
            "\"stun:HOST:PORT\", or \"\" for none",
            default.stun_server,
            |text| optional(text, ice_url::parse_stun),
        ),
        turn_server: reader.take_text(
            "webrtc.turn_server",
            "\"turn:USER:PASSWORD@HOST:PORT\", or \"\" for none",
            default.turn_server,
            |text| optional(text, ice_url::parse_turn),
        ),
        udp_ports: read_udp_ports(reader, default.udp_ports),
        local_addresses: read_local_addresses(reader),
        public_address: reader.take_text(
            "webrtc.public_address",
            "an IP address such as \"192.0.2.7\", or \"\" for none",
            default.public_address,
            |text| optional(text, |text| text.parse().map(|Address(ip)| ip).map_err(|reason| format!("it {reason}"))),
        ),
        ice_tcp: reader.take_bool("webrtc.ice_tcp", default.ice_tcp),
        key_frame_interval_ms: reader.take_number(
            "webrtc.key_frame_interval_ms",
            MS,
            KEY_FRAME_INTERVAL_MS,
            default.key_frame_interval_ms,
        ),
        jitter_ms: reader.take_number("webrtc.jitter_ms", MS, JITTER_MS, default.jitter_ms),
        max_video_bitrate_kbps: reader.take_number(
            "webrtc.max_video_bitrate_kbps",
            "kb/s",
            VIDEO_BITRATE_KBPS,
            default.max_video_bitrate_kbps,
        ),
        sessions_max: reader.take_number("webrtc.sessions_max", "sessions", SESSIONS, default.sessions_max),
        connect_timeout_ms: reader.take_number(
            "webrtc.connect_timeout_ms",
            MS,
            CONNECT_TIMEOUT_MS,
            default.connect_timeout_ms,
        ),
        silence_timeout_ms: reader.take_number(
            "webrtc.silence_timeout_ms",
            MS,
            SILENCE_TIMEOUT_MS,
            default.silence_timeout_ms,
        ),
    }
}

/// What the keys ask of each other.
pub(super) fn check_across(reader: &mut Reader, webrtc: &Webrtc) {
    let Webrtc { public_address, local_addresses, .. } = webrtc;
    let fits = |public: IpAddr| local_addresses.iter().any(|local| local.is_ipv4() == public.is_ipv4());
    if let Some(public) = public_address
        && !local_addresses.is_empty()
        && !fits(*public)
    {
        let family = if public.is_ipv4() { "an IPv4" } else { "an IPv6" };
        reader.refuse_taken(
            "webrtc.public_address",
            format!("{family} address among webrtc.local_addresses, which it stands for"),
        );
    }
}

/// The empty text is nothing given.
fn optional<T>(text: &str, parse: impl FnOnce(&str) -> Result<T, String>) -> Result<Option<T>, String> {
    match text.trim() {
        "" => Ok(None),
        text => parse(text).map(Some),
    }
}

fn read_udp_ports(reader: &mut Reader, default: RangeInclusive<u16>) -> RangeInclusive<u16> {
    let wanted = format!("two port numbers such as \"50000-60000\", at least {UDP_PORTS_MIN} ports wide");
    reader.take_text("webrtc.udp_ports", &wanted, default, |text| {
        let (first, last) = text.split_once('-').ok_or_else(String::new)?;
        let port = |text: &str| text.trim().parse::<u16>().map_err(|_| format!("{text:?} is no port number"));
        let (first, last) = (port(first)?, port(last)?);
        match (first..=last).len() {
            _ if first == 0 => Err("0 is no port".to_owned()),
            0 => Err("the first is greater than the last".to_owned()),
            width if width < UDP_PORTS_MIN => Err(format!("it is {width} wide")),
            _ => Ok(first..=last),
        }
    })
}

/// An address that a host can have.
struct Address(IpAddr);

impl FromStr for Address {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.trim().parse::<IpAddr>() {
            Err(_) => Err("is no IP address"),
            Ok(ip) if ip.is_unspecified() => Err("stands for no address of its own"),
            Ok(ip) if ip.is_multicast() => Err("is the address of a group"),
            Ok(ip) => Ok(Self(ip)),
        }
    }
}

fn read_local_addresses(reader: &mut Reader) -> Vec<IpAddr> {
    let wanted = "a list of this host's IP addresses such as [\"192.0.2.7\", \"2001:db8::7\"], or [] for all";
    let addresses = reader.take_list("webrtc.local_addresses", wanted, Vec::new(), |_| Ok(()));
    addresses.into_iter().map(|Address(ip)| ip).collect()
}

#[cfg(test)]
mod tests {
    use crate::config::{Settings, parse};

    fn from_file(text: &str) -> Result<Settings, Vec<String>> {
        parse(Some(("f", text)), []).map_err(|error| error.problems().iter().map(ToString::to_string).collect())
    }

    #[test]
    fn addresses_of_servers_are_kept_in_one_form_and_the_password_is_not_printed() {
        let text = "[webrtc]\nstun_server = \"stun:s.example.org\"\nturn_server = \"turn:me:hunter2@t.example.org:99\"";
        let settings = from_file(text).expect("good");
        assert_eq!(settings.webrtc.stun_server.as_deref(), Some("stun://s.example.org:3478"));
        assert_eq!(settings.webrtc.turn_server.as_deref(), Some("turn://me:hunter2@t.example.org:99"));
        let printed = settings.to_redacted_toml();
        assert!(printed.contains("turn_server = \"turn://me:***@t.example.org:99\""), "{printed}");
        assert!(!printed.contains("hunter2"), "{printed}");
    }

    #[test]
    fn the_empty_text_is_nothing_given() {
        let text = "[https]\ncertificate = \"\"\nkey = \"\"\n[webrtc]\nstun_server = \"\"\nturn_server = \"\"\npublic_address = \"\"";
        assert_eq!(from_file(text), Ok(Settings::default()));
    }

    #[test]
    fn bad_values_are_one_line_each_with_what_is_wanted() {
        for (key, value, wanted) in [
            ("udp_ports", "\"50000\"", "two port numbers such as \"50000-60000\", at least 10 ports wide"),
            ("udp_ports", "50000", "two port numbers"),
            ("udp_ports", "\"60000-50000\"", "(the first is greater than the last)"),
            ("udp_ports", "\"50000-50008\"", "(it is 9 wide)"),
            ("udp_ports", "\"0-50000\"", "(0 is no port)"),
            ("udp_ports", "\"1-65536\"", "(\"65536\" is no port number)"),
            ("udp_ports", "\"a-b\"", "(\"a\" is no port number)"),
            ("stun_server", "\"example.org\"", "wanted \"stun:HOST:PORT\", or \"\" for none (the scheme is missing)"),
            ("stun_server", "\"stun:h:x\"", "(the port is no number from 1 to 65535)"),
            ("stun_server", "true", "\"stun:HOST:PORT\""),
            ("local_addresses", "[\"h\"]", "(\"h\" is no IP address)"),
            ("local_addresses", "[\"0.0.0.0\"]", "(\"0.0.0.0\" stands for no address of its own)"),
            ("local_addresses", "[\"224.0.0.1\"]", "(\"224.0.0.1\" is the address of a group)"),
            ("public_address", "\"::\"", "(it stands for no address of its own)"),
            ("public_address", "\"h\"", "(it is no IP address)"),
            ("ice_tcp", "1", "true or false"),
            ("key_frame_interval_ms", "499", "a whole number of milliseconds from 500 to 60000"),
            ("jitter_ms", "9", "from 10 to 5000"),
            ("max_video_bitrate_kbps", "99", "a whole number of kb/s from 100 to 100000"),
            ("sessions_max", "0", "a whole number of sessions from 1 to 10000"),
            ("connect_timeout_ms", "999", "from 1000 to 120000"),
            ("silence_timeout_ms", "999", "from 1000 to 600000"),
        ] {
            let lines = from_file(&format!("[webrtc]\n{key} = {value}")).expect_err("bad");
            let [line] = lines.as_slice() else { panic!("{key} = {value} is one problem, not {lines:?}") };
            assert!(line.starts_with(&format!("f:2: webrtc.{key}: given {value}, wanted ")), "{line}");
            assert!(line.contains(wanted), "{key} = {value}: {line}");
        }
        let wide = from_file("[webrtc]\nudp_ports = \" 50000 - 50009 \"").expect("10 ports").webrtc.udp_ports;
        assert_eq!(wide, 50_000..=50_009);
    }

    #[test]
    fn a_bad_turn_server_is_told_without_its_password() {
        for value in ["turn:me:hunter2", "turn:hunter2@h", "hunter2", "turn:me:hunt er2@h", "stun:me:hunter2@h"] {
            let lines = from_file(&format!("[webrtc]\nturn_server = \"{value}\"")).expect_err("bad");
            assert_eq!(lines.len(), 1, "{lines:?}");
            assert!(lines[0].contains("wanted \"turn:USER:PASSWORD@HOST:PORT\""), "{lines:?}");
            assert!(!lines[0].contains("hunter2"), "{lines:?}");
        }
    }

    #[test]
    fn keys_that_contradict_each_other_are_refused() {
        for (text, start, wanted) in [
            ("[https]\ncertificate = \"a.pem\"", "f:2: https.certificate: given \"a.pem\"", "https.key beside it"),
            ("[https]\nkey = \"a.key\"", "f:2: https.key: given \"a.key\"", "https.certificate beside it"),
            ("[https]\nlisten = \"0.0.0.0:5080\"", "f:2: https.listen: given", "http.listen (0.0.0.0:5080) does not"),
            ("[rtmp]\nlisten = \"0.0.0.0:5443\"", "f:2: rtmp.listen: given", "https.listen (0.0.0.0:5443) does not"),
            (
                "[webrtc]\npublic_address = \"192.0.2.7\"\nlocal_addresses = [\"::1\"]",
                "f:2: webrtc.public_address: given \"192.0.2.7\"",
                "an IPv4 address among webrtc.local_addresses",
            ),
        ] {
            let lines = from_file(text).expect_err("bad");
            let [line] = lines.as_slice() else { panic!("{text:?} is one problem, not {lines:?}") };
            assert!(line.starts_with(start) && line.contains(wanted), "{line}");
        }
    }
}
