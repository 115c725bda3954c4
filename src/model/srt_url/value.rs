//! Kinds of values in an endpoint URL: how each is read and checked, and how what is wanted is said.
//!
//! Works on decoded text and knows no key. The hard thing: a refused value is repeated to the user, except
//! where it is a secret or may hold one; then only its length is.

use std::fmt;
use std::net::IpAddr;
use std::ops::RangeInclusive;

use super::SrtMode;
use super::error::quote;

/// MPEG-TS packet, in bytes (ISO/IEC 13818-1).
pub(super) const TS_PACKET_BYTES: i64 = 188;

/// Largest payload made of whole MPEG-TS packets that fits libsrt's 1456: seven of them, in bytes.
pub(super) const PAYLOAD_BYTES_MAX: i64 = 7 * TS_PACKET_BYTES;

/// Longest name of a network interface, in bytes (Linux: `IFNAMSIZ` without its terminator).
const DEVICE_LEN_MAX: usize = 15;

/// Most columns or rows of the FEC filter: libsrt keeps the packets of a whole matrix in memory. The least,
/// 2 columns and 1 or -2 rows, are libsrt 1.5.1's own (found by trying).
const FEC_SIZE_MAX: i64 = 256;

/// What a value must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A whole number, both ends included.
    Int { min: i64, max: i64 },
    /// One of some numbers.
    OneOf(&'static [i64]),
    /// The one number accepted.
    Only(i64),
    /// `1`, `yes`, `on`, `true` or their opposites.
    Bool,
    /// The one word accepted.
    Word(&'static str),
    /// Connection mode.
    Mode,
    /// An IP address literal.
    Address,
    /// Text without control characters, length in bytes.
    Text { min: usize, max: usize },
    /// The same, never repeated.
    Secret { min: usize, max: usize },
    /// 1 to 7 MPEG-TS packets.
    TsPackets,
    /// An SRT version.
    Version,
    /// libsrt's `fec` filter.
    PacketFilter,
    /// A network interface.
    Device,
}

/// A value that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    Int(i64),
    Text(String),
    Mode(SrtMode),
    Address(IpAddr),
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int { min, max: i64::MAX } => write!(f, "a whole number from {min}"),
            Self::Int { min, max } => write!(f, "a whole number from {min} to {max}"),
            Self::OneOf(numbers) => {
                for (i, number) in numbers.iter().enumerate() {
                    let glue = match i {
                        0 => "",
                        _ if i + 1 == numbers.len() => " or ",
                        _ => ", ",
                    };
                    write!(f, "{glue}{number}")?;
                }
                Ok(())
            }
            Self::Only(number) => write!(f, "{number}"),
            Self::Bool => f.write_str("1 or 0 (yes, on, true or no, off, false)"),
            Self::Word(word) => f.write_str(word),
            Self::Mode => f.write_str("caller, listener or rendezvous"),
            Self::Address => f.write_str("an IP address"),
            Self::Text { min, max } | Self::Secret { min, max } => {
                write!(f, "text of {min} to {max} bytes once decoded")
            }
            Self::TsPackets => {
                write!(f, "a multiple of {TS_PACKET_BYTES} up to {PAYLOAD_BYTES_MAX}")
            }
            Self::Version => f.write_str("an SRT version"),
            Self::PacketFilter => f.write_str(
                "fec, with cols:2…256, rows:1…256 or -2…-256, layout:even or staircase, arq:always, onreq or never, after commas",
            ),
            Self::Device => write!(f, "the name of a network interface, up to {DEVICE_LEN_MAX} bytes"),
        }
    }
}

