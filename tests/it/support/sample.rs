//! Test programmes, encoded once by ffmpeg and kept under the build directory.
//!
//! Small pictures (320x180, 25/s) so that two cores serve many streams; moving test picture and noise, so that
//! no two access units are equal and each can be recognised where it arrives. Knows no network.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;

use super::ts::{Capture, Codec};

/// Longer than any single test publishes, so that no publisher has to loop (a loop would break the clock).
const SECONDS: u32 = 100;

/// Pictures in a group: one second.
pub const GOP: u32 = 25;

/// What a programme holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Programme {
    /// Video codec, or none.
    pub video: Option<Codec>,
    /// Audio codec, or none.
    pub audio: Option<Codec>,
    /// Pictures in a group.
    pub gop: u32,
    /// Width and height.
    pub size: (u32, u32),
    /// Makes the content differ from another programme's of the same kind.
    pub seed: u32,
    /// Seconds.
    pub seconds: u32,
}

/// H.264 with B-frames, AAC.
pub const H264_AAC: Programme = programme(Some(Codec::H264), Some(Codec::Aac));
/// The same with other content and another picture size: another encoder.
pub const OTHER_H264_AAC: Programme = Programme { size: (256, 144), seed: 2, seconds: 30, ..H264_AAC };
/// H.264 with four seconds from key frame to key frame.
pub const LONG_GOP: Programme = Programme { gop: 4 * GOP, ..H264_AAC };
/// H.264 with MPEG-1 layer II.
pub const H264_MP2: Programme = programme(Some(Codec::H264), Some(Codec::Mpeg));
/// H.264 with AC-3.
pub const H264_AC3: Programme = programme(Some(Codec::H264), Some(Codec::Ac3));
/// H.264 with Opus.
pub const H264_OPUS: Programme = programme(Some(Codec::H264), Some(Codec::Opus));
/// H.265 with AAC.
pub const H265_AAC: Programme = programme(Some(Codec::H265), Some(Codec::Aac));
/// Pictures alone.
pub const H264_ONLY: Programme = programme(Some(Codec::H264), None);
/// Pictures alone.
pub const H265_ONLY: Programme = programme(Some(Codec::H265), None);
/// Sound alone.
pub const AAC_ONLY: Programme = programme(None, Some(Codec::Aac));

const fn programme(video: Option<Codec>, audio: Option<Codec>) -> Programme {
    Programme { video, audio, gop: GOP, size: (320, 180), seed: 1, seconds: SECONDS }
}

/// An encoded programme.
#[derive(Debug, Clone)]
pub struct Sample {
    /// The transport stream.
    pub path: PathBuf,
    /// What it holds.
    pub programme: Programme,
}

impl Sample {
    /// The programme as a file; encoded on first use.
    pub fn of(programme: Programme) -> Self {
        let (video, audio) = (programme.video.map_or("none", name), programme.audio.map_or("none", name));
        let Programme { gop, size: (width, height), seed, seconds, .. } = programme;
        let mut args: Vec<String> = Vec::new();
        if programme.video.is_some() {
            let picture = format!("testsrc2=size={width}x{height}:rate=25:duration={seconds},hue=h={}", seed * 40);
            args.extend(words(&format!("-f lavfi -i {picture}")));
        }
        if programme.audio.is_some() {
            args.extend(words(&format!("-f lavfi -i anoisesrc=r=48000:a=0.1:d={seconds}:seed={seed}")));
        }
        args.extend(words(&match programme.video {
                Some(Codec::H264) => format!("-c:v libx264 -preset ultrafast -bf 2 -g {gop} -keyint_min {gop} -sc_threshold 0 -b:v 300k -pix_fmt yuv420p"),
                Some(Codec::H265) => format!("-c:v libx265 -preset ultrafast -x265-params keyint={gop}:min-keyint={gop}:scenecut=0:open-gop=0:bframes=2:log-level=error -b:v 300k -pix_fmt yuv420p"),
                _ => String::new(),
        }));
        args.extend(words(match programme.audio {
            Some(Codec::Aac) => "-c:a aac -b:a 64k -ac 1",
            Some(Codec::Mpeg) => "-c:a mp2 -b:a 64k -ac 1",
            Some(Codec::Ac3) => "-c:a ac3 -b:a 64k -ac 1",
            Some(Codec::Opus) => "-c:a libopus -b:a 48k -ac 2",
            _ => "",
        }));
        args.extend(words("-f mpegts"));
        Self { path: make(&format!("{video}-{audio}-gop{gop}-seed{seed}"), &args), programme }
    }

    /// Its bytes.
    pub fn bytes(&self) -> Vec<u8> {
        std::fs::read(&self.path).unwrap()
    }

    /// Its content, parsed.
    pub fn capture(&self) -> Capture {
        Capture::parse(&self.bytes())
    }

    /// Another file made from this one by ffmpeg (input first, then `args`), e.g. with shifted time stamps.
    pub fn derived(&self, name: &str, args: &str) -> PathBuf {
        let stem = self.path.file_stem().expect("a file").to_string_lossy().into_owned();
        let mut all = words("-i");
        all.push(self.path.display().to_string());
        all.extend(words(args));
        make(&format!("{stem}-{name}"), &all)
    }
}

fn name(codec: Codec) -> &'static str {
    match codec {
        Codec::H264 => "h264",
        Codec::H265 => "h265",
        Codec::Aac => "aac",
        Codec::Mpeg => "mp2",
        Codec::Ac3 => "ac3",
        Codec::Opus => "opus",
        Codec::Other(_) => "other",
    }
}

/// A command line without quotes, split at blanks.
pub fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

/// The transport stream that ffmpeg makes of some arguments, kept under a name that changes with them. Written
/// beside and renamed, so that a broken run or a second one at the same time never leaves half a file.
fn make(stem: &str, args: &[String]) -> PathBuf {
    static ONE_ENCODER: Mutex<()> = Mutex::new(());
    let mut hasher = DefaultHasher::new();
    args.hash(&mut hasher);
    let file = format!("{stem}-{:08x}.ts", hasher.finish() >> 32);
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("samples");
    let path = dir.join(&file);
    // A test that failed while encoding must not fail the others by a poisoned lock.
    let _one = ONE_ENCODER.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if path.exists() {
        return path;
    }
    std::fs::create_dir_all(&dir).unwrap();
    let half = dir.join(format!("half-{}-{file}", std::process::id()));
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-nostdin", "-y"])
        .args(args)
        .arg(&half)
        .stdin(Stdio::null())
        .output()
        .expect("ffmpeg is needed for the tests");
    assert!(output.status.success(), "ffmpeg could not make {file}: {}", String::from_utf8_lossy(&output.stderr));
    std::fs::rename(&half, &path).unwrap();
    path
}
