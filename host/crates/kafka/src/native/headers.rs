//! Header lists of librdkafka.

use std::ffi::c_char;
use std::ptr::{self, NonNull};

use mapper_core::record::Header;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka_sys as sys;

/// A header list that is not yet part of a queued record.
pub(super) struct NativeHeaders(pub(super) NonNull<sys::rd_kafka_headers_t>);

impl NativeHeaders {
    /// The headers, or `None` if there are none. An error if librdkafka does not take all of them.
    pub(super) fn of<'h>(headers: &mut dyn Iterator<Item = Header<'h>>) -> Result<Option<Self>, RDKafkaErrorCode> {
        // SAFETY: only allocates.
        Self::with_calls(
            headers,
            |expected| unsafe { sys::rd_kafka_headers_new(expected) },
            |native, name, value| {
                let (data, size) = value.map_or((ptr::null(), 0), |value| (value.as_ptr(), value.len() as isize));
                let name_start = name.as_ptr().cast::<c_char>();
                // SAFETY: the name and the value are alive and have these sizes, and both are copied.
                unsafe { sys::rd_kafka_header_add(native, name_start, name.len() as isize, data.cast(), size) }
            },
        )
    }

    fn with_calls<'h>(
        headers: &mut dyn Iterator<Item = Header<'h>>,
        new: impl FnOnce(usize) -> *mut sys::rd_kafka_headers_t,
        add: impl Fn(*mut sys::rd_kafka_headers_t, &[u8], Option<&[u8]>) -> sys::rd_kafka_resp_err_t,
    ) -> Result<Option<Self>, RDKafkaErrorCode> {
        let Some(mut header) = headers.next() else { return Ok(None) };
        let (least, most) = headers.size_hint();
        let native = NonNull::new(new(most.unwrap_or(least) + 1));
        let native = Self(native.ok_or(RDKafkaErrorCode::CriticalSystemResource)?);
        loop {
            let (name, value) = header;
            match add(native.0.as_ptr(), name, value) {
                sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR => {}
                code => return Err(code.into()),
            }
            let Some(next) = headers.next() else { return Ok(Some(native)) };
            header = next;
        }
    }
}

impl Drop for NativeHeaders {
    fn drop(&mut self) {
        // SAFETY: the value still owns the headers; `produce` forgets it otherwise.
        unsafe { sys::rd_kafka_headers_destroy(self.0.as_ptr()) }
    }
}

#[cfg(test)]
mod tests {
    use sys::rd_kafka_resp_err_t::{RD_KAFKA_RESP_ERR__READ_ONLY, RD_KAFKA_RESP_ERR_NO_ERROR};

    use super::*;

    const HEADERS: [Header<'static>; 2] = [(b"a", Some(b"1")), (b"b", None)];

    #[test]
    fn headers_that_librdkafka_does_not_take_are_an_error_and_not_dropped() {
        let all = || HEADERS.into_iter();
        assert!(NativeHeaders::of(&mut all()).is_ok_and(|native| native.is_some()));
        assert!(NativeHeaders::of(&mut all().take(0)).is_ok_and(|native| native.is_none()));
        let no_memory = NativeHeaders::with_calls(&mut all(), |_| ptr::null_mut(), |_, _, _| unreachable!());
        assert_eq!(no_memory.err(), Some(RDKafkaErrorCode::CriticalSystemResource));
        for refused in [&b"a"[..], b"b"] {
            let add = |_, name: &[u8], _: Option<&[u8]>| {
                if name == refused { RD_KAFKA_RESP_ERR__READ_ONLY } else { RD_KAFKA_RESP_ERR_NO_ERROR }
            };
            // SAFETY: only allocates.
            let not_added =
                NativeHeaders::with_calls(&mut all(), |count| unsafe { sys::rd_kafka_headers_new(count) }, add);
            assert_eq!(not_added.err(), Some(RDKafkaErrorCode::ReadOnly));
        }
    }
}
