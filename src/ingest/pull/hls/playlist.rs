//! Playlists of HLS (RFC 8216) and addresses in them. Pure.
//!
//! Reads what a live stream needs and passes over the rest. The hard thing is what must not be passed over: what is
//! encrypted is not media, and a number that is missing must not look like a segment.

use std::time::Duration;

/// Segments that are read of one playlist: hours of them.
const SEGMENTS_MAX: usize = 20_000;

/// Highest media sequence that is believed: far beyond any, and far from where numbers end.
const SEQUENCE_MAX: u64 = u64::MAX / 2;

/// Longest segment believed, in seconds.
const SECONDS_MAX: f64 = 600.0;

/// Either kind.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Playlist {
    /// Variants of the same programme.
    Master(Master),
    /// Segments.
    Media(Media),
}

/// Variants of the same programme.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Master {
    pub(super) variants: Vec<Variant>,
    pub(super) audio: Vec<Rendition>,
}

/// One variant.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Variant {
    pub(super) bandwidth_bps: u64,
    pub(super) uri: String,
    /// The group that its sound is in.
    pub(super) audio: Option<String>,
}

/// Sound beside the variants.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Rendition {
    pub(super) group: String,
    /// None: it is in the variant itself.
    pub(super) uri: Option<String>,
    pub(super) default: bool,
}

/// Segments.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Media {
    pub(super) target: Duration,
    /// The first segment's number.
    pub(super) sequence: u64,
    pub(super) segments: Vec<Segment>,
    /// No more will come.
    pub(super) ended: bool,
    /// Method of encryption, if there is any.
    pub(super) encrypted: Option<String>,
}

/// One piece of media.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Segment {
    pub(super) uri: String,
    pub(super) duration: Duration,
    /// Length and place in the resource.
    pub(super) range: Option<Range>,
    /// Its clock is another one than that before it.
    pub(super) discontinuity: bool,
    /// What has to be read before it.
    pub(super) map: Option<Map>,
}

/// A part of a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::ingest::pull) struct Range {
    pub(in crate::ingest::pull) start: u64,
    pub(in crate::ingest::pull) len: u64,
}

/// The initialisation of fragmented MP4.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Map {
    pub(super) uri: String,
    pub(super) range: Option<Range>,
}

/// Reads a playlist.
///
/// # Errors
/// What is wrong with it.
pub(super) fn parse(text: &str) -> Result<Playlist, &'static str> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    if !lines.next().is_some_and(|line| line.starts_with("#EXTM3U")) {
        return Err("it does not begin with #EXTM3U");
    }
    let lines: Vec<&str> = lines.collect();
    if lines.iter().any(|line| line.starts_with("#EXT-X-STREAM-INF:")) {
        return Ok(Playlist::Master(master(&lines)));
    }
    media(&lines).map(Playlist::Media)
}

fn master(lines: &[&str]) -> Master {
    let mut master = Master::default();
    let mut pending = None;
    for line in lines {
        if let Some(list) = line.strip_prefix("#EXT-X-STREAM-INF:") {
            pending = Some(list);
        } else if let Some(list) = line.strip_prefix("#EXT-X-MEDIA:") {
            if attribute(list, "TYPE").as_deref() == Some("AUDIO")
                && let Some(group) = attribute(list, "GROUP-ID")
            {
                let default = attribute(list, "DEFAULT").as_deref() == Some("YES");
                master.audio.push(Rendition { group, uri: attribute(list, "URI"), default });
            }
        } else if !line.starts_with('#')
            && let Some(list) = pending.take()
        {
            let bandwidth_bps = attribute(list, "BANDWIDTH").and_then(|text| text.parse().ok()).unwrap_or(0);
            master.variants.push(Variant { bandwidth_bps, uri: (*line).to_owned(), audio: attribute(list, "AUDIO") });
        }
    }
    master
}

impl Master {
    /// The best variant, and where its sound is if that is elsewhere.
    pub(super) fn best(&self) -> Option<(&Variant, Option<&str>)> {
        // The first of equals: an author's order.
        let best = self.variants.iter().rev().max_by_key(|variant| variant.bandwidth_bps)?;
        let group = self.audio.iter().filter(|audio| Some(&audio.group) == best.audio.as_ref());
        let audio = group.clone().find(|audio| audio.default).or_else(|| group.clone().next());
        Some((best, audio.and_then(|audio| audio.uri.as_deref())))
    }
}

