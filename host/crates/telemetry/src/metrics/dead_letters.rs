//! The metrics of open dead letters and their groups.

use std::fmt::Error;

use chrono::Utc;
use prometheus_client::registry::Unit;

use super::{Families, PipelineSample, labels};
use crate::OpenLetters;

pub(super) fn encode(families: &mut Families<'_, '_>) -> Result<(), Error> {
    let help = "1 if the host follows the dead-letter topic and the state topic, 0 while it reads them for the first time and after an error";
    families.gauges("dead_letter_watch_up", help, None, |pipeline| {
        let is_up = pipeline.telemetry.dead_letters.is_up();
        is_up.map(|is_up| (labels(pipeline, []), f64::from(u8::from(is_up)))).into_iter().collect()
    })?;
    let help = "Groups with open dead letters, by state";
    families.gauges("dead_letter_groups", help, None, |pipeline| {
        let groups = pipeline.telemetry.dead_letters.letters().map(|letters| letters.groups_by_state);
        let groups = groups.into_iter().flatten();
        groups.map(|(state, count)| (labels(pipeline, [("state", state.to_owned())]), count as f64)).collect()
    })?;
    let of_letters = |value: fn(&OpenLetters) -> f64| {
        move |pipeline: &PipelineSample| {
            let letters = pipeline.telemetry.dead_letters.letters();
            letters.map(|letters| (labels(pipeline, []), value(&letters))).into_iter().collect()
        }
    };
    let help = "Open dead letters: those without a resolution";
    families.gauges("dead_letters_open", help, None, of_letters(|letters| letters.open as f64))?;
    let help = "Time since the oldest open dead letter failed; 0 without an open letter";
    let age = of_letters(|letters| letters.oldest_age_seconds(Utc::now()));
    families.gauges("dead_letter_oldest_open_age", help, Some(Unit::Seconds), age)?;
    families.counter("dead_letters_redriven", "Failed records that a redrive has processed", |pipeline| {
        pipeline.telemetry.dead_letters.redriven()
    })?;
    families.counter("dead_letters_failed_again", "Dead letters of records that had failed before", |pipeline| {
        pipeline.telemetry.dead_letters.failed_again()
    })
}
