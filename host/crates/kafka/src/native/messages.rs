//! Records and events that a consumer has fetched.

use std::ffi::{CStr, c_void};
use std::ptr;

use mapper_core::record::{Header, NO_TIMESTAMP};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka_sys as sys;

/// Messages that belong to the caller.
pub(crate) struct Messages<'q>(&'q mut Vec<*mut sys::rd_kafka_message_t>);

impl<'q> Messages<'q> {
    /// `messages` are valid pointers.
    pub(super) fn new(messages: &'q mut Vec<*mut sys::rd_kafka_message_t>) -> Self {
        Self(messages)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = Fetched<'_>> {
        // SAFETY: a message is valid until the value is dropped.
        self.0.iter().map(|message| Fetched(unsafe { &**message }))
    }
}

impl Drop for Messages<'_> {
    fn drop(&mut self) {
        // SAFETY: each message belongs to the value, and is destroyed once.
        self.0.drain(..).for_each(|message| unsafe { sys::rd_kafka_message_destroy(message) });
    }
}

/// A record, or an event in its place.
#[derive(Clone, Copy)]
pub(crate) struct Fetched<'a>(&'a sys::rd_kafka_message_t);

impl<'a> Fetched<'a> {
    pub(super) fn new(message: &'a sys::rd_kafka_message_t) -> Self {
        Self(message)
    }

    /// The error code of an event; `None` for a record.
    pub(crate) fn error(&self) -> Option<RDKafkaErrorCode> {
        (self.0.err != sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR).then(|| self.0.err.into())
    }

    /// The error text of an event.
    pub(crate) fn error_text(&self) -> String {
        // SAFETY: the message is valid and owns the text, which is null or a C string.
        unsafe {
            let text = sys::rd_kafka_message_errstr(self.0);
            if text.is_null() { String::new() } else { CStr::from_ptr(text).to_string_lossy().into_owned() }
        }
    }

    pub(crate) fn partition(&self) -> i32 {
        self.0.partition
    }

    /// The handle of the topic. It is the same for all records of a topic that one fetch returns.
    pub(crate) fn topic_handle(&self) -> *const c_void {
        self.0.rkt.cast_const().cast()
    }

    pub(crate) fn topic(&self) -> &'a str {
        if self.0.rkt.is_null() {
            return "";
        }
        // SAFETY: the message is valid and keeps its topic alive, which owns the name.
        unsafe { CStr::from_ptr(sys::rd_kafka_topic_name(self.0.rkt)).to_str().unwrap_or_default() }
    }

    pub(crate) fn offset(&self) -> i64 {
        self.0.offset
    }

    pub(crate) fn timestamp_ms(&self) -> i64 {
        let mut kind = sys::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
        // SAFETY: the message is valid.
        let timestamp = unsafe { sys::rd_kafka_message_timestamp(self.0, &mut kind) };
        if kind == sys::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE { NO_TIMESTAMP } else { timestamp }
    }

    pub(crate) fn key(&self) -> Option<&'a [u8]> {
        // SAFETY: the message owns these bytes while it is borrowed.
        unsafe { bytes(self.0.key, self.0.key_len) }
    }

    pub(crate) fn value(&self) -> Option<&'a [u8]> {
        // SAFETY: as for the key.
        unsafe { bytes(self.0.payload, self.0.len) }
    }

    pub(crate) fn headers(&self) -> impl Iterator<Item = Header<'a>> + Clone + use<'a> {
        let mut headers = ptr::null_mut();
        // SAFETY: the message is valid and owns the headers.
        let error = unsafe { sys::rd_kafka_message_headers(self.0, &mut headers) };
        let has_headers = error == sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR;
        let mut index = 0;
        std::iter::from_fn(move || {
            let (mut name, mut value, mut size) = (ptr::null(), ptr::null(), 0);
            // SAFETY: only called if there are headers. An index beyond the last one returns an error.
            let error = unsafe {
                has_headers
                    .then(|| sys::rd_kafka_header_get_all(headers, index, &mut name, &mut value, &mut size))
                    .filter(|error| *error == sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR)
            };
            error?;
            index += 1;
            // SAFETY: a name is a C string, and a value has that many bytes; both live as long as the message.
            unsafe { Some((CStr::from_ptr(name).to_bytes(), bytes(value, size))) }
        })
    }
}

/// # Safety
/// `start` is null or points at that many bytes that live for `'a`.
unsafe fn bytes<'a>(start: *const c_void, size: usize) -> Option<&'a [u8]> {
    // SAFETY: as the caller promises.
    (!start.is_null()).then(|| unsafe { std::slice::from_raw_parts(start.cast(), size) })
}
