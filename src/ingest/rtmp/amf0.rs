//! AMF0 values: the encoding of RTMP's commands and metadata (Adobe, "Action Message Format — AMF 0", 2007).
//!
//! Knows neither messages nor commands. The hard thing: lengths, counts and nesting come from the
//! peer, so nothing is allocated by a declared count, depth and number of values are bounded, and
//! an ECMA array ends where its end marker is, whatever count it announces (encoders get it wrong).

use bytes::{BufMut, BytesMut};

/// Objects and arrays inside each other; publishers nest 3 deep (`connect`'s codec maps).
const DEPTH_MAX: usize = 16;

/// Values in one message; `onMetaData` has about 20, `connect` about 30.
const VALUES_MAX: usize = 4096;

/// Marker bytes, AMF0 section 2.1.
mod marker {
    pub(super) const NUMBER: u8 = 0x00;
    pub(super) const BOOLEAN: u8 = 0x01;
    pub(super) const STRING: u8 = 0x02;
    pub(super) const OBJECT: u8 = 0x03;
    pub(super) const NULL: u8 = 0x05;
    pub(super) const UNDEFINED: u8 = 0x06;
    pub(super) const ECMA_ARRAY: u8 = 0x08;
    pub(super) const OBJECT_END: u8 = 0x09;
    pub(super) const STRICT_ARRAY: u8 = 0x0A;
    pub(super) const DATE: u8 = 0x0B;
    pub(super) const LONG_STRING: u8 = 0x0C;
    pub(super) const UNSUPPORTED: u8 = 0x0D;
    pub(super) const XML: u8 = 0x0F;
    pub(super) const TYPED_OBJECT: u8 = 0x10;
}

/// Why bytes are no AMF0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Amf0Error {
    /// The value goes on behind the end of the message.
    #[error("the AMF0 value is cut off")]
    Truncated,
    /// A marker that is not defined, or not carried (references, movie clips, the switch to AMF3).
    #[error("AMF0 marker {0:#04x} is not supported")]
    Marker(u8),
    /// Nested deeper than [`DEPTH_MAX`].
    #[error("AMF0 values are nested deeper than {DEPTH_MAX}")]
    TooDeep,
    /// More values than [`VALUES_MAX`].
    #[error("more than {VALUES_MAX} AMF0 values in one message")]
    TooMany,
}

/// An AMF0 value. Typed objects, ECMA arrays and objects are all [`Value::Object`]; the members keep their order.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    /// A double.
    Number(f64),
    /// A truth value.
    Boolean(bool),
    /// Text of any length; bytes that are no UTF-8 are replaced (old encoders send Latin-1).
    String(String),
    /// Named members.
    Object(Vec<(String, Value)>),
    /// `null`.
    Null,
    /// `undefined`, and AMF0's `unsupported`.
    Undefined,
    /// A strict array.
    Array(Vec<Value>),
}

impl Value {
    /// Text from a literal.
    pub(super) fn text(text: &str) -> Self {
        Self::String(text.to_owned())
    }

    /// An object of literal names.
    pub(super) fn object<const N: usize>(members: [(&str, Value); N]) -> Self {
        Self::Object(members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    }

    /// The text, if it is text.
    pub(super) fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// The number, if it is one.
    pub(super) fn as_number(&self) -> Option<f64> {
        match self {
            Self::Number(number) => Some(*number),
            _ => None,
        }
    }

    /// A member of an object; `None` for anything else.
    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        match self {
            Self::Object(members) => members.iter().find(|(key, _)| key == name).map(|(_, value)| value),
            _ => None,
        }
    }