fn media(lines: &[&str]) -> Result<Media, &'static str> {
    let mut media = Media::default();
    let (mut duration, mut range, mut discontinuity, mut map) = (None, None, false, None);
    // Where the next range begins that does not say it.
    let mut range_end = 0;
    for line in lines {
        if let Some(value) = line.strip_prefix("#EXTINF:") {
            duration = seconds(value.split(',').next().unwrap_or_default());
        } else if let Some(value) = line.strip_prefix("#EXT-X-TARGETDURATION:") {
            media.target = seconds(value).ok_or("its target duration is no number")?;
        } else if let Some(value) = line.strip_prefix("#EXT-X-MEDIA-SEQUENCE:") {
            let sequence = value.trim().parse().ok().filter(|sequence| *sequence <= SEQUENCE_MAX);
            media.sequence = sequence.ok_or("its media sequence is no number, or none that can be")?;
        } else if let Some(value) = line.strip_prefix("#EXT-X-BYTERANGE:") {
            range = byte_range(value, range_end);
        } else if *line == "#EXT-X-DISCONTINUITY" {
            discontinuity = true;
        } else if let Some(list) = line.strip_prefix("#EXT-X-MAP:") {
            let range = attribute(list, "BYTERANGE").and_then(|text| byte_range(&text, 0));
            map = attribute(list, "URI").map(|uri| Map { uri, range });
        } else if let Some(list) = line.strip_prefix("#EXT-X-KEY:") {
            media.encrypted = attribute(list, "METHOD").filter(|method| method != "NONE");
        } else if *line == "#EXT-X-ENDLIST" {
            media.ended = true;
        } else if !line.starts_with('#') {
            let Some(duration) = duration.take() else { continue };
            if media.segments.len() >= SEGMENTS_MAX {
                return Err("it has too many segments");
            }
            let range = range.take();
            range_end = range.map_or(0, |Range { start, len }| start + len);
            let discontinuity = std::mem::take(&mut discontinuity);
            media.segments.push(Segment { uri: (*line).to_owned(), duration, range, discontinuity, map: map.clone() });
        }
    }
    if media.target.is_zero() {
        media.target = media.segments.iter().map(|segment| segment.duration).max().unwrap_or(Duration::from_secs(1));
    }
    Ok(media)
}

fn seconds(text: &str) -> Option<Duration> {
    let seconds: f64 = text.trim().parse().ok()?;
    (0.0..=SECONDS_MAX).contains(&seconds).then(|| Duration::from_secs_f64(seconds))
}

/// `length[@start]`.
fn byte_range(text: &str, next: u64) -> Option<Range> {
    let (len, start) = match text.trim().split_once('@') {
        Some((len, start)) => (len, start.parse().ok()?),
        None => (text.trim(), next),
    };
    let len: u64 = len.parse().ok().filter(|len| *len > 0)?;
    start.checked_add(len)?;
    Some(Range { start, len })
}

/// The value of an attribute, without its quotation marks (RFC 8216, section 4.2).
fn attribute(list: &str, name: &str) -> Option<String> {
    let mut rest = list;
    while !rest.is_empty() {
        let (key, after) = rest.split_once('=')?;
        let (value, next) = match after.strip_prefix('"') {
            Some(quoted) => {
                let (value, next) = quoted.split_once('"')?;
                (value, next.strip_prefix(',').unwrap_or(next))
            }
            None => after.split_once(',').unwrap_or((after, "")),
        };
        if key.trim() == name {
            return Some(value.to_owned());
        }
        rest = next;
    }
    None
}

