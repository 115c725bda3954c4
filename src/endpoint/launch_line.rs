//! An endpoint's branch as a `gst-launch-1.0` command that an operator pastes into a shell.
//!
//! Owns the command's words and their quoting. Muxer and sink are those of `pipelines/endpoint.launch`, with the settings
//! that the service gives them; in front stands a test source of the stream's codecs. The hard thing: a stream id may
//! hold anything, and three parsers read it (the shell, gst-launch, the URI). So all of a URL stands in the `uri`,
//! percent-encoded, and each word is quoted for the shell.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::sink::TS_PACKET_LEN;
use super::srt_element::{DEFAULT_LATENCY_MS, plain_options};
use crate::media::launch::ENDPOINT;
use crate::model::codec::{Codec, TrackKind};
use crate::model::endpoint::EndpointRecord;
use crate::model::srt_url::{SrtMode, SrtUrl};
use crate::model::track::TrackInfo;

/// What stands in the place of a passphrase.
const HIDDEN: &str = "***";

/// The test picture of a stream that isn't live, pixels.
const SIZE_DEFAULT: (u32, u32) = (1280, 720);

/// Its bitrate, and that of a stream whose own isn't known, kbit/s.
const KBPS_DEFAULT: u64 = 2_000;

/// The highest bitrate that the test source makes, kbit/s.
const KBPS_MAX: u64 = 50_000;

/// A command, and what is to be known before it is run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaunchLine {
    /// The program and its arguments.
    pub words: Vec<String>,
    /// Sentences for the operator.
    pub notes: Vec<&'static str>,
}

impl LaunchLine {
    /// The branch of an endpoint of a stream with these tracks; none while the stream isn't live.
    pub fn of(endpoint: &EndpointRecord, tracks: &[TrackInfo]) -> Self {
        let url = &endpoint.url;
        let mut words: Vec<String> = ["gst-launch-1.0", "-e"].map(str::to_owned).into();
        for word in ENDPOINT.stripped().split_whitespace() {
            words.push(match word {
                word if word.starts_with("uri=") => format!("uri={}", uri(url)),
                word if word.starts_with("alignment=") => match url.payload_size {
                    Some(bytes) => format!("alignment={}", (bytes / TS_PACKET_LEN).max(1)),
                    None => word.to_owned(),
                },
                word => word.to_owned(),
            });
        }
        let track = |kind| tracks.iter().find(|track| track.codec.kind() == kind);
        let wanted = |kind| endpoint.tracks.has(kind) && (tracks.is_empty() || track(kind).is_some());
        if wanted(TrackKind::Video) {
            words.extend(video(track(TrackKind::Video)).split_whitespace().map(str::to_owned));
        }
        if wanted(TrackKind::Audio) {
            words.extend(audio(track(TrackKind::Audio)).split_whitespace().map(str::to_owned));
        }
        Self { words, notes: notes(url) }
    }

    /// The command in one line, for a POSIX shell.
    pub fn command(&self) -> String {
        self.words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ")
    }
}

fn notes(url: &SrtUrl) -> Vec<&'static str> {
    let mut notes = Vec::new();
    if url.passphrase.is_some() {
        notes.push("The passphrase is not shown: put it, percent-encoded, in the place of *** behind passphrase=.");
    }
    if url.streamid.is_some() {
        notes.push("The stream id stands in it: where that is a secret of the receiver's, hand this to nobody.");
    }
    notes.push(match url.mode {
        SrtMode::Caller => "Many receivers take one caller at a time: switch the endpoint off before.",
        _ => "The service listens on this UDP port itself: switch the endpoint off before.",
    });
    notes.push(match url.mode {
        SrtMode::Listener => {
            "It sends a test picture; the muxer is as the service sets it, and srtsink stands in for the service's own \
             listener: it asks callers for no stream id, and a late one begins in the middle of a GOP."
        }
        _ => "It sends a test picture; the muxer and srtsink are as the service sets them.",
    });
    notes
}

