//! What the test guests do with a record: its value is a command. Shared by a guest of each world, so that the worlds can be
//! held against each other.

/// What a command asks for.
pub enum Action {
    /// Return these.
    Outputs(Vec<Out>),
    /// Return this error.
    Reject(String),
}

/// An output; `None` keeps what the input has.
#[derive(Default, Clone)]
pub struct Out {
    /// The topic.
    pub topic: Option<String>,
    /// The key.
    pub key: Option<Option<Vec<u8>>>,
    /// The value.
    pub value: Option<Option<Vec<u8>>>,
    /// The headers.
    pub headers: Option<Vec<(String, Option<Vec<u8>>)>>,
    /// The timestamp.
    pub timestamp_ms: Option<i64>,
}

/// What a guest sees of a record, as one text.
pub struct Seen<'a> {
    pub topic: &'a str,
    pub partition: i32,
    pub offset: i64,
    pub timestamp_ms: Option<i64>,
    pub key: Option<&'a [u8]>,
    pub value: Option<&'a [u8]>,
    pub headers: Vec<(String, Option<Vec<u8>>)>,
}

/// Carries out a command. `log` writes a line to the host's log.
pub fn obey(seen: &Seen<'_>, log: impl Fn(&str)) -> Action {
    let Some(value) = seen.value else { return Action::Reject("no value".to_owned()) };
    let Ok(command) = std::str::from_utf8(value) else { return Action::Reject("not UTF-8".to_owned()) };
    let (word, rest) = command.split_once(' ').unwrap_or((command, ""));
    let out = Out::default();
    let bytes = |text: &str| Some(Some(text.as_bytes().to_vec()));
    let outputs = match word {
        "skip" => vec![],
        "keep" => vec![out],
        "value" => vec![Out { value: bytes(rest), ..out }],
        "tombstone" => vec![Out { value: Some(None), ..out }],
        "key" => vec![Out { key: bytes(rest), ..out }],
        "null-key" => vec![Out { key: Some(None), ..out }],
        "topic" => vec![Out { topic: Some(rest.to_owned()), ..out }],
        "time" => vec![Out { timestamp_ms: rest.parse().ok(), ..out }],
        "headers" => {
            let headers =
                vec![("a".to_owned(), Some(b"1".to_vec())), ("a".to_owned(), None), (String::new(), Some(vec![255]))];
            vec![Out { headers: Some(headers), ..out }]
        }
        "no-headers" => vec![Out { headers: Some(vec![]), ..out }],
        "three" => vec![
            Out { value: bytes("one"), ..out.clone() },
            Out { key: bytes("k"), timestamp_ms: Some(7), headers: Some(vec![]), ..out.clone() },
            Out { topic: Some("other".to_owned()), ..out },
        ],
        "see" => vec![Out { value: bytes(&see(seen)), ..out }],
        "reject" => return Action::Reject(rest.to_owned()),
        "panic" => panic!("{rest}"),
        "spin" => loop {
            std::hint::black_box(());
        },
        "recurse" => vec![Out { value: bytes(&recurse(0).to_string()), ..out }],
        "allocate" => {
            let mut hoard: Vec<Vec<u8>> = Vec::new();
            loop {
                hoard.push(std::hint::black_box(vec![1; 1 << 20]));
            }
        }
        "exit" => std::process::exit(3),
        "print" => {
            println!("{rest}");
            vec![out]
        }
        "log" => {
            log(rest);
            vec![out]
        }
        other => return Action::Reject(format!("unknown command {other}")),
    };
    Action::Outputs(outputs)
}

fn see(seen: &Seen<'_>) -> String {
    format!(
        "{} {} {} {:?} {:?} {:?} {:?}",
        seen.topic, seen.partition, seen.offset, seen.timestamp_ms, seen.key, seen.value, seen.headers
    )
}

/// A stack overflow, which no compiler sees coming.
fn recurse(depth: u64) -> u64 {
    if std::hint::black_box(depth) == u64::MAX {
        return depth;
    }
    std::hint::black_box(recurse(depth + 1)) + 1
}
