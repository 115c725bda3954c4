//! A pipeline as a graph in the DOT language, fit to be handed to strangers.
//!
//! Owns what is hidden. The hard thing: GStreamer prints every property that isn't at its default, stream ids, addresses
//! and credentials among them, and cuts long values, so that what is left of a secret is no longer recognised. So
//! values are printed whole, and the values of telling properties are hidden whole.

use gstreamer as gst;
use gstreamer::prelude::*;

use crate::model::srt_url::redact;

/// Properties that are hidden whatever they hold; compared without case, anywhere in a property's name. An address goes
/// through [`redact`] instead, since which host is called is what an operator looks for.
const HIDDEN_PROPERTIES: [&str; 12] = [
    "passphrase",
    "password",
    "user",
    "secret",
    "token",
    "streamid",
    "key",
    "cookie",
    "authoriz",
    "turn",
    "extra-headers",
    "pem",
];

/// What stands in place of a hidden value.
const HIDDEN: &str = "***";

/// The graph of a bin and all that is in it.
pub(super) fn dot(bin: &gst::Bin) -> String {
    let details = gst::DebugGraphDetails::ALL | gst::DebugGraphDetails::FULL_PARAMS;
    hide(&bin.debug_to_dot_data(details))
}

/// The text without secrets. Labels are quoted strings, in which `\n` and `\l` end a line and a property is one line.
fn hide(dot: &str) -> String {
    let mut out = String::with_capacity(dot.len());
    let mut rest = dot;
    while let Some(start) = rest.find('"') {
        let (before, quoted) = rest.split_at(start + 1);
        out.push_str(before);
        let end = end_of_quoted(quoted);
        for line in lines(&quoted[..end]) {
            hide_line(line, &mut out);
        }
        rest = &quoted[end..];
        // The closing quote must not open the next one.
        if let Some(after) = rest.strip_prefix('"') {
            out.push('"');
            rest = after;
        }
    }
    out.push_str(rest);
    out
}

/// Where the quoted string that `text` begins in ends: at its closing quote, or at the end of the text.
fn end_of_quoted(text: &str) -> usize {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return at,
            _ => {}
        }
    }
    text.len()
}

/// The lines of a label, each with what ends it.
fn lines(label: &str) -> impl Iterator<Item = &str> {
    let mut rest = label;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let bytes = rest.as_bytes();
        let mut at = 0;
        let end = loop {
            match bytes.get(at) {
                None => break rest.len(),
                Some(b'\\') if matches!(bytes.get(at + 1), Some(b'n' | b'l')) => break at + 2,
                // An escaped character, which may be of several bytes: those after the first are no backslash.
                Some(b'\\') => at += 2,
                Some(_) => at += 1,
            }
        };
        let (line, after) = rest.split_at(end.min(rest.len()));
        rest = after;
        Some(line)
    })
}

fn hide_line(line: &str, out: &mut String) {
    let (text, end) = match line.len().checked_sub(2).map(|at| line.split_at_checked(at)) {
        Some(Some((text, end @ ("\\n" | "\\l")))) => (text, end),
        _ => (line, ""),
    };
    match text.split_once('=') {
        Some((name, _)) if is_telling(name) => {
            out.push_str(name);
            out.push('=');
            out.push_str(HIDDEN);
        }
        _ => out.push_str(&redact(text)),
    }
    out.push_str(end);
}

fn is_telling(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    HIDDEN_PROPERTIES.iter().any(|word| name.contains(word))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECRET: &str = "hunter2hunter2";

    #[test]
    fn secrets_of_real_elements_are_not_shown_and_what_an_operator_looks_for_is() {
        gst::init().expect("GStreamer");
        let pipeline = gst::Pipeline::with_name("stream-live-test");
        let element = |factory: &str, properties: &[(&str, String)]| {
            let element = gst::ElementFactory::make(factory).build().expect("an element");
            for (name, value) in properties {
                element.set_property(name, value);
            }
            pipeline.add(&element).expect("added");
        };
        let long = format!("{}{SECRET}", "a long stream id, ".repeat(5));
        element(
            "srtsink",
            &[
                ("uri", format!("srt://127.0.0.1:9000?mode=caller&passphrase={SECRET}&maxbw=1000")),
                ("streamid", long),
                ("passphrase", SECRET.to_owned()),
            ],
        );
        element("srtsrc", &[("uri", "srt://127.0.0.1:9001".into()), ("streamid", format!("\"q\\\"{SECRET}\n"))]);
        element("rtmp2src", &[("location", format!("rtmp://user:{SECRET}@127.0.0.1/live/{}", "x".repeat(100)))]);
        element("rtspsrc", &[("user-id", SECRET.into()), ("user-pw", SECRET.into())]);
        element("webrtcbin", &[("turn-server", format!("turn://user:{SECRET}@127.0.0.1:3478"))]);
        let dot = dot(pipeline.upcast_ref());
        assert!(!dot.contains(SECRET), "{dot}");
        for shown in
            ["stream-live-test", "GstSRTSink", "srt://127.0.0.1:9000?passphrase=***&", "maxbw=1000", "streamid=***"]
        {
            assert!(dot.contains(shown), "{shown}: {dot}");
        }
        assert_eq!(dot.matches('{').count(), dot.matches('}').count());
    }

    proptest! {
        #[test]
        fn any_text_is_survived_and_no_telling_property_is_shown(
            before in "[ -~ä\\\\\"]{0,20}", value in "[A-Z0-9]{10,30}", after in "[ -~ä\\\\\"]{0,20}",
        ) {
            let _ = hide(&format!("{before}\"{after}\""));
            let hidden = hide(&format!("a [label=\"name\\nstreamid={value}\\nsync=false\"];"));
            prop_assert_eq!(hidden, "a [label=\"name\\nstreamid=***\\nsync=false\"];");
        }
    }
}
