//! GStreamer's log raised at run time, category by category, for a bounded time.
//!
//! Owns what is raised until when, and the thread that lowers it again. The hard thing: [`is_raised`] is asked from every
//! streaming thread with any lock held, so no call into GStreamer is made while the list is locked.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use gstreamer as gst;
use gstreamer::DebugLevel;

use super::bridge::set_gstreamer_thresholds;

/// How long a category stays raised unless something else is asked for.
pub const RAISED_DEFAULT: Duration = Duration::from_secs(60);

/// The longest that may be asked for: a forgotten one must not fill the disk.
pub const RAISED_MAX: Duration = Duration::from_secs(3_600);

/// Categories that may be raised at a time.
pub const RAISED_CATEGORIES_MAX: usize = 16;

/// Longest name or pattern, in bytes; GStreamer's own names are shorter than 40.
const CATEGORY_LEN_MAX: usize = 64;

/// A category that is raised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Raised {
    /// Its name, or a pattern with `*` and `?`.
    pub category: String,
    /// GStreamer's level, 1 (`ERROR`) to 9 (`MEMDUMP`).
    pub level: u8,
    /// When it is lowered again.
    pub until: SystemTime,
}

/// Why a category is not raised.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RaiseError {
    /// No category can be called so.
    #[error("category: {0:?} is not 1 to {CATEGORY_LEN_MAX} letters, digits, '-', '_', '.', '+', '*', '?'")]
    Category(String),
    /// GStreamer has no such level.
    #[error("level: {0} is no level of GStreamer: 1 to 7, or 9")]
    Level(u8),
    /// Too short or too long.
    #[error("seconds: {0} is not 1 to {max}", max = RAISED_MAX.as_secs())]
    Time(u64),
    /// There is no room for another one.
    #[error("{RAISED_CATEGORIES_MAX} categories are raised already, which is the most that may be")]
    TooMany,
}

struct Entry {
    raised: Raised,
    deadline: Instant,
}

/// Locked for a look or a change of the list alone.
static RAISED: Mutex<Vec<Entry>> = Mutex::new(Vec::new());
/// How many there are, so that a line of an unraised log costs no lock.
static COUNT: AtomicUsize = AtomicUsize::new(0);
/// One change after the other. Taken before [`RAISED`].
static CHANGE: Mutex<()> = Mutex::new(());
/// Wakes the thread that lowers.
static CHANGED: Condvar = Condvar::new();
/// Lets GStreamer's lines through tracing's filter, or as configured.
static FILTER: OnceLock<Box<dyn Fn(bool) -> bool + Send + Sync>> = OnceLock::new();
/// The thread that lowers, started with the first category.
static LOWERING: OnceLock<bool> = OnceLock::new();

/// How tracing's filter is opened (`true`) and closed.
pub(super) fn set_filter(filter: impl Fn(bool) -> bool + Send + Sync + 'static) {
    let _ = FILTER.set(Box::new(filter));
}

fn list() -> MutexGuard<'static, Vec<Entry>> {
    RAISED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What is raised now.
pub fn raised() -> Vec<Raised> {
    list().iter().map(|entry| entry.raised.clone()).collect()
}

/// Whether lines of a category are wanted by an operator now.
pub(super) fn is_raised(category: &str) -> bool {
    COUNT.load(Ordering::Relaxed) > 0 && list().iter().any(|entry| fits(&entry.raised.category, category))
}

/// Raises the categories that fit a pattern for `seconds`; one that is raised already gets the new level and time.
///
/// # Errors
/// See [`RaiseError`]; nothing is changed then.
pub fn raise(category: &str, level: u8, seconds: u64) -> Result<Raised, RaiseError> {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.+*?".contains(&byte);
    if category.is_empty() || category.len() > CATEGORY_LEN_MAX || !category.bytes().all(known) {
        return Err(RaiseError::Category(category.chars().take(CATEGORY_LEN_MAX).collect()));
    }
    let debug_level = debug_level(level).ok_or(RaiseError::Level(level))?;
    if !(1..=RAISED_MAX.as_secs()).contains(&seconds) {
        return Err(RaiseError::Time(seconds));
    }
    let _one = CHANGE.lock().unwrap_or_else(PoisonError::into_inner);
    let time = Duration::from_secs(seconds);
    let raised = Raised { category: category.to_owned(), level, until: SystemTime::now() + time };
    let entry = Entry { raised: raised.clone(), deadline: Instant::now() + time };
    {
        let mut list = list();
        match list.iter().position(|entry| entry.raised.category == category) {
            Some(at) => list[at] = entry,
            None if list.len() >= RAISED_CATEGORIES_MAX => return Err(RaiseError::TooMany),
            None => list.push(entry),
        }
        COUNT.store(list.len(), Ordering::Relaxed);
    }
    open_filter(true);
    gst::log::set_threshold_for_name(category, debug_level);
    start_lowering();
    CHANGED.notify_all();
    tracing::info!(category, gst_level = level, seconds, "GStreamer's log is raised");
    Ok(raised)
}

