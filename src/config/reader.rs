//! Takes values out of the layers by key and type, and collects every problem on the way. Must not know
//! which keys exist: what nobody took in the end is unknown. The hard thing: after a problem the reading
//! goes on with the default, so that all problems are reported at once and none twice.

use std::collections::BTreeMap;
use std::str::FromStr;

use super::error::{ConfigError, Problem, quote};
use super::layers::{Given, Source, Value};
use super::nearest::nearest;

/// The values given and the problems found so far.
#[derive(Debug, Default)]
pub(super) struct Reader {
    /// Not taken yet, by `section.key`.
    values: BTreeMap<String, Given>,
    /// Sections of the file that hold nothing.
    empty_sections: Vec<(String, Source)>,
    /// Every key asked for: those that exist.
    known: Vec<&'static str>,
    /// What was given for the keys asked for, for checks across keys.
    taken: BTreeMap<&'static str, Given>,
    problems: Vec<Problem>,
}

impl Reader {
    /// Sets a value, over one that is there.
    pub(super) fn add(&mut self, key: String, given: Given) {
        self.values.insert(key, given);
    }

    pub(super) fn add_empty_section(&mut self, key: String, source: Source) {
        self.empty_sections.push((key, source));
    }

    pub(super) fn refuse(&mut self, problem: Problem) {
        self.problems.push(problem);
    }

    /// Reports what was given for a key as bad, if it was given at all; says whether it was.
    pub(super) fn refuse_taken(&mut self, key: &'static str, wanted: String) -> bool {
        let Some(given) = self.taken.get(key) else { return false };
        self.problems.push(Problem::BadValue {
            origin: given.source.clone(),
            key: key.to_owned(),
            given: quote(key, given),
            wanted,
        });
        true
    }

    /// Whether the key was given a usable value, so that a check across keys makes sense for it.
    pub(super) fn is_sound(&self, key: &str) -> bool {
        !self.problems.iter().any(|problem| matches!(problem, Problem::BadValue { key: bad, .. } if bad == key))
    }

    /// The value of `key`, by `parse`, whose error is what is wrong in addition to `wanted` (or empty).
    /// `default` when it was not given or is bad.
    pub(super) fn take<T>(
        &mut self,
        key: &'static str,
        wanted: &str,
        default: T,
        parse: impl FnOnce(&Value) -> Result<T, String>,
    ) -> T {
        self.known.push(key);
        let Some(given) = self.values.remove(key) else { return default };
        let parsed = parse(&given.value);
        self.taken.insert(key, given);
        parsed.unwrap_or_else(|reason| {
            let reason = if reason.is_empty() { reason } else { format!(" ({reason})") };
            self.refuse_taken(key, format!("{wanted}{reason}"));
            default
        })
    }

    /// A whole number within `range`, in the unit that `unit` names.
    pub(super) fn take_number<T>(
        &mut self,
        key: &'static str,
        unit: &str,
        range: std::ops::RangeInclusive<i64>,
        default: T,
    ) -> T
    where
        T: TryFrom<i64>,
    {
        let wanted = format!("a whole number of {unit} from {} to {}", range.start(), range.end());
        self.take(key, &wanted, default, |value| {
            let number = match value {
                Value::Integer(number) => Some(*number),
                Value::Untyped(text) => text.trim().replace('_', "").parse().ok(),
                _ => None,
            };
            number.filter(|number| range.contains(number)).and_then(|number| T::try_from(number).ok()).ok_or_default()
        })
    }

    /// `true` or `false`.
    pub(super) fn take_bool(&mut self, key: &'static str, default: bool) -> bool {
        self.take(key, "true or false", default, |value| match value {
            Value::Bool(yes) => Ok(*yes),
            Value::Untyped(text) => text.trim().parse().map_err(|_| String::new()),
            _ => Err(String::new()),
        })
    }

    /// A text that `parse` accepts.
    pub(super) fn take_text<T>(
        &mut self,
        key: &'static str,
        wanted: &str,
        default: T,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> T {
        self.take(key, wanted, default, |value| match value {
            Value::Text(text) | Value::Untyped(text) => parse(text),
            _ => Err(String::new()),
        })
    }

    /// A list of texts, each parsed by its type.
    pub(super) fn take_list<T>(
        &mut self,
        key: &'static str,
        wanted: &str,
        default: Vec<T>,
        check: impl FnOnce(&[T]) -> Result<(), String>,
    ) -> Vec<T>
    where
        T: FromStr,
        T::Err: std::fmt::Display,
    {
        self.take(key, wanted, default, |value| {
            let items = match value {
                Value::List(items) => items.clone(),
                Value::Untyped(text) => Value::list_of_text(text).ok_or_default()?,
                _ => return Err(String::new()),
            };
            let parsed = items.iter().map(parse_item).collect::<Result<Vec<T>, String>>()?;
            check(&parsed).map(|()| parsed)
        })
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// Every problem found, and every key that was given and never asked for.
    pub(super) fn finish(mut self) -> Result<(), ConfigError> {
        for (key, given) in std::mem::take(&mut self.values) {
            let problem = self.unknown(key, given);
            self.problems.push(problem);
        }
        for (key, origin) in std::mem::take(&mut self.empty_sections) {
            if !self.is_section(&key) {
                let hint = self.hint(&key);
                self.problems.push(Problem::UnknownKey { origin, key, hint });
            }
        }
        if self.problems.is_empty() { Ok(()) } else { Err(ConfigError::new(self.problems)) }
    }

    fn unknown(&self, key: String, given: Given) -> Problem {
        if self.is_section(&key) {
            let wanted = format!("a section [{key}] with {}", self.keys_of(&key));
            return Problem::BadValue { origin: given.source, given: given.value.to_string(), key, wanted };
        }
        // The value of an unknown key is not shown: nobody knows whether it is a secret.
        Problem::UnknownKey { origin: given.source, hint: self.hint(&key), key }
    }

    fn is_section(&self, key: &str) -> bool {
        self.known.iter().any(|known| known.strip_prefix(key).is_some_and(|rest| rest.starts_with('.')))
    }

    /// What may have been meant by an unknown key.
    fn hint(&self, key: &str) -> String {
        if let Some(owner) = self.known.iter().find(|known| key.starts_with(&format!("{known}."))) {
            return format!("{owner} is a value, not a section");
        }
        if let Some(meant) = nearest(key, self.known.iter().copied()) {
            return format!("did you mean {meant}?");
        }
        match key.split_once('.') {
            Some((section, _)) if self.is_section(section) => format!("[{section}] has {}", self.keys_of(section)),
            _ => format!("the keys are {}", self.known.join(", ")),
        }
    }

    fn keys_of(&self, section: &str) -> String {
        let prefix = format!("{section}.");
        let keys: Vec<_> = self.known.iter().filter_map(|known| known.strip_prefix(&prefix)).collect();
        keys.join(", ")
    }
}

/// `None` as an error without further reason.
trait OkOrDefault<T> {
    fn ok_or_default(self) -> Result<T, String>;
}

impl<T> OkOrDefault<T> for Option<T> {
    fn ok_or_default(self) -> Result<T, String> {
        self.ok_or_else(String::new)
    }
}

fn parse_item<T>(item: &Value) -> Result<T, String>
where
    T: FromStr,
    T::Err: std::fmt::Display,
{
    match item {
        Value::Text(text) => text.parse().map_err(|error| format!("{text:?} {error}")),
        other => Err(format!("{other} is not a string")),
    }
}
