//! The group coordinator: members, generations, and who has which partitions. Rebalances are eager: each member gives up its
//! partitions before it joins again.

use std::collections::BTreeMap;
use std::time::Duration;

use super::BrokerError;

/// A member id, as the coordinator gives it.
pub(super) type MemberId = u64;

/// What a member states about itself when it commits. As in librdkafka, a member that was put out of the group has lost its id, and
/// one of an old generation has lost that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct GroupMetadata {
    pub(super) member: Option<MemberId>,
    pub(super) generation: Option<u32>,
}

#[derive(Debug)]
struct Member {
    last_seen: Duration,
    has_joined: bool,
    partitions: Vec<i32>,
}

/// The members of a group and their partitions.
#[derive(Debug)]
pub(super) struct GroupCoordinator {
    partitions: i32,
    session_timeout: Duration,
    rebalance_timeout: Duration,
    members: BTreeMap<MemberId, Member>,
    next_member: MemberId,
    generation: u32,
    /// A rebalance that waits for members, and how long at most.
    rebalance_until: Option<Duration>,
}

impl GroupCoordinator {
    pub(super) fn new(partitions: i32, session_timeout: Duration, rebalance_timeout: Duration) -> Self {
        Self {
            partitions,
            session_timeout,
            rebalance_timeout,
            members: BTreeMap::new(),
            next_member: 0,
            generation: 0,
            rebalance_until: None,
        }
    }

    fn member(&mut self, id: MemberId, now: Duration) -> Result<&mut Member, BrokerError> {
        let member = self.members.get_mut(&id).ok_or(BrokerError::UnknownMember)?;
        member.last_seen = now;
        Ok(member)
    }

    fn rebalance(&mut self, now: Duration) {
        if self.rebalance_until.is_none() {
            self.rebalance_until = Some(now + self.rebalance_timeout);
            self.members.values_mut().for_each(|member| member.has_joined = false);
        }
    }

    /// A new member joins, or one that was asked to joins again.
    pub(super) fn join(&mut self, id: Option<MemberId>, now: Duration) -> Result<MemberId, BrokerError> {
        let id = match id {
            Some(id) => {
                self.member(id, now)?;
                id
            }
            None => {
                self.next_member += 1;
                let member = Member { last_seen: now, has_joined: false, partitions: Vec::new() };
                self.members.insert(self.next_member, member);
                self.next_member
            }
        };
        self.rebalance(now);
        self.member(id, now)?.has_joined = true;
        Ok(id)
    }

    /// The generation and the partitions of a member that has joined; `None` as long as the rebalance goes on.
    pub(super) fn sync(&mut self, id: MemberId, now: Duration) -> Result<Option<(u32, Vec<i32>)>, BrokerError> {
        let (is_rebalancing, generation) = (self.rebalance_until.is_some(), self.generation);
        let member = self.member(id, now)?;
        Ok((!is_rebalancing).then(|| (generation, member.partitions.clone())))
    }

    pub(super) fn heartbeat(&mut self, id: MemberId, generation: u32, now: Duration) -> Result<(), BrokerError> {
        self.member(id, now)?;
        match self.rebalance_until {
            _ if generation != self.generation => Err(BrokerError::IllegalGeneration),
            Some(_) => Err(BrokerError::RebalanceInProgress),
            None => Ok(()),
        }
    }

    pub(super) fn leave(&mut self, id: MemberId, now: Duration) {
        if self.members.remove(&id).is_some() {
            self.rebalance(now);
        }
    }

    /// Whether a commit with this metadata is accepted. As in Kafka, one that names neither member nor generation is not checked in a
    /// transaction; and an empty group takes what has no generation.
    pub(super) fn check_commit(&self, metadata: GroupMetadata, is_transactional: bool) -> Result<(), BrokerError> {
        let GroupMetadata { member, generation } = metadata;
        if generation.is_none() && self.members.is_empty()
            || member.is_none() && generation.is_none() && is_transactional
        {
            return Ok(());
        }
        if !member.is_some_and(|member| self.members.contains_key(&member)) {
            return Err(BrokerError::UnknownMember);
        }
        if generation == Some(self.generation) { Ok(()) } else { Err(BrokerError::IllegalGeneration) }
    }

