//! Guesses which name was meant by one that is not known.

/// The known name nearest to one that is not known, if it is near enough to be meant.
pub fn near(unknown: &str, known: impl IntoIterator<Item = String>) -> Option<String> {
    let distance = |name: &String| strsim::damerau_levenshtein(unknown, name);
    let nearest = known.into_iter().min_by_key(distance)?;
    (distance(&nearest) <= nearest.len().div_ceil(3)).then_some(nearest)
}
