//! Guests whose return values break the contract or are malformed.

use super::*;
use mapper_core::verdict::Columns;

/// Address of the record `verdicts` in guest memory.
const VERDICTS: usize = 2048;
/// Address of its lists.
const LISTS: usize = 4096;

/// The memory of a guest that returns flat columns: little-endian words from [`VERDICTS`] on, and the lists.
#[derive(Clone)]
struct Raw {
    words: Vec<u32>,
    lists: Vec<u8>,
}

impl Raw {
    /// One record with the outputs "a" and "bc".
    fn valid() -> Self {
        let mut raw = Self { words: vec![0; 48], lists: Vec::new() };
        raw.list(STATUSES, &[0], 1);
        raw.list(OUTPUT_ENDS, &[2, 0, 0, 0], 4);
        raw.list(VALUES, b"abc", 1);
        raw.list(VALUES + 2, &[1, 0, 0, 0, 3, 0, 0, 0], 4);
        raw
    }

    /// Sets the list whose address is in this word.
    fn list(&mut self, word: usize, bytes: &[u8], size: usize) -> &mut Self {
        self.lists.resize(self.lists.len().next_multiple_of(8), 0);
        self.words[word] = (LISTS + self.lists.len()) as u32;
        self.words[word + 1] = (bytes.len() / size) as u32;
        self.lists.extend_from_slice(bytes);
        self
    }

    fn word(&mut self, word: usize, value: u32) -> &mut Self {
        self.words[word] = value;
        self
    }

    fn guest(&self) -> Vec<u8> {
        let escaped = |bytes: &[u8]| bytes.iter().map(|byte| format!("\\{byte:02x}")).collect::<String>();
        let words: Vec<u8> = self.words.iter().flat_map(|word| word.to_le_bytes()).collect();
        let data = format!(
            "(data (i32.const {VERDICTS}) \"{}\") (data (i32.const {LISTS}) \"{}\")",
            escaped(&words),
            escaped(&self.lists)
        );
        let module = core(BATCH, &format!("(i32.const {VERDICTS})")).replacen("(module", &format!("(module {data}"), 1);
        component(&module, WIT, BATCH)
    }

    fn verdicts(&self) -> Vec<String> {
        self.verdicts_on(1)
    }

    fn verdicts_on(&self, records: usize) -> Vec<String> {
        let plugin = load(Limits::default(), &self.guest()).unwrap_or_else(|error| panic!("{error}"));
        verdicts(&mut PluginMapper::new(Arc::new(plugin)), records)
    }
}

// Word offsets in the record `verdicts`. A list is an address and a length; an option is a tag before its content.
const STATUSES: usize = 0;
const OUTPUT_ENDS: usize = 2;
const ERRORS: usize = 4;
const VALUES: usize = 10;
const KEYS: usize = 16;
const TOPICS: usize = 23;
const HEADERS: usize = 28;
const TIMESTAMPS: usize = 45;

#[test]
fn valid_columns_are_accepted() {
    let seen = Raw::valid().verdicts();
    assert_eq!(seen, ["None None Some([97]) NoneNone None Some([98, 99]) None"]);
}

#[test]
fn malformed_or_contract_breaking_columns_are_invalid_output() {
    let mut cases: Vec<(Raw, &str)> = Vec::new();
    let mut case = |change: &dyn Fn(&mut Raw) -> &mut Raw, words| {
        let mut raw = Raw::valid();
        change(&mut raw);
        cases.push((raw, words));
    };
    case(&|raw| raw.list(VALUES + 2, &[1, 0, 0, 0, 9, 0, 0, 0], 4), "values ends at 9 instead of 3");
    case(&|raw| raw.list(VALUES + 2, &[3, 0, 0, 0, 1, 0, 0, 0], 4), "values decreases");
    case(&|raw| raw.list(VALUES + 2, &[255; 8], 4), "values ends at 4294967295");
    case(&|raw| raw.list(OUTPUT_ENDS, &[255; 4], 4), "output-ends ends at 4294967295");
    case(&|raw| raw.list(STATUSES, &[0; 3], 1), "statuses has 3 items instead of 1");
    case(&|raw| raw.list(STATUSES, &[7], 1), "a status is 7");
    case(&|raw| raw.list(STATUSES, &[], 1), "statuses has 0 items");
    case(&|raw| raw.word(KEYS, 1), "keys has 0 items instead of 2");
    case(&|raw| raw.word(TIMESTAMPS, 1), "timestamps-ms has 0 items");
    case(&|raw| raw.word(HEADERS, 1), "headers.marks has 0 items");
    case(&|raw| raw.word(TOPICS, 1).list(TOPICS + 3, &[9, 0, 0, 0, 0, 0, 0, 0], 4), "a topic index is 9");
    // Values that wasmtime can't lift.
    let unreadable = "the return value of the plugin is malformed";
    case(&|raw| raw.word(VALUES, u32::MAX).word(VALUES + 1, 10), unreadable);
    case(&|raw| raw.word(VALUES, 262_140).word(VALUES + 1, 10), unreadable);
    case(&|raw| raw.word(OUTPUT_ENDS, 4097), unreadable);
    case(&|raw| raw.word(KEYS, 2), unreadable);
    case(&|raw| raw.word(TOPICS, 1).word(TOPICS + 1, LISTS as u32).word(TOPICS + 2, 1 << 20), unreadable);
    // A topic name that is not UTF-8.
    case(
        &|raw| {
            raw.list(ERRORS, &[0xff], 1);
            let name = raw.words[ERRORS].to_le_bytes();
            raw.word(ERRORS + 1, 0).word(TOPICS, 1).list(TOPICS + 1, &[&name[..], &[1, 0, 0, 0]].concat(), 8);
            raw.list(TOPICS + 3, &[0; 8], 4)
        },
        unreadable,
    );
    for (raw, words) in cases {
        let seen = raw.verdicts();
        assert!(
            seen.len() == 1 && seen[0].starts_with("invalid-output: ") && seen[0].contains(words),
            "{words}: {seen:?}"
        );
        // In a batch, every record fails by itself.
        let seen = raw.verdicts_on(5);
        assert!(seen.len() == 5 && seen.iter().all(|seen| seen.starts_with("invalid-output: ")), "{words}: {seen:?}");
    }
}

