//! The pages with an API that answers from memory.

mod other_hosts;
mod settings;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, COOKIE, LOCATION, SET_COOKIE};
use axum::http::{HeaderMap, Method, Request, StatusCode};
use bytes::Bytes;
use http_body_util::BodyExt;
use mapper_api::payloads::Payloads;
use mapper_api::pipelines::PipelineSummary;
use mapper_api::status::Rates;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::{Api, ApiRequest, ApiResponse, Options, routes};

const TOKEN: &str = "0123456789abcdef";

/// A pipeline that runs without records.
pub(crate) fn summary(name: &str) -> PipelineSummary {
    PipelineSummary {
        name: name.to_owned(),
        state: "running".to_owned(),
        generation: 1,
        ready: true,
        not_ready: vec![],
        plugin: Some("reduce_visit 0.1.0".to_owned()),
        group: "visits_reader".to_owned(),
        input_topic: "visits".to_owned(),
        records_in: 0,
        dead_letters: 0,
        lag: 0,
        rates: Rates {
            records_in_per_second: 0.0,
            records_out_per_second: 0.0,
            dead_letters_per_second: 0.0,
            over_seconds: 10.0,
        },
        partitions: 2,
        open_breakers: 0,
        mapping_p99_ms: Some(1.5),
        last_hour: vec![1.0, 2.0],
    }
}

/// Answers routes from a table, and keeps the requests that change something.
#[derive(Default)]
struct TableApi {
    answers: BTreeMap<String, (u16, Value)>,
    needs_token: bool,
    payloads: Payloads,
    changes: Mutex<Vec<ApiRequest>>,
    /// The host of all pipelines; empty in a host.
    host: &'static str,
}

#[async_trait]
impl Api for TableApi {
    async fn call(&self, request: ApiRequest) -> ApiResponse {
        let key = format!("{} {}", request.method, request.path);
        if request.method != Method::GET {
            self.changes.lock().unwrap().push(request.clone());
            if self.needs_token && request.token.as_deref() != Some(TOKEN) {
                let body = Bytes::from_static(b"needs the token");
                return ApiResponse { status: StatusCode::UNAUTHORIZED, payloads: Payloads::Show, body };
            }
        }
        let missing = || (404, json!({"step": null, "reason": format!("no answer for {key}")}));
        let (status, body) = self.answers.get(&key).cloned().unwrap_or_else(missing);
        let status = StatusCode::from_u16(status).unwrap();
        ApiResponse { status, payloads: self.payloads, body: body.to_string().into() }
    }

    fn host_of(&self, _pipeline: &str) -> Option<String> {
        Some(self.host.to_owned()).filter(|host| !host.is_empty())
    }

    fn needs_token(&self) -> bool {
        self.needs_token
    }

    async fn accepts_token(&self, token: &str) -> bool {
        token == TOKEN
    }
}

/// A browser without JavaScript.
struct Browser {
    router: Router,
    api: Arc<TableApi>,
    cookies: BTreeMap<String, String>,
}

struct Page {
    status: StatusCode,
    headers: HeaderMap,
    text: String,
}

impl Page {
    /// The hidden field of the forms.
    fn key(&self) -> String {
        let start = "name=\"key\" value=\"";
        let from = self.text.find(start).unwrap_or_else(|| panic!("no form: {}", self.text)) + start.len();
        self.text[from..].split('"').next().unwrap().to_owned()
    }
}

impl Browser {
    fn new(api: TableApi) -> Self {
        let api = Arc::new(api);
        let router = routes(api.clone(), Options { base_path: "/base".to_owned(), version: "0.1.0".to_owned() });
        Self { router, api, cookies: BTreeMap::new() }
    }

