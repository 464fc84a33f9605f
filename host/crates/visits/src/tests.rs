//! Compares the generator with measurements of 3 000 rows of the reference generator.

use std::collections::{BTreeMap, HashMap, HashSet};

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::*;

/// The number of measured rows. The share of nulls depends on the age of the visits, so the tests use the same number.
const MEASURED_ROWS: usize = 3_000;

fn rows(profile: Profile, amount: usize) -> Vec<VisitRow> {
    Generator::new(profile).take(amount).collect()
}

fn seeded(seed: u64) -> Profile {
    Profile { seed, ..Profile::default() }
}

fn complete(seed: u64) -> Profile {
    Profile { seed, missing_fields: 0.0, unparseable: 0.0, ..Profile::default() }
}

fn parsed(row: &VisitRow) -> Option<Value> {
    serde_json::from_str(&row.value).ok()
}

fn time(visit: &Value) -> Option<DateTime<Utc>> {
    let text = visit["event_time"].as_str()?;
    assert!(text.len() == 25 && text.ends_with(":00+00:00"), "{text}");
    Some(text.parse().unwrap())
}

fn share(count: usize, total: usize) -> f64 {
    count as f64 / total as f64
}

fn assert_near(name: &str, actual: f64, measured: f64, tolerance: f64) {
    assert!((actual - measured).abs() <= tolerance, "{name}: {actual:.4}, reference: {measured:.4}");
}

#[test]
fn same_seed_gives_the_same_rows() {
    let profile = Profile { duplicates: 0.1, late: 0.1, ..seeded(7) };
    assert_eq!(rows(profile.clone(), 5_000), rows(profile, 5_000));
    assert_ne!(rows(seeded(7), 50), rows(seeded(8), 50));
}

#[test]
fn pauses_are_repeatable_in_range_and_do_not_change_rows() {
    let (mut paused, mut again) = (Generator::new(seeded(3)), Generator::new(seeded(3)));
    let mut seen = HashSet::new();
    for expected in rows(seeded(3), 1_000) {
        let pause = paused.pause();
        assert_eq!(pause, again.pause());
        seen.insert(pause.as_secs());
        assert_eq!(paused.next(), Some(expected));
    }
    assert_eq!(seen, PAUSE_SECONDS.collect());
}

#[test]
fn null_shares_match_the_reference() {
    // Number of nulls in 3 000 rows, without unparseable rows.
    let measured =
        [("visit_id", 1465), ("event_time", 1477), ("user_id", 1478), ("keep_private", 1474), ("context", 1476)];
    for seed in 0..20 {
        let visits: Vec<_> = rows(seeded(seed), MEASURED_ROWS).iter().filter_map(parsed).collect();
        for (field, nulls) in measured {
            let actual = visits.iter().filter(|visit| visit[field].is_null()).count();
            assert_near(field, share(actual, MEASURED_ROWS), share(nulls, MEASURED_ROWS), 0.03);
        }
        let pages = visits.iter().filter(|visit| visit["page"].is_null()).count();
        assert_near("page", share(pages, MEASURED_ROWS), share(845, MEASURED_ROWS), 0.03);
        let complete = visits.iter().filter(|visit| visit.as_object().unwrap().values().all(|field| !field.is_null()));
        assert_eq!(complete.count(), 1_380, "seed {seed}");
    }
}

#[test]
fn unparseable_share_matches_the_reference_and_rows_have_no_key() {
    let rows = rows(seeded(1), MEASURED_ROWS);
    let unparseable: Vec<_> = rows.iter().filter(|row| parsed(row).is_none()).collect();
    assert_eq!(unparseable.len(), 120);
    assert!(unparseable.iter().all(|row| row.key.is_none() && row.value == "{........"));
}

#[test]
fn fractional_share_of_a_burst_is_kept() {
    let profile = Profile { missing_fields: 0.253, unparseable: 0.001, ..seeded(5) };
    let rows = rows(profile, 100_000);
    let (mut unparseable, mut missing) = (0, 0);
    for row in &rows {
        match parsed(row) {
            None => unparseable += 1,
            Some(visit) => {
                missing += usize::from(visit.as_object().unwrap().values().any(Value::is_null));
            }
        }
    }
    assert_near("unparseable", share(unparseable, rows.len()), 0.001, 0.0004);
    assert_near("missing fields", share(missing, rows.len()), 0.253, 0.002);
}

