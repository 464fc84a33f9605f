//! The parameters of a query. An unknown or repeated one is an error: a slip in the name of a filter must not select all letters.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use axum::extract::{FromRequestParts, Query, RawPathParams};
use axum::http::StatusCode;
use axum::http::request::Parts;
use mapper_dead_letters::selection::Position;

use super::versions::{Failed, failed};
use crate::config::letter_filter::{FilterTexts, PARAMETERS};
use crate::config::values::{self, Read};
use crate::config::{LetterFilter, StateFilter};

/// The parameters of a request that the handler has not read yet.
#[derive(Debug, Default)]
pub(super) struct Parameters {
    given: BTreeMap<String, String>,
    /// The names that the handler reads.
    known: Vec<&'static str>,
}

impl<S: Send + Sync> FromRequestParts<S> for Parameters {
    type Rejection = Failed;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failed> {
        let pairs = Query::<Vec<(String, String)>>::from_request_parts(parts, state).await;
        let Query(pairs) = pairs.map_err(|error| failed(StatusCode::BAD_REQUEST, error.body_text()))?;
        Self::new(pairs).map_err(bad)
    }
}

/// The answer to a parameter that is wrong.
pub(super) fn bad(reason: String) -> Failed {
    failed(StatusCode::BAD_REQUEST, reason)
}

impl Parameters {
    fn new(pairs: Vec<(String, String)>) -> Read<Self> {
        let mut given = BTreeMap::new();
        for (name, value) in pairs {
            if let Some(before) = given.insert(name.clone(), value.clone()) {
                return Err(format!(
                    "parameter {name}: it is given twice, as {before:?} and as {value:?}. Give it once"
                ));
            }
        }
        Ok(Self { given, known: Vec::new() })
    }

    pub(super) fn text(&mut self, name: &'static str) -> Option<String> {
        self.known.push(name);
        self.given.remove(name)
    }

    /// A value that `read` reads.
    ///
    /// # Errors
    /// If it is not allowed.
    pub(super) fn value<T>(&mut self, name: &'static str, read: impl FnOnce(&str) -> Read<T>) -> Read<Option<T>> {
        let given = self.text(name);
        given.map(|text| read(&text).map_err(|allowed| PARAMETERS.wrong(name, &text, &allowed))).transpose()
    }

    /// A whole number.
    ///
    /// # Errors
    /// If it is none, or not in the range.
    pub(super) fn number(&mut self, name: &'static str, range: RangeInclusive<u64>) -> Read<Option<u64>> {
        self.value(name, |text| values::whole(text, range))
    }

    /// # Errors
    /// If it is neither `true` nor `false`.
    pub(super) fn switch(&mut self, name: &'static str) -> Read<bool> {
        self.value(name, values::switch).map(Option::unwrap_or_default)
    }

    /// # Errors
    /// If it is not of the form `TOPIC/PARTITION@OFFSET`.
    pub(super) fn position(&mut self, name: &'static str) -> Read<Option<Position>> {
        self.value(name, |text| {
            Position::parse(text).ok_or_else(|| "give TOPIC/PARTITION@OFFSET, such as visits_dlq/0@17".to_owned())
        })
    }

    /// The filters that all routes of letters have.
    ///
    /// # Errors
    /// If one is not allowed.
    pub(super) fn filter(&mut self) -> Read<LetterFilter> {
        const NAMES: [&str; 9] = ["group", "source", "since", "until", "kind", "version", "key", "grep", "state"];
        let texts = NAMES.map(|name| self.text(name));
        let [selected, source, since, until, kind, version, key, grep, state] = texts.each_ref().map(Option::as_deref);
        FilterTexts { selected, source, since, until, kind, version, key, grep, state }.read(PARAMETERS)
    }

    /// The filters of a change, which must say which letters it means.
    ///
    /// # Errors
    /// If one is not allowed, or there is none.
    pub(super) fn meant_filter(&mut self) -> Read<LetterFilter> {
        let filter = self.filter()?;
        if filter.selection == mapper_dead_letters::Selection::default() {
            return Err("no letters are selected: give the parameter group, or a filter such as kind or until; for all of them, \
                        since=1970-01-01"
                .to_owned());
        }
        Ok(filter)
    }

    /// The filters for letters that are mapped again.
    ///
    /// # Errors
    /// If one is not allowed, or selects closed letters.
    pub(super) fn open_filter(&mut self) -> Read<LetterFilter> {
        let filter = self.filter()?;
        if matches!(filter.state, StateFilter::Closed | StateFilter::All) {
            return Err("parameter state: only open letters can be redriven".to_owned());
        }
        Ok(filter)
    }