    async fn send(&mut self, request: axum::http::request::Builder, body: impl Into<Body>) -> Page {
        let cookies: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let request = request.header(COOKIE, cookies.join("; ")).body(body.into()).unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        for cookie in response.headers().get_all(SET_COOKIE) {
            let cookie = cookie.to_str().unwrap();
            for attribute in ["HttpOnly", "SameSite=Strict", "Path=/base/console"] {
                assert!(cookie.contains(attribute), "{cookie}");
            }
            let (name, value) = cookie.split(';').next().unwrap().split_once('=').unwrap();
            self.cookies.insert(name.to_owned(), value.to_owned());
        }
        let (status, headers) = (response.status(), response.headers().clone());
        let text = response.into_body().collect().await.unwrap().to_bytes();
        Page { status, headers, text: String::from_utf8(text.into()).unwrap() }
    }

    async fn get(&mut self, path: &str) -> Page {
        self.send(Request::get(format!("/console{path}")), Body::empty()).await
    }

    async fn post(&mut self, path: &str, form: &str) -> Page {
        let request = Request::post(format!("/console{path}"));
        self.send(request.header(CONTENT_TYPE, "application/x-www-form-urlencoded"), form.to_owned()).await
    }

    async fn upload(&mut self, path: &str, key: &str, plugin: &str) -> Page {
        self.upload_with(path, key, plugin, &[]).await
    }

    async fn upload_with(&mut self, path: &str, key: &str, plugin: &str, fields: &[(&str, &str)]) -> Page {
        let part = |name: &str, more: &str, value: &str| {
            format!("--x\r\nContent-Disposition: form-data; name=\"{name}\"{more}\r\n\r\n{value}\r\n")
        };
        let fields: String = fields.iter().map(|(name, value)| part(name, "", value)).collect();
        let form = part("key", "", key) + &fields + &part("plugin", "; filename=\"new<b>.wasm\"", plugin) + "--x--\r\n";
        let request = Request::post(format!("/console{path}"));
        self.send(request.header(CONTENT_TYPE, "multipart/form-data; boundary=x"), form).await
    }
}

fn report(outcome: &str) -> Value {
    let version = |digest: &str| json!({"name": "reduce_visit", "version": "0.1.0", "digest": digest});
    json!({
        "outcome": outcome, "step": null, "reason": null, "by": "http", "forced": false, "from": version("aa"), "to": version("bb"),
        "try_out": {"records": 10, "cases": 0, "same": 9, "different": 1, "broken": 1, "fixed": 0, "differences": [
            {"record": "visits, partition 0, offset 12", "input": "<script>alert(1)</script>", "old": "a\u{202e}b", "new": "\u{1b}[2J"},
        ]},
        "offsets": {}, "pause_us": 1, "took_ms": 2, "at": "2026-11-27T10:00:00.000Z",
    })
}

fn api(answers: Vec<(&str, u16, Value)>) -> TableApi {
    let answers = answers.into_iter().map(|(route, status, body)| (route.to_owned(), (status, body))).collect();
    TableApi { answers, ..TableApi::default() }
}