/// An address in a playlist, from the playlist's own (RFC 3986, section 5.2); only `http` and `https` come out.
pub(super) fn join(base: &str, reference: &str) -> Option<String> {
    let is_web = |url: &str| {
        let lower = url.get(..8).unwrap_or(url).to_ascii_lowercase();
        lower.starts_with("http://") || lower.starts_with("https://")
    };
    if !is_web(base) {
        return None;
    }
    if reference.split(['/', '?']).next().is_some_and(|first| first.contains(':')) {
        return is_web(reference).then(|| reference.to_owned());
    }
    let (scheme, rest) = base.split_once("://")?;
    let host_end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (host, path) = rest.split_at(host_end);
    let path = path.split(['?', '#']).next().unwrap_or_default();
    if let Some(other) = reference.strip_prefix("//") {
        return Some(format!("{scheme}://{other}"));
    }
    if reference.starts_with('?') {
        return Some(format!("{scheme}://{host}{path}{reference}"));
    }
    let merged = match reference.strip_prefix('/') {
        Some(_) => reference.to_owned(),
        None => format!("{}/{reference}", path.rsplit_once('/').map_or("", |(directory, _)| directory)),
    };
    let (path, query) = merged.split_at(merged.find('?').unwrap_or(merged.len()));
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/').skip(1) {
        match part {
            "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    Some(format!("{scheme}://{host}/{}{query}", parts.join("/")))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_live_playlist_is_read() {
        let text = "#EXTM3U\r\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:6\n#EXT-X-MEDIA-SEQUENCE:41\n\
            #EXT-X-MAP:URI=\"init,1.mp4\",BYTERANGE=\"100@0\"\n#EXTINF:6.006,title, more\n#EXT-X-BYTERANGE:50@100\na.m4s\n\
            #EXT-X-DISCONTINUITY\n#EXTINF:2,\n#EXT-X-BYTERANGE:60\na.m4s\nno-duration.ts\n";
        let Ok(Playlist::Media(media)) = parse(text) else { panic!("media") };
        assert_eq!((media.target, media.sequence, media.ended), (Duration::from_secs(6), 41, false));
        assert_eq!(media.segments.len(), 2);
        let [first, second] = &media.segments[..] else { panic!("two") };
        assert_eq!(first.map, Some(Map { uri: "init,1.mp4".into(), range: Some(Range { start: 0, len: 100 }) }));
        assert_eq!((first.range, first.discontinuity), (Some(Range { start: 100, len: 50 }), false));
        assert_eq!((second.range, second.discontinuity), (Some(Range { start: 150, len: 60 }), true));
    }

    #[test]
    fn the_best_variant_is_chosen_with_its_sound() {
        let text = "#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"x, y\",URI=\"en.m3u8\"\n\
            #EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",DEFAULT=YES,URI=\"de.m3u8\"\n\
            #EXT-X-STREAM-INF:BANDWIDTH=800000,CODECS=\"avc1,mp4a\"\nlow.m3u8\n\
            #EXT-X-STREAM-INF:AUDIO=\"a\",BANDWIDTH=2800000\nhigh.m3u8\n\
            #EXT-X-STREAM-INF:BANDWIDTH=2800000\nbackup.m3u8\n";
        let Ok(Playlist::Master(master)) = parse(text) else { panic!("master") };
        let (best, audio) = master.best().expect("three");
        assert_eq!((best.uri.as_str(), audio), ("high.m3u8", Some("de.m3u8")));
    }

    #[test]
    fn what_is_encrypted_or_no_playlist_is_said() {
        let text = "#EXTM3U\n#EXT-X-TARGETDURATION:6\n#EXT-X-KEY:METHOD=AES-128,URI=\"k\"\n#EXTINF:6,\na.ts\n";
        assert!(
            matches!(parse(text), Ok(Playlist::Media(Media { encrypted: Some(method), .. })) if method == "AES-128")
        );
        let highest = format!("#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:{}\n", u64::MAX);
        assert!(parse(&highest).is_err(), "the segment behind it has no number");
        assert!(parse("<html>").is_err());
        assert!(parse("#EXTM3U\n#EXT-X-TARGETDURATION:x\n").is_err());
    }

    #[test]
    fn addresses_are_joined() {
        let base = "https://h:81/live/a/x.m3u8?t=1";
        for (reference, wanted) in [
            ("s.ts", Some("https://h:81/live/a/s.ts")),
            ("../b/./s.ts?q=a/../b", Some("https://h:81/live/b/s.ts?q=a/../b")),
            ("../../../s.ts", Some("https://h:81/s.ts")),
            ("/s.ts", Some("https://h:81/s.ts")),
            ("//o/s.ts", Some("https://o/s.ts")),
            ("http://o/s.ts", Some("http://o/s.ts")),
            ("?t=2", Some("https://h:81/live/a/x.m3u8?t=2")),
            ("file:///etc/passwd", None),
            ("FILE:/etc/passwd", None),
        ] {
            assert_eq!(join(base, reference).as_deref(), wanted, "{reference}");
        }
        assert_eq!(join("http://h", "s.ts").as_deref(), Some("http://h/s.ts"));
        assert_eq!(join("file:///x", "s.ts"), None);
    }

    proptest! {
        #[test]
        fn random_text_never_panics(text in "(#EXT(M3U|INF:|-X-MAP:|-X-KEY:|-X-BYTERANGE:)?|[a-z0-9=,\"@.:/-]{0,9}|\n){0,40}") {
            let _ = parse(&format!("#EXTM3U\n{text}"));
            if let Some(joined) = join("http://h/a/b", &text) {
                prop_assert!(joined.starts_with("http"));
            }
        }
    }
}
