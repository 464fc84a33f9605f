//! The settings of a mapper.

/// The settings that the host was started with (`--set KEY=VALUE`), in ascending order of their keys. Each key occurs once.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Settings(Vec<(String, String)>);

impl Settings {
    /// Settings from pairs of key and value, for unit tests.
    pub fn new(pairs: Vec<(String, String)>) -> Self {
        Self(pairs)
    }

    /// The value of a setting, or `None` if it was not given.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == key).map(|(_, value)| value.as_str())
    }

    /// The value of a required setting.
    ///
    /// # Errors
    /// If the setting was not given. The message names it.
    pub fn required(&self, key: &str) -> Result<&str, String> {
        self.get(key).ok_or_else(|| format!("the setting '{key}' is missing; give it with --set {key}=VALUE"))
    }

    /// Checks that there are no settings except these, so that a misspelled one is reported.
    ///
    /// # Errors
    /// If there is an unknown setting. The message names it and the known ones.
    pub fn only(&self, known: &[&str]) -> Result<(), String> {
        match self.0.iter().find(|(key, _)| !known.contains(&key.as_str())) {
            None => Ok(()),
            Some((key, _)) if known.is_empty() => Err(format!("unknown setting '{key}': this mapper has no settings")),
            Some((key, _)) => Err(format!("unknown setting '{key}'; known are: {}", known.join(", "))),
        }
    }

    /// All pairs of key and value, in ascending order of their keys.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }
}
