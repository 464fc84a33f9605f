//! The server over real sockets on loopback.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, TcpStream};
use std::time::{Duration, Instant};

use super::*;
use crate::config::DEFAULT_PIPELINE;
use crate::pipelines::{Entry, State};
use mapper_pipeline::activity::Activity;
use mapper_telemetry::Telemetry;

const ANYWHERE: AdminConfig = AdminConfig { address: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0), asked: true };

pub(super) fn serve(registry: &Arc<PipelineRegistry>) -> (Server, SocketAddr) {
    serve_with(registry, Options::default())
}

pub(super) fn serve_with(registry: &Arc<PipelineRegistry>, options: Options) -> (Server, SocketAddr) {
    let bound = bind(Some(ANYWHERE)).unwrap().unwrap();
    let address = bound.address().unwrap();
    (bound.serve(routes(registry, Guard::new(address, None), options), registry).unwrap(), address)
}

/// A host with these pipelines.
fn registry(names: &[&str]) -> Arc<PipelineRegistry> {
    let registry = Arc::new(PipelineRegistry::default());
    names.iter().for_each(|name| registry.insert(Entry::new(name, 1)));
    registry
}

/// A host with one pipeline, and its telemetry.
pub(super) fn single() -> (Arc<PipelineRegistry>, Arc<Telemetry>) {
    let registry = registry(&[DEFAULT_PIPELINE]);
    let telemetry = registry.get(DEFAULT_PIPELINE).unwrap().telemetry.clone();
    (registry, telemetry)
}

pub(super) fn answer(address: SocketAddr, method: &str, path: &str) -> (String, String) {
    answer_with(address, method, path, "accept: */*")
}

fn answer_with(address: SocketAddr, method: &str, path: &str, header: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{header}\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), body.to_owned())
}

fn head(address: SocketAddr, path: &str) -> String {
    answer(address, "GET", path).0
}

/// The status, and the body.
pub(super) fn ask(address: SocketAddr, method: &str, path: &str) -> (u16, String) {
    let (head, body) = answer(address, method, path);
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body)
}

#[test]
fn readyz_lists_the_reasons_and_is_200_without_any() {
    let (registry, telemetry) = single();
    let (_server, address) = serve(&registry);
    assert_eq!(ask(address, "GET", "/livez"), (200, "alive\n".to_owned()));
    assert_eq!(ask(address, "GET", "/readyz"), (200, "ready\n".to_owned()));
    telemetry.health.not_ready("breaker", "open since 100 traps");
    telemetry.health.not_ready("kafka", "no broker answers");
    assert_eq!(
        ask(address, "GET", "/readyz"),
        (503, "breaker: open since 100 traps\nkafka: no broker answers\n".to_owned())
    );
    assert_eq!(ask(address, "GET", "/livez").0, 200);
    telemetry.health.ready("breaker");
    telemetry.health.ready("kafka");
    assert_eq!(ask(address, "GET", "/readyz").0, 200);
}

#[test]
fn livez_is_503_after_a_worker_failed() {
    let (registry, telemetry) = single();
    let (_server, address) = serve(&registry);
    telemetry.workers.worker(1).set_activity(Activity::Committing);
    assert_eq!(ask(address, "GET", "/livez").0, 200);
    telemetry.workers.worker(1).set_activity(Activity::Failed);
    assert_eq!(ask(address, "GET", "/livez"), (503, "worker 1 has failed\n".to_owned()));
}

#[test]
fn each_pipeline_has_its_routes_and_its_lines_in_the_probes() {
    let registry = registry(&["a", "b"]);
    let (_server, address) = serve(&registry);
    assert_eq!(ask(address, "GET", "/readyz").0, 200);
    registry.get("b").unwrap().set_state(State::Halted { reason: "gone".into(), restart_at: None });
    let reason = "pipeline: halted: gone (a restart cannot help)";
    assert_eq!(ask(address, "GET", "/readyz"), (503, format!("b: {reason}\n")));
    assert_eq!(ask(address, "GET", "/livez").0, 200);
    let (code, list) = ask(address, "GET", "/v1/pipelines");
    let list: serde_json::Value = serde_json::from_str(&list).unwrap();
    let of = |index: usize| (&list[index]["name"], &list[index]["state"], &list[index]["not_ready"]);
    assert_eq!(code, 200);
    assert_eq!(of(0), (&"a".into(), &"starting".into(), &serde_json::json!([])));
    assert_eq!(of(1), (&"b".into(), &"halted".into(), &serde_json::json!([reason])));
    let (code, status) = ask(address, "GET", "/v1/pipelines/b/status");
    assert!(code == 200 && status.contains("\"pipeline\":\"b\""), "{code} {status}");
    // There are no versions yet.
    assert_eq!(ask(address, "GET", "/v1/pipelines/a/history").0, 503);
    for (method, path) in [("GET", "/status"), ("GET", "/history"), ("POST", "/swap"), ("POST", "/rollback")] {
        let (code, why) = ask(address, method, path);
        assert!(code == 409 && why.contains("several pipelines: a, b.") && why.contains(path), "{path}: {code} {why}");
    }
    let (code, why) = ask(address, "GET", "/v1/pipelines/c/status");
    assert!(code == 404 && why.contains("no pipeline \\\"c\\\"") && why.contains("a, b"), "{code} {why}");
}

