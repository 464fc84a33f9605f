//! The playground: records of one's own and recent ones, with the active version and with an upload.

use super::*;
use crate::console::every_page::HOSTILE;

fn map_records(has_scripts: bool) {
    let name = if has_scripts { "console-play" } else { "console-play-plain" };
    let stage = Stage::new(name, "late-rejects", &HOSTILE, &[]);
    in_browser(&stage.driver, has_scripts, async |tab| {
        tab.goto(&stage.page("/pipelines/default")).await;
        tab.click("Playground").await;
        tab.fill("#record-value", "late <script>document.title='harmed'</script>").await;
        tab.fill("#record-key", "\u{202e}key").await;
        tab.click("Map").await;
        tab.wait_for("The record fails, and would become a dead letter").await;
        let text = tab.text().await;
        assert!(text.contains("not any more") && text.contains("Download it"), "{text}");
        assert_eq!(tab.count("main script").await, 0);
        assert!(!text.contains('\u{202e}'), "no mark reorders the page: {text}");

        // With another version, whose log is shown.
        tab.fill("#plugin", &stage.plugin("prints")).await;
        tab.click("Map").await;
        tab.wait_for("The record has outputs").await;
        let text = tab.text().await;
        assert!(text.contains("prints 0 0") && text.contains("line 999 of one record"), "{text}");

        // A crash has its backtrace, and a plugin that can't be used its reason.
        tab.fill("#plugin", &stage.plugin("traps")).await;
        tab.click("Map").await;
        tab.wait_for("gone after the crash").await;
        let text = tab.text().await;
        assert!(text.contains("Backtrace and log") && text.contains("at offset 0"), "{text}");
        tab.fill("#plugin", &stage.plugin("unconfigured")).await;
        tab.click("Map").await;
        tab.wait_for("this version takes no settings at all").await;

        tab.goto(&stage.page("/pipelines/default/live")).await;
        tab.click_on("a[href*='/playground?position=']").await;
        tab.wait_for("The recent record").await;
        tab.fill("#plugin", &stage.plugin("skips")).await;
        tab.click("Map").await;
        tab.wait_for("The record is skipped").await;
        assert_eq!(tab.run("arguments[0](document.title);", vec![]).await, "Playground · mapper-host");
    });
    let status: serde_json::Value =
        serde_json::from_str(&crate::admin::get(stage.address(), "/status").1).expect("JSON");
    assert_eq!(status["counts"]["records_in"], HOSTILE.len(), "{status}");
    assert_eq!(topics::read_all(stage.job.kafka, &stage.job.output).len(), HOSTILE.len(), "nothing was produced");
    assert_eq!(topics::read_all(stage.job.kafka, &stage.job.dead_letters).len(), 0, "nothing was produced");
}

#[test]
fn records_are_mapped_in_the_playground_and_nothing_is_produced() {
    map_records(true);
}

#[test]
fn records_are_mapped_in_the_playground_without_javascript() {
    map_records(false);
}
