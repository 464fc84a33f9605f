//! Versions with clicks: a refused and an accepted swap, and a rollback.

use super::*;

const RECORDS: [&[u8]; 20] = [b"value"; 20];

fn swap_and_return(has_scripts: bool) {
    let name = if has_scripts { "console-swap" } else { "console-swap-plain" };
    let stage = Stage::new(name, "one", &RECORDS, &[]);
    let versions = stage.page("/pipelines/default/versions");
    in_browser(&stage.driver, has_scripts, async |tab| {
        tab.goto(&stage.url).await;
        tab.click("default").await;
        tab.click("Versions").await;
        tab.wait_for("Active version").await;

        // A version that fails on records that the active one maps is refused.
        tab.fill("#plugin", &stage.plugin("rejects")).await;
        tab.click("Upload and try out").await;
        tab.element(".message.bad").await;
        let text = tab.text().await;
        assert!(text.contains("The version was refused") && text.contains("20 different (20 broken"), "{text}");
        assert_eq!(tab.count("form[action$='/swap']").await, 0);

        tab.goto(&versions).await;
        tab.fill("#plugin", &stage.plugin("two")).await;
        tab.click("Upload and try out").await;
        tab.element(".message.good").await;
        assert!(tab.text().await.contains("The try-out succeeded"), "{}", tab.text().await);
        if has_scripts {
            // A click by mistake changes nothing.
            tab.click("Swap").await;
            tab.dismiss().await;
            tab.click("Swap").await;
            tab.accept().await;
        } else {
            tab.click("Swap").await;
        }
        tab.wait_for("The version is active on all workers").await;

        stage.produce(&[b"value"], 21);
        tab.goto(&versions).await;
        tab.click("Return to it").await;
        assert!(tab.text().await.contains("mapper-host rollback --to"), "{}", tab.text().await);
        tab.click("Return to this version").await;
        tab.wait_for("The version is active on all workers").await;
        tab.goto(&stage.page("/pipelines/default")).await;
        tab.wait_and_reload_for("(rolled back)").await;
    });
    let ended = stage.host.stop();
    assert_eq!(ended.code, Some(0), "{}", ended.output);
    let outputs = topics::read_all(stage.job.kafka, &stage.job.output);
    let of = |word: &[u8]| {
        outputs.iter().filter(|record| record.value.as_ref().is_some_and(|value| value.starts_with(word))).count()
    };
    assert_eq!((of(b"one "), of(b"two "), outputs.len()), (20, 1, 21));
}

#[test]
fn swap_is_refused_accepted_and_rolled_back_with_clicks() {
    swap_and_return(true);
}

#[test]
fn swap_is_refused_accepted_and_rolled_back_without_javascript() {
    swap_and_return(false);
}

#[test]
fn version_runs_as_a_shadow_with_clicks() {
    let stage = Stage::new("console-shadow", "one", &RECORDS, &[]);
    let versions = stage.page("/pipelines/default/versions");
    in_browser(&stage.driver, true, async |tab| {
        tab.goto(&versions).await;
        let text = tab.text().await;
        for part in ["What the versions are", "No directory is granted", "world mapper", " µs", " imports"] {
            assert!(text.contains(part), "{part}: {text}");
        }
        tab.fill("#plugin", &stage.plugin("two")).await;
        tab.click("Upload and try out").await;
        tab.click("Run as a shadow").await;
        tab.wait_for("End the shadow").await;
        stage.produce(&RECORDS[..5], 25);
        tab.goto(&versions).await;
        tab.wait_and_reload_for("5 records seen, 0 not: 0 the same, 5 different").await;
        tab.click("End the shadow").await;
        tab.accept().await;
        tab.wait_for("ended: ").await;
    });
    let outputs = topics::read_all(stage.job.kafka, &stage.job.output);
    assert!(outputs.iter().all(|record| record.value.as_ref().is_some_and(|value| value.starts_with(b"one "))));
}

#[test]
fn console_without_the_token_changes_nothing_and_with_it_all() {
    const TOKEN: &str = "0123456789abcdef0123456789abcdef";
    let dir = TempDir::new().expect("a folder");
    let file = dir.path().join("token");
    fs::write(&file, TOKEN).expect("a file");
    let mut permissions = fs::metadata(&file).expect("a file").permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut permissions, 0o600);
    fs::set_permissions(&file, permissions).expect("a mode");
    let stage = Stage::new("console-token", "one", &RECORDS, &["--admin-token-file", &file.display().to_string()]);
    let versions = stage.page("/pipelines/default/versions");
    in_browser(&stage.driver, true, async |tab| {
        tab.goto(&versions).await;
        tab.wait_for("Read-only: enter the token").await;
        assert_eq!(tab.count("main form button:not([disabled])").await, 0);
        // The button is only a hint: the host refuses.
        tab.run(
            "document.querySelectorAll('button').forEach((button) => { button.disabled = false; }); arguments[0]();",
            vec![],
        )
        .await;
        tab.fill("#plugin", &stage.plugin("two")).await;
        tab.click("Upload and try out").await;
        tab.wait_for("it needs the token of --admin-token-file").await;

        tab.click("Read-only: enter the token").await;
        tab.fill("#token", "0123456789abcdef0123456789abcdeX").await;
        tab.click("Keep it until the browser is closed").await;
        tab.wait_for("The host does not accept this token").await;
        tab.fill("#token", TOKEN).await;
        tab.click("Keep it until the browser is closed").await;
        tab.wait_for("Forget the token").await;
        // No script can read the cookies.
        assert_eq!(tab.run("arguments[0](document.cookie);", vec![]).await, "");
        tab.goto(&versions).await;
        tab.fill("#plugin", &stage.plugin("two")).await;
        tab.click("Upload and try out").await;
        tab.wait_for("The try-out succeeded").await;
    });
}