#[test]
fn metrics_and_status_have_their_content_types() {
    let (_server, address) = serve(&single().0);
    let (code, metrics) = ask(address, "GET", "/metrics");
    assert!(code == 200 && metrics.contains("# TYPE mapper_host_records_in_total counter\n"), "{code} {metrics}");
    let open_metrics = answer_with(address, "GET", "/metrics", "accept: application/openmetrics-text");
    assert!(open_metrics.1.ends_with("# EOF\n"), "{}", open_metrics.1);
    assert!(open_metrics.0.contains("application/openmetrics-text; version=1.0.0"), "{}", open_metrics.0);
    let (code, status) = ask(address, "GET", "/status");
    assert_eq!((code, serde_json::from_str::<serde_json::Value>(&status).unwrap()["ready"] == true), (200, true));
    for (path, kind) in [("/metrics", "text/plain; version=0.0.4; charset=utf-8"), ("/status", "application/json")] {
        assert!(head(address, path).to_lowercase().contains(&format!("content-type: {kind}")), "{path}");
    }
}

#[test]
fn rates_are_sampled_without_a_request() {
    let (registry, telemetry) = single();
    let (_server, _) = serve(&registry);
    let deadline = Instant::now() + Duration::from_secs(30);
    while telemetry.rates.now(Instant::now(), &telemetry.counts()).over.is_zero() {
        assert!(Instant::now() < deadline, "no rate was sampled");
        std::thread::yield_now();
    }
}

#[test]
fn unknown_path_is_404_and_wrong_method_is_405() {
    let (_server, address) = serve(&single().0);
    let (code, page) = ask(address, "GET", "/nothing");
    assert!(code == 404 && page.contains("/livez") && page.contains("/metrics"), "{code} {page}");
    assert_eq!(ask(address, "POST", "/readyz").0, 405);
    assert_eq!(ask(address, "HEAD", "/livez"), (200, String::new()));
}

#[test]
fn root_lists_the_routes_as_text_and_sends_a_browser_to_the_console() {
    let (_server, address) = serve(&single().0);
    let (head, page) = answer(address, "GET", "/");
    assert!(head.starts_with("HTTP/1.1 200") && head.contains("content-type: text/plain"), "{head}");
    for path in ["/livez", "/readyz", "/metrics", "/status", "/history", "/rollback", "/shadow", "/v1/pipelines"] {
        assert!(page.contains(path), "{path}: {page}");
        assert_ne!(ask(address, "GET", path).0, 404, "{path}");
    }
    assert!(page.contains("/swap"), "{page}");
    assert_eq!(ask(address, "GET", "/swap").0, 405);
    assert_eq!(ask(address, "POST", "/").0, 405);
    let (head, _) = answer_with(address, "GET", "/", "accept: text/html,application/xml;q=0.9,*/*;q=0.8");
    assert!(head.starts_with("HTTP/1.1 303") && head.contains("location: /console"), "{head}");
    let (head, page) = answer(address, "GET", "/console");
    assert!(head.starts_with("HTTP/1.1 200") && head.contains("content-type: text/html"), "{head}");
    assert!(page.contains("/console/pipelines/"), "{page}");
}

#[test]
fn address_in_use_is_an_error_only_if_it_was_configured() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let Err(halt) = bind(Some(AdminConfig { address, asked: true })) else { panic!("the address is in use") };
    assert_eq!(halt.cause.exit_code(), 2);
    assert!(halt.reason().contains(&address.to_string()) && halt.reason().contains("--admin off"), "{halt}");
    assert!(bind(Some(AdminConfig { address, asked: false })).unwrap().is_none());
    assert!(bind(None).unwrap().is_none());
}

#[test]
fn address_is_free_after_the_server_was_dropped() {
    let (server, address) = serve(&single().0);
    // An open connection does not keep the address.
    let _idle = TcpStream::connect(address).unwrap();
    drop(server);
    assert!(TcpStream::connect(address).is_err());
}
