//! Where values come from: a TOML file and the environment, brought to one form, `section.key` → value
//! with its source. Must not know which keys exist. The hard thing: an environment variable is only text,
//! so its type is the key's to decide, while a TOML value has a type that must fit.

use std::ffi::OsString;
use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::ENV_PREFIX;
use super::error::{ConfigError, Problem, cut};
use super::reader::Reader;

/// Largest configuration file read, in bytes: `--config /dev/zero` ends with an error, not with all memory.
const FILE_LEN_MAX: u64 = 1024 * 1024;

/// The conventional variable for a log filter; it stands for `log.filter`.
const RUST_LOG: &str = "RUST_LOG";

/// Where a value was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A configuration file.
    File {
        /// The file's name as given.
        name: String,
        /// Line, counted from 1.
        line: usize,
    },
    /// An environment variable, by its name.
    Environment(String),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { name, line } => write!(f, "{name}:{line}"),
            Self::Environment(name) => write!(f, "environment variable {name}"),
        }
    }
}

/// A value before its key has judged it. `Display` is its TOML form.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    /// A TOML string.
    Text(String),
    /// The text of an environment variable: any type, the key decides.
    Untyped(String),
    /// A TOML integer.
    Integer(i64),
    /// A TOML boolean.
    Bool(bool),
    /// A TOML array.
    List(Vec<Value>),
    /// A TOML value that no key takes (float, date, table, number out of range), as text.
    Other(String),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) | Self::Untyped(text) => write!(f, "{text:?}"),
            Self::Integer(number) => write!(f, "{number}"),
            Self::Bool(yes) => write!(f, "{yes}"),
            Self::Other(text) => f.write_str(text),
            Self::List(items) => {
                f.write_str("[")?;
                for (index, item) in items.iter().enumerate() {
                    write!(f, "{}{item}", if index == 0 { "" } else { ", " })?;
                }
                f.write_str("]")
            }
        }
    }
}

impl Value {
    fn of(value: &DeValue<'_>) -> Self {
        match value {
            DeValue::String(text) => Self::Text(text.to_string()),
            DeValue::Boolean(yes) => Self::Bool(*yes),
            DeValue::Array(items) => Self::List(items.iter().map(|item| Self::of(item.get_ref())).collect()),
            DeValue::Integer(digits) => match i64::from_str_radix(digits.as_str(), digits.radix()) {
                Ok(number) => Self::Integer(number),
                Err(_) => Self::Other(digits.to_string()),
            },
            DeValue::Float(number) => Self::Other(number.to_string()),
            DeValue::Datetime(date) => Self::Other(date.to_string()),
            DeValue::Table(_) => Self::Other("a table".to_owned()),
        }
    }

    /// The list that a text stands for: a TOML array in brackets, else items separated by commas.
    pub(super) fn list_of_text(text: &str) -> Option<Vec<Self>> {
        let text = text.trim();
        if text.starts_with('[') {
            let array = DeValue::parse(text).ok()?;
            return match Self::of(array.get_ref()) {
                Self::List(items) => Some(items),
                _ => None,
            };
        }
        Some(
            text.split(',')
                .map(|item| Self::Text(item.trim().to_owned()))
                .filter(|item| *item != Self::Text(String::new()))
                .collect(),
        )
    }
}

/// A value and where it was given.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Given {
    pub(super) value: Value,
    pub(super) source: Source,
}

/// The text of a configuration file.
///
/// # Errors
/// When it cannot be read, is larger than [`FILE_LEN_MAX`], or is not UTF-8.
pub(super) fn read_file(path: &Path) -> Result<String, ConfigError> {
    let unreadable =
        |reason: String| ConfigError::new(vec![Problem::Unreadable { file: path.display().to_string(), reason }]);
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(FILE_LEN_MAX + 1).read_to_end(&mut bytes))
        .map_err(|error| unreadable(error.to_string()))?;
    if bytes.len() as u64 > FILE_LEN_MAX {
        return Err(unreadable(format!("it is larger than {FILE_LEN_MAX} bytes")));
    }
    String::from_utf8(bytes).map_err(|error| unreadable(format!("it is not UTF-8: {error}")))
}

/// Adds every value of a TOML file.
///
/// # Errors
/// When the text is no TOML: nothing else can be said about it then.
pub(super) fn add_file(reader: &mut Reader, name: &str, text: &str) -> Result<(), ConfigError> {
    let line_at = |offset: usize| text.as_bytes().iter().take(offset).filter(|byte| **byte == b'\n').count() + 1;
    match DeTable::parse(text) {
        Ok(table) => {
            add_table(reader, table.get_ref(), "", &|offset| Source::File {
                name: name.to_owned(),
                line: line_at(offset),
            });
            Ok(())
        }
        Err(error) => Err(ConfigError::new(vec![Problem::Syntax {
            file: name.to_owned(),
            line: error.span().map_or(1, |span| line_at(span.start)),
            reason: cut(error.message()),
        }])),
    }
}

fn add_table(reader: &mut Reader, table: &DeTable<'_>, prefix: &str, source: &dyn Fn(usize) -> Source) {
    // The parser bounds the nesting of tables, and with it this recursion.
    for (name, value) in table {
        let key = format!("{prefix}{}", name.get_ref());
        match value.get_ref() {
            DeValue::Table(inner) if !inner.is_empty() => add_table(reader, inner, &format!("{key}."), source),
            DeValue::Table(_) => reader.add_empty_section(key, source(name.span().start)),
            other => reader.add(key, given(other, name, source)),
        }
    }
}

fn given(value: &DeValue<'_>, name: &Spanned<std::borrow::Cow<'_, str>>, source: &dyn Fn(usize) -> Source) -> Given {
    Given { value: Value::of(value), source: source(name.span().start) }
}

/// Adds every environment variable that begins with [`ENV_PREFIX`], and `RUST_LOG`.
///
/// A single underscore after the name is somebody else's: Kubernetes sets `SRT_RESTREAM_SERVICE_HOST` and
/// the like in every pod beside a service of that name.
pub(super) fn add_environment<E>(reader: &mut Reader, environment: E)
where
    E: IntoIterator<Item = (OsString, OsString)>,
{
    let mut ours: Vec<(String, OsString)> = environment
        .into_iter()
        .map(|(name, value)| (name.to_string_lossy().into_owned(), value))
        .filter(|(name, value)| name.starts_with(ENV_PREFIX) || (name == RUST_LOG && !value.is_empty()))
        .collect();
    // RUST_LOG sorts before SRT_RESTREAM__LOG__FILTER, so the latter replaces it.
    ours.sort();
    for (name, value) in ours {
        let source = Source::Environment(name.clone());
        let key = match name.strip_prefix(ENV_PREFIX) {
            None => "log.filter".to_owned(),
            Some(rest) if rest.chars().any(|c| c.is_ascii_lowercase()) => {
                reader.refuse(Problem::UnknownKey {
                    origin: source,
                    key: rest.replace("__", "."),
                    hint: format!("names are in capitals: {ENV_PREFIX}{}", rest.to_ascii_uppercase()),
                });
                continue;
            }
            Some(rest) => rest.replace("__", ".").to_ascii_lowercase(),
        };
        let value = Value::Untyped(value.to_string_lossy().into_owned());
        reader.add(key, Given { value, source });
    }
}
