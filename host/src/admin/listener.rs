//! Accepts connections to the admin server, and serves each until its deadline or its eviction.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{Request, Response, StatusCode};
use axum::response::IntoResponse;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;

use super::admission::{MAX_CONNECTIONS, MAX_OF_ADDRESS, Scope};
use super::connection::{Client, Connections, Deadlines, Watched};
use super::{events, probes};

/// The largest head of a request, and the read buffer of its body, in bytes.
const BUFFER_BYTES: usize = 64 << 10;
/// The pause after a failed accept, for example without free file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(500);

/// Serves until it is dropped. A failed connection does not affect the others.
pub(super) async fn serve(listener: TcpListener, routes: Router, deadlines: Deadlines) {
    let connections = Connections::new(deadlines);
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                let client = connections.admit(peer.ip());
                tokio::spawn(connection(stream, client, routes.clone()));
            }
            Err(error) => {
                tracing::debug!(%error, "a connection to the admin server failed");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn connection(stream: TcpStream, client: Arc<Client>, routes: Router) {
    let service = service_fn(|request| answer(&client, &routes, request));
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        // The deadlines of the client include this one.
        .header_read_timeout(None)
        .max_buf_size(BUFFER_BYTES)
        .keep_alive(client.scope == Scope::Everything)
        .serve_connection(TokioIo::new(Watched { stream, client: client.clone() }), service);
    tokio::select! {
        // The client sees the error of its connection.
        _ = served => {}
        () = client.ended() => {}
    }
}

async fn answer(client: &Client, routes: &Router, request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
    client.begin_request();
    let answer = match client.scope {
        Scope::Probes if !probes::is_probe(request.uri().path()) => Ok(busy()),
        _ => TowerToHyperService::new(routes.clone()).call(request).await,
    };
    let is_stream = answer.as_ref().is_ok_and(|answer| {
        answer.headers().get(CONTENT_TYPE).is_some_and(|content_type| content_type == events::MEDIA_TYPE)
    });
    if is_stream {
        client.begin_stream()
    } else {
        client.begin_answer()
    }
    answer
}

fn busy() -> Response<Body> {
    let why = format!(
        "all connections are busy ({MAX_CONNECTIONS}, {MAX_OF_ADDRESS} of one address); only /livez and /readyz are answered. Ask \
         again later\n"
    );
    (StatusCode::SERVICE_UNAVAILABLE, [(RETRY_AFTER, "1")], why).into_response()
}

#[cfg(test)]
mod tests;
