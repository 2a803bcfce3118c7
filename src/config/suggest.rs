//! "Did you mean …?": the known word nearest to one that is not known.

/// The candidate nearest to `word`, if it is near enough to be a typo.
pub(super) fn nearest<'c>(
    word: &str,
    candidates: impl IntoIterator<Item = &'c str>,
) -> Option<&'c str> {
    let limit = (word.chars().count() / 3).clamp(1, 3);
    candidates
        .into_iter()
        .map(|candidate| (strsim::levenshtein(word, candidate), candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_words_are_named_and_far_ones_are_not() {
        let keys = ["listen", "path", "secret"];
        assert_eq!(nearest("listn", keys), Some("listen"));
        assert_eq!(nearest("pat", keys), Some("path"));
        assert_eq!(nearest("colour", keys), None);
    }
}
