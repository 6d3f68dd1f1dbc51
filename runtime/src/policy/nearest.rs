//! The name that was probably meant.

/// The candidate with the fewest changes to `word`; `None` where every one is too far off to be a slip.
///
/// A `*` in `word` stands for any text, so that a misspelt glob finds a name too.
pub(crate) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let allowed = (word.chars().count() / 2).max(1);
    candidates
        .into_iter()
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Insertions, removals and replacements from one to the other; nothing for what a `*` stands for.
fn distance(word: &str, candidate: &str) -> usize {
    let candidate: Vec<char> = candidate.chars().collect();
    let mut row: Vec<usize> = (0..=candidate.len()).collect();
    for letter in word.chars() {
        let wild = letter == '*';
        let mut diagonal = row[0];
        row[0] += usize::from(!wild);
        for (n, other) in candidate.iter().enumerate() {
            let replaced = diagonal + usize::from(!wild && letter != *other);
            diagonal = row[n + 1];
            row[n + 1] = replaced.min(row[n] + usize::from(!wild)).min(diagonal + usize::from(!wild));
        }
    }
    row[candidate.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_finds_the_name_that_was_meant() {
        assert_eq!(nearest("timout", ["total", "timeout", "idle"]), Some("timeout"));
        assert_eq!(nearest("tradin::api::*", ["data::clean", "trading::api::fetch"]), Some("trading::api::fetch"));
    }

    #[test]
    fn a_word_that_resembles_nothing_finds_nothing() {
        assert_eq!(nearest("quux", ["timeout", "idle"]), None);
    }
}