/// Lowers a category before its time. False when it was not raised.
pub fn lower(category: &str) -> bool {
    lower_those(|entry| entry.raised.category == category)
}

fn lower_those(which: impl Fn(&Entry) -> bool) -> bool {
    let _one = CHANGE.lock().unwrap_or_else(PoisonError::into_inner);
    let (lowered, rest): (Vec<Entry>, Vec<(String, u8)>) = {
        let mut list = list();
        let (lowered, rest): (Vec<_>, Vec<_>) = std::mem::take(&mut *list).into_iter().partition(which);
        *list = rest;
        COUNT.store(list.len(), Ordering::Relaxed);
        (lowered, list.iter().map(|entry| (entry.raised.category.clone(), entry.raised.level)).collect())
    };
    if lowered.is_empty() {
        return false;
    }
    for entry in &lowered {
        gst::log::unset_threshold_for_name(&entry.raised.category);
    }
    // A threshold of ours, or of GST_DEBUG, by the same name went with it; what is still raised stands above those.
    set_gstreamer_thresholds();
    for (category, level) in &rest {
        if let Some(level) = debug_level(*level) {
            gst::log::set_threshold_for_name(category, level);
        }
    }
    if rest.is_empty() {
        open_filter(false);
    }
    for entry in &lowered {
        tracing::info!(category = entry.raised.category, "GStreamer's log is as configured again");
    }
    true
}

fn open_filter(opened: bool) {
    if FILTER.get().is_some_and(|filter| !filter(opened)) {
        tracing::warn!(opened, "the log's filter could not be changed");
    }
}

/// Starts the thread that lowers what is due; it sleeps while nothing is raised.
fn start_lowering() {
    let started = LOWERING.get_or_init(|| std::thread::Builder::new().name("log-level".into()).spawn(run).is_ok());
    if !started {
        tracing::error!("there is no thread that would lower the log again");
    }
}

fn run() {
    loop {
        let next = {
            let mut list = list();
            while list.is_empty() {
                list = CHANGED.wait(list).unwrap_or_else(PoisonError::into_inner);
            }
            let next = list.iter().map(|entry| entry.deadline).min();
            let wait = next.map_or(RAISED_DEFAULT, |next| next.saturating_duration_since(Instant::now()));
            drop(CHANGED.wait_timeout(list, wait).unwrap_or_else(PoisonError::into_inner));
            Instant::now()
        };
        lower_those(|entry| entry.deadline <= next);
    }
}

fn debug_level(level: u8) -> Option<DebugLevel> {
    Some(match level {
        1 => DebugLevel::Error,
        2 => DebugLevel::Warning,
        3 => DebugLevel::Fixme,
        4 => DebugLevel::Info,
        5 => DebugLevel::Debug,
        6 => DebugLevel::Log,
        7 => DebugLevel::Trace,
        9 => DebugLevel::Memdump,
        _ => return None,
    })
}

/// Whether a name fits a pattern, in which `*` is any text and `?` any character, as in GLib's.
fn fits(pattern: &str, name: &str) -> bool {
    let (pattern, name) = (pattern.as_bytes(), name.as_bytes());
    let (mut at, mut here) = (0, 0);
    // Where to go on when what follows the last `*` does not fit here.
    let mut star: Option<(usize, usize)> = None;
    while here < name.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at + 1, here));
                at += 1;
            }
            Some(&byte) if byte == b'?' || byte == name[here] => {
                at += 1;
                here += 1;
            }
            _ => match star {
                Some((behind, from)) => {
                    star = Some((behind, from + 1));
                    (at, here) = (behind, from + 1);
                }
                None => return false,
            },
        }
    }
    pattern[at..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_fit_as_glibs_do() {
        for (pattern, name, wanted) in [
            ("srt*", "srtsink", true),
            ("srt*", "srt", true),
            ("srt*", "insrt", false),
            ("*", "anything", true),
            ("*sink", "srtsink", true),
            ("*s?nk*", "srtsinking", true),
            ("*ab*ab", "abxabxab", true),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("abc", "abcd", false),
        ] {
            assert_eq!(fits(pattern, name), wanted, "{pattern} {name}");
        }
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for (category, level, seconds) in [
            ("", 5, 5),
            ("a b", 5, 5),
            ("a:5,b", 5, 5),
            ("a", 0, 5),
            ("a", 8, 5),
            ("a", 10, 5),
            ("a", 5, 0),
            ("a", 5, 3_601),
        ] {
            assert!(raise(category, level, seconds).is_err(), "{category} {level} {seconds}");
        }
        assert!(raise(&"a".repeat(65), 5, 5).is_err());
        assert_eq!(raised(), Vec::new());
    }
}
