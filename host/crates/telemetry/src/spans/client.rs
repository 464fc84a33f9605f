//! The HTTP client of the exporter. It blocks, as the exporter runs on a thread of its own.

use std::time::Duration;

use async_trait::async_trait;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use ureq::Agent;

/// The maximum size of a response, as in the clients of the OpenTelemetry crate.
const RESPONSE_BYTES: u64 = 4 << 20;
/// `OTEL_EXPORTER_OTLP_TIMEOUT` if the variable is not set (OpenTelemetry Protocol Exporter specification).
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(super) struct Client(Agent);

impl Client {
    pub(super) fn new(timeout: Duration) -> Self {
        // The exporter decides by the status whether to retry.
        let config = Agent::config_builder().timeout_global(Some(timeout)).http_status_as_error(false);
        Self(config.build().into())
    }
}

#[async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (parts, body) = request.into_parts();
        let (parts, mut body) = self.0.run(Request::from_parts(parts, &body[..]))?.into_parts();
        let body = body.with_config().limit(RESPONSE_BYTES).read_to_vec()?;
        Ok(Response::from_parts(parts, body.into()))
    }
}

/// The time limit of a request, in milliseconds in the standard variables. An invalid value counts as not set, as the specification
/// demands.
pub(super) fn timeout(variable: impl Fn(&str) -> Option<String>) -> Duration {
    let names = ["OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT"];
    let given = names.into_iter().find_map(|name| variable(name)?.trim().parse().ok());
    given.map_or(DEFAULT_TIMEOUT, Duration::from_millis)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};
    use std::time::Instant;

    use super::*;

    #[test]
    fn timeout_of_traces_precedes_the_general_one() {
        let cases: [(&[(&str, &str)], u64); 4] = [
            (&[], 10_000),
            (&[("OTEL_EXPORTER_OTLP_TIMEOUT", "2000")], 2000),
            (&[("OTEL_EXPORTER_OTLP_TIMEOUT", "2000"), ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", " 30 ")], 30),
            (&[("OTEL_EXPORTER_OTLP_TIMEOUT", "2000"), ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "soon")], 2000),
        ];
        for (variables, expected_ms) in cases {
            let variables: HashMap<_, _> = variables.iter().copied().collect();
            let timeout = timeout(|name| variables.get(name).map(ToString::to_string));
            assert_eq!(timeout, Duration::from_millis(expected_ms), "{variables:?}");
        }
    }

    fn send(url: &str, timeout: Duration) -> Result<Response<Bytes>, HttpError> {
        let request = Request::post(url).header("x-team", "a").body(Bytes::from_static(b"spans")).expect("a request");
        let mut context = Context::from_waker(Waker::noop());
        let client = Client::new(timeout);
        match pin!(client.send_bytes(request)).poll(&mut context) {
            Poll::Ready(response) => response,
            Poll::Pending => unreachable!("the client blocks"),
        }
    }

    #[test]
    fn request_and_error_status_pass_unchanged() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a connection");
            let (mut request, mut chunk) = (Vec::new(), [0; 1024]);
            while !request.ends_with(b"spans") {
                let read = stream.read(&mut chunk).expect("a request");
                request.extend_from_slice(&chunk[..read]);
            }
            stream
                .write_all(b"HTTP/1.1 503 Busy\r\nretry-after: 1\r\ncontent-length: 4\r\n\r\nbusy")
                .expect("a response");
            String::from_utf8(request).expect("text")
        });
        let response = send(&format!("http://{address}/v1/traces"), Duration::from_secs(60)).expect("a response");
        assert_eq!((response.status().as_u16(), &response.body()[..]), (503, &b"busy"[..]));
        assert_eq!(response.headers()["retry-after"], "1");
        let request = server.join().expect("the server");
        assert!(request.starts_with("POST /v1/traces HTTP/1.1\r\n") && request.contains("x-team: a\r\n"), "{request}");
    }

    #[test]
    fn silent_collector_is_an_error_after_the_timeout() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let started = Instant::now();
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        send(&url, Duration::from_millis(50)).expect_err("no response");
        assert!(started.elapsed() >= Duration::from_millis(50));
    }
}