#[test]
fn unparseable_takes_precedence_over_missing_fields() {
    let all = Profile { unparseable: 1.0, ..seeded(0) };
    assert!(rows(all, 1_000).iter().all(|row| row.key.is_none()));
    let none = rows(complete(0), 1_000);
    assert!(none.iter().all(|row| parsed(row).unwrap().as_object().unwrap().values().all(|field| !field.is_null())));
}

#[test]
fn key_is_the_visit_id_or_a_unique_uuid() {
    let mut uuids = HashSet::new();
    for row in rows(seeded(2), MEASURED_ROWS) {
        let Some(visit) = parsed(&row) else { continue };
        let key = row.key.unwrap();
        match visit["visit_id"].as_str() {
            Some(id) => assert_eq!(key, id),
            None => {
                let groups: Vec<_> = key.split('-').map(str::len).collect();
                assert_eq!(groups, [8, 4, 4, 4, 12], "{key}");
                assert!(key.as_bytes()[14] == b'4' && b"89ab".contains(&key.as_bytes()[19]), "{key}");
                assert!(uuids.insert(key), "duplicate key");
            }
        }
    }
    assert!(!uuids.is_empty());
}

#[test]
fn null_field_stays_null_except_the_page() {
    let rows = rows(seeded(4), MEASURED_ROWS);
    for turn in 0..25 {
        let visits: Vec<_> = rows.iter().skip(turn).step_by(BURST_ROWS).filter_map(parsed).collect();
        // A replacement of an ended visit has all fields again. That is rare.
        let restored = visits.windows(2).filter(|pair| pair[0]["user_id"].is_null() && !pair[1]["user_id"].is_null());
        assert!(restored.count() <= 2, "turn {turn}");
        assert!(visits.windows(2).any(|pair| pair[0]["page"].is_null() && !pair[1]["page"].is_null()), "turn {turn}");
    }
}

#[test]
fn visit_advances_by_one_to_five_minutes_with_constant_fields() {
    let mut last: HashMap<String, Value> = HashMap::new();
    let mut steps: BTreeMap<i64, usize> = BTreeMap::new();
    let start: DateTime<Utc> = "2023-11-01T00:00:00Z".parse().unwrap();
    for row in rows(complete(6), 60_000) {
        let visit = parsed(&row).unwrap();
        match last.get(row.key.as_ref().unwrap()) {
            None => assert_eq!(time(&visit), Some(start)),
            Some(before) => {
                *steps.entry((time(&visit).unwrap() - time(before).unwrap()).num_seconds()).or_default() += 1;
                for field in ["user_id", "keep_private", "context"] {
                    assert_eq!(visit[field], before[field]);
                }
            }
        }
        last.insert(row.key.unwrap(), visit);
    }
    assert_eq!(steps.keys().copied().collect::<Vec<_>>(), [60, 120, 180, 240, 300]);
    let all: usize = steps.values().sum();
    assert!(steps.values().all(|&count| (share(count, all) - 0.2).abs() < 0.01), "{steps:?}");
    // 50 initial visits, and 60 000 / 600 replacements.
    assert!((110..190).contains(&last.len()), "{} visits", last.len());
    assert!(last.keys().any(|id| id.ends_with("140381404666752_50")));
}

