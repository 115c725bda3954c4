//! What a listener wants to hear: `?streamId=a,b&types=endpointState,stream`. Pure.

use super::words::{GROUPS, NAMES};

/// Streams and types in one list, at most: a filter is looked through for each event.
const LISTED_MAX: usize = 64;

/// A listener's wish.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Filter {
    /// These streams; all, when empty.
    streams: Vec<String>,
    /// These names of events, or groups of them; all, when empty.
    types: Vec<&'static str>,
}

impl Filter {
    /// From the query.
    ///
    /// # Errors
    /// A sentence that names what is wrong: a type that there is not, a list that is too long.
    pub(super) fn parse(streams: Option<&str>, types: Option<&str>) -> Result<Self, String> {
        let listed = |name: &str, text: Option<&str>| -> Result<Vec<String>, String> {
            let items = text.unwrap_or_default().split(',').map(str::trim).filter(|item| !item.is_empty());
            let items: Vec<String> = items.map(str::to_owned).collect();
            match items.len() {
                0..=LISTED_MAX => Ok(items),
                len => Err(format!("The query parameter {name} lists {len}, {LISTED_MAX} at most are possible")),
            }
        };
        let known = |given: &String| {
            let all = || NAMES.iter().chain(GROUPS).copied();
            all().find(|name| name == given).ok_or_else(|| {
                let all: Vec<_> = all().collect();
                format!("The query parameter types is not valid: {given:?} is none of {}", all.join(", "))
            })
        };
        let types = listed("types", types)?.iter().map(known).collect::<Result<_, _>>()?;
        Ok(Self { streams: listed("streamId", streams)?, types })
    }

    /// Whether events of this name are wanted.
    pub(super) fn wants(&self, name: &str) -> bool {
        // A group is the beginning of its names, up to a capital letter.
        let in_group = |group: &str| {
            name.strip_prefix(group).is_some_and(|rest| rest.is_empty() || rest.starts_with(char::is_uppercase))
        };
        self.types.is_empty() || self.types.iter().any(|wanted| in_group(wanted))
    }

    /// Whether events of this stream are wanted.
    pub(super) fn wants_stream(&self, id: &str) -> bool {
        self.streams.is_empty() || self.streams.iter().any(|wanted| wanted == id)
    }

    /// Whether every stream is.
    pub(super) fn wants_all_streams(&self) -> bool {
        self.streams.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_groups_of_names_are_chosen() {
        let all = Filter::parse(None, Some("")).expect("nothing");
        assert!(all.wants("statistics") && all.wants_stream("x") && all.wants_all_streams());
        let some = Filter::parse(Some("a, b"), Some("endpoint,streamStarted")).expect("good");
        for (name, wanted) in [
            ("endpointState", true),
            ("endpointAdded", true),
            ("streamStarted", true),
            ("streamEnded", false),
            ("statistics", false),
        ] {
            assert_eq!(some.wants(name), wanted, "{name}");
        }
        assert!(some.wants_stream("a") && some.wants_stream("b") && !some.wants_stream("c"));
        let error = Filter::parse(None, Some("streamStart")).expect_err("no such type");
        assert!(error.contains("\"streamStart\" is none of broadcastCreated,"), "{error}");
        assert!(Filter::parse(Some(&"x,".repeat(LISTED_MAX + 1)), None).is_err());
    }
}
