//! Names of things: application, stream, endpoint. Parsed at the edge, trusted inside.

use std::fmt;
use std::str::FromStr;

use rand::RngExt as _;
use serde::{Deserialize, Serialize};

/// Longest stream id and application name accepted, in bytes.
pub const NAME_LEN_MAX: usize = 128;

/// Random characters after `custom` in a generated endpoint id.
const ENDPOINT_ID_RANDOM_LEN: usize = 6;

/// Why a name was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing was given.
    #[error("is empty")]
    Empty,
    /// Longer than [`NAME_LEN_MAX`] bytes.
    #[error("is {0} bytes long; at most {NAME_LEN_MAX} are allowed")]
    TooLong(usize),
    /// A character outside the allowed set.
    #[error("holds {0:?}; only letters, digits, '-', '_' and '.' are allowed")]
    Forbidden(char),
    /// `.` or `..`, which a path would swallow.
    #[error("is a relative path, not a name")]
    Dots,
}

fn check(name: &str) -> Result<(), NameError> {
    if name.is_empty() {
        return Err(NameError::Empty);
    }
    if name.len() > NAME_LEN_MAX {
        return Err(NameError::TooLong(name.len()));
    }
    if let Some(c) = name.chars().find(|c| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))) {
        return Err(NameError::Forbidden(c));
    }
    if name.chars().all(|c| c == '.') {
        return Err(NameError::Dots);
    }
    Ok(())
}

macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NameError;
            fn from_str(text: &str) -> Result<Self, NameError> {
                check(text)?;
                Ok(Self(text.to_owned()))
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;
            fn try_from(text: String) -> Result<Self, NameError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name_type! {
    /// An application: the first element of every publish address and REST path (`live`, `LiveApp`).
    /// Letters, digits, `-`, `_`, `.`; 1 to [`NAME_LEN_MAX`] bytes.
    AppName
}

name_type! {
    /// A stream's id inside its application. Letters, digits, `-`, `_`, `.`; 1 to [`NAME_LEN_MAX`] bytes.
    StreamId
}

/// What names one stream on this server: application and stream id, written `app/stream`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamKey {
    /// The application.
    pub app: AppName,
    /// The stream inside it.
    pub id: StreamId,
}

impl fmt::Display for StreamKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.app, self.id)
    }
}

/// An endpoint's id (`endpointServiceId`, `dataId`): generated as `custom` and 6 alphanumerics,
/// or chosen by the client (1 to 64 bytes of letters, digits, `-`, `_`, `.`).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EndpointId(String);

impl EndpointId {
    /// A fresh random id, `custom` + 6 of `[A-Za-z0-9]` (62⁶ ≈ 5.7·10¹⁰); the caller checks that it is unused.
    pub fn generate() -> Self {
        const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
        let mut rng = rand::rng();
        let mut id = String::from("custom");
        for _ in 0..ENDPOINT_ID_RANDOM_LEN {
            id.push(char::from(ALPHABET[rng.random_range(0..ALPHABET.len())]));
        }
        Self(id)
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for EndpointId {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        check(text)?;
        if text.len() > 64 {
            return Err(NameError::TooLong(text.len()));
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for EndpointId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_to_the_allowed_characters() {
        for good in ["test", "a", "A-b_c.9", &"x".repeat(NAME_LEN_MAX)] {
            assert_eq!(good.parse::<StreamId>().map(|id| id.to_string()), Ok(good.to_owned()));
        }
        for (bad, why) in [
            ("", NameError::Empty),
            ("a/b", NameError::Forbidden('/')),
            ("a b", NameError::Forbidden(' ')),
            ("ä", NameError::Forbidden('ä')),
            ("a!b", NameError::Forbidden('!')),
            ("..", NameError::Dots),
            (&"x".repeat(NAME_LEN_MAX + 1), NameError::TooLong(NAME_LEN_MAX + 1)),
        ] {
            assert_eq!(bad.parse::<StreamId>(), Err(why), "{bad:?}");
        }
    }

    #[test]
    fn generated_endpoint_ids_have_the_documented_form() {
        for _ in 0..100 {
            let id = EndpointId::generate();
            let rest = id.as_str().strip_prefix("custom").expect("prefix");
            assert_eq!(rest.len(), 6);
            assert!(rest.chars().all(|c| c.is_ascii_alphanumeric()));
        }
    }
}
