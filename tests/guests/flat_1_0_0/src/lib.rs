//! A guest written by hand against the batch world of contract 1.0.0, as it was released: it says what it sees of a record,
//! and rejects those without a value.

use exports::mapper_host::mapper::{batch_mapper, plugin};
use mapper_host::mapper::logging::{Level, log};
use mapper_host::mapper::progress::at;

wit_bindgen::generate!({ world: "mapper-batch", path: "../../../wit/released/1.0.0" });

struct Flat;

#[cfg(target_arch = "wasm32")]
export!(Flat);

impl plugin::Guest for Flat {
    fn describe() -> plugin::Info {
        plugin::Info { name: "flat".to_owned(), version: "1.0.0".to_owned() }
    }

    fn configure(settings: Vec<(String, String)>) -> Result<(), String> {
        if settings.is_empty() { Ok(()) } else { Err(format!("no setting is known, and {} are given", settings.len())) }
    }
}

fn item(column: &batch_mapper::Column, index: usize) -> Option<&[u8]> {
    let start = index.checked_sub(1).map_or(0, |before| column.ends[before] as usize);
    let null = column.marks.get(index) == Some(&1);
    (!null).then(|| &column.bytes[start..column.ends[index] as usize])
}

fn push(column: &mut batch_mapper::Column, text: &str) {
    column.bytes.extend_from_slice(text.as_bytes());
    column.ends.push(column.bytes.len() as u32);
}

fn empty() -> batch_mapper::Column {
    batch_mapper::Column { bytes: Vec::new(), ends: Vec::new(), marks: Vec::new() }
}

impl batch_mapper::Guest for Flat {
    fn process(batch: batch_mapper::Batch) -> batch_mapper::Verdicts {
        let (mut statuses, mut output_ends) = (Vec::new(), Vec::new());
        let (mut errors, mut values) = (empty(), empty());
        for index in 0..batch.offsets.len() {
            at(index as u32);
            log(Level::Debug, "next");
            match item(&batch.values, index) {
                None => push(&mut errors, "no value"),
                Some(value) => {
                    let headers = batch.headers.as_ref().map_or(0, |table| table.ends[index]);
                    let (partition, offset, time) =
                        (batch.partitions[index], batch.offsets[index], batch.timestamps_ms[index]);
                    let key = item(&batch.keys, index).map_or(0, <[u8]>::len);
                    let topic = &batch.topic;
                    push(&mut values, &format!("{topic} {partition} {offset} {time} {key} {} {headers}", value.len()));
                }
            }
            statuses.push(u8::from(item(&batch.values, index).is_none()));
            output_ends.push(values.ends.len() as u32);
        }
        let outputs = batch_mapper::Outputs { values, keys: None, topics: None, headers: None, timestamps_ms: None };
        batch_mapper::Verdicts { statuses, output_ends, errors, outputs }
    }
}
