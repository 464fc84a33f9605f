//! The permissions (ACLs) of the host: it checks them at the start, and names a missing one in an error.

use std::collections::BTreeMap;
use std::ffi::{CStr, CString};
use std::fmt;
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::client::Client;
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka_sys as sys;
use rdkafka_sys::rd_kafka_AclOperation_t as Acl;

/// An operation, with the name of Kafka's tools.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    Describe,
    Read,
    Write,
    Create,
    IdempotentWrite,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Resource<'a> {
    Topic(&'a str),
    Group(&'a str),
    TransactionalId(&'a str),
    Cluster,
}

/// A missing permission. Its text has the command that grants it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct MissingPermission<'a> {
    pub(super) operations: Vec<Operation>,
    pub(super) resource: Resource<'a>,
}

impl<'a> MissingPermission<'a> {
    pub(super) fn new(operations: impl Into<Vec<Operation>>, resource: Resource<'a>) -> Self {
        Self { operations: operations.into(), resource }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl fmt::Display for MissingPermission<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<String> = self.operations.iter().map(|operation| operation.to_string().to_uppercase()).collect();
        write!(f, "missing permission: {} on ", names.join(" and "))?;
        let option = match self.resource {
            Resource::Topic(name) => write!(f, "the topic '{name}'").map(|()| format!("--topic '{name}'")),
            Resource::Group(name) => write!(f, "the consumer group '{name}'").map(|()| format!("--group '{name}'")),
            Resource::TransactionalId(id) => {
                write!(f, "the transactional id '{id}'").map(|()| format!("--transactional-id '{id}'"))
            }
            Resource::Cluster => write!(f, "the cluster").map(|()| "--cluster".to_owned()),
        }?;
        write!(f, ". Grant it, as by kafka-acls --add --allow-principal User:NAME")?;
        self.operations.iter().try_for_each(|operation| write!(f, " --operation {operation}"))?;
        write!(f, " {option}")
    }
}

/// Reads the permitted operations for each topic. Brokers before 2.3 and missing topics give no answer. Kafka has no such request for
/// transactional ids.
pub(super) fn fetch_granted<'t, C: ClientContext>(
    client: &Client<C>,
    topics: &[&'t str],
    timeout: Duration,
) -> KafkaResult<BTreeMap<&'t str, Vec<Operation>>> {
    let names: Vec<CString> = topics.iter().map(|topic| CString::new(*topic)).collect::<Result<_, _>>()?;
    let mut pointers: Vec<_> = names.iter().map(|name| name.as_ptr()).collect();
    let timeout_ms = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
    let mut granted = BTreeMap::new();
    // SAFETY: the client and the names are alive. Each object is created and destroyed once here. The descriptions live as long as
    // the event. librdkafka drops an answer that arrives after the queue is destroyed.
    unsafe {
        let rk = client.native_ptr();
        let options = sys::rd_kafka_AdminOptions_new(rk, sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS);
        sys::rd_kafka_AdminOptions_set_request_timeout(options, timeout_ms, std::ptr::null_mut(), 0);
        let error = sys::rd_kafka_AdminOptions_set_include_authorized_operations(options, 1);
        sys::rd_kafka_error_destroy(error);
        let collection = sys::rd_kafka_TopicCollection_of_topic_names(pointers.as_mut_ptr(), pointers.len());
        let queue = sys::rd_kafka_queue_new(rk);
        sys::rd_kafka_DescribeTopics(rk, collection, options, queue);
        let event = sys::rd_kafka_queue_poll(queue, timeout_ms);
        let code = match event.is_null() {
            true => sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__TIMED_OUT,
            false => sys::rd_kafka_event_error(event),
        };
        if code == sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
            let mut count = 0;
            let result = sys::rd_kafka_event_DescribeTopics_result(event);
            let descriptions = sys::rd_kafka_DescribeTopics_result_topics(result, &raw mut count);
            for index in 0..count {
                let description = *descriptions.add(index);
                let name = CStr::from_ptr(sys::rd_kafka_TopicDescription_name(description)).to_str();
                let topic = topics.iter().copied().find(|topic| name == Ok(*topic));
                if let (Some(topic), Some(operations)) = (topic, operations(description)) {
                    granted.insert(topic, operations);
                }
            }
        }
        sys::rd_kafka_event_destroy(event);
        sys::rd_kafka_queue_destroy(queue);
        sys::rd_kafka_TopicCollection_destroy(collection);
        sys::rd_kafka_AdminOptions_destroy(options);
        match code {
            sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR => Ok(granted),
            code => Err(KafkaError::AdminOp(code.into())),
        }
    }
}

/// # Safety
/// The description is valid.
unsafe fn operations(description: *const sys::rd_kafka_TopicDescription_t) -> Option<Vec<Operation>> {
    let mut count = 0;
    // SAFETY: the description is valid and owns an array of this length.
    let operations = unsafe {
        let error = sys::rd_kafka_TopicDescription_error(description);
        let operations = sys::rd_kafka_TopicDescription_authorized_operations(description, &raw mut count);
        if sys::rd_kafka_error_code(error) != sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR
            || operations.is_null()
        {
            return None;
        }
        std::slice::from_raw_parts(operations, count)
    };
    let known = |operation: &Acl| match operation {
        Acl::RD_KAFKA_ACL_OPERATION_READ => Some(Operation::Read),
        Acl::RD_KAFKA_ACL_OPERATION_WRITE => Some(Operation::Write),
        Acl::RD_KAFKA_ACL_OPERATION_DESCRIBE => Some(Operation::Describe),
        _ => None,
    };
    Some(operations.iter().filter_map(known).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_permission_has_the_command_that_grants_it() {
        let grant = ". Grant it, as by kafka-acls --add --allow-principal User:NAME";
        for (operations, resource, named, options) in [
            (
                vec![Operation::Write],
                Resource::Topic("out"),
                "missing permission: WRITE on the topic 'out'",
                " --operation Write --topic 'out'",
            ),
            (
                vec![Operation::Read],
                Resource::Group("g"),
                "missing permission: READ on the consumer group 'g'",
                " --operation Read --group 'g'",
            ),
            (
                vec![Operation::Describe, Operation::Write],
                Resource::TransactionalId("id-0"),
                "missing permission: DESCRIBE and WRITE on the transactional id 'id-0'",
                " --operation Describe --operation Write --transactional-id 'id-0'",
            ),
            (
                vec![Operation::IdempotentWrite],
                Resource::Cluster,
                "missing permission: IDEMPOTENTWRITE on the cluster",
                " --operation IdempotentWrite --cluster",
            ),
        ] {
            assert_eq!(MissingPermission::new(operations, resource).to_string(), format!("{named}{grant}{options}"));
        }
    }
}
