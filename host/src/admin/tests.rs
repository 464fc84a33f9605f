//! The server over real sockets on loopback.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, TcpStream};

use super::*;

const ANYWHERE: AdminConfig = AdminConfig { address: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0), asked: true };

fn serve(telemetry: &Arc<Telemetry>) -> (Server, SocketAddr) {
    let bound = bind(Some(ANYWHERE)).unwrap().unwrap();
    let address = bound.address().unwrap();
    (bound.serve(routes(telemetry)).unwrap(), address)
}

/// The status, and the body.
fn ask(address: SocketAddr, method: &str, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

#[test]
fn ready_is_who_has_no_reason_not_to_be() {
    let telemetry = Arc::new(Telemetry::default());
    let (_server, address) = serve(&telemetry);
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
fn what_is_not_there_is_not_found_and_what_is_only_read_is_not_changed() {
    let (_server, address) = serve(&Arc::default());
    assert_eq!(ask(address, "GET", "/nothing").0, 404);
    assert_eq!(ask(address, "POST", "/readyz").0, 405);
    assert_eq!(ask(address, "HEAD", "/livez"), (200, String::new()));
}

#[test]
fn a_taken_address_is_refused_only_if_it_was_asked_for() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let Err(halt) = bind(Some(AdminConfig { address, asked: true })) else { panic!("it is taken") };
    assert_eq!(halt.cause.exit_code(), 2);
    assert!(halt.reason.contains(&address.to_string()) && halt.reason.contains("--admin off"), "{halt}");
    assert!(bind(Some(AdminConfig { address, asked: false })).unwrap().is_none());
    assert!(bind(None).unwrap().is_none());
}

#[test]
fn the_address_is_free_again_when_the_server_is_gone() {
    let (server, address) = serve(&Arc::default());
    // A client that never goes doesn't keep it.
    let _idle = TcpStream::connect(address).unwrap();
    drop(server);
    assert!(TcpStream::connect(address).is_err());
}
