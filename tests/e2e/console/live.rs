//! Recent records with clicks: filters, pause, and records that would harm a careless page.

use super::*;
use crate::console::every_page::HOSTILE;

fn look_at_recent_records(has_scripts: bool) {
    let name = if has_scripts { "console-live" } else { "console-live-plain" };
    // It maps all records but those that begin with this word.
    let stage = Stage::new(name, "late-rejects", &HOSTILE, &[]);
    let failing = |key: &str| NewRecord::value(*b"late <script>document.title='harmed'</script>").key(key);
    topics::produce(stage.job.kafka, &stage.job.input, ["a&b=<c>", "other", "a"].map(failing));
    crate::admin::wait_until_committed(stage.address(), 9);
    in_browser(&stage.driver, has_scripts, async |tab| {
        tab.goto(&stage.page("/pipelines/default")).await;
        tab.click("Live").await;
        tab.wait_for("9 records of a sample of 9").await;
        assert_eq!((tab.count("tr.good").await, tab.count("tr.bad").await), (6, 3));
        let text = tab.text().await;
        assert!(text.contains("late-rejects ") && text.contains("rejected"), "{text}");
        let shown = [
            "<script>document.title='harmed'</script>",
            "\\x1b[2J",
            "a\\u{202e}b",
            "nul \\x00 nul",
            "\\xff\\xfe binary",
        ];
        shown.iter().for_each(|value| assert!(text.contains(value), "{value}: {text}"));
        assert!(!text.contains('\u{202e}'), "no mark reorders the page");
        assert_eq!(tab.count("main script").await + tab.count("main img").await, 0);

        tab.click("failed").await;
        tab.wait_for("3 records of a sample of 9").await;
        assert_eq!((tab.count("tr.good").await, tab.count("tr.bad").await), (0, 3));
        tab.fill("#record-key", "a&b=<c>").await;
        tab.click("Filter").await;
        tab.wait_for("1 records of a sample of 9").await;
        assert!(tab.text().await.contains("a&b=<c>"), "{}", tab.text().await);
        // The other filter stays.
        tab.click("skipped").await;
        tab.wait_for("No record of the sample has this verdict and this key").await;
        tab.click("failed").await;
        tab.wait_for("1 records of a sample of 9").await;
        tab.click("Dead letter").await;
        tab.wait_for("Failures of the record").await;

        tab.goto(&stage.page("/pipelines/default/live")).await;
        tab.click("Pause").await;
        tab.element("main:not([data-live])").await;
        tab.click("Resume").await;
        tab.element("main[data-live]").await;
        stage.produce(&[b"later"], 10);
        if has_scripts {
            tab.wait_for("10 records of a sample of 10").await;
        } else {
            tab.wait_and_reload_for("10 records of a sample of 10").await;
        }
        assert_eq!(tab.run("arguments[0](document.title);", vec![]).await, "Live · mapper-host");
    });
}

#[test]
fn recent_records_are_filtered_and_paused_with_clicks() {
    look_at_recent_records(true);
}

#[test]
fn recent_records_are_filtered_and_paused_without_javascript() {
    look_at_recent_records(false);
}
