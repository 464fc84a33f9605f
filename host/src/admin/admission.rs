//! Limits the concurrent connections to the admin server (pure). Slow clients must not lock out others, and above all not the
//! probes of an orchestrator, which would restart the host then.
//!
//! A new connection is always accepted. If all slots are used, the connection that has waited longest without a request is
//! closed, because a client sends its request at once. If all connections are busy, the new one may only request the probes.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Instant;

/// The maximum of connections, without those for probes.
pub(super) const MAX_CONNECTIONS: usize = 64;
/// The maximum of these from one address.
pub(super) const MAX_OF_ADDRESS: usize = 32;
/// The maximum of further connections, which may only request the probes.
pub(super) const MAX_PROBES: usize = 16;

/// Identifies a connection; numbers grow in the order of acceptance.
pub(super) type Id = u64;

/// The requests that a connection may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    Everything,
    /// `/livez` and `/readyz`.
    Probes,
}

/// An accepted connection: its scope, and the connection that is closed for it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Admitted {
    pub(super) id: Id,
    pub(super) scope: Scope,
    pub(super) evicted: Option<Id>,
}

struct Entry {
    address: IpAddr,
    scope: Scope,
    /// The time since which the connection has no request; `None` during a request.
    waiting_since: Option<Instant>,
}

/// The open connections.
#[derive(Default)]
pub(super) struct Admission {
    next: Id,
    entries: BTreeMap<Id, Entry>,
}

impl Admission {
    /// Accepts a connection from this address.
    pub(super) fn admit(&mut self, address: IpAddr, now: Instant) -> Admitted {
        let address = network(address);
        let (scope, evicted) = self.make_room(address);
        if let Some(evicted) = evicted {
            self.entries.remove(&evicted);
        }
        let id = self.next;
        self.next += 1;
        self.entries.insert(id, Entry { address, scope, waiting_since: Some(now) });
        Admitted { id, scope, evicted }
    }

    fn make_room(&self, address: IpAddr) -> (Scope, Option<Id>) {
        let of_scope = |wanted| self.entries.iter().filter(move |(_, entry)| entry.scope == wanted);
        let of_address = of_scope(Scope::Everything).filter(|(_, entry)| entry.address == address).count();
        let is_full_for_address = of_address >= MAX_OF_ADDRESS;
        if !is_full_for_address && of_scope(Scope::Everything).count() < MAX_CONNECTIONS {
            return (Scope::Everything, None);
        }
        // An address at its limit loses one of its own connections.
        let longest_waiting = of_scope(Scope::Everything)
            .filter(|(_, entry)| !is_full_for_address || entry.address == address)
            .filter_map(|(id, entry)| Some((entry.waiting_since?, *id)))
            .min();
        if let Some((_, id)) = longest_waiting {
            return (Scope::Everything, Some(id));
        }
        let oldest_probe = of_scope(Scope::Probes).map(|(id, _)| *id).next();
        let is_full = of_scope(Scope::Probes).count() >= MAX_PROBES;
        (Scope::Probes, oldest_probe.filter(|_| is_full))
    }

    /// Sets the time since which a connection has no request; `None` during a request.
    pub(super) fn set_waiting(&mut self, id: Id, since: Option<Instant>) {
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.waiting_since = since;
        }
    }

    /// A connection is closed.
    pub(super) fn remove(&mut self, id: Id) {
        self.entries.remove(&id);
    }
}

/// The address that a limit applies to. With IPv6, a client usually has a network of 64 bits, which counts as one address.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn address(last: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, last])
    }

    /// Connections from different addresses, one per second.
    fn filled(start: Instant) -> Admission {
        let mut admission = Admission::default();
        for number in 0..MAX_CONNECTIONS {
            let admitted = admission.admit(address(number as u8), start + Duration::from_secs(number as u64));
            assert_eq!(admitted, Admitted { id: number as Id, scope: Scope::Everything, evicted: None });
        }
        admission
    }

    #[test]
    fn longest_waiting_connection_is_closed_for_a_new_one() {
        let start = Instant::now();
        let mut admission = filled(start);
        admission.set_waiting(0, None);
        // It waits again, but less long than the others.
        admission.set_waiting(1, Some(start + Duration::from_secs(100)));
        for (number, expected) in [2, 3].into_iter().enumerate() {
            let admitted = admission.admit(address(100 + number as u8), start + Duration::from_secs(200));
            assert_eq!((admitted.scope, admitted.evicted), (Scope::Everything, Some(expected)));
        }
    }

    #[test]
    fn probes_are_answered_when_all_others_are_busy() {
        let start = Instant::now();
        let mut admission = filled(start);
        (0..MAX_CONNECTIONS).for_each(|id| admission.set_waiting(id as Id, None));
        let first = MAX_CONNECTIONS as Id;
        for number in 0..MAX_PROBES {
            let admitted = admission.admit(address(0), start);
            assert_eq!(admitted, Admitted { id: first + number as Id, scope: Scope::Probes, evicted: None });
        }
        assert_eq!(admission.admit(address(0), start).evicted, Some(first));
        assert_eq!(admission.admit(address(0), start).evicted, Some(first + 1));
        // A slot is free again.
        admission.remove(7);
        assert_eq!(admission.admit(address(0), start).scope, Scope::Everything);
    }

    #[test]
    fn address_with_too_many_connections_loses_its_own_connection() {
        let start = Instant::now();
        let mut admission = Admission::default();
        let other = admission.admit(address(1), start).id;
        let first = admission.admit(address(2), start).id;
        for _ in 1..MAX_OF_ADDRESS {
            assert_eq!(admission.admit(address(2), start).evicted, None);
        }
        assert_eq!(admission.admit(address(2), start).evicted, Some(first));
        assert_eq!(admission.admit(address(3), start).evicted, None);
        (0..100).for_each(|id| admission.set_waiting(id, None));
        admission.set_waiting(other, Some(start));
        assert_eq!(admission.admit(address(2), start).scope, Scope::Probes);
    }

    #[test]
    fn ipv6_network_counts_as_one_address() {
        let parse = |text: &str| network(text.parse().unwrap());
        assert_eq!(parse("2001:db8::1"), parse("2001:db8::ffff:2"));
        assert_ne!(parse("2001:db8::1"), parse("2001:db8:0:1::1"));
        assert_eq!(parse("::ffff:10.0.0.1"), parse("10.0.0.1"));
        assert_ne!(parse("10.0.0.1"), parse("10.0.0.2"));
    }
}
