//! `test://`: what the picture that is made here is to look like.

use super::url::SourceUrlError;

/// Width and height, pixels: from what can still be read to 4K.
const WIDTH: std::ops::RangeInclusive<u32> = 160..=3_840;
const HEIGHT: std::ops::RangeInclusive<u32> = 90..=2_160;
/// Pictures a second.
const FPS: std::ops::RangeInclusive<u32> = 1..=60;
/// Of the picture, kb/s.
const BITRATE_KBPS: std::ops::RangeInclusive<u32> = 100..=50_000;
/// Beep, Hz.
const TONE_HZ: std::ops::RangeInclusive<u32> = 50..=8_000;

/// A test picture: a running clock, a beep each second, a white flash with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TestPicture {
    /// Width, pixels; even.
    pub width: u32,
    /// Height, pixels; even.
    pub height: u32,
    /// Pictures a second.
    pub fps: u32,
    /// Of the picture, kb/s.
    pub bitrate_kbps: u32,
    /// The beep's frequency, Hz: tells several test sources apart by ear.
    pub tone_hz: u32,
}

impl Default for TestPicture {
    fn default() -> Self {
        Self { width: 1_280, height: 720, fps: 25, bitrate_kbps: 2_500, tone_hz: 1_000 }
    }
}

impl TestPicture {
    /// Reads the query behind `test://?`.
    pub(super) fn parse(query: &str) -> Result<Self, SourceUrlError> {
        let mut picture = Self::default();
        for piece in query.split('&').filter(|piece| !piece.is_empty()) {
            let (key, value) = piece.split_once('=').unwrap_or((piece, ""));
            let number = |range: &std::ops::RangeInclusive<u32>, unit: &str| {
                value.parse().ok().filter(|n| range.contains(n)).ok_or_else(|| {
                    let wanted = format!("a whole number from {} to {}{unit}", range.start(), range.end());
                    SourceUrlError::value(key, wanted)
                })
            };
            match key {
                "size" => (picture.width, picture.height) = size(value)?,
                "fps" => picture.fps = number(&FPS, "")?,
                "bitrate" => picture.bitrate_kbps = number(&BITRATE_KBPS, " (kb/s)")?,
                "tone" => picture.tone_hz = number(&TONE_HZ, " (Hz)")?,
                _ => return Err(SourceUrlError::key(key, "size, fps, bitrate, tone")),
            }
        }
        Ok(picture)
    }
}

fn size(text: &str) -> Result<(u32, u32), SourceUrlError> {
    text.split_once('x')
        .and_then(|(width, height)| Some((width.parse().ok()?, height.parse().ok()?)))
        .filter(|(width, height)| WIDTH.contains(width) && HEIGHT.contains(height) && width % 2 == 0 && height % 2 == 0)
        .ok_or_else(|| {
            let range = |r: &std::ops::RangeInclusive<u32>| format!("{} to {}", r.start(), r.end());
            let wanted = format!("WIDTHxHEIGHT, even, {} by {}", range(&WIDTH), range(&HEIGHT));
            SourceUrlError::value("size", wanted)
        })
}
