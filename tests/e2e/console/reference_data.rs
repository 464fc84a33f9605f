//! The story of the commands for dead letters with clicks, on the 1 597 letters of the reference data.

use harness::host;
use harness::reference;

use super::*;

const MESSAGE: &str = "fromisoformat: argument must be str";

/// A host that has mapped the reference data with the plugin of the reference job.
fn stage(name: &str) -> Stage<'static> {
    let plugin = fs::read(crate::reduce_visit()).expect("a plugin");
    let stage = Stage::with_plugin(name, &plugin, &[]);
    topics::produce(stage.job.kafka, &stage.job.input, reference::cases().iter().map(reference::Case::record));
    crate::admin::wait_until_committed(stage.address(), 3000);
    stage
}

/// A count as the pages show it.
fn count(number: usize) -> String {
    if number < 1000 { number.to_string() } else { format!("{}\u{202f}{:03}", number / 1000, number % 1000) }
}

/// How many letters the reference data makes with a message.
fn letters_with(message: &str) -> usize {
    let errors = reference::cases().into_iter().filter_map(|case| case.error);
    errors.filter(|error| error.contains(message)).count()
}

fn find_fix_and_redrive(has_scripts: bool) {
    let stage = stage(if has_scripts { "console-reference" } else { "console-reference-plain" });
    let expected = letters_with(MESSAGE);
    let all = count(expected);
    let produced = topics::read_all(stage.job.kafka, &stage.job.output).len();
    assert_eq!(produced, 1403);
    in_browser(&stage.driver, has_scripts, async |tab| {
        // 1. The groups.
        tab.goto(&stage.page("/pipelines/default/dead-letters")).await;
        tab.wait_and_reload_for(&format!("{} open letters", count(1597))).await;
        let row = format!("//tr[contains(., '{MESSAGE}')]//th/a");
        // 2. One of them, with its letters.
        tab.click_on_path(&row).await;
        tab.wait_for(&format!("{all}, ")).await;
        assert!(tab.text().await.contains(MESSAGE), "{}", tab.text().await);
        let group = tab.url().await;
        tab.click("All letters of the group").await;
        tab.wait_for("50 letters, in the order of partition and offset").await;
        tab.click("Next page").await;
        tab.wait_for("From the beginning").await;

        // 3. Its test cases fail with the version that wrote the letters.
        tab.goto(&group).await;
        let cases = tab.download("Download test cases of these records").await;
        check_cases(&stage, &cases);

        // 4. A fixed version maps the letters.
        tab.fill("#try-plugin", &stage.plugin("fixed")).await;
        tab.click("Upload and try").await;
        tab.wait_for(&format!("{all} of {all} letters pass")).await;

        // 5. The redrive, batch by batch.
        tab.clear("#batches").await;
        tab.fill("#batches", "10,100,all").await;
        tab.click("Redrive").await;
        if has_scripts {
            tab.accept().await;
        }
        for done in [10, 110] {
            tab.wait_and_reload_for(&format!("{done} of {all} done")).await;
            tab.wait_and_reload_for("A batch is done").await;
            tab.click("Continue with the next batch").await;
        }
        tab.wait_and_reload_for("Finished.").await;
        assert!(tab.text().await.contains(&format!("{all} of {all} done")), "{}", tab.text().await);
        tab.goto(&stage.page("/pipelines/default/dead-letters")).await;
        tab.wait_and_reload_for(&format!("{} open letters", count(1597 - expected))).await;
        assert!(!tab.text().await.contains(MESSAGE), "{}", tab.text().await);
    });
    let outputs = topics::read_all(stage.job.kafka, &stage.job.output);
    let fixed = outputs.iter().filter(|record| record.value.as_ref().is_some_and(|value| value.starts_with(b"fixed ")));
    assert_eq!((fixed.count(), outputs.len()), (expected, produced + expected), "each letter of the group once");
}

/// The cases are records of the reference data, and the plugin fails on all of them.
fn check_cases(stage: &Stage<'_>, cases: &str) {
    let inputs = reference::cases();
    assert!(cases.lines().count() > 10, "{cases}");
    for case in cases.lines() {
        let case: serde_json::Value = serde_json::from_str(case).expect("JSON");
        assert!(inputs.iter().any(|input| case["input"]["value"] == input.value.as_str()), "{case}");
    }
    let file = stage.dir.path().join("bug.jsonl");
    fs::write(&file, cases).expect("a file");
    let mut test = host::command(HOST);
    test.arg("test").arg(stage.dir.path().join("plugin.wasm")).arg("--cases").arg(&file);
    let ended = Host::spawn(&mut test).wait();
    assert_eq!(ended.code, Some(1), "{}", ended.output);
    assert!(ended.output.contains("0 passed, "), "{}", ended.output);
}

#[test]
fn group_of_the_reference_data_is_found_fixed_and_redriven_with_clicks() {
    find_fix_and_redrive(true);
}

#[test]
fn group_of_the_reference_data_is_found_fixed_and_redriven_without_javascript() {
    find_fix_and_redrive(false);
}