    /// Puts out members whose sessions have expired, and completes a rebalance that waits for no one, or has waited long enough.
    pub(super) fn advance(&mut self, now: Duration) {
        let (before, timeout) = (self.members.len(), self.session_timeout);
        self.members.retain(|_, member| now.saturating_sub(member.last_seen) < timeout);
        if self.members.len() < before {
            self.rebalance(now);
        }
        let Some(until) = self.rebalance_until else { return };
        if now >= until {
            self.members.retain(|_, member| member.has_joined);
        }
        if self.members.values().all(|member| member.has_joined) {
            self.rebalance_until = None;
            self.generation += 1;
            self.assign();
        }
    }

    /// Round robin, beginning with another member in each generation, so that partitions move.
    fn assign(&mut self) {
        let (count, generation) = (self.members.len(), self.generation as usize);
        for (index, member) in self.members.values_mut().enumerate() {
            let is_its = |partition: &i32| (*partition as usize + generation) % count == index;
            member.partitions = (0..self.partitions).filter(is_its).collect();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn group() -> GroupCoordinator {
        GroupCoordinator::new(4, 10 * SECOND, 60 * SECOND)
    }

    fn metadata(member: Option<MemberId>, generation: Option<u32>) -> GroupMetadata {
        GroupMetadata { member, generation }
    }

    #[test]
    fn partitions_move_only_after_every_member_has_joined_again() {
        let mut group = group();
        let a = group.join(None, Duration::ZERO).unwrap();
        group.advance(Duration::ZERO);
        assert_eq!(group.sync(a, Duration::ZERO), Ok(Some((1, vec![0, 1, 2, 3]))));
        let b = group.join(None, SECOND).unwrap();
        group.advance(SECOND);
        assert_eq!(group.sync(b, SECOND), Ok(None));
        assert_eq!(group.heartbeat(a, 1, SECOND), Err(BrokerError::RebalanceInProgress));
        assert_eq!(group.check_commit(metadata(Some(a), Some(1)), true), Ok(()), "the generation is still the old one");
        group.join(Some(a), 2 * SECOND).unwrap();
        group.advance(2 * SECOND);
        let (generation, of_a) = group.sync(a, 2 * SECOND).unwrap().unwrap();
        let (_, of_b) = group.sync(b, 2 * SECOND).unwrap().unwrap();
        assert_eq!((generation, of_a.len(), of_b.len()), (2, 2, 2));
    }

    #[test]
    fn member_whose_session_expired_is_unknown_and_its_generation_is_refused() {
        let mut group = group();
        let a = group.join(None, Duration::ZERO).unwrap();
        group.advance(Duration::ZERO);
        let b = group.join(None, 10 * SECOND).unwrap();
        group.advance(10 * SECOND);
        assert_eq!(group.sync(b, 10 * SECOND), Ok(Some((2, vec![0, 1, 2, 3]))));
        assert_eq!(group.heartbeat(a, 1, 10 * SECOND), Err(BrokerError::UnknownMember));
        assert_eq!(group.check_commit(metadata(Some(a), Some(1)), true), Err(BrokerError::UnknownMember));
        assert_eq!(group.check_commit(metadata(None, Some(1)), true), Err(BrokerError::UnknownMember));
        assert_eq!(group.check_commit(metadata(Some(b), Some(1)), true), Err(BrokerError::IllegalGeneration));
        assert_eq!(group.check_commit(metadata(Some(b), None), true), Err(BrokerError::IllegalGeneration));
        assert_eq!(group.check_commit(metadata(None, None), true), Ok(()), "as of clients that know no generations");
        assert_eq!(group.check_commit(metadata(None, None), false), Err(BrokerError::UnknownMember));
    }

    #[test]
    fn rebalance_does_not_wait_for_a_member_longer_than_its_timeout() {
        let mut group = group();
        let a = group.join(None, Duration::ZERO).unwrap();
        group.advance(Duration::ZERO);
        let b = group.join(None, SECOND).unwrap();
        for second in 2..=61 {
            let _ = (group.heartbeat(a, 1, second * SECOND), group.sync(b, second * SECOND));
            group.advance(second * SECOND);
        }
        assert_eq!(group.sync(b, 61 * SECOND), Ok(Some((2, vec![0, 1, 2, 3]))));
        assert_eq!(group.heartbeat(a, 1, 61 * SECOND), Err(BrokerError::UnknownMember));
    }
}
