//! A guest of the batch world that does what its records say, written with the SDK.

#[path = "../../commands.rs"]
mod commands;

use commands::{Action, Out, Seen, greet, obey};
use mapper_sdk::{Level, Output, Record, Settings, log, mapper};

mapper!(map, configure = configure);

fn configure(settings: &Settings) -> Result<(), String> {
    settings.only(&["greeting"])?;
    greet(settings.get("greeting"))
}

fn map(_: &mut (), record: &Record) -> Result<Vec<Output>, String> {
    let seen = Seen {
        topic: record.topic,
        partition: record.partition,
        offset: record.offset,
        timestamp_ms: record.timestamp_ms,
        key: record.key,
        value: record.value,
        headers: record
            .headers
            .iter()
            .map(|header| (header.name.to_owned(), header.value.map(<[u8]>::to_vec)))
            .collect(),
    };
    match obey(&seen, |line| log(Level::Info, line)) {
        Action::Reject(message) => Err(message),
        Action::Outputs(outputs) => Ok(outputs.into_iter().map(output).collect()),
    }
}

fn output(out: Out) -> Output {
    let mut output = match out.value {
        None => Output::keep(),
        Some(None) => Output::tombstone(),
        Some(Some(value)) => Output::new(value),
    };
    if let Some(key) = out.key {
        output = output.key(key);
    }
    if let Some(topic) = out.topic {
        output = output.topic(topic);
    }
    if let Some(timestamp) = out.timestamp_ms {
        output = output.timestamp_ms(timestamp);
    }
    if let Some(headers) = out.headers {
        output = output.no_headers();
        for (name, value) in headers {
            output = output.header(name, value);
        }
    }
    output
}
