//! The classes of error codes of Kafka's protocol and of librdkafka. Only this file distinguishes codes; the result of a class
//! depends on the call that failed.

use rdkafka::error::RDKafkaErrorCode as Code;

use mapper_core::rejection::RejectionCause;

/// The class of an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ErrorClass {
    /// The state of the cluster or of the connection: another attempt may succeed.
    Retriable,
    /// A record that the broker rejects, or the request with this record.
    RecordRejected(RejectionCause),
    /// A permission that the user does not have on a resource of this kind.
    NotAuthorized(Denied),
    /// The credentials are rejected by the broker.
    NotAuthenticated,
    /// The credentials, or the mechanism, of a connection.
    ConnectionNotAuthenticated,
    /// The topic or the partition does not exist on the broker.
    TopicMissing,
    /// The topic or the partition is unknown to the client.
    TopicUnknown,
    /// The topic does not accept records of this form.
    TopicInvalid,
    /// Another producer has the transactional id of this one.
    ProducerFenced,
    /// Another member of the group has the instance id of this one.
    InstanceFenced,
    /// The client can't continue.
    ClientFailed,
    /// The broker does not support a needed feature.
    Unsupported,
    /// The transaction: it has failed before.
    TransactionFailed,
    /// The setting `--transaction-timeout`.
    TransactionTimeout,
    /// The setting `--session-timeout`.
    SessionTimeout,
}

/// A kind of resource on which a permission is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Denied {
    Topic,
    Group,
    Cluster,
    TransactionalId,
}

impl ErrorClass {
    /// The class of an error code.
    pub(crate) fn of(code: Code) -> Self {
        match code {
            Code::MessageSizeTooLarge | Code::InvalidMessageSize | Code::MessageBatchTooLarge => {
                Self::RecordRejected(RejectionCause::TooLarge)
            }
            Code::InvalidTimestamp => Self::RecordRejected(RejectionCause::Timestamp),
            Code::InvalidMessage | Code::InvalidRecord | Code::PolicyViolation | Code::UnsupportedForMessageFormat => {
                Self::RecordRejected(RejectionCause::Other)
            }
            Code::TopicAuthorizationFailed => Self::NotAuthorized(Denied::Topic),
            Code::GroupAuthorizationFailed => Self::NotAuthorized(Denied::Group),
            Code::ClusterAuthorizationFailed => Self::NotAuthorized(Denied::Cluster),
            Code::TransactionalIdAuthorizationFailed => Self::NotAuthorized(Denied::TransactionalId),
            Code::SaslAuthenticationFailed => Self::NotAuthenticated,
            Code::Authentication => Self::ConnectionNotAuthenticated,
            Code::UnknownTopicOrPartition => Self::TopicMissing,
            Code::UnknownTopic | Code::UnknownPartition => Self::TopicUnknown,
            Code::InvalidTopic | Code::InvalidRequiredAcks => Self::TopicInvalid,
            Code::Fenced | Code::ProducerFenced | Code::InvalidProducerEpoch => Self::ProducerFenced,
            Code::FencedInstanceId => Self::InstanceFenced,
            Code::Fatal => Self::ClientFailed,
            Code::UnsupportedVersion | Code::UnsupportedFeature => Self::Unsupported,
            Code::State => Self::TransactionFailed,
            Code::InvalidTransactionTimeout => Self::TransactionTimeout,
            Code::InvalidSessionTimeout => Self::SessionTimeout,
            _ => Self::Retriable,
        }
    }

    /// Whether a permission is missing.
    pub(crate) fn is_not_authorized(self) -> bool {
        matches!(self, Self::NotAuthorized(_))
    }

    /// Whether a topic or a partition is not there.
    pub(crate) fn is_topic_missing(self) -> bool {
        matches!(self, Self::TopicMissing | Self::TopicUnknown)
    }

    /// Why the broker rejects a record, if it does.
    pub(crate) fn rejection_cause(self) -> Option<RejectionCause> {
        if let Self::RecordRejected(cause) = self { Some(cause) } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_of_rejected_records_have_their_cause_and_no_other_code_has_one() {
        for (code, expected) in [
            (Code::MessageSizeTooLarge, Some(RejectionCause::TooLarge)),
            (Code::MessageBatchTooLarge, Some(RejectionCause::TooLarge)),
            (Code::InvalidTimestamp, Some(RejectionCause::Timestamp)),
            (Code::InvalidRecord, Some(RejectionCause::Other)),
            (Code::PolicyViolation, Some(RejectionCause::Other)),
            (Code::Unknown, None),
            (Code::NotEnoughReplicas, None),
            (Code::TopicAuthorizationFailed, None),
        ] {
            assert_eq!(ErrorClass::of(code).rejection_cause(), expected, "{code:?}");
        }
    }

    #[test]
    fn outages_are_retriable() {
        for code in [Code::AllBrokersDown, Code::MessageTimedOut, Code::NotEnoughReplicas, Code::RebalanceInProgress] {
            assert_eq!(ErrorClass::of(code), ErrorClass::Retriable, "{code:?}");
        }
    }
}
