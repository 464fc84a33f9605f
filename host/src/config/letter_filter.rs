//! Reads the filters of dead letters, from flags or from the query of a URL.

use chrono::{DateTime, NaiveDate, NaiveTime, SubsecRound, Utc};

use super::values::{self, Read};
use super::{LetterFilter, StateFilter};
use mapper_dead_letters::selection::Position;
use mapper_dead_letters::{Selection, SourceRange};

/// A shorter beginning of a fingerprint is a slip rather than a choice.
const MIN_FINGERPRINT: usize = 4;
const TIME_ALLOWED: &str =
    "give a time such as 2026-11-27T10:00:00Z or 2026-11-27 (UTC), or how long ago, such as 30m, 2h or 7d";
const SOURCE_ALLOWED: &str = "give records of an input partition as TOPIC/PARTITION@FROM..TO, where TO is the offset after the last one, such as visits/0@100..200";

/// How errors name what was given.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Naming {
    /// A group or a position.
    pub(crate) group: &'static str,
    /// Before the name of any other value, such as `flag --`.
    pub(crate) others: &'static str,
}

pub(crate) const FLAGS: Naming = Naming { group: "argument GROUP", others: "flag --" };
pub(crate) const PARAMETERS: Naming = Naming { group: "parameter group", others: "parameter " };

impl Naming {
    /// The error of a value that is not allowed.
    pub(crate) fn wrong(self, name: &str, text: &str, allowed: &str) -> String {
        format!("{}{name}: {text:?} is not allowed: {allowed}", self.others)
    }

    /// A name, as it is mentioned in the error of another value.
    fn mention(self, name: &str) -> String {
        let prefix = self.others.rsplit(' ').next().unwrap_or_default();
        format!("{prefix}{name}")
    }

    /// The beginning of a fingerprint.
    ///
    /// # Errors
    /// If it can't be one.
    pub(crate) fn fingerprint(self, text: &str) -> Read<String> {
        let is_hexadecimal = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if is_hexadecimal && (MIN_FINGERPRINT..=16).contains(&text.len()) {
            return Ok(text.to_owned());
        }
        Err(format!(
            "{}: {text:?} is not allowed: give the fingerprint of a group, as mapper-host dlq groups lists it, or its first \
             {MIN_FINGERPRINT} or more digits; or a position such as visits_dlq/0@17",
            self.group
        ))
    }
}

/// The filters as they were given.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct FilterTexts<'a> {
    /// The beginning of a fingerprint, or a position.
    pub(crate) selected: Option<&'a str>,
    pub(crate) source: Option<&'a str>,
    pub(crate) since: Option<&'a str>,
    pub(crate) until: Option<&'a str>,
    pub(crate) kind: Option<&'a str>,
    pub(crate) version: Option<&'a str>,
    pub(crate) key: Option<&'a str>,
    pub(crate) grep: Option<&'a str>,
    pub(crate) state: Option<&'a str>,
}

impl FilterTexts<'_> {
    /// Reads and checks.
    ///
    /// # Errors
    /// The first value that is wrong.
    pub(crate) fn read(&self, naming: Naming) -> Read<LetterFilter> {
        let time = |name: &str, given: Option<&str>| {
            given.map(|given| time(given).ok_or_else(|| naming.wrong(name, given, TIME_ALLOWED))).transpose()
        };
        let (group, position) = match self.selected {
            None => (None, None),
            Some(given) => match Position::parse(given) {
                Some(position) => (None, Some(position)),
                None => (Some(naming.fingerprint(given)?), None),
            },
        };
        let (since, until) = (time("since", self.since)?, time("until", self.until)?);
        if let (Some(since), Some(until)) = (since, until)
            && since >= until
        {
            let given = self.until.unwrap_or_default();
            let allowed = format!("it is not later than {}, so no letter is selected", naming.mention("since"));
            return Err(naming.wrong("until", given, &allowed));
        }
        let state = self.state.map(|given| {
            let known = StateFilter::all().find(|(name, _)| *name == given).map(|(_, state)| state);
            let names = || StateFilter::all().map(|(name, _)| name).collect::<Vec<_>>().join(", ");
            known.ok_or_else(|| naming.wrong("state", given, &format!("give one of {}", names())))
        });
        let source = self
            .source
            .map(|given| SourceRange::parse(given).ok_or_else(|| naming.wrong("source", given, SOURCE_ALLOWED)));
        let selection = Selection {
            group,
            position,
            source: source.transpose()?,
            since,
            until,
            kind: self.kind.map(str::to_owned),
            version: self.version.map(str::to_owned),
            key: self.key.map(|key| key.as_bytes().to_vec()),
            grep: self.grep.map(str::to_owned),
            withdrawn: None,
        };
        Ok(LetterFilter { selection, state: state.transpose()?.unwrap_or_default(), withdrawn_in: None })
    }
}

/// A time, a day, or how long ago.
fn time(text: &str) -> Option<DateTime<Utc>> {
    let day = || Some(text.parse::<NaiveDate>().ok()?.and_time(NaiveTime::MIN).and_utc());
    // The times of letters are compared in milliseconds.
    values::past(text).or_else(day).map(|time| time.trunc_subsecs(3))
}
