//! The input topics of a pipeline: a list of names, or a pattern.

use std::fmt;

use regex::Regex;

/// The first character of a pattern, as for librdkafka.
const PATTERN_START: char = '^';

/// The topics that a pipeline reads.
#[derive(Debug, Clone, PartialEq)]
pub enum InputTopics {
    /// These topics.
    Names(Vec<String>),
    /// All topics that match, also those that are created later.
    Pattern(TopicPattern),
}

/// A regular expression for topic names. It matches at the start of a name, and need not match all of it.
#[derive(Debug, Clone)]
pub struct TopicPattern {
    text: String,
    regex: Regex,
}

impl TopicPattern {
    /// Whether a text is a pattern and not a name.
    pub fn is_pattern(text: &str) -> bool {
        text.starts_with(PATTERN_START)
    }

    /// # Errors
    /// If the text is not a regular expression.
    pub fn new(text: &str) -> Result<Self, String> {
        let regex = Regex::new(text).map_err(|error| error.to_string())?;
        Ok(Self { text: text.to_owned(), regex })
    }

    /// The internal topics of Kafka never match.
    pub fn matches(&self, topic: &str) -> bool {
        !is_internal(topic) && self.regex.is_match(topic)
    }

    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl PartialEq for TopicPattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

/// The topics in which Kafka keeps its own state.
pub const INTERNAL_TOPICS: [&str; 3] = ["__consumer_offsets", "__transaction_state", "__share_group_state"];

fn is_internal(topic: &str) -> bool {
    INTERNAL_TOPICS.contains(&topic)
}

impl InputTopics {
    pub fn one(topic: impl Into<String>) -> Self {
        Self::Names(vec![topic.into()])
    }

    /// The only topic; `None` for several and for a pattern.
    pub fn single(&self) -> Option<&str> {
        match self.names() {
            [topic] => Some(topic),
            _ => None,
        }
    }

    /// The listed names; none for a pattern.
    pub fn names(&self) -> &[String] {
        match self {
            Self::Names(names) => names,
            Self::Pattern(_) => &[],
        }
    }

    pub fn pattern(&self) -> Option<&TopicPattern> {
        match self {
            Self::Names(_) => None,
            Self::Pattern(pattern) => Some(pattern),
        }
    }

    pub fn contains(&self, topic: &str) -> bool {
        match self {
            Self::Names(names) => names.iter().any(|name| name == topic),
            Self::Pattern(pattern) => pattern.matches(topic),
        }
    }
}

impl fmt::Display for InputTopics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Names(names) => f.write_str(&names.join(", ")),
            Self::Pattern(pattern) => f.write_str(&pattern.text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pattern_matches_topics_from_their_start_and_no_internal_topic() {
        let pattern = InputTopics::Pattern(TopicPattern::new("^visits-.*").unwrap());
        assert!(pattern.contains("visits-eu") && pattern.contains("visits-"));
        assert!(!pattern.contains("visits") && !pattern.contains("old-visits-eu"));
        let all = TopicPattern::new("^").unwrap();
        assert!(all.matches("visits") && !INTERNAL_TOPICS.iter().any(|topic| all.matches(topic)));
        assert!(TopicPattern::new("^visits-(").is_err());
        assert!(TopicPattern::is_pattern("^a") && !TopicPattern::is_pattern("a^"));
    }

    #[test]
    fn only_a_list_of_one_name_is_a_single_topic() {
        assert_eq!(InputTopics::one("visits").single(), Some("visits"));
        let two = InputTopics::Names(vec!["a".into(), "b".into()]);
        assert_eq!((two.single(), two.to_string()), (None, "a, b".to_owned()));
        assert_eq!(InputTopics::Pattern(TopicPattern::new("^a$").unwrap()).single(), None);
    }
}