    /// Appends the encoded value.
    pub(super) fn encode(&self, out: &mut BytesMut) {
        match self {
            Self::Number(number) => {
                out.put_u8(marker::NUMBER);
                out.put_f64(*number);
            }
            Self::Boolean(value) => {
                out.put_u8(marker::BOOLEAN);
                out.put_u8(u8::from(*value));
            }
            Self::String(text) => match u16::try_from(text.len()) {
                Ok(len) => {
                    out.put_u8(marker::STRING);
                    out.put_u16(len);
                    out.put_slice(text.as_bytes());
                }
                Err(_) => {
                    // We never build a string of 4 GiB; should one appear it is cut, not wrapped.
                    let len = u32::try_from(text.len()).unwrap_or(u32::MAX);
                    out.put_u8(marker::LONG_STRING);
                    out.put_u32(len);
                    out.put_slice(&text.as_bytes()[..len as usize]);
                }
            },
            Self::Object(members) => {
                out.put_u8(marker::OBJECT);
                for (name, value) in members {
                    let len = u16::try_from(name.len()).unwrap_or(u16::MAX);
                    out.put_u16(len);
                    out.put_slice(&name.as_bytes()[..usize::from(len)]);
                    value.encode(out);
                }
                out.put_u16(0);
                out.put_u8(marker::OBJECT_END);
            }
            Self::Null => out.put_u8(marker::NULL),
            Self::Undefined => out.put_u8(marker::UNDEFINED),
            Self::Array(values) => {
                out.put_u8(marker::STRICT_ARRAY);
                out.put_u32(u32::try_from(values.len()).unwrap_or(u32::MAX));
                for value in values {
                    value.encode(out);
                }
            }
        }
    }
}

/// Reads the values of one message, one after the other.
pub(super) struct Decoder<'a> {
    /// What is left of the message.
    rest: &'a [u8],
    /// Values that may still come, against small messages that make big structures.
    values_left: usize,
}

impl<'a> Decoder<'a> {
    /// A decoder at the start of `message`.
    pub(super) fn new(message: &'a [u8]) -> Self {
        Self { rest: message, values_left: VALUES_MAX }
    }

    /// The next value; `None` at the end of the message.
    pub(super) fn next(&mut self) -> Result<Option<Value>, Amf0Error> {
        if self.rest.is_empty() { Ok(None) } else { self.value(0).map(Some) }
    }

    fn value(&mut self, depth: usize) -> Result<Value, Amf0Error> {
        if depth > DEPTH_MAX {
            return Err(Amf0Error::TooDeep);
        }
        self.values_left = self.values_left.checked_sub(1).ok_or(Amf0Error::TooMany)?;
        match self.u8()? {
            marker::NUMBER => Ok(Value::Number(self.f64()?)),
            marker::BOOLEAN => Ok(Value::Boolean(self.u8()? != 0)),
            marker::STRING => Ok(Value::String(self.short_string()?)),
            marker::LONG_STRING | marker::XML => {
                let len = self.u32()? as usize;
                Ok(Value::String(self.string(len)?))
            }
            marker::OBJECT => self.members(depth, false),
            marker::TYPED_OBJECT => {
                self.short_string()?;
                self.members(depth, false)
            }
            marker::ECMA_ARRAY => {
                self.u32()?;
                self.members(depth, true)
            }
            marker::NULL => Ok(Value::Null),
            marker::UNDEFINED | marker::UNSUPPORTED => Ok(Value::Undefined),
            marker::STRICT_ARRAY => {
                let count = self.u32()?;
                let mut values = Vec::new();
                for _ in 0..count {
                    values.push(self.value(depth + 1)?);
                }
                Ok(Value::Array(values))
            }
            marker::DATE => {
                let number = self.f64()?;
                self.take(2)?; // time zone: reserved, always 0
                Ok(Value::Number(number))
            }
            other => Err(Amf0Error::Marker(other)),
        }
    }

    /// Members up to the end marker; `may_be_open` takes the end of the message for it.
    fn members(&mut self, depth: usize, may_be_open: bool) -> Result<Value, Amf0Error> {
        let mut members = Vec::new();
        loop {
            if may_be_open && self.rest.is_empty() {
                return Ok(Value::Object(members));
            }
            let name = self.short_string()?;
            if name.is_empty() && self.rest.first() == Some(&marker::OBJECT_END) {
                self.take(1)?;
                return Ok(Value::Object(members));
            }
            members.push((name, self.value(depth + 1)?));
        }
    }

    fn short_string(&mut self) -> Result<String, Amf0Error> {
        let bytes = self.take(2)?;
        self.string(usize::from(u16::from_be_bytes([bytes[0], bytes[1]])))
    }

