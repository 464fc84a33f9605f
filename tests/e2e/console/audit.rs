//! The audit with clicks.

use super::every_page::check_axe;
use super::*;
use crate::ledger::ledger_topic;

fn run_audit(has_scripts: bool) {
    let name = if has_scripts { "console-audit" } else { "console-audit-plain" };
    let ledger = ledger_topic(Kafka::shared());
    let stage = Stage::new(name, "rejects-some", &[b"a", b"b", b"c"], &["--ledger-topic", &ledger]);
    let axe = harness::browser::axe();
    in_browser(&stage.driver, has_scripts, async |tab| {
        tab.goto(&stage.page("/pipelines/default")).await;
        tab.click("Audit").await;
        tab.wait_for("Run an audit").await;
        assert!(tab.text().await.contains(&format!("--ledger-topic {ledger}")), "{}", tab.text().await);
        tab.click("Run the audit").await;
        tab.wait_for("Nothing is missing, duplicated or unexplained").await;
        assert!(tab.text().await.contains("complete, each offset once"), "{}", tab.text().await);
        if has_scripts {
            check_axe(&tab, "the report of an audit", &axe).await;
        }

        // An output that the ledger does not explain.
        topics::produce(stage.job.kafka, &stage.job.output, [NewRecord::value(*b"by hand")]);
        tab.click("Run the audit").await;
        tab.wait_for("1 findings, listed below").await;
        let text = tab.text().await;
        assert!(text.contains("duplicated") && text.contains(&stage.job.output), "{text}");
        tab.fill("#since", "soon").await;
        tab.click("Run the audit").await;
        tab.wait_for("parameter since: \"soon\" is not allowed").await;
    });
}

#[test]
fn audit_is_run_with_clicks_and_shows_what_does_not_agree() {
    run_audit(true);
}

#[test]
fn audit_is_run_without_javascript() {
    run_audit(false);
}
