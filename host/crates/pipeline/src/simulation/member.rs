//! A member of the group, as librdkafka behaves: its background thread keeps it in the group, and hands each change of its
//! partitions to the source, which carries it out when the pipeline says so.

use std::cell::{RefCell, RefMut};
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use super::group::{GroupMetadata, MemberId};
use super::network::{CallError, Fate, Request};
use super::{BrokerError, Connection};
use crate::contracts::Fetched;
use mapper_core::record::Positions;

/// A change of partitions that the source must carry out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Rebalance {
    Assign(Vec<i32>),
    Revoke { is_lost: bool },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Not in the group; joins with the next turn of the background thread.
    Out,
    /// In the group. It has given up its partitions, and joins again.
    Rejoining,
    /// Waits for the rebalance to be completed.
    Joining,
    Stable,
    Closed,
}

struct State {
    phase: Phase,
    id: Option<MemberId>,
    generation: Option<u32>,
    announced: VecDeque<Rebalance>,
    has_partitions: bool,
    /// The offsets that this member committed, or found.
    committed: Positions,
    last_poll: Duration,
}

/// The membership of one worker, which its source and its sink share.
#[derive(Clone)]
pub struct Member {
    connection: Connection,
    state: Rc<RefCell<State>>,
}

impl Member {
    /// Joins the group with the next [`Member::serve`].
    pub fn new(connection: Connection) -> Self {
        let state = State {
            phase: Phase::Out,
            id: None,
            generation: None,
            announced: VecDeque::new(),
            has_partitions: false,
            committed: Positions::new(),
            last_poll: connection.network.now(),
        };
        Self { connection, state: Rc::new(RefCell::new(state)) }
    }

