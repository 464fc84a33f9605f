//! `dlq import`: writes exported letters to the dead-letter topic.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use mapper_author::records::JsonRecord;
use mapper_core::shutdown::{Halt, Shutdown};
use mapper_kafka::TopicProducer;
use mapper_terminal::output;

use super::states::Access;

/// Reads JSON lines as `dlq export` prints them; `-` is standard input. Position and partition are chosen anew.
///
/// # Errors
/// If a line is no record, or Kafka refuses it. The lines before are written.
pub(super) fn import(access: &Access, file: &Path) -> Result<(), Halt> {
    let failed = |error: std::io::Error| Halt::configuration(format!("{} can't be read: {error}", file.display()));
    let input: Box<dyn Read> = if file == Path::new("-") {
        Box::new(std::io::stdin())
    } else {
        Box::new(std::fs::File::open(file).map_err(failed)?)
    };
    let producer = access.letter_producer()?;
    let mut imported = 0;
    for (index, line) in BufReader::new(input).lines().enumerate() {
        let line = line.map_err(failed)?;
        if line.trim().is_empty() {
            continue;
        }
        let record = JsonRecord::read(&line).map_err(|error| {
            let at = format!("{}, line {}", file.display(), index + 1);
            Halt::configuration(format!("{at}: not a record: {error}. {imported} letters before it are written"))
        })?;
        send(&producer, &record)?;
        imported += 1;
    }
    producer.finish()?;
    output::print_line(format!("imported {imported} letters to {}", access.dead_letters));
    Ok(())
}

fn send(producer: &TopicProducer, record: &JsonRecord) -> Result<(), Halt> {
    let headers = record.headers.iter().map(|(name, value)| (name.as_slice(), value.as_deref()));
    let (key, value) = (record.key.as_deref(), record.value.as_deref());
    producer.send_with_headers(key, value, record.timestamp_ms, &mut { headers }, &Shutdown::default())
}