#[test]
fn page_shares_match_the_reference() {
    let rows = rows(complete(9), 40_000);
    let mut pages: HashMap<String, usize> = HashMap::new();
    for row in &rows {
        *pages.entry(parsed(row).unwrap()["page"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    assert_eq!(pages.len(), 6 + 20 + 20);
    // Counts in 1 380 complete rows of the reference. Numbered pages are grouped.
    for (page, measured) in
        [("index", 182), ("contact", 161), ("home", 177), ("main", 176), ("about", 165), ("categories", 183)]
    {
        assert_near(page, share(pages[page], rows.len()), share(measured, 1_380), 0.02);
    }
    for (group, measured) in [("category_", 171), ("page_", 165)] {
        let count = (1..=20).map(|number| pages[&format!("{group}{number}")]).sum();
        assert_near(group, share(count, rows.len()), share(measured, 1_380), 0.02);
    }
}

#[test]
fn visitor_shares_match_the_reference() {
    // The first rows of many generators: 50 visits each.
    let visits: Vec<_> = (0..60).flat_map(|seed| rows(complete(seed), 50)).map(|row| parsed(&row).unwrap()).collect();
    let share_of =
        |test: &dyn Fn(&Value) -> bool| share(visits.iter().filter(|visit| test(visit)).count(), visits.len());
    assert_near("ad_id", share_of(&|visit| visit["context"]["ad_id"].is_null()), 16.0 / 36.0, 0.05);
    assert_near("referral", share_of(&|visit| visit["context"]["referral"].is_null()), 3.0 / 36.0, 0.05);
    let connected = share_of(&|visit| visit["context"]["user"].get("connected_since").is_some());
    assert_near("connected_since", connected, 13.0 / 36.0, 0.04);
    assert_near("keep_private", share_of(&|visit| visit["keep_private"] == true), 4.0 / 36.0, 0.04);
    for visit in &visits {
        let Some(since) = visit["context"]["user"].get("connected_since") else { continue };
        let since = since.as_str().unwrap();
        assert!(since.ends_with("T00:00:00+00:00"), "{since}");
        assert!(("2023-10-08".."2023-10-28").contains(&since), "{since}");
    }
}

#[test]
fn field_order_and_spacing_match_the_reference() {
    let names = [
        "visit_id",
        "event_time",
        "user_id",
        "keep_private",
        "page",
        "context",
        "referral",
        "ad_id",
        "user",
        "ip",
        "login",
        "connected_since",
        "technical",
        "browser",
        "browser_version",
        "network_type",
        "device_type",
        "device_version",
    ];
    for row in rows(complete(10), 200) {
        let found: Vec<_> = row.value.split('"').zip(row.value.split('"').skip(1)).collect();
        // A name is a string before a colon. Separators are those of Python.
        let found: Vec<_> = found.iter().filter(|(_, after)| after.starts_with(':')).map(|(name, _)| *name).collect();
        let expected: Vec<_> =
            names.into_iter().filter(|name| *name != "connected_since" || row.value.contains(name)).collect();
        assert_eq!(found, expected);
        let colons = row.value.matches("\": ").count();
        assert_eq!(colons, expected.len());
        assert_eq!(row.value.matches(", \"").count(), expected.len() - 4, "{}", row.value);
        assert_eq!(row.value.matches("\":").count(), colons);
        assert_eq!(row.value.matches(",").count(), expected.len() - 4);
    }
    let all_null = r#"{"visit_id": null, "event_time": null, "user_id": null, "keep_private": null, "page": null, "context": null}"#;
    assert!(rows(seeded(10), MEASURED_ROWS).iter().any(|row| row.value == all_null));
}

#[test]
fn mean_size_matches_the_reference() {
    let bytes: usize = rows(seeded(11), MEASURED_ROWS).iter().map(|row| row.value.len()).sum();
    assert_near("bytes per row", share(bytes, MEASURED_ROWS), 264.7, 5.0);
}

#[test]
fn duplicate_repeats_the_previous_row() {
    assert!(rows(complete(12), 10_000).windows(2).all(|pair| pair[0] != pair[1]));
    let repeated = rows(Profile { duplicates: 0.2, ..complete(12) }, 20_000);
    let count = repeated.windows(2).filter(|pair| pair[0] == pair[1]).count();
    assert_near("duplicates", share(count, repeated.len()), 0.2, 0.02);
}

#[test]
fn late_row_is_older_than_its_visit() {
    let rows = rows(Profile { late: 0.1, ..complete(13) }, 20_000);
    let mut reached: HashMap<String, DateTime<Utc>> = HashMap::new();
    let mut late = 0;
    for row in &rows {
        let now = time(&parsed(row).unwrap()).unwrap();
        let Some(reached) = reached.get_mut(row.key.as_ref().unwrap()) else {
            reached.insert(row.key.clone().unwrap(), now);
            continue;
        };
        if now < *reached {
            late += 1;
            assert!((*reached - now).num_minutes() <= *LATE_MINUTES.end(), "{now} behind {reached}");
        }
        *reached = now.max(*reached);
    }
    assert_near("late", share(late, rows.len()), 0.1, 0.02);
}
