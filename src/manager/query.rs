//! Lists and counts over the directory. Pure.
//!
//! Owns filters, order and pages. Must not know HTTP. The hard thing: a page must be stable while
//! nothing changes, so every order ends in the id.

use super::directory::{Directory, Entry};
use super::view::{BroadcastStatus, BroadcastView};
use crate::model::ids::AppName;

/// What a list is sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SortBy {
    /// By `name`, letters without case; a broadcast without one first.
    Name,
    /// By the date it was made.
    Date,
    /// By the word of its status.
    Status,
}

/// Which broadcasts of an application, and in which order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListQuery {
    /// Only those of this `type`.
    pub type_by: Option<String>,
    /// Only those whose id or name contains this, letters without case.
    pub search: Option<String>,
    /// By date when none is given.
    pub sort_by: Option<SortBy>,
    /// Largest first.
    pub descending: bool,
    /// How many to leave out at the front.
    pub offset: usize,
    /// How many at most.
    pub size: usize,
}

/// The type of a broadcast that names none: one with a publisher, not a pulled source.
pub const TYPE_LIVE_STREAM: &str = "liveStream";

fn text<'a>(entry: &'a Entry, field: &str) -> Option<&'a str> {
    entry.record.fields.get(field).and_then(serde_json::Value::as_str)
}

/// `needle` is in lower case already.
fn found(entry: &Entry, needle: &str) -> bool {
    entry.record.key.id.as_str().to_lowercase().contains(needle)
        || text(entry, "name").is_some_and(|name| name.to_lowercase().contains(needle))
}

fn needle(search: Option<&str>) -> Option<String> {
    search.filter(|text| !text.is_empty()).map(str::to_lowercase)
}

pub(super) fn list(directory: &Directory, app: &AppName, query: &ListQuery) -> Vec<BroadcastView> {
    let needle = needle(query.search.as_deref());
    let type_by = query.type_by.as_deref().filter(|text| !text.is_empty());
    let mut entries: Vec<&Entry> = directory
        .of_app(app)
        .filter(|entry| type_by.is_none_or(|wanted| text(entry, "type").unwrap_or(TYPE_LIVE_STREAM) == wanted))
        .filter(|entry| needle.as_deref().is_none_or(|needle| found(entry, needle)))
        .collect();
    // The directory is ordered by id and the sorts are stable, so equal ones stay in that order.
    match query.sort_by.unwrap_or(SortBy::Date) {
        SortBy::Name => entries.sort_by_cached_key(|entry| text(entry, "name").map(str::to_lowercase)),
        SortBy::Date => entries.sort_by_key(|entry| entry.record.date),
        SortBy::Status => entries.sort_by_cached_key(|entry| entry.status().as_str()),
    }
    if query.descending {
        entries.reverse();
    }
    entries.into_iter().skip(query.offset).take(query.size).map(Entry::view).collect()
}

pub(super) fn count(directory: &Directory, app: &AppName, search: Option<&str>) -> usize {
    let needle = needle(search);
    directory.of_app(app).filter(|entry| needle.as_deref().is_none_or(|needle| found(entry, needle))).count()
}

pub(super) fn count_broadcasting(directory: &Directory, app: &AppName) -> usize {
    directory.of_app(app).filter(|entry| entry.status() == BroadcastStatus::Broadcasting).count()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;
    use crate::model::ids::StreamKey;

    fn directory() -> (Directory, AppName) {
        let app: AppName = "live".parse().expect("app");
        let other: AppName = "LiveApp".parse().expect("app");
        let rows = [("b", Some("Zoo"), 1), ("a", Some("apple"), 3), ("c", None, 2), ("d", Some("zoo"), 2)];
        let mut entries = std::collections::BTreeMap::new();
        for (app, rows) in [(&app, &rows[..]), (&other, &rows[..1])] {
            for (id, name, date) in rows {
                let key = StreamKey { app: app.clone(), id: id.parse().expect("id") };
                let mut entry = Entry::made_by_publisher(key.clone());
                entry.record.date = UNIX_EPOCH + Duration::from_secs(*date);
                entry.published = *id == "d";
                if let Some(name) = name {
                    entry.record.fields.insert("name".into(), (*name).into());
                }
                entries.insert(key, entry);
            }
        }
        (Directory::new(vec![app.clone(), other], entries), app)
    }

    #[test]
    fn filters_orders_and_pages() {
        let (directory, app) = directory();
        let all = ListQuery { size: 250, ..ListQuery::default() };
        let cases = [
            (all.clone(), "bcda"),
            (ListQuery { descending: true, ..all.clone() }, "adcb"),
            (ListQuery { sort_by: Some(SortBy::Name), ..all.clone() }, "cabd"),
            (ListQuery { sort_by: Some(SortBy::Status), ..all.clone() }, "abcd"),
            (ListQuery { search: Some("ZOO".into()), ..all.clone() }, "bd"),
            (ListQuery { search: Some("a".into()), ..all.clone() }, "a"),
            (ListQuery { search: Some(String::new()), ..all.clone() }, "bcda"),
            (ListQuery { type_by: Some("liveStream".into()), ..all.clone() }, "bcda"),
            (ListQuery { type_by: Some("VoD".into()), ..all.clone() }, ""),
            (ListQuery { offset: 1, size: 2, ..all.clone() }, "cd"),
            (ListQuery { offset: 9, ..all.clone() }, ""),
            (ListQuery { size: 0, ..all }, ""),
        ];
        for (query, wanted) in cases {
            let found: String =
                list(&directory, &app, &query).iter().map(|view| view.record.key.id.to_string()).collect();
            assert_eq!(found, wanted, "{query:?}");
        }
        assert_eq!(count(&directory, &app, None), 4);
        assert_eq!(count(&directory, &app, Some("zoo")), 2);
        assert_eq!(count_broadcasting(&directory, &app), 0);
    }
}
