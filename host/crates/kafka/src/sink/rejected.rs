//! What the sink makes of records that were not delivered, and what it then asks about their topics.

use std::time::Duration;

use super::KafkaSink;
use crate::deliveries::Failures;
use crate::producer::batch_bytes;
use crate::topic_limits;
use crate::undelivered::rejection;
use mapper_core::decision::{Routes, TopicLimits};
use mapper_pipeline::contracts::{Rejection, RejectionCause, SinkError};

/// How long the broker has to say what topics take, while records wait.
const LIMITS_TIMEOUT: Duration = Duration::from_secs(2);
/// Requests become this much smaller when one is too large.
const SHRINKING: usize = 4;

impl KafkaSink {
    /// What failed in the transaction, if anything did.
    pub(super) fn failure(&mut self, wait: Duration) -> Option<SinkError> {
        let Failures { rejected, other, .. } = self.open.as_ref()?.context().take_within(wait)?;
        let route_of = |number: usize| self.sent.get(number).map_or(0, |(_, route)| *route);
        if rejected.is_empty() {
            let (code, number) = other?;
            let topic = self.routes.get(route_of(number)).topic.clone();
            return Some(self.undelivered(code, &topic));
        }
        let rejections = rejected.into_iter().filter_map(|rejected| {
            let route = route_of(*rejected.numbers.first()?);
            let inputs = rejected.numbers.iter().filter_map(|number| Some(self.sent.get(*number)?.0)).collect();
            Some(rejection(&rejected, route, &self.routes.get(route).topic, inputs))
        });
        let rejections = rejections.collect();
        Some(self.rejected(rejections))
    }

    /// Where a request of several records was too large, no record is at fault: they are sent in smaller ones.
    pub(super) fn rejected(&mut self, mut rejections: Vec<Rejection>) -> SinkError {
        let count = rejections.len();
        rejections.retain(|rejection| rejection.cause != RejectionCause::TooLarge || rejection.inputs.len() == 1);
        if rejections.len() < count {
            let config = self.settings.producer(None, Some(&self.routes));
            let bytes = self.max_batch_bytes.unwrap_or(usize::MAX).min(batch_bytes(&config));
            let bytes = (bytes / SHRINKING).max(1);
            tracing::warn!(target: "kafka", bytes, "a request is larger than its topic takes; sending smaller ones");
            (self.max_batch_bytes, self.is_outdated) = (Some(bytes), true);
        }
        SinkError::RecordsRejected(rejections)
    }

    /// What the topics take now. The next transaction has a producer for that.
    pub(super) fn refresh_limits(&mut self) -> Vec<Option<TopicLimits>> {
        let topics: Vec<&str> = self.routes.all().map(|route| &*route.topic).collect();
        let limits = topic_limits::describe(&self.settings, &topics, LIMITS_TIMEOUT).unwrap_or_else(|error| {
            tracing::debug!(target: "kafka", %error, "the configuration of the topics could not be read");
            Vec::new()
        });
        let routes = self.routes.with_limits(limits.iter().cloned());
        let sizes =
            |routes: &Routes| -> Vec<usize> { routes.all().map(|route| route.limits.max_record_bytes).collect() };
        self.is_outdated |= sizes(&routes) != sizes(&self.routes);
        self.routes = routes;
        limits
    }
}
