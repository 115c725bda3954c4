//! Digits and a flash in a raw I420 picture. Pure.
//!
//! Seven-segment digits, since they need no font and stay readable in small and in badly compressed pictures.

use std::time::Duration;

/// Luma of black and white, and chroma of both (ITU-R BT.601, studio range).
const BLACK: u8 = 16;
const WHITE: u8 = 235;
const NEUTRAL: u8 = 128;

/// Segments of the digits: top, upper left, upper right, middle, lower left, lower right, bottom.
const SEGMENTS: [[bool; 7]; 10] = {
    const Y: bool = true;
    const N: bool = false;
    [
        [Y, Y, Y, N, Y, Y, Y],
        [N, N, Y, N, N, Y, N],
        [Y, N, Y, Y, Y, N, Y],
        [Y, N, Y, Y, N, Y, Y],
        [N, Y, Y, Y, N, Y, N],
        [Y, Y, N, Y, N, Y, Y],
        [Y, Y, N, Y, Y, Y, Y],
        [Y, N, Y, N, N, Y, N],
        [Y, Y, Y, Y, Y, Y, Y],
        [Y, Y, Y, Y, N, Y, Y],
    ]
};

/// The time of day in UTC: `20:15:03.040`.
pub(super) fn clock(since_1970: Duration) -> String {
    let s = since_1970.as_secs() % 86_400;
    format!("{:02}:{:02}:{:02}.{:03}", s / 3_600, s / 60 % 60, s % 60, since_1970.subsec_millis())
}

/// A picture's shape.
#[derive(Debug, Clone, Copy)]
pub(super) struct Canvas {
    width: usize,
    height: usize,
}

/// Places and sizes, in pixels.
#[derive(Debug, Clone, Copy)]
struct Rect {
    x: usize,
    y: usize,
    width: usize,
    height: usize,
}

/// Rows of the planes are padded to multiples of four bytes (`gst_video_info_set_format`).
fn stride(width: usize) -> usize {
    width.next_multiple_of(4)
}

impl Canvas {
    /// Both even.
    pub(super) fn new(width: usize, height: usize) -> Self {
        Self { width, height }
    }

    /// The clock in the middle, the picture's number below it, and the flash above both.
    pub(super) fn paint(self, data: &mut [u8], clock: &str, number: u64, flash: bool) {
        let unit = (self.width / 160).min(self.height / 90).max(1);
        let box_of = |y: usize, height: usize| Rect { x: self.width / 8, y, width: self.width * 3 / 4, height };
        // Twelve signs have to fit in, each less than half as wide as high.
        let (middle, digit) = (self.height / 2, (self.height / 6).min(self.width / 7));
        self.fill(data, box_of(middle - digit / 2 - unit * 2, digit + unit * 4), BLACK);
        self.text(data, clock, middle - digit / 2, digit, unit);
        self.fill(data, box_of(middle + digit, digit / 2 + unit * 2), BLACK);
        self.text(data, &format!("{number:08}"), middle + digit + unit, digit / 2, (unit / 2).max(1));
        self.fill(data, box_of(unit * 4, self.height / 4), if flash { WHITE } else { BLACK });
    }

    fn text(self, data: &mut [u8], text: &str, y: usize, height: usize, thick: usize) {
        let (digit, gap) = (height * 9 / 20, thick * 2);
        let advance = |c: char| if c.is_ascii_digit() { digit + gap } else { thick + gap };
        let width: usize = text.chars().map(advance).sum();
        let mut x = self.width.saturating_sub(width) / 2;
        for c in text.chars() {
            match c.to_digit(10) {
                Some(n) => self.digit(data, n as usize, Rect { x, y, width: digit, height }, thick),
                None => {
                    let dot = |y| Rect { x, y, width: thick, height: thick };
                    if c == ':' {
                        self.fill(data, dot(y + height / 3), WHITE);
                        self.fill(data, dot(y + height * 2 / 3), WHITE);
                    } else {
                        self.fill(data, dot(y + height.saturating_sub(thick)), WHITE);
                    }
                }
            }
            x += advance(c);
        }
    }

    fn digit(self, data: &mut [u8], n: usize, Rect { x, y, width, height }: Rect, thick: usize) {
        let (half, right, lower) = (height / 2, x + width.saturating_sub(thick), y + height.saturating_sub(thick));
        let bar = |y| Rect { x, y, width, height: thick };
        let post = |x, y| Rect { x, y, width: thick, height: half };
        let places = [
            bar(y),
            post(x, y),
            post(right, y),
            bar((y + half).saturating_sub(thick / 2)),
            post(x, y + half),
            post(right, y + half),
            bar(lower),
        ];
        for (place, on) in places.into_iter().zip(SEGMENTS[n]) {
            if on {
                self.fill(data, place, WHITE);
            }
        }
    }

    /// Fills a box of grey; what lies outside the picture is left out.
    fn fill(self, data: &mut [u8], Rect { x, y, width, height }: Rect, luma: u8) {
        let (luma_len, chroma) = (stride(self.width) * self.height, stride(self.width / 2));
        let chroma_len = chroma * self.height / 2;
        let mut rows = |from: usize, stride: usize, x: usize, y: usize, width: usize, height: usize, value: u8| {
            for row in y..y + height {
                if let Some(bytes) = data.get_mut(from + row * stride + x..from + row * stride + x + width) {
                    bytes.fill(value);
                }
            }
        };
        let (width, height) = (width.min(self.width.saturating_sub(x)), height.min(self.height.saturating_sub(y)));
        rows(0, stride(self.width), x, y, width, height, luma);
        for plane in 0..2 {
            rows(luma_len + plane * chroma_len, chroma, x / 2, y / 2, width / 2, height / 2, NEUTRAL);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_of_every_size_are_painted_within_their_planes() {
        for (width, height) in [(160, 90), (162, 90), (320, 180), (1_280, 720), (160, 2_160), (3_840, 90)] {
            let mut data = vec![77; stride(width) * height + stride(width / 2) * height];
            let canvas = Canvas::new(width, height);
            canvas.paint(&mut data, "12:34:56.789", 1_234, true);
            let at = |x: usize, y: usize| stride(width) * y + x;
            let unit = (width / 160).min(height / 90).max(1);
            assert_eq!(data[at(width / 2, unit * 4 + 1)], WHITE, "{width}x{height} flash");
            assert_eq!(data[at(0, height / 2)], 77, "beside the clock nothing is painted");
            assert!(data[at(0, height / 2)..at(width, height / 2)].contains(&WHITE), "{width}x{height}: digits");
            canvas.paint(&mut data, "12:34:56.789", 1_234, false);
            assert_eq!(data[at(width / 2, unit * 4 + 1)], BLACK);
        }
    }

    #[test]
    fn the_clock_reads_as_a_clock() {
        assert_eq!(clock(Duration::from_millis(1_700_000_003_040)), "22:13:23.040");
    }
}