/// Everything of the URL. The name of the host stands as it was given; the service dials an address that it resolved.
fn uri(url: &SrtUrl) -> String {
    let host = url.host.as_ref().map(ToString::to_string).unwrap_or_default();
    let mut uri = format!("srt://{host}:{}?mode={}", url.port, url.mode);
    let mut option = |key: &str, value: &str| {
        uri.push('&');
        uri.push_str(key);
        uri.push('=');
        uri.extend(utf8_percent_encode(value, NON_ALPHANUMERIC));
    };
    if let Some(stream_id) = &url.streamid {
        option("streamid", stream_id);
    }
    if let Some(len) = url.pbkeylen {
        option("pbkeylen", &len.to_string());
    }
    let one_sided_ms = url.rcvlatency_ms.max(url.peerlatency_ms);
    option("latency", &url.latency_ms.or(one_sided_ms).unwrap_or(DEFAULT_LATENCY_MS).to_string());
    if let Some(address) = url.localaddress {
        option("localaddress", &address.to_string());
    }
    if let Some(port) = url.localport {
        option("localport", &port.to_string());
    }
    for (key, value) in plain_options(url) {
        option(key, &value);
    }
    if url.passphrase.is_some() {
        uri.push_str("&passphrase=");
        uri.push_str(HIDDEN);
    }
    uri
}

fn video(track: Option<&TrackInfo>) -> String {
    let (width, height) = track.and_then(|track| track.size).unwrap_or(SIZE_DEFAULT);
    let kbps = kbps(track);
    let raw =
        format!("videotestsrc is-live=true pattern=ball ! video/x-raw,width={width},height={height},framerate=25/1");
    match track.map_or(Codec::H264, |track| track.codec) {
        Codec::H265 => format!(
            "{raw} ! x265enc tune=zerolatency speed-preset=ultrafast key-int-max=50 bitrate={kbps} \
             ! h265parse config-interval=-1 ! video/x-h265,stream-format=byte-stream,alignment=au ! mux."
        ),
        _ => format!(
            "{raw} ! x264enc tune=zerolatency speed-preset=veryfast key-int-max=50 bitrate={kbps} \
             ! h264parse config-interval=-1 ! video/x-h264,stream-format=byte-stream,alignment=au ! mux."
        ),
    }
}

fn kbps(track: Option<&TrackInfo>) -> u64 {
    let measured = track.map(|track| track.bitrate_bps / 1_000).filter(|kbps| *kbps > 0);
    measured.unwrap_or(KBPS_DEFAULT).min(KBPS_MAX)
}

fn audio(track: Option<&TrackInfo>) -> String {
    let raw = "audiotestsrc is-live=true wave=ticks ! audioconvert ! audioresample ! audio/x-raw,rate=48000,channels=2";
    let encoder = match track.map_or(Codec::Aac, |track| track.codec) {
        Codec::Mpeg => "avenc_mp2 ! mpegaudioparse",
        Codec::Ac3 => "avenc_ac3 ! ac3parse",
        Codec::Opus => "opusenc ! opusparse",
        _ => "voaacenc ! aacparse ! audio/mpeg,stream-format=adts",
    };
    format!("{raw} ! {encoder} ! mux.")
}