#[tokio::test]
async fn each_page_has_the_headers_that_protect_it_and_links_below_the_base_path() {
    let pipelines = json!([summary("orders"), summary("a/<b>")]);
    let mut browser = Browser::new(api(vec![("GET /v1/pipelines", 200, pipelines)]));
    let page = browser.get("").await;
    assert_eq!(page.status, StatusCode::OK, "{}", page.text);
    let policy = page.headers[CONTENT_SECURITY_POLICY].to_str().unwrap();
    assert!(policy.starts_with("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{policy}");
    assert!(!policy.contains("unsafe"), "{policy}");
    assert_eq!(page.headers["x-content-type-options"], "nosniff");
    assert_eq!(page.headers["cache-control"], "no-store");
    assert!(page.text.contains("href=\"/base/console/pipelines/orders\""), "{}", page.text);
    // The name of a pipeline is data, in the text and in the address.
    assert!(page.text.contains("href=\"/base/console/pipelines/a%2F%3Cb%3E\""), "{}", page.text);
    assert!(page.text.contains("a/&lt;b&gt;") && !page.text.contains("<b>"), "{}", page.text);
    assert!(!page.text.contains(" style=") && !page.text.contains("<style") && !page.text.contains(" onclick"));
    let style = page.text.split("href=\"/base").find(|part| part.contains(".css")).unwrap().split('"').next().unwrap();
    let style = browser.get(style.trim_start_matches("/console")).await;
    assert_eq!(style.status, StatusCode::OK);
    assert!(style.headers["cache-control"].to_str().unwrap().contains("immutable"));
    let missing = browser.get("/nothing/here").await;
    assert_eq!(missing.status, StatusCode::NOT_FOUND);
    assert!(missing.text.contains("there is no page at"), "{}", missing.text);
}

#[tokio::test]
async fn form_without_the_key_of_the_session_changes_nothing() {
    let mut browser = Browser::new(api(vec![
        ("GET /v1/pipelines", 200, json!([])),
        ("POST /v1/pipelines/orders/rollback?to=aa&from=bb", 200, report("swapped")),
    ]));
    let key = browser.get("").await.key();
    let mut other = Browser::new(TableApi { answers: browser.api.answers.clone(), ..TableApi::default() });
    let foreign = other.get("").await.key();
    for key in ["", "AAAA", &foreign] {
        let page = browser.post("/pipelines/orders/rollback", &format!("key={key}&to=aa&from=bb")).await;
        assert_eq!(page.status, StatusCode::FORBIDDEN, "{key}");
        assert!(page.text.contains("The form is not of this session"), "{}", page.text);
        for path in ["/pipelines/orders/candidates/aa/swap", "/pipelines/orders/shadow/stop", "/logout", "/theme"] {
            let page = browser.post(path, &format!("key={key}&theme=dark")).await;
            assert_eq!(page.status, StatusCode::FORBIDDEN, "{path} {key}");
        }
        assert_eq!(browser.upload("/pipelines/orders/candidates", key, "plugin").await.status, StatusCode::FORBIDDEN);
    }
    assert_eq!(browser.api.changes.lock().unwrap().len(), 0);
    let page = browser.post("/pipelines/orders/rollback", &format!("key={key}&to=aa&from=bb")).await;
    assert_eq!(page.status, StatusCode::OK, "{}", page.text);
    assert_eq!(browser.api.changes.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn token_is_checked_and_kept_in_a_cookie_and_passed_to_the_api() {
    let mut table = api(vec![
        ("GET /v1/pipelines", 200, json!([])),
        ("POST /v1/pipelines/orders/rollback?to=aa&from=bb", 200, report("swapped")),
    ]);
    table.needs_token = true;
    let mut browser = Browser::new(table);
    let page = browser.get("").await;
    assert!(page.text.contains("Read-only"), "{}", page.text);
    let key = page.key();
    let rollback = format!("key={key}&to=aa&from=bb");
    assert_eq!(browser.post("/pipelines/orders/rollback", &rollback).await.status, StatusCode::UNAUTHORIZED);
    let wrong = browser.post("/login", &format!("key={key}&token=0123456789abcdeX")).await;
    assert_eq!(wrong.status, StatusCode::FORBIDDEN);
    assert!(wrong.text.contains("does not accept this token") && !wrong.text.contains("abcdeX"), "{}", wrong.text);
    let right = browser.post("/login", &format!("key={key}&token={TOKEN}")).await;
    assert_eq!((right.status, &right.headers[LOCATION]), (StatusCode::SEE_OTHER, &"/base/console".parse().unwrap()));
    assert!(!browser.get("").await.text.contains("Read-only"));
    assert_eq!(browser.post("/pipelines/orders/rollback", &rollback).await.status, StatusCode::OK);
    browser.post("/logout", &format!("key={key}")).await;
    assert_eq!(browser.post("/pipelines/orders/rollback", &rollback).await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn upload_is_tried_out_and_only_then_swapped() {
    let mut browser = Browser::new(api(vec![
        ("GET /v1/pipelines", 200, json!([])),
        ("POST /v1/pipelines/orders/swap?dry-run=true", 200, report("tried")),
        ("POST /v1/pipelines/orders/swap", 200, report("swapped")),
    ]));
    let key = browser.get("").await.key();
    let tried = browser.upload("/pipelines/orders/candidates", &key, "plugin bytes").await;
    assert_eq!(tried.status, StatusCode::OK, "{}", tried.text);
    // The records and the name of the file are data.
    assert!(tried.text.contains("&lt;script&gt;alert(1)&lt;/script&gt;") && !tried.text.contains("<script>alert"));
    assert!(tried.text.contains("a\\u{202e}b") && tried.text.contains("\\x1b[2J"), "{}", tried.text);
    assert!(tried.text.contains("new&lt;b&gt;.wasm"), "{}", tried.text);
    let action = tried.text.split("action=\"/base/console").find(|part| part.contains("/swap\"")).unwrap();
    let path = action.split('"').next().unwrap().to_owned();
    let swapped = browser.post(&path, &format!("key={key}")).await;
    assert_eq!(swapped.status, StatusCode::OK, "{}", swapped.text);
    {
        let changes = browser.api.changes.lock().unwrap();
        let sent: Vec<(&str, &[u8])> = changes.iter().map(|change| (change.path.as_str(), &change.body[..])).collect();
        let plugin = &b"plugin bytes"[..];
        assert_eq!(sent, [("/v1/pipelines/orders/swap?dry-run=true", plugin), ("/v1/pipelines/orders/swap", plugin)]);
    }
    // It was used, so a second click finds nothing.
    let again = browser.post(&path, &format!("key={key}")).await;
    assert_eq!(again.status, StatusCode::NOT_FOUND);
    assert!(again.text.contains("Upload the plugin again"), "{}", again.text);
}

#[tokio::test]
async fn refused_upload_shows_the_reason_and_offers_no_swap() {
    let mut refused = report("refused");
    (refused["step"], refused["reason"]) = (json!("compile"), json!("not a component"));
    let mut browser = Browser::new(api(vec![
        ("GET /v1/pipelines", 200, json!([])),
        ("POST /v1/pipelines/orders/swap?dry-run=true", 422, refused),
    ]));
    let key = browser.get("").await.key();
    let page = browser.upload("/pipelines/orders/candidates", &key, "text").await;
    assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(page.text.contains("The version was refused") && page.text.contains("not a component"), "{}", page.text);
    assert!(!page.text.contains("/swap\""), "{}", page.text);
}

fn recent(verdict: &str, value: &Value, more: &Value) -> Value {
    let mut record = json!({
        "position": "visits/0@12", "mapped_at": "2026-11-27T10:00:00.000Z", "timestamp_ms": null, "headers": 2, "key": null, "value": value,
        "plugin": {"name": "reduce_visit", "version": "0.1.0", "digest": "aa"}, "verdict": verdict, "failure": null, "outputs": [],
        "more_outputs": 0,
    });
    let (record_fields, more) = (record.as_object_mut().unwrap(), more.as_object().unwrap());
    record_fields.extend(more.clone());
    record
}

#[tokio::test]
async fn live_page_shows_hostile_records_as_text_and_passes_its_filters_to_the_api() {
    let text = |text: &str| json!({"text": text, "bytes": text.len(), "cut": false});
    let hostile = text("<script>alert(1)</script>");
    let output = json!({"topic": "reduced", "key": text("a\u{202e}b"), "value": text("\u{1b}[2J")});
    let records = json!([
        recent("produced", &hostile, &json!({"outputs": [output], "more_outputs": 4})),
        recent(
            "failed",
            &json!({"base64": "/zw=", "bytes": 4096, "cut": true}),
            &json!({"failure": {"kind": "rejected", "message": hostile}})
        ),
    ]);
    let mut browser = Browser::new(api(vec![
        ("GET /v1/pipelines/orders/recent", 200, json!({"records": records, "sampled": 130})),
        ("GET /v1/pipelines/orders/recent?verdict=skipped&key=a%26b", 200, json!({"records": [], "sampled": 130})),
        ("GET /v1/pipelines/new/recent", 503, json!({"step": null, "reason": "the pipeline is still starting"})),
    ]));
    let page = browser.get("/pipelines/orders/live").await;
    assert_eq!(page.status, StatusCode::OK, "{}", page.text);
    assert!(page.text.contains("&lt;script&gt;alert(1)&lt;/script&gt;") && !page.text.contains("<script>alert"));
    assert!(page.text.contains("a\\u{202e}b") && page.text.contains("\\x1b[2J"), "{}", page.text);
    assert!(page.text.contains("\\xff&lt;…") && page.text.contains("4.0 KiB in all"), "{}", page.text);
    assert!(page.text.contains("4 further outputs") && page.text.contains("a sample of 130"), "{}", page.text);
    assert!(page.text.contains("/dead-letters/letter?position=visits%2F0%4012\""), "{}", page.text);
    assert!(page.text.contains("data-live=\"5\"") && page.text.contains("live?paused=true"), "{}", page.text);
    let page = browser.get("/pipelines/orders/live?verdict=skipped&key=a%26b&paused=true").await;
    assert!(page.text.contains("No record of the sample"), "{}", page.text);
    assert!(!page.text.contains("data-live=") && page.text.contains("value=\"a&amp;b\""), "{}", page.text);
    assert!(page.text.contains("href=\"/base/console/pipelines/orders/live?verdict=skipped&amp;key=a%26b\">Resume"));
    let page = browser.get("/pipelines/new/live").await;
    assert_eq!(page.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(page.text.contains("still starting"), "{}", page.text);
}

#[tokio::test]
async fn playground_maps_the_record_of_the_form_and_shows_hostile_results_as_text() {
    let text = |text: &str| json!({"text": text, "bytes": text.len(), "cut": false});
    let output = json!({
        "topic": "reduced", "key": null, "value": text("<script>alert(1)</script>"), "timestamp_ms": 5,
        "headers": [{"name": text("a\u{202e}b"), "value": {"base64": "/w==", "bytes": 1, "cut": false}}],
    });
    let produced = json!({
        "plugin": {"name": "reduce_visit", "version": "0.1.0", "digest": "aa"}, "position": "visits/0@0", "verdict": "produced", "failure": null,
        "outputs": [output], "more_outputs": 3, "log": "\u{1b}[2J <b>", "mapping_us": 1500, "memory_bytes": 2048, "case": "{\"name\": \"<i>\"}",
    });
    let mut browser = Browser::new(api(vec![("POST /v1/pipelines/orders/map", 200, produced)]));
    let page = browser.get("/pipelines/orders/playground?position=visits%2F0%40%3Cb%3E").await;
    assert!(page.text.contains("visits/0@&lt;b&gt;") && !page.text.contains("name=\"record-key\""), "{}", page.text);
    let key = page.key();
    assert_eq!(
        browser.upload_with("/pipelines/orders/playground", "AAAA", "", &[]).await.status,
        StatusCode::FORBIDDEN
    );
    let fields = [("value", "</textarea>\r\nb"), ("record-key", "k"), ("headers", "h: 1")];
    let page = browser.upload_with("/pipelines/orders/playground", &key, "plugin", &fields).await;
    assert_eq!(page.status, StatusCode::OK, "{}", page.text);
    for shown in [
        "&lt;script&gt;alert(1)",
        "a\\u{202e}b",
        "\\xff",
        "\\x1b[2J &lt;b&gt;",
        "1.5 ms",
        "2.0 KiB",
        "3 further outputs",
        "&lt;i&gt;",
    ] {
        assert!(page.text.contains(shown), "{shown}: {}", page.text);
    }
    assert!(page.text.contains("data:application/jsonl;base64,eyJuYW1lIjogIjxpPiJ9Cg==\" download"), "{}", page.text);
    // The form keeps what was written.
    assert!(page.text.contains("&lt;/textarea&gt;\nb</textarea>"), "{}", page.text);
    browser.upload_with("/pipelines/orders/playground", &key, "", &[("position", "visits/0@7"), ("value", "x")]).await;
    let changes = browser.api.changes.lock().unwrap();
    let sent: Vec<Value> = changes.iter().map(|change| serde_json::from_slice(&change.body).unwrap()).collect();
    let record = json!({"value": "</textarea>\nb", "key": "k", "headers": [["h", "1"]]});
    assert_eq!(sent, [json!({"record": record, "plugin_base64": "cGx1Z2lu"}), json!({"position": "visits/0@7"})]);
}
