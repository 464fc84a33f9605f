//! The settings a mapper was started with.

/// Settings as `--set KEY=VALUE` gave them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Settings(Vec<(String, String)>);

impl Settings {
    /// Settings from pairs of key and value.
    pub fn new(pairs: Vec<(String, String)>) -> Self {
        Self(pairs)
    }

    /// The value of a setting.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == key).map(|(_, value)| value.as_str())
    }

    /// The value of a setting that must be there.
    ///
    /// # Errors
    /// A message that names the setting when it is missing.
    pub fn required(&self, key: &str) -> Result<&str, String> {
        self.get(key).ok_or_else(|| format!("the setting '{key}' is missing; give it with --set {key}=VALUE"))
    }

    /// Checks that there is no setting but these, so that a mistyped one is seen.
    ///
    /// # Errors
    /// A message that names the unknown setting and the known ones.
    pub fn only(&self, known: &[&str]) -> Result<(), String> {
        match self.0.iter().find(|(key, _)| !known.contains(&key.as_str())) {
            None => Ok(()),
            Some((key, _)) if known.is_empty() => Err(format!("unknown setting '{key}': this mapper has no settings")),
            Some((key, _)) => Err(format!("unknown setting '{key}'; known are: {}", known.join(", "))),
        }
    }

    /// All settings, in ascending order of their keys.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }
}
