//! Slow clients over real sockets on loopback, with short deadlines.

use std::future::pending;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Instant;

use axum::routing::get;
use tokio::sync::oneshot;

use super::super::admission::MAX_PROBES;
use super::*;

/// The limit of a wait on a busy machine.
const SOON: Duration = Duration::from_secs(60);
/// Longer than any test.
const NEVER: Deadlines = Deadlines { head: SOON, keep_alive: SOON, answer: SOON };
/// More bytes than the buffers of two sockets.
const LARGE_BYTES: usize = 64 << 20;

struct Server {
    address: SocketAddr,
    /// Incomplete requests.
    hanging: Arc<AtomicUsize>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.take();
        self.thread.take().map(JoinHandle::join);
    }
}

/// The events of a stream, and the time between two of them.
const TICKS: usize = 12;
const TICK: Duration = Duration::from_millis(250);

async fn ticks() -> impl IntoResponse {
    let (sender, events) = tokio::sync::mpsc::channel(1);
    tokio::spawn(async move {
        for _ in 0..TICKS {
            sleep(TICK).await;
            let _ = sender.send("data: tick\n\n".into()).await;
        }
    });
    ([(CONTENT_TYPE, events::MEDIA_TYPE)], Body::new(events::Events(events)))
}

fn serve(deadlines: Deadlines) -> Server {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    let hanging = Arc::new(AtomicUsize::new(0));
    let never = {
        let hanging = hanging.clone();
        move || {
            hanging.fetch_add(1, Ordering::SeqCst);
            pending::<&'static str>()
        }
    };
    let routes = Router::new()
        .route("/livez", get(|| async { "alive" }))
        .route("/other", get(|| async { "other" }))
        .route("/never", get(never))
        .route("/events", get(ticks))
        .route("/large", get(|| async { vec![b'x'; LARGE_BYTES] }));
    let (stop, stopped) = oneshot::channel::<()>();
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = TcpListener::from_std(listener).unwrap();
            tokio::select! { () = super::serve(listener, routes, deadlines) => {}, _ = stopped => {} }
        });
    });
    Server { address, hanging, stop: Some(stop), thread: Some(thread) }
}

impl Server {
    fn send(&self, text: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        stream.write_all(text.as_bytes()).unwrap();
        stream
    }

    fn ask(&self, path: &str) -> String {
        let mut answer = String::new();
        self.send(&format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"))
            .read_to_string(&mut answer)
            .unwrap();
        answer
    }
}

/// Whether the server has closed the connection.
fn is_closed(mut stream: &TcpStream) -> bool {
    match stream.read(&mut [0; 64]) {
        Ok(bytes) => bytes == 0,
        Err(error) => ![ErrorKind::WouldBlock, ErrorKind::TimedOut].contains(&error.kind()),
    }
}

#[test]
fn incomplete_requests_do_not_block_other_clients() {
    let server = serve(NEVER);
    let slow: Vec<_> = (0..2 * MAX_CONNECTIONS).map(|_| server.send("GET /livez HTTP/1.1\r\nhost")).collect();
    for path in ["/livez", "/other"] {
        assert!(server.ask(path).starts_with("HTTP/1.1 200"), "{path}");
    }
    assert!(is_closed(&slow[0]));
}

#[test]
fn probes_are_answered_while_all_connections_are_busy() {
    let server = serve(NEVER);
    let busy: Vec<_> = (0..MAX_OF_ADDRESS).map(|_| server.send("GET /never HTTP/1.1\r\nhost: a\r\n\r\n")).collect();
    let started = Instant::now();
    while server.hanging.load(Ordering::SeqCst) < busy.len() {
        assert!(started.elapsed() < SOON);
        std::thread::sleep(Duration::from_millis(5));
    }
    let refused = server.ask("/other");
    assert!(refused.starts_with("HTTP/1.1 503") && refused.contains("only /livez and /readyz"), "{refused}");
    assert!(server.ask("/livez").starts_with("HTTP/1.1 200"));
    // The slots of probes are limited in time, too.
    let _held: Vec<_> = (0..2 * MAX_PROBES).map(|_| server.send("")).collect();
    assert!(server.ask("/livez").starts_with("HTTP/1.1 200"));
    drop(busy);
    let started = Instant::now();
    while !server.ask("/other").starts_with("HTTP/1.1 200") {
        assert!(started.elapsed() < SOON, "the slot of a closed connection is not free");
    }
}

#[test]
fn request_that_exceeds_its_deadline_is_closed() {
    let server = serve(Deadlines { head: Duration::from_millis(200), ..NEVER });
    assert!(is_closed(&server.send("")));
    // Single bytes do not extend the deadline.
    let mut stream = server.send("GET /livez HTTP/1.1\r\nx: ");
    let started = Instant::now();
    while stream.write_all(b"x").is_ok() {
        assert!(started.elapsed() < SOON);
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn connection_is_kept_between_requests_for_a_while() {
    let ask = |stream: &mut TcpStream| {
        stream.write_all(b"GET /livez HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"alive") {
            let mut part = [0; 256];
            let bytes = stream.read(&mut part).unwrap();
            assert!(bytes > 0, "{}", String::from_utf8_lossy(&answer));
            answer.extend_from_slice(&part[..bytes]);
        }
    };
    let server = serve(NEVER);
    let mut stream = server.send("");
    (0..3).for_each(|_| ask(&mut stream));
    let server = serve(Deadlines { keep_alive: Duration::from_millis(200), ..NEVER });
    let mut stream = server.send("");
    ask(&mut stream);
    assert!(is_closed(&stream));
}

#[test]
fn client_that_does_not_read_its_answer_is_closed() {
    let server = serve(Deadlines { answer: Duration::from_millis(200), ..NEVER });
    let mut stream = server.send("GET /large HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
    let mut received = 0;
    let mut part = vec![0; 64 << 10];
    // The client reads slowly until the server closes the connection.
    loop {
        match stream.read(&mut part) {
            Ok(0) | Err(_) => break,
            Ok(bytes) => received += bytes,
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(received < LARGE_BYTES, "the whole answer was received");
}

#[test]
fn stream_of_events_lasts_longer_than_an_answer_may() {
    let short = TICK * TICKS as u32 / 2;
    let server = serve(Deadlines { answer: short, keep_alive: short, ..NEVER });
    assert_eq!(server.ask("/events").matches("data: tick").count(), TICKS);
}
