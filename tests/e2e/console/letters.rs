//! Dead letters with clicks: look at a group, decide, try a fix, redrive it in batches.

use super::*;

const RECORDS: [&[u8]; 20] = [b"value"; 20];

fn fix_and_redrive(has_scripts: bool) {
    let name = if has_scripts { "console-letters" } else { "console-letters-plain" };
    let stage = Stage::new(name, "rejects", &RECORDS, &[]);
    in_browser(&stage.driver, has_scripts, async |tab| {
        tab.goto(&stage.page("/pipelines/default")).await;
        tab.click("Dead letters").await;
        tab.wait_and_reload_for("20 open letters").await;
        assert!(tab.text().await.contains("rejected: not today"), "{}", tab.text().await);
        tab.click_on("tbody th a").await;
        tab.wait_for("20, 100 % of all letters").await;
        let group = tab.url().await;

        tab.fill("#reason", "ticket <42>").await;
        tab.click("Acknowledge").await;
        tab.wait_for("Who did what").await;
        let text = tab.text().await;
        assert!(text.contains("acknowledged by") && text.contains("ticket <42>"), "{text}");

        tab.click_on("tbody th a").await;
        tab.wait_for("Failures of the record").await;
        tab.goto(&group).await;
        tab.fill("#try-plugin", &stage.plugin("two")).await;
        tab.click("Upload and try").await;
        tab.wait_for("20 of 20 letters pass").await;
        assert_eq!(topics::read_all(stage.job.kafka, &stage.job.output).len(), 0, "a try-out writes nothing");
        tab.clear("#batches").await;
        tab.fill("#batches", "5,all").await;
        tab.click("Redrive").await;
        if has_scripts {
            tab.accept().await;
        }
        tab.wait_and_reload_for("A batch is done").await;
        let text = tab.text().await;
        assert!(text.contains("5 of 20 done"), "{text}");
        tab.click("Continue with the next batch").await;
        tab.wait_for("Finished.").await;
        assert!(tab.text().await.contains("20 of 20 done"), "{}", tab.text().await);
        tab.goto(&stage.page("/pipelines/default/dead-letters?state=all")).await;
        tab.wait_and_reload_for("0 open letters").await;
    });
    let outputs = topics::read_all(stage.job.kafka, &stage.job.output);
    let mut values: Vec<_> = outputs.into_iter().filter_map(|record| record.value).collect();
    values.sort();
    values.dedup();
    assert_eq!(values.len(), 20, "each record once");
}

#[test]
fn dead_letters_are_decided_about_tried_and_redriven_with_clicks() {
    fix_and_redrive(true);
}

#[test]
fn dead_letters_are_decided_about_tried_and_redriven_without_javascript() {
    fix_and_redrive(false);
}

#[test]
fn redrive_is_stopped_and_letters_are_discarded_with_clicks() {
    let stage = Stage::new("console-stop", "rejects", &RECORDS, &[]);
    in_browser(&stage.driver, true, async |tab| {
        tab.goto(&stage.page("/pipelines/default/dead-letters")).await;
        tab.click_on("tbody th a").await;
        tab.wait_for("Fix it").await;
        let group = tab.url().await;
        tab.fill("#try-plugin", &stage.plugin("two")).await;
        tab.click("Upload and try").await;
        tab.wait_for("20 of 20 letters pass").await;
        tab.click("Redrive").await;
        // A click by mistake starts nothing.
        tab.dismiss().await;
        tab.click("Redrive").await;
        tab.accept().await;
        tab.wait_and_reload_for("A batch is done").await;
        tab.click("Stop").await;
        tab.wait_for("Stopped. The next redrive takes the other letters.").await;
        tab.goto(&group).await;
        tab.fill("#discard-reason", "too old").await;
        tab.click("Discard 10 letters").await;
        tab.accept().await;
        tab.wait_for("10 letters are closed: too old").await;
        tab.goto(&stage.page("/pipelines/default/redrives")).await;
        tab.wait_for("stopped").await;
    });
    assert_eq!(topics::read_all(stage.job.kafka, &stage.job.output).len(), 10);
}
