//! The times of the pages.

use std::time::Duration;

use crate::LIMIT;
use crate::http;
use crate::scale::{LARGE, World};

/// Their names and paths.
fn pages(world: &World<'_>) -> Vec<(&'static str, String)> {
    let letters = format!("/v1/pipelines/{LARGE}/dead-letters");
    let groups = http::json(&world.address, &format!("{letters}/groups?limit=1000"));
    let groups = groups["groups"].as_array().expect("groups");
    let of_group = |group: &serde_json::Value| group["fingerprint"].as_str().expect("a fingerprint").to_owned();
    let (largest, long) = (of_group(&groups[0]), "abcd000000000063".to_owned());
    let sample = |group: &str, index: usize| {
        let shown = http::json(&world.address, &format!("{letters}/groups/{group}"));
        let letter = &shown["letters"][index];
        ["position", "source"].map(|field| letter[field].as_str().expect("a position").to_owned())
    };
    let ([position, source], [long_input, _], [long_message, _]) =
        (sample(&largest, 0), sample(&long, 0), sample(&long, 1));
    let of = |path: &str| format!("/console/pipelines/{LARGE}{path}");
    vec![
        ("overview", "/console".to_owned()),
        ("overview, last page", "/console?page=4".to_owned()),
        ("pipeline", of("")),
        ("pipeline, last partitions", of("?page=10")),
        ("live", of("/live")),
        ("versions", of("/versions")),
        ("dead letters", of("/dead-letters")),
        ("dead letters in a state", of("/dead-letters?state=new")),
        ("dead letters, all", of("/dead-letters?state=all")),
        ("group", of(&format!("/dead-letters/groups/{largest}"))),
        ("group, 1 MiB", of(&format!("/dead-letters/groups/{long}"))),
        ("letter", of(&format!("/dead-letters/letter?position={position}"))),
        ("letter of a record", of(&format!("/dead-letters/letter?position={source}"))),
        ("letter, input of 1 MiB", of(&format!("/dead-letters/letter?position={long_input}"))),
        ("letter, message of 1 MiB", of(&format!("/dead-letters/letter?position={long_message}"))),
        ("redrives", of("/redrives")),
        ("playground", of("/playground")),
    ]
}

/// Requests each page. Returns the names of those that are too slow.
pub(crate) fn measure(world: &World<'_>, requests: usize) -> Vec<&'static str> {
    let pages = pages(world);
    let ms = |time: Duration| time.as_secs_f64() * 1000.0;
    let mut slow = Vec::new();
    println!("| page | first ms | median ms | most ms | KiB | within {} ms |", LIMIT.as_millis());
    println!("|---|---|---|---|---|---|");
    for (name, path) in &pages {
        let (first, body) = http::get(&world.address, path);
        let mut times: Vec<Duration> = (0..requests).map(|_| http::get(&world.address, path).0).collect();
        times.sort_unstable();
        let (median, most) = (times[times.len() / 2], times[times.len() - 1]);
        let is_fast = first.max(most) <= LIMIT;
        println!(
            "| {name} | {:.1} | {:.1} | {:.1} | {} | {} |",
            ms(first),
            ms(median),
            ms(most),
            body.len().div_ceil(1024),
            if is_fast { "yes" } else { "no" }
        );
        if median > LIMIT {
            slow.push(*name);
        }
    }
    slow
}
