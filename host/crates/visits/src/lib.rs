//! Generates visits with the distributions of the reference generator, deterministically from a seed.

#![forbid(unsafe_code)]

use std::fmt::Write as _;
use std::ops::RangeInclusive;
use std::time::Duration;

use chrono::{DateTime, TimeDelta};
use rand::rngs::SmallRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};

#[cfg(test)]
mod tests;

/// Rows per burst of the reference generator: one row per visit in progress.
pub const BURST_ROWS: usize = 50;

/// Pause of the reference generator after a burst, in whole seconds, uniformly distributed.
pub const PAUSE_SECONDS: RangeInclusive<u64> = 1..=7;

/// Delay of a late row, in minutes. The reference data has no late rows. The range exceeds the 5 minutes between two events of a
/// visit, so that a late row is out of order.
pub const LATE_MINUTES: RangeInclusive<i64> = 30..=120;

/// Minutes between two events of a visit (measured: uniformly distributed).
const STEP_MINUTES: RangeInclusive<i64> = 1..=5;

/// Start time of every visit, including replacements of ended visits: 2023-11-01T00:00:00Z.
const START: i64 = 1_698_796_800;

/// Mean number of rows per visit (measured: 5 visits ended in 2 880 rows).
const ROWS_PER_VISIT: u32 = 600;

/// Constant part of all ids in the reference data: the address of a Python object.
const RUN_ID: &str = "140381404666752";

/// The value of an unparseable row.
const UNPARSEABLE: &str = "{........";

// Bits for the nullable top-level fields. Nested fields are never null.
const VISIT_ID: u8 = 1 << 0;
const EVENT_TIME: u8 = 1 << 1;
const USER_ID: u8 = 1 << 2;
const KEEP_PRIVATE: u8 = 1 << 3;
const PAGE: u8 = 1 << 4;
const CONTEXT: u8 = 1 << 5;
const FIELDS: [u8; 6] = [VISIT_ID, EVENT_TIME, USER_ID, KEEP_PRIVATE, PAGE, CONTEXT];

/// Each of these pages is as likely as all of `category_1…20` together, and as all of `page_1…20` together.
const PAGES: [&str; 6] = ["index", "contact", "home", "main", "about", "categories"];
const NUMBERED_PAGES: [&str; 2] = ["category", "page"];

const REFERRALS: [Option<&str>; 9] = [
    None,
    Some("Facebook"),
    Some("Google Ads"),
    Some("Google Search"),
    Some("LinkedIn"),
    Some("Medium"),
    Some("StackOverflow"),
    Some("Twitter"),
    Some("YouTube"),
];

/// Four of nine visits have no ad (measured: 16 of 36).
const ADS: [Option<&str>; 9] =
    [None, None, None, None, Some("ad 1"), Some("ad 2"), Some("ad 3"), Some("ad 4"), Some("ad 5")];

const BROWSERS: [&str; 3] = ["Chrome", "Firefox", "Safari"];
const BROWSER_VERSIONS: [&str; 10] = ["20.0", "20.1", "20.2", "21.0", "22.0", "23.0", "23.1", "23.2", "24.11", "25.09"];
const NETWORK_TYPES: [&str; 4] = ["4G", "5G", "LAN", "Wi-Fi"];
const DEVICE_TYPES: [&str; 5] = ["MacBook", "PC", "Smartphone", "iPad", "iPhone"];
const DEVICE_VERSIONS: [&str; 6] = ["1.0", "2.0", "3.0", "4.0", "5.0", "6.0"];

/// A login is a given name with a surname or with two digits.
const GIVEN_NAMES: [&str; 16] = [
    "butler",
    "christopher",
    "donald",
    "eric",
    "holly",
    "james",
    "jeff",
    "kevin",
    "kimberly",
    "maria",
    "matthew",
    "michael",
    "rebecca",
    "sarah",
    "teresa",
    "thomas",
];
const SURNAMES: [&str; 12] = [
    "alvarado", "bailey", "calhoun", "delgado", "garcia", "johnson", "marquez", "morris", "nguyen", "phillips",
    "rivera", "walls",
];

/// Share of visits with `keep_private` (measured: 4 of 36).
const KEEP_PRIVATE_SHARE: f64 = 0.1;

/// Share of users with `connected_since` (measured: 13 of 36). For other users the field is absent, not null.
const CONNECTED_SHARE: f64 = 0.36;

/// Days between `connected_since` and the start of the visits (measured).
const CONNECTED_DAYS: RangeInclusive<i64> = 5..=24;

