//! The API as the README has it: each endpoint is there, and each field is told of.

use std::collections::{BTreeSet, VecDeque};
use std::io::{Read, Write};
use std::net::TcpStream;

use super::*;
use crate::admin::{Guard, bind};
use crate::config::AdminConfig;
use crate::swap::Version;
use crate::swap::control::{SpanView, TermView};
use crate::swap::history::{Tally, Term};
use crate::swap::report::{Difference, ProbationStatus, Report, ShadowStatus, Status, TryOut};
use crate::swap::rollback::RollbackPlan;
use crate::topics::Recreation;

const README: &str = include_str!("../../../../README.md");

fn section() -> &'static str {
    let (_, rest) = README.split_once("\n## Hot-swapping\n").expect("the README has the section");
    rest.split("\n## ").next().unwrap_or(rest)
}

/// Method and path of each row of the table.
fn documented() -> BTreeSet<(String, String)> {
    let rows = section().lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`').map(|(row, _)| row));
    let words =
        rows.filter_map(|row| row.split_once(" /").map(|(method, path)| (method.to_owned(), format!("/{path}"))));
    words.filter(|(method, _)| method.chars().all(|c| c.is_ascii_uppercase())).collect()
}

#[test]
fn every_endpoint_is_in_the_readme_and_every_one_there_is_answered() {
    let telemetry = Arc::new(Telemetry::default());
    let address = "127.0.0.1:0".parse().unwrap();
    let bound = bind(Some(AdminConfig { address, asked: true })).unwrap().unwrap();
    let address = bound.address().unwrap();
    let _server = bound.serve(crate::admin::routes(&telemetry, Guard::new(address, None)), &telemetry).unwrap();
    let status = |method: &str, path: &str| {
        let mut stream = TcpStream::connect(address).unwrap();
        write!(stream, "{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.split(' ').nth(1).unwrap().to_owned()
    };
    let documented = documented();
    let paths: BTreeSet<&str> = documented.iter().map(|(_, path)| path.as_str()).collect();
    assert_eq!(paths, ["/history", "/rollback", "/shadow", "/swap"].into());
    for path in paths {
        for method in ["GET", "POST", "PUT", "DELETE", "PATCH"] {
            let there = documented.contains(&(method.to_owned(), path.to_owned()));
            // It is there, but there are no versions yet.
            assert_eq!(status(method, path), if there { "503" } else { "405" }, "{method} {path}");
        }
    }
}

#[test]
fn every_field_is_told_of() {
    let version = || Version { name: String::new(), version: String::new(), digest: String::new() };
    let difference = Difference { record: String::new(), input: String::new(), old: String::new(), new: String::new() };
    let report = Report {
        outcome: Ended::Swapped,
        step: None,
        reason: None,
        by: By::Http,
        forced: false,
        from: version(),
        to: Some(version()),
        try_out: Some(TryOut { differences: vec![difference], ..TryOut::default() }),
        offsets: Default::default(),
        pause_us: 0,
        took_ms: 0,
        at: String::new(),
    };
    let recreation = Recreation { topic: String::new(), noticed: String::new(), old_id: None, new_id: None };
    let term = Term {
        number: 1,
        version: version(),
        since: String::new(),
        by: By::Start,
        forced: false,
        before: None,
        probation_failure: None,
        tally: Tally::default(),
        recreations: VecDeque::from([recreation]),
    };
    let span = SpanView { from: 0, to: None, reached: 0 };
    let view = TermView { term, current: true, offsets: [(0, vec![span])].into() };
    let shadow = ShadowStatus {
        version: version(),
        against: version(),
        since: String::new(),
        running: true,
        ended: None,
        seen: 0,
        unseen: 0,
        same: 0,
        different: 0,
        broken: 0,
        fixed: 0,
        failing: Default::default(),
        differences: Vec::new(),
    };
    let status = Status {
        current: version(),
        since: String::new(),
        by: By::Start,
        before: None,
        swapping: None,
        last: None,
        probation: Some(ProbationStatus { records: 0, of: 0, failed: 0, ratio_before: None }),
        shadow: None,
        history_error: None,
    };
    let all = [
        serde_json::to_value(report).unwrap(),
        serde_json::to_value(view).unwrap(),
        serde_json::to_value(shadow).unwrap(),
        serde_json::to_value(status).unwrap(),
        serde_json::to_value(RollbackPlan {
            from: version(),
            to: version(),
            last_active: None,
            probation_failure: None,
        })
        .unwrap(),
        serde_json::to_value(NotDone { step: None, reason: String::new() }).unwrap(),
    ];
    let mut fields = BTreeSet::new();
    all.iter().for_each(|value| collect(value, &mut fields));
    // Numbers of partitions are no names.
    fields.retain(|field: &String| field.parse::<i32>().is_err());
    let missing: Vec<_> = fields.iter().filter(|field| !section().contains(&format!("`{field}`"))).collect();
    assert!(missing.is_empty(), "not in the README: {missing:?}");
}

fn collect(value: &serde_json::Value, fields: &mut BTreeSet<String>) {
    match value {
        serde_json::Value::Object(object) => {
            for (name, value) in object {
                fields.insert(name.clone());
                collect(value, fields);
            }
        }
        serde_json::Value::Array(all) => all.iter().for_each(|value| collect(value, fields)),
        _ => {}
    }
}
