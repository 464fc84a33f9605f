//! Redriven records are those that failed, byte for byte.

use harness::host::Job;
use harness::kafka::Kafka;
use harness::letters;
use harness::mutate::Numbers;
use harness::topics::{self, NewRecord, Record};

use super::redrive::Redrive;
use crate::HOST;

const MIB: usize = 1 << 20;

/// What a redrive must keep.
type Content = (Option<i64>, Option<Vec<u8>>, Option<Vec<u8>>, Vec<(String, Option<Vec<u8>>)>);

fn content(record: &Record) -> Content {
    let Record { key, value, headers, timestamp, .. } = record.clone();
    (timestamp, key, value, headers)
}

/// Records that a letter can't have as they are.
fn special() -> Vec<NewRecord> {
    let mut numbers = Numbers::new(7);
    let text = "\"quoted\" \\ \u{0} \u{1b}[31m \u{2028} \u{fffd} é 🦀\r\n";
    let binary = || NewRecord::value(b"\xff\x00\xfe not UTF-8".to_vec());
    let records = [
        NewRecord::value(numbers.bytes(MIB)).key(numbers.bytes(300)),
        NewRecord::value("x".repeat(MIB)).key("long text"),
        binary().key(b"\x80 not UTF-8 either".to_vec()),
        binary(),
        NewRecord::tombstone().key("tombstone"),
        NewRecord::tombstone(),
        NewRecord::value("null key"),
        NewRecord::value("").key(""),
        NewRecord::value(text).key(text),
        NewRecord::value("headers")
            .header("h", "1")
            .header("other", b"\xff\x00".to_vec())
            .header("h", "2")
            .null_header("h")
            .header("h", "")
            .header("", "no name")
            .header("h", "1"),
    ];
    let numbered = records.into_iter().enumerate();
    numbered.map(|(number, record)| record.partition(0).timestamp(1_700_000_000_000 + number as i64)).collect()
}

/// Whether the letters of long records are cut.
fn redrive_special(name: &str, is_cut: bool) {
    let dir = tempfile::tempdir().expect("a folder");
    let job = Job::new(Kafka::shared(), name, HOST, &crate::reduce_visit());
    let large = [("max.message.bytes", "8388608")];
    topics::alter(job.kafka, &job.input, &large);
    topics::alter(job.kafka, &job.output, &large);
    topics::alter(job.kafka, &job.dead_letters, if is_cut { &[("max.message.bytes", "3000")] } else { &large });
    let records = special();
    topics::produce(job.kafka, &job.input, records.iter().cloned());
    let test = Redrive { job, dir };
    let large = ["--kafka", "message.max.bytes=8388608"];
    test.job.run_to_end(&[&["--plugin", &test.plugin("rejects"), "--workers", "1"][..], &large].concat());
    let written = topics::read_all(test.job.kafka, &test.job.dead_letters);
    let cut = written.iter().filter(|letter| letters::header(letter, "mapper-host.cut").is_some()).count();
    assert_eq!((written.len(), cut), (records.len(), if is_cut { 2 } else { 0 }));
    let redriven = test.redrive("keeps", &large);
    assert_eq!((redriven.code, test.open_letters()), (Some(0), 0), "{}", redriven.output);
    let sorted = |topic: &str| {
        let mut all: Vec<Content> = topics::read_all(test.job.kafka, topic).iter().map(content).collect();
        all.sort();
        all
    };
    let (input, output) = (sorted(&test.job.input), sorted(&test.job.output));
    assert_eq!(input.len(), output.len());
    for (input, output) in input.iter().zip(&output) {
        assert!(input == output, "at {:?}: key, value or headers differ: {:?}", input.0, (&output.1, &output.3));
    }
}

#[test]
fn long_binary_and_null_records_are_redriven_byte_for_byte() {
    redrive_special("redrive-special", false);
}

#[test]
fn long_binary_and_null_records_whose_letters_are_cut_are_redriven_byte_for_byte() {
    redrive_special("redrive-special-cut", true);
}
