//! A story without a mouse.

use fantoccini::key::Key;

use super::*;

const RECORDS: [&[u8]; 5] = [b"value"; 5];

#[test]
fn dead_letters_are_found_and_decided_about_with_the_keyboard_only() {
    let stage = Stage::new("console-keyboard", "rejects", &RECORDS, &[]);
    in_browser(&stage.driver, true, async |tab| {
        tab.goto(&stage.url).await;
        tab.element("main h1").await;
        // The first stop leads past the navigation.
        tab.tab_to("a", "Skip to the content").await;
        tab.press(Key::Enter).await;
        tab.tab_to("main a", "default").await;
        tab.press(Key::Enter).await;
        // From the bar of versions to the letters of its records.
        tab.wait_for("Versions by offset").await;
        tab.tab_to("svg.bar a", "versions 0.1.0: offsets 0 to ").await;
        tab.press(Key::Enter).await;
        tab.wait_for(" letters, in the order of partition and offset").await;
        tab.tab_to("nav a", "Dead letters").await;
        tab.press(Key::Enter).await;
        tab.wait_for("5 open letters").await;
        tab.tab_to("tbody th a", "").await;
        tab.press(Key::Enter).await;
        tab.wait_for("5, 100 % of all letters").await;
        tab.tab_to("#reason", "").await;
        tab.type_text("ticket 42").await;
        tab.tab_to("button", "Acknowledge").await;
        tab.press(Key::Enter).await;
        tab.wait_for("Who did what").await;
        tab.tab_to("#discard-reason", "").await;
        tab.type_text("too old").await;
        tab.tab_to("button", "Discard").await;
        tab.press(Key::Enter).await;
        tab.accept().await;
        tab.wait_for("5 letters are closed: too old").await;
    });
}