    fn string(&mut self, len: usize) -> Result<String, Amf0Error> {
        Ok(String::from_utf8_lossy(self.take(len)?).into_owned())
    }

    fn u8(&mut self) -> Result<u8, Amf0Error> {
        Ok(self.take(1)?[0])
    }

    fn u32(&mut self) -> Result<u32, Amf0Error> {
        let bytes = self.take(4)?;
        Ok(u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }

    fn f64(&mut self) -> Result<f64, Amf0Error> {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(self.take(8)?);
        Ok(f64::from_be_bytes(bytes))
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], Amf0Error> {
        let (taken, rest) = self.rest.split_at_checked(len).ok_or(Amf0Error::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn one(bytes: &[u8]) -> Result<Value, Amf0Error> {
        Decoder::new(bytes).next().map(|value| value.expect("not empty"))
    }

    #[test]
    fn what_publishers_get_wrong_is_still_read() {
        let named = |name: &str, value| Value::object([(name, value)]);
        for (bytes, value) in [
            // An ECMA array that announces 0 members and has one.
            (&b"\x08\0\0\0\0\0\x01a\x05\0\0\x09"[..], named("a", Value::Null)),
            // One that announces 9 and ends with the message.
            (b"\x08\0\0\0\x09\0\x01a\x01\x01", named("a", Value::Boolean(true))),
            // Latin-1 in a string.
            (b"\x02\0\x02\xe9x", Value::text("\u{fffd}x")),
            // A typed object, a date, a long string.
            (b"\x10\0\x01T\0\x01a\x06\0\0\x09", named("a", Value::Undefined)),
            (b"\x0b\x3f\xf0\0\0\0\0\0\0\0\0", Value::Number(1.0)),
            (b"\x0c\0\0\0\x01x", Value::text("x")),
        ] {
            assert_eq!(one(bytes), Ok(value), "{bytes:02x?}");
        }
    }

    #[test]
    fn hostile_lengths_counts_and_depths_are_refused() {
        let deep = b"\x0a\0\0\0\x01".repeat(DEPTH_MAX + 2);
        let mut many = b"\x0a\xff\xff\xff\xff".to_vec();
        many.resize(many.len() + 2 * VALUES_MAX, marker::NULL);
        for (bytes, error) in [
            (&b"\x0a\xff\xff\xff\xff"[..], Amf0Error::Truncated),
            (b"\x08\xff\xff\xff\xff\0", Amf0Error::Truncated),
            (b"\x0c\xff\xff\xff\xff", Amf0Error::Truncated),
            (b"\x02\xff\xff", Amf0Error::Truncated),
            (b"\x00\0\0", Amf0Error::Truncated),
            (b"\x03\0\x01a", Amf0Error::Truncated),
            (b"\x11\x0a", Amf0Error::Marker(0x11)),
            (b"\x07\0\0", Amf0Error::Marker(0x07)),
            (&deep, Amf0Error::TooDeep),
            (&many, Amf0Error::TooMany),
        ] {
            assert_eq!(one(bytes), Err(error), "{:02x?}", &bytes[..bytes.len().min(16)]);
        }
    }

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            (-1e12f64..1e12).prop_map(Value::Number),
            any::<bool>().prop_map(Value::Boolean),
            ".{0,20}".prop_map(Value::String),
            Just(Value::String("x".repeat(70_000))),
            Just(Value::Null),
            Just(Value::Undefined),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
                prop::collection::vec(("[a-z]{1,8}", inner), 0..4).prop_map(Value::Object),
            ]
        })
    }

    proptest! {
        #[test]
        fn a_value_survives_its_round_trip(value in values()) {
            let mut bytes = BytesMut::new();
            value.encode(&mut bytes);
            let mut decoder = Decoder::new(&bytes);
            prop_assert_eq!(decoder.next(), Ok(Some(value)));
            prop_assert_eq!(decoder.next(), Ok(None));
        }

        #[test]
        fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut decoder = Decoder::new(&bytes);
            while let Ok(Some(_)) = decoder.next() {}
        }
    }
}
