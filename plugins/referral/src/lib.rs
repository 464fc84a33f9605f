//! Extracts the source and the device of a visit: the channel becomes the key, and the time of the visit the timestamp.

use std::collections::BTreeSet;

use chrono::{DateTime, NaiveDateTime};
use mapper_sdk::{Level, Output, Record, Settings, log, mapper};
use serde::{Deserialize, Serialize};

mapper!(referral, configure = Unknown::from_settings);

/// How many unknown referrals are remembered, so that each is logged once; the state of an instance must not grow for ever.
const MAX_REMEMBERED: usize = 1000;

#[derive(Deserialize)]
struct Visit {
    event_time: Option<String>,
    #[serde(default)]
    context: Context,
}

#[derive(Deserialize, Default)]
struct Context {
    referral: Option<String>,
    ad_id: Option<String>,
    #[serde(default)]
    technical: Technical,
}

#[derive(Deserialize, Default)]
struct Technical {
    browser: Option<String>,
    browser_version: Option<String>,
    device_type: Option<String>,
}

/// What goes out.
#[derive(Debug, Serialize)]
pub struct Arrival {
    channel: &'static str,
    referral: Option<String>,
    /// Without the minor version.
    browser: Option<String>,
    device: Option<&'static str>,
}

/// Why a record has no arrival.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// It has no value at all.
    #[error("the record has no value (a tombstone)")]
    Tombstone,
    /// Its value is not JSON, or has another form.
    #[error("not a visit: {0}")]
    NotAVisit(#[from] serde_json::Error),
    /// Its time can't be read.
    #[error("event_time is not a time in ISO 8601: {0:?}")]
    NotATime(String),
}

/// The referrals that were logged already. It may be empty again at any time: that only costs a line.
#[derive(Debug, Default)]
pub struct Unknown(BTreeSet<String>);

impl Unknown {
    /// There are no settings.
    ///
    /// # Errors
    /// When there is one.
    pub fn from_settings(settings: &Settings) -> Result<Self, String> {
        settings.only(&[]).map(|()| Self::default())
    }

    fn see(&mut self, referral: &str) {
        if self.0.len() < MAX_REMEMBERED && self.0.insert(referral.to_owned()) {
            log(Level::Warn, &format!("unknown referral: {referral}"));
        }
    }
}

/// The mapper.
///
/// # Errors
/// See [`Refused`].
pub fn referral(unknown: &mut Unknown, record: &Record<'_>) -> Result<Output, Refused> {
    let visit: Visit = serde_json::from_slice(record.value.ok_or(Refused::Tombstone)?)?;
    let context = visit.context;
    let channel = match (context.ad_id.as_deref(), context.referral.as_deref()) {
        (Some(_), _) | (None, Some("Google Ads")) => "paid",
        (None, None) => "direct",
        (None, Some("Google Search")) => "search",
        (None, Some("Facebook" | "LinkedIn" | "Medium" | "Twitter" | "YouTube" | "StackOverflow")) => "social",
        (None, Some(other)) => {
            unknown.see(other);
            "other"
        }
    };
    let technical = context.technical;
    let major = technical.browser_version.as_deref().and_then(|version| version.split('.').next());
    let browser = technical.browser.map(|browser| match major {
        Some(major) => format!("{browser} {major}"),
        None => browser,
    });
    let device = technical.device_type.as_deref().map(|device| match device {
        "Smartphone" | "iPhone" => "phone",
        "iPad" => "tablet",
        _ => "computer",
    });
    let arrival = Arrival { channel, referral: context.referral, browser, device };
    let output = Output::json(&arrival)?.key(Some(channel));
    Ok(match visit.event_time {
        None => output,
        Some(time) => output.timestamp_ms(epoch_ms(&time)?),
    })
}

/// A time without an offset is UTC; one before 1970 is none that Kafka has.
fn epoch_ms(time: &str) -> Result<i64, Refused> {
    let with_offset = DateTime::parse_from_rfc3339(time).map(|time| time.timestamp_millis());
    let naive =
        || NaiveDateTime::parse_from_str(time, "%Y-%m-%dT%H:%M:%S%.f").map(|time| time.and_utc().timestamp_millis());
    let ms = with_offset.or_else(|_| naive()).ok().filter(|ms| *ms >= 0);
    ms.ok_or_else(|| Refused::NotATime(time.to_owned()))
}
