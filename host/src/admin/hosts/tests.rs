//! The API of a console, with hosts that answer from memory.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, LOCATION};
use axum::http::{HeaderName, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http_body_util::BodyExt;
use mapper_api::payloads::{PAYLOADS_HEADER, Payloads};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::{Barrier, mpsc};
use tokio::task::JoinHandle;
use tower::ServiceExt;

use super::super::Options;
use super::super::events::Events;
use super::super::guard::Guard;
use super::catalog::Hosts;
use super::client::Timeouts;
use crate::cli;
use crate::config::{Command, ConsoleConfig};
use crate::pipelines::PipelineRegistry;

const VIEWER: &str = "0123456789abcdef-viewer";
const OF_HOSTS: &str = "0123456789abcdef-hosts";
const SHORT: Duration = Duration::from_millis(200);
const PAYLOADS: HeaderName = HeaderName::from_static(PAYLOADS_HEADER);
const LONG: Duration = Duration::from_secs(60);

type Answers = BTreeMap<String, (u16, &'static str, String)>;

/// A host that answers from a table and keeps the requests: method, path, token and body.
struct FakeHost {
    authority: String,
    requests: Arc<Mutex<Vec<String>>>,
    server: JoinHandle<()>,
}

impl FakeHost {
    /// With these pipelines, and further answers.
    async fn start(pipelines: &[&str], more: &[(&str, u16, &'static str, &str)]) -> Self {
        let list: Vec<Value> = pipelines.iter().map(|name| summary(name)).collect();
        let list = (200, "application/json", Value::from(list).to_string());
        let mut answers = Answers::from([("GET /v1/pipelines".to_owned(), list)]);
        for (route, status, media_type, body) in more {
            answers.insert((*route).to_owned(), (*status, media_type, (*body).to_owned()));
        }
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (kept, answers) = (requests.clone(), Arc::new(answers));
        let routes = Router::new().fallback(move |request: Request| answer(request, answers.clone(), kept.clone()));
        Self::serve(routes, requests).await
    }

    async fn serve(routes: Router, requests: Arc<Mutex<Vec<String>>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let authority = listener.local_addr().unwrap().to_string();
        let server = tokio::spawn(async { axum::serve(listener, routes).await.unwrap() });
        Self { authority, requests, server }
    }

    fn url(&self) -> String {
        format!("http://{}", self.authority)
    }

    /// The requests other than for the list.
    fn requests(&self) -> Vec<String> {
        let requests = self.requests.lock().unwrap();
        requests.iter().filter(|request| !request.starts_with("GET /v1/pipelines |")).cloned().collect()
    }
}

async fn answer(request: Request, answers: Arc<Answers>, kept: Arc<Mutex<Vec<String>>>) -> Response {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, 1000).await.unwrap();
    let header = |name| parts.headers.get(name).map_or("-", |value: &axum::http::HeaderValue| value.to_str().unwrap());
    let route = format!("{} {}", parts.method, parts.uri);
    let asked = parts.headers.get(PAYLOADS_HEADER).map(|mode| format!(" | payloads {}", mode.to_str().unwrap()));
    kept.lock().unwrap().push(format!(
        "{route} | {} | {} | {}{}",
        header(AUTHORIZATION),
        header(CONTENT_TYPE),
        String::from_utf8_lossy(&body),
        asked.unwrap_or_default()
    ));
    let missing = (404, "text/plain", "not found: the routes are:\n\nGET /status".to_owned());
    let (status, media_type, body) = answers.get(&route).cloned().unwrap_or(missing);
    let location = "/v1/pipelines/orders/redrives/7";
    let headers = [(CONTENT_TYPE, media_type), (LOCATION, location), (PAYLOADS, "mask")];
    (StatusCode::from_u16(status).unwrap(), headers, body).into_response()
}

fn summary(name: &str) -> Value {
    json!({
        "name": name, "state": "running", "generation": 1, "ready": true, "not_ready": [], "plugin": "p 1", "group": "g",
        "input_topic": "in", "records_in": 7, "dead_letters": 0, "lag": 0, "partitions": 1, "open_breakers": 0,
        "rates": {"records_in_per_second": 1.0, "records_out_per_second": 1.0, "dead_letters_per_second": 0.0, "over_seconds": 1.0},
        "mapping_p99_ms": null, "last_hour": [],
    })
}

/// The configuration of these arguments. Its Kafka does not answer.
fn config(arguments: &[&str]) -> ConsoleConfig {
    let program = ["mapper-host", "console"].into_iter().chain(arguments.iter().copied());
    match cli::parse(program.map(Into::into), Vec::<(String, String)>::new()) {
        Ok(Command::Console(config)) => *config,
        other => panic!("{arguments:?}: {other:?}"),
    }
}

/// A console of these hosts.
struct Console {
    routes: Router,
    hosts: Arc<Hosts>,
}

impl Console {
    fn new(hosts: &[&str]) -> Self {
        Self::with(hosts, &Arc::default(), None, None)
    }

    fn with(
        urls: &[&str],
        registry: &Arc<PipelineRegistry>,
        own_token: Option<&str>,
        host_token: Option<&str>,
    ) -> Self {
        let urls: Vec<String> = urls.iter().map(|url| (*url).to_owned()).collect();
        let timeouts = Timeouts { connect: LONG, memory: LONG, topics: LONG, change: LONG };
        let hosts = Arc::new(Hosts::with_timeouts(&urls, host_token.map(ToOwned::to_owned), timeouts));
        Self::of(registry, hosts, own_token)
    }

    fn of(registry: &Arc<PipelineRegistry>, hosts: Arc<Hosts>, own_token: Option<&str>) -> Self {
        Self::showing(Payloads::Show, registry, hosts, own_token)
    }

    fn showing(
        payloads: Payloads,
        registry: &Arc<PipelineRegistry>,
        hosts: Arc<Hosts>,
        own_token: Option<&str>,
    ) -> Self {
        let options = Options { payloads, ..Options::default() };
        let address = SocketAddr::from(([127, 0, 0, 1], 1));
        let guard = Guard::new(address, own_token.map(ToOwned::to_owned));
        Self { routes: super::super::console_routes(registry, &hosts, guard, options), hosts }
    }

    async fn send(&self, method: Method, path: &str, token: Option<&str>, body: &'static str) -> Response {
        let mut request = Request::builder().method(method).uri(path).header(HOST, "localhost");
        if let Some(token) = token {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        if !body.is_empty() {
            request = request.header(CONTENT_TYPE, "application/wasm");
        }
        self.routes.clone().oneshot(request.body(Body::from(body)).unwrap()).await.unwrap()
    }

    async fn get(&self, path: &str) -> (u16, String) {
        text(self.send(Method::GET, path, None, "").await).await
    }

    /// Name, state and reasons of each pipeline.
    async fn list(&self) -> Vec<(String, String, String)> {
        let (status, body) = self.get("/v1/pipelines").await;
        assert_eq!(status, 200, "{body}");
        let list: Vec<Value> = serde_json::from_str(&body).unwrap();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        list.iter().map(|row| (text(&row["name"]), text(&row["state"]), row["not_ready"].to_string())).collect()
    }
}

async fn text(response: Response) -> (u16, String) {
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.into()).unwrap())
}

#[tokio::test]
async fn pipelines_of_all_hosts_are_listed_and_a_common_name_names_its_host() {
    let one = FakeHost::start(&["orders", "visits"], &[]).await;
    let two = FakeHost::start(&["visits"], &[]).await;
    let console = Console::new(&[&one.url(), &two.url()]);
    let names: Vec<String> = console.list().await.into_iter().map(|(name, ..)| name).collect();
    let [of_one, of_two] = [&one, &two].map(|host| format!("visits@{}", host.authority));
    let mut expected = ["orders".to_owned(), of_one.clone(), of_two.clone()];
    expected.sort();
    assert_eq!(names, expected);
    assert_eq!(console.hosts.url_of("orders"), Some(one.url()));
    assert_eq!(console.hosts.url_of(&of_two), Some(two.url()));
    assert_eq!(console.hosts.url_of("visits"), None);
    let (status, why) = console.get("/v1/pipelines/visits/status").await;
    assert!(status == 409 && why.contains(&of_one) && why.contains(&of_two), "{status} {why}");
    let (status, why) = console.get("/v1/pipelines/clicks/status").await;
    assert!(status == 404 && why.contains("Its pipelines are: orders, visits"), "{status} {why}");
}

#[tokio::test]
async fn request_is_forwarded_to_the_host_of_the_pipeline_with_the_name_that_it_has_there() {
    let report = ("POST /v1/pipelines/visits/swap?dry-run=true", 200, "application/json", "{\"outcome\": 1}");
    let later = ("GET /v1/pipelines/visits/of-a-later-version", 200, "application/json", "{}");
    let one = FakeHost::start(&["visits"], &[]).await;
    let two = FakeHost::start(&["visits"], &[report, later]).await;
    let console = Console::new(&[&one.url(), &two.url()]);
    let path = format!("/v1/pipelines/visits%40{}", two.authority.replace(':', "%3A"));
    let response = console.send(Method::POST, &format!("{path}/swap?dry-run=true"), None, "plugin").await;
    assert_eq!(text(response).await, (200, "{\"outcome\": 1}".to_owned()));
    assert_eq!(console.get(&format!("{path}/of-a-later-version")).await, (200, "{}".to_owned()));
    let expected = [
        "POST /v1/pipelines/visits/swap?dry-run=true | - | application/wasm | plugin",
        "GET /v1/pipelines/visits/of-a-later-version | - | - | ",
    ];
    assert_eq!((two.requests(), one.requests()), (expected.map(str::to_owned).to_vec(), Vec::new()));
}

#[tokio::test]
async fn token_is_sent_with_changes_only_and_that_of_the_hosts_replaces_that_of_the_viewer() {
    for (host_token, sent) in [(None, VIEWER), (Some(OF_HOSTS), OF_HOSTS)] {
        let host = FakeHost::start(&["orders"], &[]).await;
        let console = Console::with(&[&host.url()], &Arc::default(), Some(VIEWER), host_token);
        let path = "/v1/pipelines/orders/swap";
        for wrong in [None, Some("0123456789abcdef-wrong")] {
            assert_eq!(console.send(Method::POST, path, wrong, "plugin").await.status(), 401);
        }
        assert_eq!(host.requests(), Vec::<String>::new(), "the console refuses it itself");
        console.send(Method::POST, path, Some(VIEWER), "plugin").await;
        console.send(Method::GET, "/v1/pipelines/orders/status", Some(VIEWER), "").await;
        let expected = [
            format!("POST {path} | Bearer {sent} | application/wasm | plugin"),
            "GET /v1/pipelines/orders/status | - | - | ".to_owned(),
        ];
        assert_eq!(host.requests(), expected);
        assert!(!format!("{:?}", console.hosts).contains("0123456789abcdef"), "no log has the token");
    }
}

#[tokio::test]
async fn host_that_is_not_reachable_or_slow_is_listed_with_the_reason_and_breaks_no_other() {
    let good = FakeHost::start(&["orders"], &[]).await;
    // It accepts connections and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent = silent.local_addr().map(|address| (silent, address.to_string())).unwrap();
    let gone = FakeHost::start(&["clicks"], &[]).await;
    let urls = [good.url(), format!("http://{}", silent.1), gone.url()];
    let timeouts = Timeouts { connect: LONG, memory: SHORT, topics: LONG, change: LONG };
    let hosts = Arc::new(Hosts::with_timeouts(&urls, None, timeouts));
    let console = Console::of(&Arc::default(), hosts, None);
    assert_eq!(console.list().await.iter().filter(|(_, state, _)| state == "running").count(), 2);
    gone.server.abort();
    while tokio::net::TcpStream::connect(&gone.authority).await.is_ok() {
        tokio::task::yield_now().await;
    }
    let list = console.list().await;
    let of = |name: &str| list.iter().find(|row| row.0 == name).unwrap_or_else(|| panic!("{name}: {list:?}"));
    assert_eq!(of("orders").1, "running");
    let clicks = of("clicks");
    assert!(clicks.1 == "unreachable" && clicks.2.contains("the host is not reachable: http://"), "{clicks:?}");
    let slow = of(&silent.1);
    assert!(slow.1 == "unreachable" && slow.2.contains("no complete answer within 200ms"), "{slow:?}");
    let (status, why) = console.get("/v1/pipelines/clicks/status").await;
    assert!(status == 502 && why.contains("not reachable") && why.contains(&gone.url()), "{status} {why}");
    let (status, why) = console.get(&format!("/v1/pipelines/a%40{}/status", silent.1)).await;
    assert!(status == 504 && why.contains("does not answer"), "{status} {why}");
    let (status, why) = console.get(&format!("/v1/pipelines/{}/status", silent.1)).await;
    assert!(status == 502 && why.contains("no complete answer"), "{status} {why}");
}

#[tokio::test]
async fn hosts_are_asked_in_parallel() {
    let all_asked = Arc::new(Barrier::new(2));
    let host = async || {
        let all_asked = all_asked.clone();
        let routes = Router::new().fallback(move || async move {
            all_asked.wait().await;
            ([(CONTENT_TYPE, "application/json")], json!([summary("orders")]).to_string())
        });
        FakeHost::serve(routes, Arc::default()).await
    };
    let (one, two) = (host().await, host().await);
    let list = Console::new(&[&one.url(), &two.url()]).list().await;
    assert!(list.iter().all(|(_, state, _)| state == "running") && list.len() == 2, "{list:?}");
}

#[tokio::test]
async fn answer_of_another_version_or_of_no_host_is_a_clear_error() {
    let list = ("GET /v1/pipelines", 200, "application/json", "[{\"name\": \"orders\"}]");
    let page = ("GET /v1/pipelines", 200, "text/html", "<html>");
    for other in [list, page] {
        let host = FakeHost::start(&[], &[other]).await;
        let (_, state, why) = Console::new(&[&host.url()]).list().await.remove(0);
        assert!(state == "unreachable" && why.contains("the answer of the host can't be read"), "{state} {why}");
    }
    let answers = [
        ("GET /v1/pipelines/orders/status", 200, "text/html", "<script>"),
        ("GET /v1/pipelines/orders/moved", 302, "text/html", "elsewhere"),
        ("POST /v1/pipelines/orders/swap", 401, "text/plain", "the request is rejected: it needs the token"),
        (
            "POST /v1/pipelines/orders/rollback",
            422,
            "application/json",
            "{\"step\": \"read\", \"reason\": \"no version\"}",
        ),
        ("POST /v1/pipelines/orders/redrives", 202, "application/json", "{}"),
    ];
    let host = FakeHost::start(&["orders"], &answers).await;
    let console = Console::new(&[&host.url()]);
    let (status, why) = console.get("/v1/pipelines/orders/samples").await;
    assert!(status == 502 && why.contains("no route GET /samples") && why.contains("another version"), "{why}");
    let page = console.send(Method::GET, "/v1/pipelines/orders/status", None, "").await;
    let header = |name: &str| page.headers()[name].to_str().unwrap().to_owned();
    assert_eq!(header("content-type"), "text/plain; charset=utf-8", "a page of a host is none of the console");
    assert_eq!(header("x-content-type-options"), "nosniff");
    let (status, why) = console.get("/v1/pipelines/orders/moved").await;
    assert!(status == 502 && why.contains("302 Found"), "{status} {why}");
    for (token, expected) in [(None, "needs a token for changes"), (Some(VIEWER), "does not accept the token")] {
        let refused = console.send(Method::POST, "/v1/pipelines/orders/swap", token, "plugin").await;
        let (status, why) = text(refused).await;
        assert!(status == 401 && why.contains(expected) && why.contains("--host-token-file"), "{status} {why}");
    }
    let refused = text(console.send(Method::POST, "/v1/pipelines/orders/rollback", None, "").await).await;
    assert_eq!(refused, (422, "{\"step\":\"read\",\"reason\":\"no version\"}".to_owned()));
    let shown = format!("/v1/pipelines/orders%40{}/redrives", host.authority.replace(':', "%3A"));
    let started = console.send(Method::POST, &shown, None, "").await;
    assert_eq!(started.headers()[LOCATION], format!("{shown}/7"), "the address of the redrive in the console");
}

#[tokio::test]
async fn events_of_a_redrive_arrive_before_their_end() {
    let (sender, events) = mpsc::channel::<Bytes>(1);
    let events = Arc::new(Mutex::new(Some(events)));
    let list = json!([summary("orders")]).to_string();
    let routes = Router::new().fallback(move |request: Request| {
        let is_list = request.uri().path() == "/v1/pipelines";
        let answer = match is_list {
            true => ([(CONTENT_TYPE, "application/json")], list.clone()).into_response(),
            false => {
                let events = events.lock().unwrap().take().unwrap();
                ([(CONTENT_TYPE, "text/event-stream")], Body::new(Events(events))).into_response()
            }
        };
        async move { answer }
    });
    let host = FakeHost::serve(routes, Arc::default()).await;
    let console = Console::new(&[&host.url()]);
    let response = console.send(Method::GET, "/v1/pipelines/orders/redrives/1/events", None, "").await;
    assert_eq!(response.headers()[CONTENT_TYPE], "text/event-stream");
    let mut body = response.into_body();
    for event in ["event: progress\n\n", "event: ended\n\n"] {
        sender.send(Bytes::from_static(event.as_bytes())).await.unwrap();
        let frame = body.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(frame, event);
    }
    drop(sender);
    assert!(body.frame().await.is_none());
}

#[tokio::test]
async fn dead_letters_come_from_kafka_and_all_else_needs_a_host() {
    let host = FakeHost::start(&["default"], &[]).await;
    let config = config(&["--brokers", "127.0.0.1:1", "--connect-timeout", "100ms"]);
    let registry = crate::console::registry(&config);
    let with_host = Console::with(&[&host.url()], &registry, None, None);
    let without = Console::with(&[], &registry, None, None);
    for console in [&with_host, &without] {
        let (status, why) = console.get("/v1/pipelines/default/dead-letters/groups").await;
        assert!(status == 502 && why.contains("127.0.0.1:1"), "this Kafka does not answer: {status} {why}");
    }
    assert_eq!(host.requests(), Vec::<String>::new());
    let (status, list) = without.get("/v1/pipelines").await;
    assert!(status == 200 && list.contains("\"state\":\"elsewhere\""), "{list}");
    assert_eq!(with_host.list().await, [("default".to_owned(), "running".to_owned(), "[]".to_owned())]);
    for route in ["status", "samples", "history", "recent", "of-a-later-version"] {
        let (status, why) = without.get(&format!("/v1/pipelines/default/{route}")).await;
        assert!(status == 409 && why.contains("--host URL"), "{route}: {status} {why}");
    }
    for route in ["redrives", "dead-letters/try"] {
        let path = format!("/v1/pipelines/default/{route}");
        let refused = without.send(Method::POST, &path, None, "").await;
        let (status, why) = text(refused).await;
        assert!(status == 409 && why.contains("Upload the plugin"), "{route}: {status} {why}");
        with_host.send(Method::POST, &path, None, "").await;
    }
    let forwarded =
        ["redrives", "dead-letters/try"].map(|route| format!("POST /v1/pipelines/default/{route} | - | - | "));
    assert_eq!(host.requests(), forwarded);
    let (status, why) = Console::new(&[]).get("/status").await;
    assert!(status == 409 && why.contains("/v1/pipelines/NAME/status"), "{status} {why}");
}

#[tokio::test]
async fn audit_is_local_with_a_ledger_and_settings_without_a_host() {
    let host = FakeHost::start(&["default"], &[]).await;
    let arguments = ["--brokers", "127.0.0.1:1", "--connect-timeout", "100ms"];
    let registry = |more: &[&str]| crate::console::registry(&config(&[&arguments, more].concat()));
    let with_ledger = registry(&["--ledger-topic", "ledger"]);
    let (audit, settings) = ("/v1/pipelines/default/audit", "/v1/pipelines/default/settings");
    let (status, why) = Console::with(&[&host.url()], &with_ledger, None, None).get(audit).await;
    assert!(status == 502 && why.contains("127.0.0.1:1"), "{status} {why}");
    let (status, list) = Console::with(&[], &with_ledger, None, None).get(settings).await;
    assert!(status == 200 && list.contains("\"name\":\"ledger-topic\""), "{status} {list}");
    assert_eq!(host.requests(), Vec::<String>::new());
    let of_host = Console::with(&[&host.url()], &registry(&[]), None, None);
    of_host.get(audit).await;
    of_host.get(settings).await;
    assert_eq!(host.requests(), [audit, settings].map(|route| format!("GET {route} | - | - | ")));
}

#[tokio::test]
async fn console_that_hides_record_data_asks_the_host_to_hide_it() {
    let status = ("GET /v1/pipelines/orders/status", 200, "application/json", "{\"masked\": true}");
    let host = FakeHost::start(&["orders"], &[status]).await;
    for (payloads, asked) in
        [(Payloads::Show, ""), (Payloads::Mask, " | payloads mask"), (Payloads::Off, " | payloads off")]
    {
        let hosts = Arc::new(Hosts::new(&[host.url()], None));
        let console = Console::showing(payloads, &Arc::default(), hosts, None);
        let response = console.send(Method::GET, "/v1/pipelines/orders/status", None, "").await;
        assert_eq!(response.headers()[&PAYLOADS], "mask", "what the host says about its answer");
        assert_eq!(text(response).await, (200, "{\"masked\": true}".to_owned()));
        assert_eq!(host.requests().pop(), Some(format!("GET /v1/pipelines/orders/status | - | - | {asked}")));
        let (_, why) = console.get("/v1/pipelines/orders/samples").await;
        assert!(why.contains("no route GET /samples"), "{why}");
    }
}

#[tokio::test]
async fn list_of_routes_names_the_pipeline_and_page_of_another_origin_changes_nothing() {
    let host = FakeHost::start(&["orders"], &[]).await;
    let console = Console::new(&[&host.url()]);
    let (status, routes) = console.get("/").await;
    assert!(status == 200 && routes.contains(" /v1/pipelines/NAME/swap ") && routes.contains(" /livez "), "{routes}");
    assert_eq!(console.get("/readyz").await, (200, "ready\n".to_owned()));
    let foreign = Request::post("/v1/pipelines/orders/swap").header(HOST, "localhost").header("origin", "http://evil");
    let refused = console.routes.clone().oneshot(foreign.body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!((refused.status(), host.requests()), (StatusCode::FORBIDDEN, Vec::new()));
}