/// A word as a POSIX shell reads it back: in single quotes unless it needs none.
fn quoted(word: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_=.,/:+@%".contains(&byte);
    if !word.is_empty() && word.bytes().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use gstreamer as gst;
    use gstreamer::prelude::*;
    use proptest::prelude::*;

    use super::*;
    use crate::endpoint::sink::align;
    use crate::endpoint::srt_element::{Destination, configure};

    fn record(url: &str) -> EndpointRecord {
        EndpointRecord::new("one".parse().expect("id"), url.parse().expect("a URL"))
    }

    /// What a shell gives a program that is started with this command.
    fn words_in_a_shell(command: &str) -> Vec<String> {
        let line = command.replacen("gst-launch-1.0", r"printf '%s\0'", 1);
        let output = Command::new("/bin/sh").args(["-c", &line]).output().expect("sh");
        assert!(output.status.success(), "{command}: {output:?}");
        let text = String::from_utf8(output.stdout).expect("UTF-8");
        text.split_terminator('\0').map(str::to_owned).collect()
    }

    /// Muxer and sink as gst-launch-1.0 makes them of the words.
    fn elements(line: &LaunchLine) -> (gst::Element, gst::Element) {
        gst::init().expect("GStreamer");
        let words: Vec<&str> = line.words[2..].iter().map(String::as_str).collect();
        let made = gst::parse::launchv_full(&words, None, gst::ParseFlags::FATAL_ERRORS).expect("it parses");
        let bin = made.downcast::<gst::Bin>().expect("a bin");
        (bin.by_name("mux").expect("mux"), bin.by_name("sink").expect("sink"))
    }

    fn same_properties(made: &gst::Element, wanted: &gst::Element, but: &[&str]) {
        for property in wanted.list_properties() {
            let name = property.name();
            if but.contains(&name) || !property.flags().contains(gst::glib::ParamFlags::READABLE) {
                continue;
            }
            let value = |element: &gst::Element| {
                let value = element.property_value(name);
                // `Debug` of a structure that isn't there makes GStreamer complain.
                let absent = value.get::<Option<gst::Structure>>().is_ok_and(|structure| structure.is_none());
                if absent { String::new() } else { format!("{value:?}") }
            };
            assert_eq!(value(made), value(wanted), "{name}");
        }
    }

    #[test]
    fn the_line_makes_the_branch_that_the_service_makes() {
        let url = "srt://127.0.0.1:9000?streamid=%23!::r=live/x,u=\"a\\'%20b\"%20c,m=publish&passphrase=top-secret-1\
                   &pbkeylen=32&latency=777&maxbw=1000000&packetfilter=fec,cols:10,rows:5&pkt_size=1128\
                   &localport=7777&localaddress=127.0.0.1&connect_timeout=900";
        let record = record(url);
        let (mux, sink) = elements(&LaunchLine::of(&record, &[]));
        let bin = ENDPOINT.bin().expect("plugins");
        let (wanted_mux, wanted_sink) = (bin.by_name("mux").expect("mux"), bin.by_name("sink").expect("sink"));
        let destination = Destination { address: "127.0.0.1:9000".parse().expect("address"), shared_local: None };
        configure(&wanted_sink, &record.url, destination);
        align(&wanted_mux, &record.url);
        // The names' bins differ, and the service gives the stream id by property.
        same_properties(&sink, &wanted_sink, &["uri", "parent", "stats", "caps"]);
        same_properties(&mux, &wanted_mux, &["parent"]);
        assert_eq!(sink.property::<String>("streamid"), "#!::r=live/x,u=\"a\\' b\" c,m=publish");
        let uri: String = sink.property("uri");
        for option in ["maxbw=1000000", "packetfilter=", "payloadsize=1128", "conntimeo=900"] {
            assert!(uri.contains(option), "{option}: {uri}");
        }
    }

    #[test]
    fn the_line_follows_the_stream_and_hides_the_passphrase() {
        let track = |codec, size, bitrate_bps| TrackInfo {
            codec,
            size,
            audio: None,
            bitrate_bps,
            transcoded_from: None,
            statistics: Default::default(),
        };
        let tracks = [track(Codec::H265, Some((1920, 1080)), 6_000_000), track(Codec::Ac3, None, 192_000)];
        let line = LaunchLine::of(&record("srt://h:1?passphrase=top-secret-1"), &tracks);
        let command = line.command();
        for word in ["x265enc", "width=1920", "bitrate=6000", "avenc_ac3", "passphrase=***", "latency=150"] {
            assert!(command.contains(word), "{word}: {command}");
        }
        assert!(!command.contains("top-secret"), "{command}");
        assert_eq!(line.notes.len(), 3);
        let named = LaunchLine::of(&record("srt://h:1?streamid=x"), &tracks);
        assert!(named.notes.iter().any(|note| note.starts_with("The stream id stands in it")), "{named:?}");
        let sound = LaunchLine::of(&record("srt://h:1"), &tracks[1..]).command();
        assert!(!sound.contains("videotestsrc") && sound.contains("avenc_ac3"), "{sound}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn a_shell_and_gst_launch_read_back_any_stream_id(id in "[ -~ä€]{1,60}") {
            // In a URL `&` ends a value and `%` begins an escape.
            let escaped = utf8_percent_encode(&id, NON_ALPHANUMERIC).to_string();
            let line = LaunchLine::of(&record(&format!("srt://127.0.0.1:9000?streamid={escaped}")), &[]);
            prop_assert_eq!(&words_in_a_shell(&line.command()), &line.words[1..]);
            let (_, sink) = elements(&line);
            prop_assert_eq!(sink.property::<String>("streamid"), id);
        }

        #[test]
        fn a_shell_reads_back_any_word(word in "[ -~\nä€]{0,40}") {
            let command = format!("gst-launch-1.0 {}", quoted(&word));
            prop_assert_eq!(words_in_a_shell(&command), vec![word]);
        }
    }
}
