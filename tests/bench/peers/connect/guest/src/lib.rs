//! Reduces a visit in Connect's `wasm` processor: the same code for times as our plugin, and serde_json for the rest.

#[path = "../../../../../../plugins/reduce_visit/src/fromisoformat.rs"]
mod fromisoformat;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

#[link(wasm_import_module = "benthos_wasm")]
unsafe extern "C" {
    fn v0_msg_as_bytes() -> u64;
    fn v0_msg_set_bytes(pointer: *const u8, size: usize);
    fn v0_msg_set_meta(key_pointer: *const u8, key_size: usize, pointer: *const u8, size: usize);
}

#[derive(Deserialize)]
struct Visit<'a> {
    #[serde(borrow)]
    visit_id: &'a RawValue,
    #[serde(borrow)]
    event_time: &'a RawValue,
    #[serde(borrow)]
    page: &'a RawValue,
}

#[derive(Serialize)]
struct Reduced<'a> {
    visit_id: &'a RawValue,
    event_time: i64,
    page: &'a RawValue,
}

/// Memory for a message, which the host writes.
#[unsafe(no_mangle)]
extern "C" fn allocate(size: usize) -> *mut u8 {
    Box::into_raw(vec![0; size].into_boxed_slice()).cast()
}

/// Frees what the host has read.
///
/// # Safety
/// The host passes a pointer and a size that it got from [`give`].
#[unsafe(no_mangle)]
unsafe extern "C" fn deallocate(pointer: *mut u8, size: usize) {
    // SAFETY: a boxed slice of this size was made there, and is freed once.
    drop(unsafe { Box::from_raw(std::ptr::slice_from_raw_parts_mut(pointer, size)) });
}

/// Reduces the message at hand, or says in its metadata why it can't.
#[unsafe(no_mangle)]
extern "C" fn process() {
    // SAFETY: the host answers with the place of memory that it got from `allocate`, and keeps none of it.
    let message = unsafe {
        let place = v0_msg_as_bytes();
        Box::from_raw(std::ptr::slice_from_raw_parts_mut((place >> 32) as *mut u8, place as u32 as usize))
    };
    match reduce(&message) {
        Ok(reduced) => {
            let (pointer, size) = give(reduced);
            // SAFETY: both are those of memory that is the host's now.
            unsafe { v0_msg_set_bytes(pointer, size) }
        }
        Err(reason) => {
            let ((key, key_size), (pointer, size)) = (give(b"error_message".to_vec()), give(reason.into_bytes()));
            // SAFETY: as above.
            unsafe { v0_msg_set_meta(key, key_size, pointer, size) }
        }
    }
}

fn reduce(message: &[u8]) -> Result<Vec<u8>, String> {
    let visit: Visit<'_> = serde_json::from_slice(message).map_err(|error| format!("not a visit: {error}"))?;
    let time: &str = serde_json::from_str(visit.event_time.get())
        .map_err(|_| "fromisoformat: argument must be str".to_owned())?;
    let event_time = fromisoformat::timestamp(time).map_err(|error| error.to_string())?;
    let reduced = Reduced { visit_id: visit.visit_id, event_time, page: visit.page };
    serde_json::to_vec(&reduced).map_err(|error| error.to_string())
}

/// Hands bytes to the host, which frees them.
fn give(bytes: Vec<u8>) -> (*const u8, usize) {
    let size = bytes.len();
    (Box::into_raw(bytes.into_boxed_slice()).cast(), size)
}
