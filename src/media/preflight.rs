//! The GStreamer elements this service stands on, and which of them this machine lacks. Owns the list;
//! must not know what they are used for beyond one word. The hard thing: a factory in the registry may
//! belong to a plugin that does not load (a library of its own is missing), so each one is loaded.

use std::fmt;

use gstreamer as gst;
use gstreamer::prelude::*;

/// A required element that is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Missing {
    /// The element factory's name.
    pub element: &'static str,
    /// The plugin that has it.
    pub plugin: &'static str,
    /// The Debian package that has the plugin.
    pub debian_package: &'static str,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { element, plugin, debian_package } = self;
        write!(f, "GStreamer element {element} is missing (plugin {plugin}, Debian package {debian_package})")
    }
}

/// The version of GStreamer that runs: `1.22.0`.
pub fn gstreamer_version() -> String {
    let (major, minor, micro, _) = gst::version();
    format!("{major}.{minor}.{micro}")
}

const CORE: &str = "libgstreamer1.0-0";
const BASE: &str = "gstreamer1.0-plugins-base";
const GOOD: &str = "gstreamer1.0-plugins-good";
const BAD: &str = "gstreamer1.0-plugins-bad";
const NICE: &str = "gstreamer1.0-nice";
const UGLY: &str = "gstreamer1.0-plugins-ugly";

/// Element, plugin and Debian 12's package, as `gst-inspect-1.0` and `dpkg -S` name them.
const REQUIRED: [(&str, &str, &str); 59] = [
    ("capsfilter", "coreelements", CORE),
    ("tee", "coreelements", CORE),
    ("queue", "coreelements", CORE),
    ("appsrc", "app", BASE),
    ("appsink", "app", BASE),
    ("audioconvert", "audioconvert", BASE),
    ("audioresample", "audioresample", BASE),
    ("opusdec", "opus", BASE),
    ("videoconvert", "videoconvertscale", BASE),
    ("aacparse", "audioparsers", GOOD),
    ("ac3parse", "audioparsers", GOOD),
    ("mpegaudioparse", "audioparsers", GOOD),
    ("alawdec", "alaw", GOOD),
    ("mulawdec", "mulaw", GOOD),
    ("vp8dec", "vpx", GOOD),
    ("vp9dec", "vpx", GOOD),
    ("av1dec", "aom", BAD),
    ("h264parse", "videoparsersbad", BAD),
    ("h265parse", "videoparsersbad", BAD),
    ("opusparse", "opusparse", BAD),
    ("tsdemux", "mpegtsdemux", BAD),
    ("mpegtsmux", "mpegtsmux", BAD),
    ("srtsink", "srt", BAD),
    ("srtsrc", "srt", BAD),
    ("udpsrc", "udp", GOOD),
    ("qtdemux", "isomp4", GOOD),
    ("rtspsrc", "rtsp", GOOD),
    ("rtmp2src", "rtmp2", BAD),
    ("videotestsrc", "videotestsrc", BASE),
    ("audiotestsrc", "audiotestsrc", BASE),
    ("webrtcbin", "webrtc", BAD),
    // What webrtcbin makes by itself, and fails without.
    ("dtlssrtpdec", "dtls", BAD),
    ("dtlssrtpenc", "dtls", BAD),
    ("srtpdec", "srtp", BAD),
    ("srtpenc", "srtp", BAD),
    ("nicesrc", "nice", NICE),
    ("nicesink", "nice", NICE),
    ("rtpbin", "rtpmanager", GOOD),
    ("rtph264depay", "rtp", GOOD),
    ("rtph265depay", "rtp", GOOD),
    ("rtpvp8depay", "rtp", GOOD),
    ("rtpvp9depay", "rtp", GOOD),
    ("rtpopusdepay", "rtp", GOOD),
    ("rtppcmudepay", "rtp", GOOD),
    ("rtppcmadepay", "rtp", GOOD),
    ("rtpL16depay", "rtp", GOOD),
    ("rtpL24depay", "rtp", GOOD),
    ("rtpmp4gdepay", "rtp", GOOD),
    ("rtpmp4adepay", "rtp", GOOD),
    ("rtpmpadepay", "rtp", GOOD),
    ("rtpac3depay", "rtp", GOOD),
    ("capssetter", "debug", GOOD),
    ("voaacenc", "voaacenc", BAD),
    ("x264enc", "x264", UGLY),
    // For the level of the sound.
    ("faad", "faad", BAD),
    ("mpg123audiodec", "mpg123", GOOD),
    ("a52dec", "a52dec", UGLY),
    ("level", "level", GOOD),
    ("fakesink", "coreelements", CORE),
];

/// Every required element that cannot be made on this machine; empty when all is well. Needs `gst::init`.
pub fn missing_elements() -> Vec<Missing> {
    REQUIRED
        .into_iter()
        .filter(|(element, ..)| gst::ElementFactory::find(element).is_none_or(|factory| factory.load().is_err()))
        .map(|(element, plugin, debian_package)| Missing { element, plugin, debian_package })
        .collect()
}

/// The packages of missing elements, each once, in alphabetical order.
pub fn debian_packages(missing: &[Missing]) -> Vec<&'static str> {
    let mut packages: Vec<_> = missing.iter().map(|missing| missing.debian_package).collect();
    packages.sort_unstable();
    packages.dedup();
    packages
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_required_element_is_in_the_plugin_that_the_list_names() {
        gst::init().expect("GStreamer");
        assert_eq!(missing_elements(), []);
        for (element, plugin, _) in REQUIRED {
            let factory = gst::ElementFactory::find(element).expect(element);
            assert_eq!(factory.plugin_name().as_deref(), Some(plugin), "{element}");
        }
    }

    #[test]
    fn every_element_of_a_launch_text_is_required() {
        let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/pipelines");
        let mut seen = 0;
        for entry in std::fs::read_dir(directory).expect("pipelines/") {
            let path = entry.expect("an entry").path();
            if path.extension().is_none_or(|extension| extension != "launch") {
                continue;
            }
            // The service does without; who looks at a preview is told what is missing.
            if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("preview-")) {
                continue;
            }
            let text = std::fs::read_to_string(&path).expect("a launch text");
            let lines = text.lines().filter(|line| !line.starts_with('#'));
            let words = lines.flat_map(str::split_whitespace);
            for element in words.filter(|word| word.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')) {
                assert!(REQUIRED.iter().any(|(required, ..)| *required == element), "{element} of {}", path.display());
                seen += 1;
            }
        }
        assert!(seen > 20, "only {seen} elements were looked at");
    }

    #[test]
    fn a_package_is_named_once() {
        let missing = |debian_package| Missing { element: "e", plugin: "p", debian_package };
        assert_eq!(debian_packages(&[missing(GOOD), missing(BAD), missing(GOOD)]), [BAD, GOOD]);
        assert_eq!(
            missing(BAD).to_string(),
            "GStreamer element e is missing (plugin p, Debian package gstreamer1.0-plugins-bad)"
        );
    }
}
