//! What is true of every page, in both themes and at two widths.

use serde_json::{Value, json};

use super::*;

/// Records that would harm a careless page.
pub(super) const HOSTILE: [&[u8]; 6] = [
    b"<script>document.title='harmed'</script>",
    b"\x1b[2J\x1b]0;harmed\x07",
    "a\u{202e}b\u{2066}c".as_bytes(),
    b"nul \0 nul",
    b"\xff\xfe binary",
    b"'\"><img src=x onerror=\"document.title='harmed'\">",
];

/// The answer about dead letters that has all that Kafka has. On a busy machine, the host can say that its answer has not.
fn current(stage: &Stage<'_>, path: &str) -> Value {
    loop {
        let answer = crate::admin::get(stage.address(), path).1;
        let answer: Value = serde_json::from_str(&answer).expect("JSON");
        if answer.get("as_of").is_none() {
            return answer;
        }
    }
}

/// The pages of a pipeline, and the others.
fn pages(stage: &Stage<'_>) -> Vec<String> {
    let groups = current(stage, "/dead-letters/groups");
    let group = groups["groups"][0]["fingerprint"].as_str().expect("a group");
    let letters = current(stage, "/dead-letters");
    let letters = letters["letters"].as_array().expect("letters").iter();
    let letter = |letter: &Value| {
        let position = letter["position"].as_str().expect("a position").replace('/', "%2F").replace('@', "%40");
        format!("/pipelines/default/dead-letters/letter?position={position}")
    };
    let fixed =
        ["", "/login", "/pipelines/default", "/pipelines/default/versions", "/pipelines/none", "/nothing", "/settings"];
    let more = [
        "/pipelines/default/live",
        "/pipelines/default/playground",
        "/pipelines/default/dead-letters",
        "/pipelines/default/dead-letters/letters?state=all",
        "/pipelines/default/redrives",
        "/docs",
        "/docs/console.md",
        "/docs/hot-swap.md",
        "/pipelines/default/settings",
        "/pipelines/default/audit",
    ];
    let paths = fixed.into_iter().chain(more).map(ToOwned::to_owned);
    let paths = paths.chain([format!("/pipelines/default/dead-letters/groups/{group}")]).chain(letters.map(letter));
    paths.map(|path| stage.page(&path)).collect()
}

#[test]
fn pages_have_no_barrier_no_error_and_no_request_to_another_origin() {
    let long = vec![b'x'; 900_000];
    let records: Vec<&[u8]> = HOSTILE.into_iter().chain([&long[..]]).collect();
    let stage = Stage::new("console-pages", "rejects", &records, &[]);
    let (axe, pages) = (harness::browser::axe(), pages(&stage));
    in_browser(&stage.driver, true, async |tab| {
        for (theme, width) in [("light", 1600), ("dark", 375)] {
            tab.goto(&stage.url).await;
            tab.click(theme).await;
            tab.element(&format!("html[data-theme='{theme}']")).await;
            tab.resize(width, 900).await;
            for page in &pages {
                check(&tab, page, theme, &axe).await;
            }
        }
        // The page of a failed upload has the differences of hostile records.
        tab.goto(&stage.page("/pipelines/default/versions")).await;
        tab.fill("#plugin", &stage.plugin("two")).await;
        tab.click("Upload and try out").await;
        tab.element(".differences").await;
        let html = tab.html().await;
        assert!(html.contains("&lt;script&gt;document.title"), "the record is shown");
        assert_eq!(tab.count("main script").await + tab.count("main img").await, 0);
        assert!(!tab.text().await.contains('\u{202e}'), "no mark reorders the page");
        check_axe(&tab, "the result of a try-out", &axe).await;
        assert_eq!(tab.run("arguments[0](document.title);", vec![]).await, "Versions · mapper-host");
    });
}

async fn check(tab: &Tab, page: &str, theme: &str, axe: &str) {
    tab.console().await;
    tab.requests().await;
    tab.goto(page).await;
    tab.element("main h1").await;
    let what = format!("{page} in {theme}");
    check_axe(tab, &what, axe).await;
    // A page that does not exist is an error of the network to the browser.
    let errors: Vec<String> =
        tab.console().await.into_iter().filter(|line| !line.contains("404 (Not Found)")).collect();
    assert!(errors.is_empty(), "{what}: {errors:?}");
    let origin = page.split("/console").next().expect("an origin");
    let requests = tab.requests().await;
    assert!(requests.iter().any(|url| url == page), "{what}: {requests:?}");
    let foreign: Vec<&String> =
        requests.iter().filter(|url| !url.starts_with(origin) && !url.starts_with("data:")).collect();
    assert!(foreign.is_empty(), "{what}: {foreign:?}");
    // Only tables scroll to the side.
    let overflow = "arguments[0](document.documentElement.scrollWidth - document.documentElement.clientWidth);";
    assert_eq!(tab.run(overflow, vec![]).await, 0, "{what}");
}

pub(super) async fn check_axe(tab: &Tab, what: &str, axe: &str) {
    let script = format!(
        "{axe}; const done = arguments[0]; \
         const short = (found) => [found.id, found.nodes.map((node) => node.html)]; \
         axe.run().then((result) => done(result.violations.map(short)), (error) => done(String(error)));"
    );
    let found = tab.run(&script, vec![]).await;
    assert_eq!(found, json!([]), "{what}");
}
