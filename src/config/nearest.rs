//! The likely meaning of a mistyped word. Knows nothing of configuration.

/// Most edits between a mistyped word and the one that was meant.
const EDITS_MAX: usize = 3;

/// The candidate nearest to `word` by edits, if one is near enough to be meant: at most [`EDITS_MAX`] edits
/// and at most a third of the word.
pub(crate) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = EDITS_MAX.min(word.chars().count().div_ceil(3));
    candidates
        .into_iter()
        .map(|candidate| (edits(word, candidate), candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Levenshtein's distance, row by row.
fn edits(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.chars().enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for (j, b) in to.iter().enumerate() {
            let replaced = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_word_meant_is_found_and_a_foreign_one_is_not() {
        let keys = ["srt.latency_ms", "srt.listen", "http.listen"];
        assert_eq!(nearest("srt.latency", keys), Some("srt.latency_ms"));
        assert_eq!(nearest("srt.lisen", keys), Some("srt.listen"));
        assert_eq!(nearest("https.listen", keys), Some("http.listen"));
        assert_eq!(nearest("webrtc.stun", keys), None);
        assert_eq!(nearest("", keys), None);
    }

    #[test]
    fn edits_are_counted_as_levenshtein_did() {
        for (from, to, distance) in
            [("", "", 0), ("", "abc", 3), ("kitten", "sitting", 3), ("abc", "abc", 0), ("ab", "ba", 2)]
        {
            assert_eq!(edits(from, to), distance, "{from} {to}");
            assert_eq!(edits(to, from), distance, "{to} {from}");
        }
    }
}
