//! Suggests a known name for an unknown one.

/// The most similar known name, if it is similar enough.
pub fn closest(unknown: &str, known: impl IntoIterator<Item = String>) -> Option<String> {
    let distance = |name: &String| strsim::damerau_levenshtein(unknown, name);
    let nearest = known.into_iter().min_by_key(distance)?;
    (distance(&nearest) <= nearest.len().div_ceil(3)).then_some(nearest)
}
