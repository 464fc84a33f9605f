//! Server-sent events: a redrive as it changes, until it ends.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use hyper::body::Frame;
use mapper_api::redrives::Redrive;
use mapper_terminal::output::escape;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::time::sleep;

use super::payloads::{IsFiltered, PayloadFilter};

pub(super) const MEDIA_TYPE: &str = "text/event-stream";
/// The most clients that follow redrives at a time.
pub(super) const MAX_SUBSCRIBERS: usize = 16;
const INTERVALS: Intervals = Intervals { min: Duration::from_millis(200), heartbeat: Duration::from_secs(10) };
const COMMENT: Bytes = Bytes::from_static(b": nothing has changed\n\n");

#[derive(Debug, Clone, Copy)]
struct Intervals {
    /// The shortest time between two events. The states between are not sent.
    min: Duration,
    /// The interval of comments while nothing changes, by which both sides find a broken connection.
    heartbeat: Duration,
}

/// The clients that follow redrives.
#[derive(Debug, Clone)]
pub(crate) struct Subscribers(Arc<Semaphore>);

impl Default for Subscribers {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(MAX_SUBSCRIBERS)))
    }
}

impl Subscribers {
    /// The answer that follows a redrive; `None` if too many clients do.
    pub(super) fn follow(&self, view: watch::Receiver<Redrive>, filter: PayloadFilter) -> Option<Response> {
        let place = self.0.clone().try_acquire_owned().ok()?;
        let (sender, events) = mpsc::channel(1);
        tokio::spawn(send((view, filter), sender, INTERVALS, place));
        let mut response =
            ([(CONTENT_TYPE, MEDIA_TYPE), (CACHE_CONTROL, "no-store")], Body::new(Events(events))).into_response();
        response.extensions_mut().insert(IsFiltered);
        Some(response)
    }
}

/// Sends the present state and each change, until the redrive ends or the client is gone.
async fn send(
    (mut view, filter): (watch::Receiver<Redrive>, PayloadFilter),
    events: mpsc::Sender<Bytes>,
    Intervals { min, heartbeat }: Intervals,
    _place: OwnedSemaphorePermit,
) {
    loop {
        let now = view.borrow_and_update().clone();
        if events.send(event(&now, &filter)).await.is_err() || now.state.is_ended() {
            return;
        }
        sleep(min).await;
        loop {
            tokio::select! {
                changed = view.changed() => match changed {
                    Ok(()) => break,
                    Err(_) => return,
                },
                () = events.closed() => return,
                () = sleep(heartbeat) => {
                    if events.send(COMMENT).await.is_err() {
                        return;
                    }
                }
            }
        }
    }
}

/// The state as an event: `progress`, or `ended` as the last one.
fn event(redrive: &Redrive, filter: &PayloadFilter) -> Bytes {
    let name = if redrive.state.is_ended() { "ended" } else { "progress" };
    let json = filter.json(redrive).expect("a redrive has string keys");
    format!("event: {name}\ndata: {}\n\n", escape::json(&json)).into()
}

/// The body of an answer with events.
pub(super) struct Events(pub(super) mpsc::Receiver<Bytes>);

impl hyper::body::Body for Events {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(context).map(|event| event.map(|event| Ok(Frame::data(event))))
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use hyper::body::Body as _;
    use mapper_api::redrives::{RedriveProgress, RedriveState};

    use super::*;

    fn redrive(state: RedriveState, done: u64) -> Redrive {
        Redrive {
            id: "1".to_owned(),
            state,
            by: "http@a\u{1b}[2J".to_owned(),
            started: String::new(),
            ended: None,
            version: None,
            to_input: false,
            progress: RedriveProgress { done, ..RedriveProgress::default() },
            new_groups: Default::default(),
            left_out: None,
            error: None,
        }
    }

    async fn next(body: &mut Body) -> Option<String> {
        let frame = poll_fn(|context| Pin::new(&mut *body).poll_frame(context)).await?;
        Some(String::from_utf8(frame.unwrap().into_data().unwrap().into()).unwrap())
    }

    /// Comments can be in the queue before it.
    async fn next_event(body: &mut Body) -> String {
        loop {
            let text = next(body).await.unwrap();
            if !text.starts_with(':') {
                return text;
            }
        }
    }

    #[tokio::test]
    async fn events_are_the_present_state_the_last_of_several_changes_and_the_end() {
        let view = watch::Sender::new(redrive(RedriveState::Running, 1));
        let place = Subscribers::default().0.acquire_owned().await.unwrap();
        let (sender, events) = mpsc::channel(1);
        let interval = Duration::from_millis(1);
        let view_of_all = (view.subscribe(), PayloadFilter::default());
        tokio::spawn(send(view_of_all, sender, Intervals { min: interval, heartbeat: interval }, place));
        let mut body = Body::new(Events(events));
        let first = next(&mut body).await.unwrap();
        assert!(first.starts_with("event: progress\ndata: {") && first.ends_with("}\n\n"), "{first}");
        assert!(first.contains("\"done\":1") && !first.contains('\u{1b}'), "{first}");
        assert_eq!(next(&mut body).await.unwrap(), ": nothing has changed\n\n");
        for done in 2..=9 {
            view.send_replace(redrive(RedriveState::Running, done));
        }
        let event = next_event(&mut body).await;
        assert!(event.contains("\"done\":9"), "{event}");
        view.send_replace(redrive(RedriveState::Finished, 10));
        let last = next_event(&mut body).await;
        assert!(last.starts_with("event: ended\n") && last.contains("\"done\":10"), "{last}");
        assert_eq!(next(&mut body).await, None);
    }

    #[tokio::test]
    async fn clients_beyond_the_limit_are_refused_until_one_is_gone() {
        let view = watch::Sender::new(redrive(RedriveState::Running, 1));
        let subscribers = Subscribers::default();
        let follow = || subscribers.follow(view.subscribe(), PayloadFilter::default());
        let mut all: Vec<Response> = (0..MAX_SUBSCRIBERS).map(|_| follow().unwrap()).collect();
        assert!(follow().is_none());
        all.pop();
        let free = subscribers.0.acquire();
        assert!(tokio::time::timeout(Duration::from_secs(60), free).await.is_ok_and(|place| place.is_ok()));
    }
}