impl Kind {
    /// Reads a decoded value.
    ///
    /// # Errors
    /// What was given, as the rest of a sentence that begins with the key: `is 70000`, `is 5 bytes long`.
    pub(super) fn read(self, text: &str) -> Result<Value, String> {
        let refused = || format!("is {}", quote(text));
        let number = || whole_number(text).ok_or_else(refused);
        let checked = |ok: bool, value: i64| {
            if ok { Ok(Value::Int(value)) } else { Err(refused()) }
        };
        match self {
            Self::Int { min, max } => number().and_then(|n| checked((min..=max).contains(&n), n)),
            Self::OneOf(allowed) => number().and_then(|n| checked(allowed.contains(&n), n)),
            Self::Only(allowed) => {
                let n = boolean(text).or_else(|| whole_number(text)).ok_or_else(refused)?;
                checked(n == allowed, n)
            }
            Self::Bool => boolean(text).map(Value::Int).ok_or_else(refused),
            Self::Word(word) if text == word => Ok(Value::Text(word.to_owned())),
            Self::Mode => mode(text).map(Value::Mode).ok_or_else(refused),
            Self::Address => {
                let bare = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')).unwrap_or(text);
                bare.parse().map(Value::Address).map_err(|_| refused())
            }
            Self::Text { min, max } | Self::Secret { min, max } => {
                if text.chars().any(char::is_control) {
                    return Err("holds a control character".to_owned());
                }
                // A stream id may carry a token, so neither kind is repeated.
                if !(min..=max).contains(&text.len()) {
                    return Err(format!("is {} bytes long", text.len()));
                }
                Ok(Value::Text(text.to_owned()))
            }
            Self::TsPackets => {
                number().and_then(|n| checked((1..=PAYLOAD_BYTES_MAX).contains(&n) && n % TS_PACKET_BYTES == 0, n))
            }
            Self::Version => version(text).map(Value::Int).ok_or_else(refused),
            Self::PacketFilter if packet_filter(text) => Ok(Value::Text(text.to_owned())),
            Self::Device if device(text) => Ok(Value::Text(text.to_owned())),
            Self::Word(_) | Self::PacketFilter | Self::Device => Err(refused()),
        }
    }
}

/// Decimal digits with an optional minus; no plus, no blanks, no overflow.
fn whole_number(text: &str) -> Option<i64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

/// The words that `srtsink` takes, as 1 or 0.
fn boolean(text: &str) -> Option<i64> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "yes" | "on" | "true" => Some(1),
        "0" | "no" | "off" | "false" => Some(0),
        _ => None,
    }
}

fn mode(text: &str) -> Option<SrtMode> {
    match text {
        "caller" => Some(SrtMode::Caller),
        "listener" => Some(SrtMode::Listener),
        "rendezvous" => Some(SrtMode::Rendezvous),
        _ => None,
    }
}

/// `1.3.0`, `0x010300` or `66304`: major, minor and patch in a byte each.
fn version(text: &str) -> Option<i64> {
    if text.contains('.') {
        let mut parts = text.split('.').map(|part| u8::try_from(whole_number(part)?).ok());
        let (major, minor, patch) = (parts.next()??, parts.next()??, parts.next()??);
        return parts.next().is_none().then(|| i64::from(u32::from_be_bytes([0, major, minor, patch])));
    }
    let number = match text.strip_prefix("0x") {
        Some(hex) if hex.bytes().all(|b| b.is_ascii_hexdigit()) => i64::from_str_radix(hex, 16).ok()?,
        Some(_) => return None,
        None => whole_number(text)?,
    };
    (0..=0xff_ffff).contains(&number).then_some(number)
}

/// `fec`, then `key:value` pairs, each key once (libsrt: `docs/features/packet-filtering-and-fec.md`).
fn packet_filter(text: &str) -> bool {
    let mut parts = text.split(',');
    if parts.next() != Some("fec") {
        return false;
    }
    let mut seen = Vec::new();
    parts.all(|part| {
        let Some((key, value)) = part.split_once(':') else {
            return false;
        };
        let first = !seen.contains(&key);
        seen.push(key);
        first
            && match key {
                "cols" => number_in(value, 2..=FEC_SIZE_MAX),
                // Negative: only columns are protected, the rows give the layout its height.
                "rows" => number_in(value, 1..=FEC_SIZE_MAX) || number_in(value, -FEC_SIZE_MAX..=-2),
                "layout" => matches!(value, "even" | "staircase"),
                "arq" => matches!(value, "always" | "onreq" | "never"),
                _ => false,
            }
    })
}

fn number_in(text: &str, range: RangeInclusive<i64>) -> bool {
    whole_number(text).is_some_and(|number| range.contains(&number))
}

fn device(text: &str) -> bool {
    (1..=DEVICE_LEN_MAX).contains(&text.len())
        && !matches!(text, "." | "..")
        && text.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'/' | b':'))
}
