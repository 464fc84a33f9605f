//! What goes wrong in a world: requests that are lost or late, processes that die, and machines that are frozen.

use std::time::Duration;

use mapper_pipeline::simulation::{Fate, Network, Request};

use crate::world::World;

impl World {
    /// Lets time pass for a client, which may die or be frozen meanwhile.
    pub(crate) fn pass(&self, client: usize, duration: Duration) {
        if std::mem::take(&mut self.clients.borrow_mut()[client].is_dying) {
            self.kill_host_of(client, "a crash");
        }
        if self.is_dead(client) {
            return;
        }
        self.run_until(self.now() + duration);
        while !self.is_dead(client) {
            let frozen_until = self.clients.borrow()[client].frozen_until;
            if frozen_until <= self.now() {
                break;
            }
            self.run_until(frozen_until);
        }
    }

    /// The process of this client dies: its memory is gone, its disk stays.
    pub(crate) fn kill_host_of(&self, client: usize, reason: &str) {
        if self.is_dead(client) {
            return;
        }
        let host = self.clients.borrow()[client].host;
        self.trace(|| format!("host {host} dies of {reason}"));
        self.statistics().crashes += 1;
        // Before anything is dropped, which would still write.
        self.end_process(host);
        let pipelines: Vec<_> = {
            let mut clients = self.clients.borrow_mut();
            let own = clients.iter_mut().filter(|client| client.host == host && !client.is_dead.get());
            own.map(|client| {
                client.is_dead.set(true);
                client.pipeline.take()
            })
            .collect()
        };
        drop(pipelines);
    }

    fn freeze(&self, client: usize) {
        let until = self.now() + self.random().millis(1000, 25_000);
        self.statistics().freezes += 1;
        let mut clients = self.clients.borrow_mut();
        let host = clients[client].host;
        self.trace(|| format!("host {host} is frozen until {until:?}"));
        for client in clients.iter_mut().filter(|client| client.host == host && !client.is_dead.get()) {
            client.frozen_until = until;
        }
    }
}

impl Network for World {
    fn now(&self) -> Duration {
        self.clock.elapsed()
    }

    fn wait(&self, client: usize, duration: Duration) {
        self.pass(client, duration);
    }

    fn idle(&self, client: usize, duration: Duration) {
        let idle = duration.max(self.random().millis(50, 500));
        self.pass(client, idle);
    }

    fn fate(&self, client: usize, request: Request) -> Fate {
        let mut random = self.random();
        let answered = Fate::Answered { there: random.short(), back: random.short() };
        if !self.has_faults() {
            return answered;
        }
        let faults = self.scenario.faults;
        let is_in_background = matches!(request, Request::Heartbeat | Request::JoinGroup);
        if !is_in_background && random.chance(faults.crash) {
            let is_carried_out = random.chance(0.5);
            self.trace(|| format!("client {client} is dying at {request:?}, carried out: {is_carried_out}"));
            self.clients.borrow_mut()[client].is_dying = true;
            return if is_carried_out { Fate::AnswerLost } else { Fate::RequestLost };
        }
        let is_frozen = !is_in_background && random.chance(faults.freeze);
        let slow = Duration::from_millis(random.number(1, 1000) as u64);
        let late = random.millis(1, 10_000);
        let fate = match random.number(0, 9999) as f64 / 10_000.0 {
            share if share < faults.request_lost => Fate::RequestLost,
            share if share < faults.request_lost + faults.answer_lost => Fate::AnswerLost,
            share if share < faults.request_lost + faults.answer_lost + faults.late => Fate::Late(late),
            share if share < faults.request_lost + faults.answer_lost + faults.late + faults.refused => Fate::Refused,
            _ if random.chance(faults.slow) => Fate::Answered { there: slow, back: slow / 3 },
            _ => answered,
        };
        drop(random);
        if is_frozen {
            self.freeze(client);
        }
        if !matches!(fate, Fate::Answered { .. }) {
            self.statistics().lost += 1;
            self.trace(|| format!("client {client}: {request:?} {fate:?}"));
        }
        fate
    }

    fn is_dead(&self, client: usize) -> bool {
        self.clients.borrow()[client].is_dead.get()
    }

    fn sends_early(&self, _: usize) -> bool {
        self.random().chance(self.scenario.faults.sends_early)
    }
}
