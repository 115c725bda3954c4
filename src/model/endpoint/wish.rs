//! The bounds of what may be asked of an endpoint beside its URL: its label, its retries.

use std::time::Duration;

/// Longest label, in characters: a line of a list.
pub const LABEL_CHARS_MAX: usize = 120;

/// Shortest delay before a retry, in milliseconds: a peer that refuses is not to be flooded.
pub const RETRY_MS_MIN: u64 = 100;

/// Longest delay before a retry, in milliseconds: one hour.
pub const RETRY_MS_MAX: u64 = 3_600_000;

/// Most failed attempts in a row that a limit may name; who wants more wants none.
pub const RETRY_LIMIT_MAX: u32 = 1_000_000;

/// An endpoint's own rule for trying again; what is `None` is the service's (`[endpoint]` in the configuration).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct RetryWish {
    /// Before the second attempt, and the least delay at all.
    pub min: Option<Duration>,
    /// The longest delay.
    pub max: Option<Duration>,
    /// Attempts that may fail in a row before it is given up; `None`: it never is.
    pub limit: Option<u32>,
}

/// What is wrong with a wish.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct WishError {
    /// Which part of it, as the REST interface names it: `label`, `retry.minMs` …
    pub field: &'static str,
    /// What is given and what is wanted, in a sentence.
    pub text: String,
}

impl RetryWish {
    /// A rule from numbers as they are given and stored.
    ///
    /// # Errors
    /// One is out of its bounds, or the least delay is longer than the longest.
    pub fn new(min_ms: Option<i64>, max_ms: Option<i64>, limit: Option<i64>) -> Result<Self, WishError> {
        let (min, max) = (delay("retry.minMs", min_ms)?, delay("retry.maxMs", max_ms)?);
        if let (Some(least), Some(longest)) = (min, max)
            && least > longest
        {
            let text = format!(
                "retry.minMs is {} and retry.maxMs {}; wanted: the least delay not longer than the longest",
                least.as_millis(),
                longest.as_millis()
            );
            return Err(WishError { field: "retry.minMs", text });
        }
        let limit = limit.map(|given| {
            let fits = u32::try_from(given).ok().filter(|limit| (1..=RETRY_LIMIT_MAX).contains(limit));
            fits.ok_or_else(|| WishError {
                field: "retry.limit",
                text: format!(
                    "retry.limit is {given}; wanted: a whole number from 1 to {RETRY_LIMIT_MAX}, or null for no limit"
                ),
            })
        });
        Ok(Self { min, max, limit: limit.transpose()? })
    }
}

fn delay(field: &'static str, given: Option<i64>) -> Result<Option<Duration>, WishError> {
    let Some(given) = given else { return Ok(None) };
    match u64::try_from(given).ok().filter(|ms| (RETRY_MS_MIN..=RETRY_MS_MAX).contains(ms)) {
        Some(ms) => Ok(Some(Duration::from_millis(ms))),
        None => {
            let text = format!(
                "{field} is {given}; wanted: milliseconds, a whole number from {RETRY_MS_MIN} to {RETRY_MS_MAX}"
            );
            Err(WishError { field, text })
        }
    }
}

/// A label as it is kept: white space at its ends is not.
///
/// # Errors
/// It is empty, too long, or holds a control character.
pub fn label(given: &str) -> Result<String, WishError> {
    let refused = |text: String| Err(WishError { field: "label", text });
    let label = given.trim();
    let length = label.chars().count();
    if length == 0 {
        return refused("label is empty; wanted: text, or null for none".to_owned());
    }
    if length > LABEL_CHARS_MAX {
        return refused(format!("label is {length} characters long; at most {LABEL_CHARS_MAX} are allowed"));
    }
    if label.chars().any(char::is_control) {
        return refused("label holds a control character; wanted: one line of text".to_owned());
    }
    Ok(label.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_one_line_of_bounded_length() {
        assert_eq!(label("  Zürich, 2. Weg ").as_deref(), Ok("Zürich, 2. Weg"));
        assert_eq!(label(&"ü".repeat(LABEL_CHARS_MAX)).map(|label| label.chars().count()), Ok(LABEL_CHARS_MAX));
        for bad in ["", " \t", "two\nlines", "\u{7}x\u{0}", &"x".repeat(LABEL_CHARS_MAX + 1)] {
            assert_eq!(label(bad).map_err(|error| error.field), Err("label"), "{bad:?}");
        }
    }

    #[test]
    fn retries_have_bounds_and_an_order() {
        let ms = Duration::from_millis;
        let wish = RetryWish::new(Some(100), Some(3_600_000), Some(1));
        assert_eq!(wish, Ok(RetryWish { min: Some(ms(100)), max: Some(ms(3_600_000)), limit: Some(1) }));
        assert_eq!(RetryWish::new(None, None, None), Ok(RetryWish::default()));
        for (min, max, limit, field) in [
            (Some(99), None, None, "retry.minMs"),
            (Some(-1), None, None, "retry.minMs"),
            (None, Some(3_600_001), None, "retry.maxMs"),
            (Some(2_000), Some(1_000), None, "retry.minMs"),
            (None, None, Some(0), "retry.limit"),
            (None, None, Some(i64::MAX), "retry.limit"),
        ] {
            assert_eq!(RetryWish::new(min, max, limit).map_err(|error| error.field), Err(field));
        }
    }
}