    fn state(&self) -> RefMut<'_, State> {
        self.state.borrow_mut()
    }

    /// What the member states about itself at a commit. That of this very moment has the generation which fences a zombie.
    pub(super) fn metadata(&self) -> GroupMetadata {
        let state = self.state();
        GroupMetadata { member: state.id, generation: state.generation }
    }

    pub(super) fn record_committed(&self, next: &Positions) {
        self.state().committed.extend(next);
    }

    /// The last offset that is known to be committed.
    pub(super) fn committed(&self, partition: i32) -> Option<i64> {
        self.state().committed.get(&partition).copied()
    }

    /// The application has called the consumer.
    pub(super) fn polled(&self) {
        self.state().last_poll = self.connection.network.now();
    }

    /// The change that must be carried out first.
    pub(super) fn announced(&self) -> Option<Fetched> {
        self.state().announced.front().map(|rebalance| match rebalance {
            Rebalance::Assign(_) => Fetched::Assigned,
            Rebalance::Revoke { is_lost } => Fetched::Revoked { lost: *is_lost },
        })
    }

    pub(super) fn announced_rebalance(&self) -> Option<Rebalance> {
        self.state().announced.front().cloned()
    }

    /// The announced change is carried out.
    pub(super) fn settled(&self) {
        let mut state = self.state();
        match state.announced.pop_front() {
            Some(Rebalance::Assign(partitions)) => state.has_partitions = !partitions.is_empty(),
            Some(Rebalance::Revoke { .. }) => {
                state.has_partitions = false;
                if state.announced.is_empty() {
                    state.phase = if state.id.is_some() { Phase::Rejoining } else { Phase::Out };
                }
            }
            None => {}
        }
    }

    /// One turn of the background thread.
    pub fn serve(&self) {
        let connection = &self.connection;
        if connection.network.is_dead(connection.process) || self.state().phase == Phase::Closed {
            return;
        }
        let (phase, id, generation) = {
            let state = self.state();
            (state.phase, state.id, state.generation)
        };
        let now = connection.network.now();
        match (phase, id) {
            (Phase::Stable, Some(id)) => {
                let max_poll_interval = connection.cluster.borrow().settings().max_poll_interval;
                if now.saturating_sub(self.state().last_poll) >= max_poll_interval {
                    connection.at_once(|cluster, now| cluster.leave(id, now));
                    return self.lose(BrokerError::UnknownMember);
                }
                let generation = generation.unwrap_or_default();
                match self.send(Request::Heartbeat, |cluster, now| cluster.heartbeat(id, generation, now)) {
                    Err(CallError::Broker(BrokerError::RebalanceInProgress)) => self.give_up(),
                    Err(CallError::Broker(error)) => self.lose(error),
                    Ok(()) | Err(CallError::Dead | CallError::TimedOut) => {}
                }
            }
            (Phase::Joining, Some(id)) => match self.send(Request::JoinGroup, |cluster, now| cluster.sync(id, now)) {
                Ok(Some((generation, partitions))) => {
                    let mut state = self.state();
                    (state.phase, state.generation) = (Phase::Stable, Some(generation));
                    state.announced.push_back(Rebalance::Assign(partitions));
                    // As with a poll: the time before counts for the rebalance.
                    state.last_poll = now;
                }
                Err(CallError::Broker(_)) => self.start_over(),
                Ok(None) | Err(CallError::Dead | CallError::TimedOut) => {}
            },
            (Phase::Rejoining | Phase::Out, id) => {
                match self.send(Request::JoinGroup, |cluster, now| cluster.join(id, now)) {
                    Ok(id) => {
                        let mut state = self.state();
                        (state.id, state.phase) = (Some(id), Phase::Joining);
                    }
                    Err(CallError::Broker(_)) => self.start_over(),
                    Err(CallError::Dead | CallError::TimedOut) => {}
                }
            }
            (Phase::Joining | Phase::Stable, None) | (Phase::Closed, _) => {}
        }
    }

    /// A request of the background thread. It has no time of its own: one that is not answered at once is sent again with the
    /// next turn.
    fn send<T>(
        &self,
        request: Request,
        act: impl FnOnce(&mut super::Cluster, Duration) -> Result<T, BrokerError>,
    ) -> Result<T, CallError> {
        match self.connection.network.fate(self.connection.process, request) {
            Fate::Answered { .. } => self.connection.at_once(act).map_err(CallError::Broker),
            Fate::AnswerLost => {
                let _ = self.connection.at_once(act);
                Err(CallError::TimedOut)
            }
            Fate::RequestLost | Fate::Late(_) | Fate::Refused => Err(CallError::TimedOut),
        }
    }

    /// The group rebalances: the partitions go once the pipeline has committed.
    fn give_up(&self) {
        let mut state = self.state();
        // Only one change at a time waits for the pipeline.
        if !state.announced.is_empty() {
            return;
        }
        if state.has_partitions {
            state.announced.push_back(Rebalance::Revoke { is_lost: false });
        } else {
            state.phase = Phase::Rejoining;
        }
    }

    /// The group goes on without this member: the partitions are gone.
    fn lose(&self, error: BrokerError) {
        let mut state = self.state();
        if error == BrokerError::IllegalGeneration {
            state.generation = None;
        } else {
            state.id = None;
        }
        // A revocation that waits already is reported as it was announced.
        let is_announced = state.announced.iter().any(|rebalance| matches!(rebalance, Rebalance::Revoke { .. }));
        let has_partitions = state.has_partitions || !state.announced.is_empty();
        state.phase = if state.id.is_some() { Phase::Rejoining } else { Phase::Out };
        if has_partitions {
            // It waits until the pipeline has given up its partitions.
            state.phase = Phase::Stable;
            if !is_announced {
                state.announced.push_back(Rebalance::Revoke { is_lost: true });
            }
        }
    }

    fn start_over(&self) {
        let mut state = self.state();
        (state.phase, state.id, state.generation) = (Phase::Out, None, None);
    }

    /// Whether it has left the group for good.
    pub fn is_closed(&self) -> bool {
        self.state().phase == Phase::Closed
    }

    /// Leaves the group.
    pub fn close(&self) {
        let id = {
            let mut state = self.state();
            state.phase = Phase::Closed;
            state.announced.clear();
            state.id.take()
        };
        if let Some(id) = id {
            self.connection.at_once(|cluster, now| cluster.leave(id, now));
        }
    }
}