/// The configuration of a [`Generator`]. All shares are 0.0..=1.0.
#[derive(Debug, Clone)]
pub struct Profile {
    /// The same seed gives the same rows and pauses.
    pub seed: u64,
    /// Share of rows with a random sample of null fields. As in the reference data, these rows belong to the same visits, and a null
    /// field other than the page stays null for the rest of the visit.
    pub missing_fields: f64,
    /// Share of rows that are not JSON and have no key. It takes precedence over `missing_fields`.
    pub unparseable: f64,
    /// Share of rows that repeat key and value of the previous row.
    pub duplicates: f64,
    /// Share of the rows with an event time that is late by [`LATE_MINUTES`].
    pub late: f64,
}

impl Default for Profile {
    /// The measured distribution of the reference: 25 of 50 rows have null fields, 2 are unparseable, 23 are complete. No row is
    /// a duplicate or late.
    fn default() -> Self {
        Self { seed: 0, missing_fields: 0.5, unparseable: 0.04, duplicates: 0.0, late: 0.0 }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VisitRow {
    /// The `visit_id`, a UUID if the `visit_id` is null, or none if the row is unparseable.
    pub key: Option<String>,
    /// JSON with the spacing of Python's `json.dumps`, or text that is not JSON.
    pub value: String,
}

/// An endless iterator over [`VisitRow`]s. [`BURST_ROWS`] visits are in progress; each burst has one row of each.
#[derive(Debug)]
pub struct Generator {
    profile: Profile,
    random: SmallRng,
    pauses: SmallRng,
    visits: Vec<Visit>,
    turn: usize,
    previous: Option<VisitRow>,
}

/// A visit in progress. Constant parts are stored as JSON text.
#[derive(Debug)]
struct Visit {
    id: String,
    user_id: String,
    keep_private: bool,
    context: String,
    minutes: i64,
    nulled: u8,
}

enum Kind {
    MissingFields,
    Unparseable,
    Complete,
}

impl Generator {
    pub fn new(profile: Profile) -> Self {
        let mut random = SmallRng::seed_from_u64(profile.seed);
        let visits = (0..BURST_ROWS).map(|index| Visit::new(index, &mut random)).collect();
        // A separate generator, so that pauses don't change the rows.
        let pauses = SmallRng::seed_from_u64(!profile.seed);
        Self { profile, random, pauses, visits, turn: 0, previous: None }
    }

    /// The pause after a burst. Drawing it doesn't change the rows.
    pub fn pause(&mut self) -> Duration {
        Duration::from_secs(self.pauses.random_range(PAUSE_SECONDS))
    }

    /// The kinds have the same order in a burst as in the reference data: missing fields, unparseable, complete. At a fractional
    /// boundary, the kind is drawn for each row.
    fn kind(&mut self) -> Kind {
        let at = (self.turn as f64 + self.random.random::<f64>()) / BURST_ROWS as f64;
        let missing = self.profile.missing_fields.min(1.0 - self.profile.unparseable);
        if at < missing {
            Kind::MissingFields
        } else if at < missing + self.profile.unparseable {
            Kind::Unparseable
        } else {
            Kind::Complete
        }
    }

    fn row(&mut self) -> VisitRow {
        let kind = self.kind();
        let visit = &mut self.visits[self.turn];
        self.turn = (self.turn + 1) % BURST_ROWS;
        let nulled = match kind {
            Kind::Unparseable => return VisitRow { key: None, value: UNPARSEABLE.to_owned() },
            Kind::Complete => 0,
            Kind::MissingFields => {
                let nulled = visit.nulled | sample_of_fields(&mut self.random);
                // The page is drawn for each row, so it is the only field that doesn't stay null.
                visit.nulled = nulled & !PAGE;
                nulled
            }
        };
        let late =
            if self.random.random::<f64>() < self.profile.late { self.random.random_range(LATE_MINUTES) } else { 0 };
        let row = visit.row(late, nulled, &mut self.random);
        if self.random.random_ratio(1, ROWS_PER_VISIT) {
            *visit = Visit::new(BURST_ROWS, &mut self.random);
        } else {
            visit.minutes += self.random.random_range(STEP_MINUTES);
        }
        row
    }
}

impl Iterator for Generator {
    type Item = VisitRow;

    fn next(&mut self) -> Option<VisitRow> {
        if self.profile.duplicates <= 0.0 {
            return Some(self.row());
        }
        let row = match self.previous.take() {
            Some(previous) if self.random.random::<f64>() < self.profile.duplicates => previous,
            _ => self.row(),
        };
        self.previous = Some(row.clone());
        Some(row)
    }
}

impl Visit {
    /// A visit before its first row. `index` is the suffix of its id: the index in the burst, or [`BURST_ROWS`] for a replacement.
    fn new(index: usize, random: &mut SmallRng) -> Self {
        Self {
            id: format!("{}{RUN_ID}_{index}", random.random_range(10_000..400_000)),
            user_id: format!("{RUN_ID}_{}", uuid(random)),
            keep_private: random.random::<f64>() < KEEP_PRIVATE_SHARE,
            context: context(random),
            minutes: 0,
            nulled: 0,
        }
    }

    fn row(&self, late: i64, nulled: u8, random: &mut SmallRng) -> VisitRow {
        let has = |field: u8| nulled & field == 0;
        let mut value = String::with_capacity(544);
        value.push_str(r#"{"visit_id": "#);
        push_text(&mut value, has(VISIT_ID).then_some(&self.id));
        value.push_str(r#", "event_time": "#);
        let time = has(EVENT_TIME).then(|| timestamp(TimeDelta::minutes(self.minutes - late)));
        push_text(&mut value, time.as_deref());
        value.push_str(r#", "user_id": "#);
        push_text(&mut value, has(USER_ID).then_some(&self.user_id));
        value.push_str(r#", "keep_private": "#);
        value.push_str(match has(KEEP_PRIVATE) {
            false => "null",
            true if self.keep_private => "true",
            true => "false",
        });
        value.push_str(r#", "page": "#);
        match has(PAGE) {
            true => push_page(&mut value, random),
            false => value.push_str("null"),
        }
        value.push_str(r#", "context": "#);
        value.push_str(if has(CONTEXT) { &self.context } else { "null" });
        value.push('}');
        let key = if has(VISIT_ID) { self.id.clone() } else { uuid(random) };
        VisitRow { key: Some(key), value }
    }
}

/// At least one field. The number of fields and the fields are uniformly distributed.
fn sample_of_fields(random: &mut SmallRng) -> u8 {
    let amount = random.random_range(1..=FIELDS.len());
    let mut fields = FIELDS;
    let (sample, _) = fields.partial_shuffle(random, amount);
    sample.iter().fold(0, |nulled, field| nulled | field)
}

fn push_page(json: &mut String, random: &mut SmallRng) {
    let at = random.random_range(0..PAGES.len() + NUMBERED_PAGES.len());
    match PAGES.get(at) {
        Some(page) => push_text(json, Some(page)),
        None => {
            let number = random.random_range(1..=20);
            _ = write!(json, r#""{}_{number}""#, NUMBERED_PAGES[at - PAGES.len()]);
        }
    }
}

/// Writes a JSON string. Generated text needs no escaping.
fn push_text<T: AsRef<str> + ?Sized>(json: &mut String, text: Option<&T>) {
    let Some(text) = text else { return json.push_str("null") };
    json.push('"');
    json.push_str(text.as_ref());
    json.push('"');
}

/// The `context` of a visit as JSON.
fn context(random: &mut SmallRng) -> String {
    let mut json = String::from(r#"{"referral": "#);
    push_text(&mut json, pick(&REFERRALS, random));
    json.push_str(r#", "ad_id": "#);
    push_text(&mut json, pick(&ADS, random));
    let [b, c, d] = random.random::<[u8; 3]>();
    let a = random.random_range(1..=223);
    _ = write!(json, r#", "user": {{"ip": "{a}.{b}.{c}.{d}", "login": "{}""#, login(random));
    if random.random::<f64>() < CONNECTED_SHARE {
        let since = timestamp(-TimeDelta::days(random.random_range(CONNECTED_DAYS)));
        _ = write!(json, r#", "connected_since": "{since}""#);
    }
    _ = write!(
        json,
        r#"}}, "technical": {{"browser": "{}", "browser_version": "{}", "network_type": "{}", "device_type": "{}", "#,
        pick(&BROWSERS, random),
        pick(&BROWSER_VERSIONS, random),
        pick(&NETWORK_TYPES, random),
        pick(&DEVICE_TYPES, random),
    );
    _ = write!(json, r#""device_version": "{}"}}}}"#, pick(&DEVICE_VERSIONS, random));
    json
}

fn login(random: &mut SmallRng) -> String {
    let name = pick(&GIVEN_NAMES, random);
    match random.random_range(0..100) {
        digits if random.random() => format!("{name}{digits:02}"),
        _ => format!("{name}{}", pick(&SURNAMES, random)),
    }
}

/// The start of the visits plus `after`, in the format of Python's `datetime.isoformat`.
fn timestamp(after: TimeDelta) -> String {
    DateTime::from_timestamp(START, 0).map_or_else(String::new, |start| (start + after).to_rfc3339())
}

/// A random UUID (version 4).
fn uuid(random: &mut SmallRng) -> String {
    let bits = random.random::<u128>() & !(0xf << 76 | 0b11 << 62) | 4 << 76 | 0b10 << 62;
    let hex = format!("{bits:032x}");
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

fn pick<T: Copy>(list: &[T], random: &mut SmallRng) -> T {
    list[random.random_range(0..list.len())]
}
