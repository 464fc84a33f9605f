//! Who may have a connection to the admin server at the same time (pure). Slow clients must not lock out others, least of all the
//! probes of an orchestrator, which would restart the host then.
//!
//! There is always a place for a new connection. One that has not asked for anything yet gives up its place first, the longest
//! waiting before all others: who has something to ask, asks at once. If all are busy, the new one may only ask the probes.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Instant;

/// Connections at once, without those for probes.
pub(super) const MAX_CONNECTIONS: usize = 64;
/// Of these, from one address.
pub(super) const MAX_OF_ADDRESS: usize = 32;
/// Further connections, which may only ask the probes.
pub(super) const MAX_PROBES: usize = 16;

/// Identifies a connection; numbers grow in the order of acceptance.
pub(super) type Id = u64;

/// What a connection may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    Everything,
    /// `/livez` and `/readyz`.
    Probes,
}

/// A new connection: what it may ask for, and which one has to go for it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Admission {
    pub(super) id: Id,
    pub(super) scope: Scope,
    pub(super) evicted: Option<Id>,
}

struct Entry {
    address: IpAddr,
    scope: Scope,
    /// Since when there is no request of it, if there is none.
    waiting_since: Option<Instant>,
}

/// All connections.
#[derive(Default)]
pub(super) struct Places {
    next: Id,
    entries: BTreeMap<Id, Entry>,
}

impl Places {
    /// Makes room for one from this address.
    pub(super) fn admit(&mut self, address: IpAddr, now: Instant) -> Admission {
        let address = network(address);
        let (scope, evicted) = self.place(address);
        if let Some(evicted) = evicted {
            self.entries.remove(&evicted);
        }
        let id = self.next;
        self.next += 1;
        self.entries.insert(id, Entry { address, scope, waiting_since: Some(now) });
        Admission { id, scope, evicted }
    }

    fn place(&self, address: IpAddr) -> (Scope, Option<Id>) {
        let of_scope = |wanted| self.entries.iter().filter(move |(_, entry)| entry.scope == wanted);
        let of_address = of_scope(Scope::Everything).filter(|(_, entry)| entry.address == address).count();
        let is_full_for_address = of_address >= MAX_OF_ADDRESS;
        if !is_full_for_address && of_scope(Scope::Everything).count() < MAX_CONNECTIONS {
            return (Scope::Everything, None);
        }
        // Who has too many gives up one of his own.
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

    /// Says since when there is no request of a connection, if there is none.
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

/// What counts as one address: of IPv6, a client usually has a whole network of 64 bits.
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

    /// Connections of different addresses, each a second after the one before.
    fn filled(start: Instant) -> Places {
        let mut places = Places::default();
        for number in 0..MAX_CONNECTIONS {
            let admitted = places.admit(address(number as u8), start + Duration::from_secs(number as u64));
            assert_eq!(admitted, Admission { id: number as Id, scope: Scope::Everything, evicted: None });
        }
        places
    }

    #[test]
    fn longest_waiting_connection_goes_for_a_new_one() {
        let start = Instant::now();
        let mut places = filled(start);
        places.set_waiting(0, None);
        // It waits again, but not for as long as the others.
        places.set_waiting(1, Some(start + Duration::from_secs(100)));
        for (number, expected) in [2, 3].into_iter().enumerate() {
            let admitted = places.admit(address(100 + number as u8), start + Duration::from_secs(200));
            assert_eq!((admitted.scope, admitted.evicted), (Scope::Everything, Some(expected)));
        }
    }

    #[test]
    fn probes_are_answered_when_all_others_are_busy() {
        let start = Instant::now();
        let mut places = filled(start);
        (0..MAX_CONNECTIONS).for_each(|id| places.set_waiting(id as Id, None));
        let first = MAX_CONNECTIONS as Id;
        for number in 0..MAX_PROBES {
            let admitted = places.admit(address(0), start);
            assert_eq!(admitted, Admission { id: first + number as Id, scope: Scope::Probes, evicted: None });
        }
        assert_eq!(places.admit(address(0), start).evicted, Some(first));
        assert_eq!(places.admit(address(0), start).evicted, Some(first + 1));
        // There is room again.
        places.remove(7);
        assert_eq!(places.admit(address(0), start).scope, Scope::Everything);
    }

    #[test]
    fn address_with_too_many_connections_gives_up_its_own() {
        let start = Instant::now();
        let mut places = Places::default();
        let other = places.admit(address(1), start).id;
        let first = places.admit(address(2), start).id;
        for _ in 1..MAX_OF_ADDRESS {
            assert_eq!(places.admit(address(2), start).evicted, None);
        }
        assert_eq!(places.admit(address(2), start).evicted, Some(first));
        assert_eq!(places.admit(address(3), start).evicted, None);
        (0..100).for_each(|id| places.set_waiting(id, None));
        places.set_waiting(other, Some(start));
        assert_eq!(places.admit(address(2), start).scope, Scope::Probes);
    }

    #[test]
    fn network_of_ipv6_is_one_address() {
        let parse = |text: &str| network(text.parse().unwrap());
        assert_eq!(parse("2001:db8::1"), parse("2001:db8::ffff:2"));
        assert_ne!(parse("2001:db8::1"), parse("2001:db8:0:1::1"));
        assert_eq!(parse("::ffff:10.0.0.1"), parse("10.0.0.1"));
        assert_ne!(parse("10.0.0.1"), parse("10.0.0.2"));
    }
}