    /// # Errors
    /// If a parameter is left that the handler has not read.
    pub(super) fn end(self) -> Read<()> {
        let Some(name) = self.given.keys().next() else { return Ok(()) };
        let known = if self.known.is_empty() { "none".to_owned() } else { self.known.join(", ") };
        Err(format!("parameter {name}: it is unknown. The parameters of this route are: {known}"))
    }
}

/// The name of the part of the path that is a fingerprint.
pub(super) const FINGERPRINT: &str = "fingerprint";
/// The name of the part of the path that is the number of a redrive.
pub(super) const ID: &str = "id";

/// The parts of the path that vary.
pub(super) struct PathParts(BTreeMap<String, String>);

impl<S: Send + Sync> FromRequestParts<S> for PathParts {
    type Rejection = Failed;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failed> {
        let params = RawPathParams::from_request_parts(parts, state).await;
        let params = params.map_err(|error| bad(error.to_string()))?;
        Ok(Self(params.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()))
    }
}

impl PathParts {
    /// The part with this name; each route with such a part has it.
    pub(super) fn get(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameters(text: &str) -> Read<Parameters> {
        let pair = |part: &str| part.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
        Parameters::new(text.split('&').filter_map(pair).collect())
    }

    #[test]
    fn filters_of_a_query_are_those_of_the_commands() {
        let mut given = parameters(
            "group=9b3e&source=visits/1@7..9&since=2026-01-01&until=2026-01-02T00:00:00Z&kind=trap&version=m@1&key=a&grep=no&state=muted",
        )
        .unwrap();
        let filter = given.filter().unwrap();
        let selection = &filter.selection;
        assert_eq!(selection.group.as_deref(), Some("9b3e"));
        assert_eq!(selection.source, mapper_dead_letters::SourceRange::parse("visits/1@7..9"));
        assert_eq!((selection.until.unwrap() - selection.since.unwrap()).num_hours(), 24);
        assert_eq!((selection.kind.as_deref(), selection.version.as_deref()), (Some("trap"), Some("m@1")));
        assert_eq!((selection.key.as_deref(), selection.grep.as_deref()), (Some(&b"a"[..]), Some("no")));
        assert_eq!(filter.state, StateFilter::Group(mapper_api::dead_letters::LetterGroupState::Muted));
        assert_eq!(given.end(), Ok(()));
        let mut given = parameters("group=visits/1@42").unwrap();
        assert_eq!(given.filter().unwrap().selection.position.unwrap().to_string(), "visits/1@42");
    }

    #[test]
    fn wrong_parameter_is_named_with_its_value_and_what_is_allowed() {
        let filter = |text: &str| parameters(text).and_then(|mut given| given.filter()).unwrap_err();
        for (text, expected) in [
            ("group=xyz", "parameter group: \"xyz\" is not allowed: give the fingerprint of a group"),
            ("since=soon", "parameter since: \"soon\" is not allowed: give a time such as 2026-11-27T10:00:00Z"),
            ("since=2026-01-02&until=2026-01-01", "\"2026-01-01\" is not allowed: it is not later than since, so no"),
            (
                "source=visits/0@9..1",
                "parameter source: \"visits/0@9..1\" is not allowed: give records of an input partition as",
            ),
            ("state=fresh", "parameter state: \"fresh\" is not allowed: give one of open, closed, all, "),
            ("kind=a&kind=b", "parameter kind: it is given twice, as \"a\" and as \"b\". Give it once"),
        ] {
            let error = filter(text);
            assert!(error.contains(expected), "{text}: {error}");
        }
        let mut given = parameters("limit=0&after=x&dry-run=perhaps&grop=9b3e").unwrap();
        let error = given.number("limit", 1..=1000).unwrap_err();
        assert_eq!(error, "parameter limit: \"0\" is not allowed: give a whole number from 1 to 1000");
        assert!(given.position("after").unwrap_err().contains("give TOPIC/PARTITION@OFFSET"));
        assert!(given.switch("dry-run").unwrap_err().contains("\"perhaps\" is not allowed"));
        let error = given.end().unwrap_err();
        assert_eq!(error, "parameter grop: it is unknown. The parameters of this route are: limit, after, dry-run");
    }

    #[test]
    fn change_without_a_filter_and_redrive_of_closed_letters_are_refused() {
        let error = parameters("").unwrap().meant_filter().unwrap_err();
        assert!(error.contains("no letters are selected") && error.contains("since=1970-01-01"), "{error}");
        assert!(parameters("since=1970-01-01").unwrap().meant_filter().is_ok());
        for state in ["closed", "all"] {
            let error = parameters(&format!("state={state}")).unwrap().open_filter().unwrap_err();
            assert_eq!(error, "parameter state: only open letters can be redriven");
        }
        assert!(parameters("state=regressed").unwrap().open_filter().is_ok());
    }
}
