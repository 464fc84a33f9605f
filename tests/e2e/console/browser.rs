//! A window of Chromium.

use std::time::{Duration, Instant};

use fantoccini::actions::{InputSource, KeyAction, KeyActions};
use fantoccini::elements::Element;
use fantoccini::key::Key;
use fantoccini::wd::WebDriverCompatibleCommand;
use fantoccini::{Client, ClientBuilder, Locator};
use http::Method;
use serde_json::{Value, json};

const SOON: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(50);

/// A window. What its pages log and request is recorded.
#[derive(Clone)]
pub(super) struct Tab {
    client: Client,
}

/// Chrome's own command for its logs.
#[derive(Debug)]
struct TakeLog(&'static str);

impl WebDriverCompatibleCommand for TakeLog {
    fn endpoint(&self, base: &url::Url, session: Option<&str>) -> Result<url::Url, url::ParseError> {
        base.join(&format!("session/{}/se/log", session.unwrap_or_default()))
    }

    fn method_and_body(&self, _: &url::Url) -> (Method, Option<String>) {
        (Method::POST, Some(json!({ "type": self.0 }).to_string()))
    }
}

impl Tab {
    pub(super) async fn open(driver: &str, has_scripts: bool) -> Self {
        let scripts = if has_scripts { 1 } else { 2 };
        let capabilities = json!({
            "goog:chromeOptions": {
                "args": [
                    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking",
                    "--disable-component-update", "--disable-sync", "--no-first-run",
                    // Only loopback addresses are resolved.
                    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
                ],
                "prefs": { "profile.managed_default_content_settings.javascript": scripts },
            },
            "goog:loggingPrefs": { "browser": "ALL", "performance": "ALL" },
        });
        let Value::Object(capabilities) = capabilities else { unreachable!() };
        let client = ClientBuilder::new(hyper_util::client::legacy::connect::HttpConnector::new())
            .capabilities(capabilities)
            .connect(driver)
            .await
            .expect("a browser");
        Self { client }
    }

    pub(super) async fn close(self) {
        self.client.close().await.expect("the browser ends");
    }

    pub(super) async fn goto(&self, url: &str) {
        self.client.goto(url).await.unwrap_or_else(|error| panic!("{url}: {error}"));
    }

    pub(super) async fn resize(&self, width: u32, height: u32) {
        self.client.set_window_size(width, height).await.expect("a size");
    }

    /// The text of the page; empty while it is replaced.
    pub(super) async fn text(&self) -> String {
        match self.client.find(Locator::Css("body")).await {
            Ok(body) => body.text().await.unwrap_or_default(),
            Err(_) => String::new(),
        }
    }

    pub(super) async fn html(&self) -> String {
        self.client.source().await.expect("a page")
    }

    /// Waits until the page has this text. Loads it again meanwhile, so it must not be the answer to a form.
    pub(super) async fn wait_and_reload_for(&self, text: &str) {
        self.wait_until(text, true).await;
    }

    /// Waits until the page, or the one that a click opens, has this text.
    pub(super) async fn wait_for(&self, text: &str) {
        self.wait_until(text, false).await;
    }

    async fn wait_until(&self, text: &str, reloads: bool) {
        let deadline = Instant::now() + SOON;
        loop {
            let seen = self.text().await;
            if seen.contains(text) {
                return;
            }
            assert!(Instant::now() < deadline, "'{text}' never came:\n{seen}");
            tokio::time::sleep(POLL).await;
            if reloads {
                self.client.refresh().await.expect("a page");
            }
        }
    }

    /// Presses a key; the browser sends it to the element with the focus.
    pub(super) async fn press(&self, key: Key) {
        let value = char::from(key);
        let stroke =
            KeyActions::new("keyboard".to_owned()).then(KeyAction::Down { value }).then(KeyAction::Up { value });
        self.client.perform_actions(stroke).await.expect("a key");
    }

    /// Types where the focus is.
    pub(super) async fn type_text(&self, text: &str) {
        self.client.active_element().await.expect("an element has the focus").send_keys(text).await.expect("keys");
    }

    /// Presses Tab until an element that the selector selects and that has this text has the focus. The focus is visible on the way.
    pub(super) async fn tab_to(&self, css: &str, text: &str) {
        const MAX_STOPS: usize = 150;
        let mut seen = Vec::new();
        for _ in 0..MAX_STOPS {
            self.press(Key::Tab).await;
            let script = "const at = document.activeElement; const style = getComputedStyle(at); \
                          arguments[1]([at.matches(arguments[0]), (at.getAttribute('aria-label') || at.textContent).trim().slice(0, 60), \
                          style.outlineStyle !== 'none' && style.outlineWidth !== '0px', at.tagName]);";
            let found = self.run(script, vec![json!(css)]).await;
            let name = found[1].as_str().unwrap_or_default().to_owned();
            assert!(found[2] == true || found[3] == "BODY", "the focus on {:?} {name:?} is not visible", found[3]);
            if found[0] == true && name.contains(text) {
                return;
            }
            seen.push(name);
        }
        panic!("Tab never reaches {css} {text:?}: {seen:?}");
    }

    /// Waits for an element of this page.
    pub(super) async fn element(&self, css: &str) -> Element {
        match self.client.wait().at_most(SOON).for_element(Locator::Css(css)).await {
            Ok(element) => element,
            Err(error) => panic!("{css}: {error}:\n{}", self.text().await),
        }
    }

    pub(super) async fn count(&self, css: &str) -> usize {
        self.client.find_all(Locator::Css(css)).await.expect("a search").len()
    }

    /// Clicks a button or a link with this text.
    pub(super) async fn click(&self, text: &str) {
        let path = format!("//button[normalize-space()='{text}'] | //a[normalize-space()='{text}']");
        self.click_at(Locator::XPath(&path), text).await;
    }

    /// Clicks the first element of an XPath.
    pub(super) async fn click_on_path(&self, path: &str) {
        self.click_at(Locator::XPath(path), path).await;
    }

    /// Clicks an element. A live page can replace it before the click, which then reaches nothing: as a person does, it clicks again.
    async fn click_at(&self, locator: Locator<'_>, what: &str) {
        let deadline = Instant::now() + SOON;
        loop {
            let element = match self.client.wait().at_most(SOON).for_element(locator).await {
                Ok(element) => element,
                Err(error) => panic!("{what}: {error}:\n{}", self.text().await),
            };
            match element.click().await {
                Err(error) if error.is_stale_element_reference() && Instant::now() < deadline => {}
                clicked => return clicked.unwrap_or_else(|error| panic!("{what}: {error}")),
            }
        }
    }

    /// What the link with this text leads to, as the browser would save it.
    pub(super) async fn download(&self, text: &str) -> String {
        let link = self.client.find(Locator::LinkText(text)).await.unwrap_or_else(|error| panic!("{text}: {error}"));
        let url = link.prop("href").await.expect("a page").expect("a link");
        let script = "fetch(arguments[0]).then((answer) => answer.text()).then(arguments[1]);";
        self.run(script, vec![json!(url)]).await.as_str().expect("a text").to_owned()
    }

    /// Clicks the first element.
    pub(super) async fn click_on(&self, css: &str) {
        self.click_at(Locator::Css(css), css).await;
    }

    pub(super) async fn clear(&self, css: &str) {
        self.element(css).await.clear().await.unwrap_or_else(|error| panic!("{css}: {error}"));
    }

    pub(super) async fn url(&self) -> String {
        self.client.current_url().await.expect("an address").to_string()
    }

    /// Confirms the question of a script.
    pub(super) async fn accept(&self) {
        self.client.accept_alert().await.expect("a question");
    }

    pub(super) async fn dismiss(&self) {
        self.client.dismiss_alert().await.expect("a question");
    }

    pub(super) async fn fill(&self, css: &str, text: &str) {
        self.element(css).await.send_keys(text).await.unwrap_or_else(|error| panic!("{css}: {error}"));
    }

    pub(super) async fn run(&self, script: &str, args: Vec<Value>) -> Value {
        self.client.execute_async(script, args).await.unwrap_or_else(|error| panic!("{script:.80}: {error}"))
    }

    /// The lines of the browser's console since the last call.
    pub(super) async fn console(&self) -> Vec<String> {
        let log = self.client.issue_cmd(TakeLog("browser")).await.expect("a log");
        let lines = log.as_array().expect("a list").iter();
        lines.map(|line| format!("{}: {}", line["level"], line["message"])).collect()
    }

    /// The addresses that pages have requested since the last call.
    pub(super) async fn requests(&self) -> Vec<String> {
        let log = self.client.issue_cmd(TakeLog("performance")).await.expect("a log");
        let messages = log.as_array().expect("a list").iter().filter_map(|line| line["message"].as_str());
        let messages = messages.filter_map(|message| serde_json::from_str::<Value>(message).ok());
        let sent = messages.filter(|message| message["message"]["method"] == "Network.requestWillBeSent");
        sent.filter_map(|message| message["message"]["params"]["request"]["url"].as_str().map(ToOwned::to_owned))
            .collect()
    }
}
