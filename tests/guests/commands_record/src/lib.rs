//! A guest of the world of single records that does what its records say, written by hand against the WIT.

#[path = "../../commands.rs"]
mod commands;

use commands::{Action, Out, Seen, greet, obey};
use exports::mapper_host::mapper::{plugin, record_mapper};
use mapper_host::mapper::logging::{Level, log};
use mapper_host::mapper::types::{Content, Header};

// Not against the files of today: plugins of a released version must go on working (`wit/README.md`).
wit_bindgen::generate!({ world: "mapper", path: "../../../wit/released/1.0.0" });

struct Commands;

#[cfg(target_arch = "wasm32")]
export!(Commands);

impl plugin::Guest for Commands {
    fn describe() -> plugin::Info {
        plugin::Info { name: "commands_record".to_owned(), version: "0.1.0".to_owned() }
    }

    fn configure(settings: Vec<(String, String)>) -> Result<(), String> {
        match settings.as_slice() {
            [] => Ok(()),
            [(key, value)] if key == "greeting" => greet(Some(value)),
            [(key, _), ..] => Err(format!("unknown setting '{key}'; known are: greeting")),
        }
    }
}

impl record_mapper::Guest for Commands {
    fn process(input: record_mapper::Input) -> Result<Vec<record_mapper::Output>, String> {
        let seen = Seen {
            topic: &input.topic,
            partition: input.partition,
            offset: input.offset,
            timestamp_ms: input.timestamp_ms,
            key: input.key.as_deref(),
            value: input.value.as_deref(),
            headers: input.headers.iter().map(|header| (header.name.clone(), header.value.clone())).collect(),
        };
        match obey(&seen, |line| log(Level::Info, line)) {
            Action::Reject(message) => Err(message),
            Action::Outputs(outputs) => Ok(outputs.into_iter().map(output).collect()),
        }
    }
}

fn content(content: Option<Option<Vec<u8>>>) -> Content {
    match content {
        None => Content::Keep,
        Some(None) => Content::Null,
        Some(Some(bytes)) => Content::Bytes(bytes),
    }
}

fn output(out: Out) -> record_mapper::Output {
    let headers = |headers: Vec<(String, Option<Vec<u8>>)>| {
        headers.into_iter().map(|(name, value)| Header { name, value }).collect()
    };
    record_mapper::Output {
        topic: out.topic,
        key: content(out.key),
        value: content(out.value),
        headers: out.headers.map(headers),
        timestamp_ms: out.timestamp_ms,
    }
}
