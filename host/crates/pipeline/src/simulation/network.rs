//! What stands between a client and the simulated cluster: time that passes, requests and answers that are lost or late, and the
//! death of a process.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use super::{BrokerError, Cluster};
use crate::contracts::SourceError;
use mapper_core::shutdown::Halt;

/// How long a client waits for an answer.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a client waits before it sends a request again that the broker could not serve at the moment.
const RETRY_PAUSE: Duration = Duration::from_millis(50);
/// After so many attempts a client gives up.
const MOST_ATTEMPTS: u32 = 20;

/// What a request is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
    Heartbeat,
    JoinGroup,
    Fetch,
    FetchOffsets,
    CommitOffsets,
    InitProducer,
    Produce,
    AddOffsets,
    EndTransaction,
    DescribeTopics,
}

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// The broker carries it out after a while, and the answer arrives after another while.
    Answered { there: Duration, back: Duration },
    /// The broker never gets it.
    RequestLost,
    /// The broker carries it out, but the answer is lost.
    AnswerLost,
    /// The client gives up, and the broker carries it out this long after that.
    Late(Duration),
    /// The broker answers with an error that passes.
    Refused,
}

/// Decides what happens to requests, and lets time pass.
pub trait Network {
    /// The virtual time since the start.
    fn now(&self) -> Duration;

    /// Lets time pass for a process. Other processes may do something meanwhile.
    fn wait(&self, process: usize, duration: Duration);

    /// Lets time pass for a process that has nothing to do, which may be longer than it asks for.
    fn idle(&self, process: usize, duration: Duration) {
        self.wait(process, duration);
    }

    /// What becomes of the next request of a process.
    fn fate(&self, process: usize, request: Request) -> Fate;

    /// Whether the process is dead: none of its calls has an effect any more.
    fn is_dead(&self, process: usize) -> bool;

    /// Whether a producer sends the records that it has buffered before it is asked to.
    fn sends_early(&self, process: usize) -> bool;
}

/// Why a call to the cluster did not succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CallError {
    /// This process is dead.
    Dead,
    /// There was no answer: the broker may have carried it out, or may still do so.
    TimedOut,
    Broker(BrokerError),
}

impl CallError {
    /// The error for the pipeline, unless the call needs a special one.
    pub(super) fn into_source_error(self, call: &str) -> SourceError {
        match self {
            Self::Dead => dead(),
            Self::TimedOut => SourceError::Retriable(anyhow::anyhow!("{call} had no answer")),
            Self::Broker(error) => SourceError::Retriable(anyhow::anyhow!("{call} failed: {error:?}")),
        }
    }
}

/// What each call of a dead process returns. It is not recovered from, so the pipeline calls nothing any more.
fn dead() -> SourceError {
    Halt::internal(anyhow::anyhow!("the process is dead")).into()
}

/// The connection of one process to the cluster.
#[derive(Clone)]
pub struct Connection {
    pub(super) network: Rc<dyn Network>,
    pub(super) cluster: Rc<RefCell<Cluster>>,
    pub(super) process: usize,
}

impl Connection {
    /// Connects a process.
    pub fn new(network: Rc<dyn Network>, cluster: Rc<RefCell<Cluster>>, process: usize) -> Self {
        Self { network, cluster, process }
    }

    /// Lets time pass.
    pub(super) fn wait(&self, duration: Duration) -> Result<(), CallError> {
        self.network.wait(self.process, duration);
        if self.network.is_dead(self.process) { Err(CallError::Dead) } else { Ok(()) }
    }

    /// Lets time pass, as there is nothing to do.
    pub(super) fn idle(&self, duration: Duration) -> Result<(), CallError> {
        if !duration.is_zero() {
            self.network.idle(self.process, duration);
        }
        if self.network.is_dead(self.process) { Err(CallError::Dead) } else { Ok(()) }
    }

    /// The cluster at this moment.
    pub(super) fn at_once<T>(&self, act: impl FnOnce(&mut Cluster, Duration) -> T) -> T {
        let now = self.network.now();
        let mut cluster = self.cluster.borrow_mut();
        cluster.advance(now);
        act(&mut cluster, now)
    }

    /// Sends a request, again and again if its error is one that passes.
    pub(super) fn call<T: 'static>(
        &self,
        request: Request,
        act: impl Fn(&mut Cluster, Duration) -> Result<T, BrokerError> + Clone + 'static,
    ) -> Result<T, CallError> {
        for _ in 0..MOST_ATTEMPTS {
            match self.call_once(request, act.clone()) {
                Err(CallError::Broker(error)) if error.is_retriable() => self.wait(RETRY_PAUSE)?,
                answer => return answer,
            }
        }
        Err(CallError::TimedOut)
    }

    fn call_once<T: 'static>(
        &self,
        request: Request,
        act: impl Fn(&mut Cluster, Duration) -> Result<T, BrokerError> + 'static,
    ) -> Result<T, CallError> {
        if self.network.is_dead(self.process) {
            return Err(CallError::Dead);
        }
        match self.network.fate(self.process, request) {
            Fate::Answered { there, back } => {
                self.wait(there)?;
                let answer = self.at_once(act);
                self.wait(back)?;
                answer.map_err(CallError::Broker)
            }
            Fate::Refused => Err(CallError::Broker(BrokerError::NotAvailable)),
            Fate::RequestLost => {
                self.wait(REQUEST_TIMEOUT)?;
                Err(CallError::TimedOut)
            }
            Fate::AnswerLost => {
                // A process that dies here has sent its request.
                let _ = self.at_once(act);
                self.wait(REQUEST_TIMEOUT)?;
                Err(CallError::TimedOut)
            }
            Fate::Late(delay) => {
                let at = self.network.now() + REQUEST_TIMEOUT + delay;
                self.at_once(|cluster, _| cluster.postpone(at, move |cluster, now| drop(act(cluster, now))));
                self.wait(REQUEST_TIMEOUT)?;
                Err(CallError::TimedOut)
            }
        }
    }
}
