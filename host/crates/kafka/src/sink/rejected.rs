//! Failed deliveries of the sink, and the refresh of topic limits after them.

use std::time::Duration;

use super::KafkaSink;
use crate::deliveries::Failures;
use crate::delivery_errors::create_rejection;
use crate::producer::batch_bytes;
use crate::topic_limits;
use mapper_core::decision::{Routes, TopicLimits};
use mapper_pipeline::contracts::{Rejection, RejectionCause, SinkError};

/// The timeout of the request for topic limits; the record path waits for it.
const LIMITS_TIMEOUT: Duration = Duration::from_secs(2);
/// The divisor of the request limit after a request was too large.
const SHRINK_FACTOR: usize = 4;

impl KafkaSink {
    /// Takes the failure of the transaction, if there is one.
    pub(super) fn take_failure(&mut self, wait: Duration) -> Option<SinkError> {
        let Failures { rejected, other, .. } = self.open.as_ref()?.context().take_within(wait)?;
        let route_of = |number: usize| self.sent.get(number).map_or(0, |(_, route)| *route);
        if rejected.is_empty() {
            let (code, number) = other?;
            let topic = self.routes.get(route_of(number)).topic.clone();
            return Some(self.classify_delivery(code, &topic));
        }
        let rejections = rejected.into_iter().filter_map(|rejected| {
            let route = route_of(*rejected.numbers.first()?);
            let inputs = rejected.numbers.iter().filter_map(|number| Some(self.sent.get(*number)?.0)).collect();
            Some(create_rejection(&rejected, route, &self.routes.get(route).topic, inputs))
        });
        let rejections = rejections.collect();
        Some(self.reject(rejections))
    }

    /// If a request of several records was too large, no record is rejected; the next requests are smaller.
    pub(super) fn reject(&mut self, mut rejections: Vec<Rejection>) -> SinkError {
        let count = rejections.len();
        rejections.retain(|rejection| rejection.cause != RejectionCause::TooLarge || rejection.inputs.len() == 1);
        if rejections.len() < count {
            let config = self.settings.producer(None, Some(&self.routes));
            let bytes = self.max_batch_bytes.unwrap_or(usize::MAX).min(batch_bytes(&config));
            let bytes = (bytes / SHRINK_FACTOR).max(1);
            tracing::warn!(target: "kafka", bytes, "a request exceeds the limit of its topic; sending smaller requests");
            (self.max_batch_bytes, self.is_outdated) = (Some(bytes), true);
        }
        SinkError::RecordsRejected(rejections)
    }

    /// Reads the limits of the topics. The next transaction uses a producer with these limits.
    pub(super) fn refresh_limits(&mut self) -> Vec<Option<TopicLimits>> {
        let topics: Vec<&str> = self.routes.all().map(|route| &*route.topic).collect();
        let limits = topic_limits::describe(&self.settings, &topics, LIMITS_TIMEOUT).unwrap_or_else(|error| {
            tracing::debug!(target: "kafka", %error, "failed to read the configuration of the topics");
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