#[test]
fn list_larger_than_the_output_limit_is_oversize() {
    // Each name spans the whole memory, and the list has as many names as fit.
    let limits = Limits { output_bytes: 1 << 20, ..Limits::default() };
    let mut raw = Raw::valid();
    let names: Vec<u8> = std::iter::repeat_n([0, 0, 0, 0, 0, 0, 2, 0], 10_000).flatten().collect();
    raw.word(TOPICS, 1).list(TOPICS + 1, &names, 8);
    let plugin = load(limits, &raw.guest()).unwrap_or_else(|error| panic!("{error}"));
    let seen = verdicts(&mut PluginMapper::new(Arc::new(plugin)), 2);
    let oversize = "oversize: the return value of the plugin exceeds the limit (1MiB; --output-limit)";
    assert_eq!(seen, [oversize, oversize]);
}

#[test]
fn split_batch_stops_at_the_output_limit() {
    // The outputs of one record have a third of the limit.
    let limits = Limits { output_bytes: 192 << 10, ..Limits::default() };
    let mut raw = Raw::valid();
    raw.list(VALUES, &[b'x'; 64 << 10], 1).list(VALUES + 2, &[[0, 0, 0, 0], [0, 0, 1, 0]].concat(), 4);
    let plugin = load(limits, &raw.guest()).unwrap_or_else(|error| panic!("{error}"));
    let mut mapper = PluginMapper::new(Arc::new(plugin));
    let mut batch = Batch::new("visits");
    (0..20).for_each(|offset| batch.push((0, offset), 0, None, None, std::iter::empty()));
    let mut all = Verdicts::default();
    mapper.map(&batch, &mut all);
    assert_eq!(all.len(), 20);
    let mut first = Verdicts::default();
    mapper.map_until_failure(&batch, 0..batch.len(), &mut first);
    assert_eq!(first.len(), 3);
}

proptest::proptest! {
    /// Columns that pass the check can be read completely.
    #[test]
    fn checked_columns_can_be_read(columns in columns(), records in 0..4_usize) {
        if columns.check(records).is_ok() {
            read_all(columns, records);
        }
    }
}

fn read_all(columns: Columns, records: usize) {
    let mut batch = Batch::new("visits");
    (0..records).for_each(|offset| batch.push((0, offset as i64), 0, None, None, std::iter::empty()));
    let mut verdicts = Verdicts::default();
    verdicts.push_columns(columns);
    assert_eq!(verdicts.iter().count(), records);
    for (verdict, record) in verdicts.iter().zip(batch.records()) {
        if let Verdict::Mapped(outputs) = verdict {
            for output in outputs {
                let headers = output.own_headers().map(|headers| headers.count());
                std::hint::black_box((output.topic(), output.key(record), output.value(record), headers));
                std::hint::black_box(output.timestamp_ms(record));
            }
        }
    }
}

/// Columns of a few records. Most are nearly valid.
fn columns() -> impl proptest::strategy::Strategy<Value = Columns> {
    use proptest::collection::vec;
    use proptest::option::of;
    use proptest::prelude::*;

    use mapper_core::record::{Column, HeaderTable};
    use mapper_core::verdict::{OutputHeaders, OutputTopics};

    let small = || prop_oneof![8 => 0..4_u32, 1 => any::<u32>()];
    let marks = || vec(prop_oneof![8 => 0..3_u8, 1 => any::<u8>()], 0..4);
    let column = move || {
        // Half of them are sorted, and then nearly match the length of the bytes.
        (vec(any::<u8>(), 0..4), vec(small(), 0..4), marks(), any::<bool>(), any::<bool>()).prop_map(
            |(bytes, mut ends, marks, sorted, marked)| {
                if sorted {
                    ends.sort_unstable();
                    if let Some(last) = ends.last_mut() {
                        *last = bytes.len() as u32;
                    }
                    ends.sort_unstable();
                }
                Column { bytes, ends, marks: if marked { marks } else { Vec::new() } }
            },
        )
    };
    let table =
        (vec(small(), 0..4), column(), column()).prop_map(|(ends, names, values)| HeaderTable { ends, names, values });
    let headers = (marks(), table).prop_map(|(marks, table)| OutputHeaders { marks, table });
    let topics =
        (vec("[a-z]{0,3}", 0..3), vec(small(), 0..4)).prop_map(|(names, indexes)| OutputTopics { names, indexes });
    let statuses = vec(prop_oneof![8 => Just(0_u8), 2 => Just(1), 1 => any::<u8>()], 0..4);
    let timestamps = vec(prop_oneof![8 => -1..5_i64, 1 => any::<i64>()], 0..4);
    (statuses, vec(small(), 0..4), column(), column(), of(column()), of(topics), of(headers), of(timestamps)).prop_map(
        |(statuses, output_ends, errors, values, keys, topics, headers, timestamps_ms)| Columns {
            statuses,
            output_ends,
            errors,
            values,
            keys,
            topics,
            headers,
            timestamps_ms,
        },
    )
}
