//! What the test guests do with a record: its value is a command. Shared by a guest of each world, so that the worlds can be
//! held against each other.

#[path = "sins.rs"]
mod sins;

use sins::{corrupt, count, hoard, recurse};

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
        "spin" => spin(),
        "announce" => {
            println!("{rest}");
            spin()
        }
        "recurse" => vec![Out { value: bytes(&recurse(0).to_string()), ..out }],
        "allocate" => hoard(),
        "exit" => std::process::exit(3),
        "unreachable" => unreachable(),
        "out-of-bounds" => out_of_bounds(),
        "divide" => vec![Out { value: bytes(&divide(0).to_string()), ..out }],
        "overflow" => vec![Out { value: bytes(&overflowing(rest).to_string()), ..out }],
        "return" => vec![Out { value: Some(Some(vec![0; number(rest)])), ..out }],
        "return-many" => vec![Out { value: Some(Some(vec![b'x'; 1024])), ..out }; number(rest)],
        "every" => {
            // Counts from the beginning of the instance.
            if count().is_multiple_of(number(rest)) { panic!("every {rest}") } else { vec![out] }
        }
        "count" => vec![Out { value: bytes(&count().to_string()), ..out }],
        "corrupt" => {
            corrupt();
            vec![out]
        }
        "leak" => {
            std::mem::forget(std::hint::black_box(vec![1_u8; number(rest)]));
            vec![out]
        }
        "sleep" => {
            std::thread::sleep(std::time::Duration::from_millis(number(rest) as u64));
            vec![out]
        }
        "work" => vec![Out { value: bytes(&work(number(rest)).to_string()), ..out }],
        "environment" => {
            let variables: Vec<String> = std::env::vars().map(|(name, value)| format!("{name}={value}")).collect();
            let arguments: Vec<String> = std::env::args().collect();
            vec![Out { value: bytes(&format!("{variables:?} {arguments:?}")), ..out }]
        }
        "read" => vec![Out { value: bytes(&told(std::fs::read_to_string(rest))), ..out }],
        "write" => {
            vec![Out { value: bytes(&told(std::fs::write(rest, "written").map(|()| "written".to_owned()))), ..out }]
        }
        "open" => {
            // Files, or listings of a directory: how many there can be at once, and why no more.
            let (kind, path) = rest.split_once(' ').unwrap_or(("file", rest));
            let mut open: Vec<Box<dyn std::any::Any>> = Vec::new();
            let opened = |open: &mut Vec<Box<dyn std::any::Any>>| -> std::io::Result<()> {
                open.push(match kind {
                    "listing" => Box::new(std::fs::read_dir(path)?),
                    _ => Box::new(std::fs::File::open(path)?),
                });
                Ok(())
            };
            let error = loop {
                if open.len() >= 1000 {
                    break "none".to_owned();
                }
                if let Err(error) = opened(&mut open) {
                    break error.to_string();
                }
            };
            vec![Out { value: bytes(&format!("{} {error}", open.len())), ..out }]
        }
        "connect" => {
            let connected = std::net::TcpStream::connect(rest).map(|_| "connected".to_owned());
            vec![Out { value: bytes(&told(connected)), ..out }]
        }
        "listen" => {
            let bound = std::net::UdpSocket::bind(rest).map(|_| "bound".to_owned());
            vec![Out { value: bytes(&told(bound)), ..out }]
        }
        "resolve" => {
            let resolved = std::net::ToSocketAddrs::to_socket_addrs(&(rest, 80)).map(|_| "resolved".to_owned());
            vec![Out { value: bytes(&told(resolved)), ..out }]
        }
        "clocks" => {
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
            let started = std::time::Instant::now();
            std::thread::sleep(std::time::Duration::from_millis(2));
            vec![Out { value: bytes(&format!("{} {}", now.as_secs(), started.elapsed().as_nanos())), ..out }]
        }
        "random" => {
            use std::hash::{BuildHasher, RandomState};
            let hashed = RandomState::new().hash_one(0);
            vec![Out { value: bytes(&format!("{:?} {hashed}", random())), ..out }]
        }
        "print-lines" => {
            (0..number(rest)).for_each(|line| println!("line {line}"));
            vec![out]
        }
        "print-endless" => {
            // One line without an end, of bytes that are no text.
            use std::io::Write;
            let mut stdout = std::io::stdout().lock();
            (0..number(rest)).for_each(|_| stdout.write_all(&[0xff; 1024]).expect("stdout takes all"));
            stdout.flush().expect("stdout takes all");
            vec![out]
        }
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

fn spin() -> ! {
    loop {
        std::hint::black_box(());
    }
}

fn see(seen: &Seen<'_>) -> String {
    let hex = |bytes: Option<&[u8]>| match bytes {
        None => "null".to_owned(),
        Some(bytes) => bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
    };
    let timestamp = seen.timestamp_ms.map_or_else(|| "none".to_owned(), |ms| ms.to_string());
    let headers: String =
        seen.headers.iter().map(|(name, value)| format!(" {name}={}", hex(value.as_deref()))).collect();
    let place = format!("{}/{}@{}", seen.topic, seen.partition, seen.offset);
    format!("{place} {timestamp} {} {}{headers}", hex(seen.key), hex(seen.value))
}

fn number(text: &str) -> usize {
    text.parse().unwrap_or(0)
}

fn told(result: std::io::Result<String>) -> String {
    result.unwrap_or_else(|error| format!("error: {error}"))
}

#[cfg(target_arch = "wasm32")]
fn unreachable() -> ! {
    core::arch::wasm32::unreachable()
}

#[cfg(not(target_arch = "wasm32"))]
fn unreachable() -> ! {
    unreachable!("only guests are built for wasm")
}

#[cfg(target_arch = "wasm32")]
fn random() -> [u8; 8] {
    unsafe extern "C" {
        fn getentropy(buffer: *mut u8, length: usize) -> i32;
    }
    let mut bytes = [0; 8];
    // SAFETY: it is given a buffer and its length.
    assert_eq!(unsafe { getentropy(bytes.as_mut_ptr(), bytes.len()) }, 0, "there are always random numbers");
    bytes
}

#[cfg(not(target_arch = "wasm32"))]
fn random() -> [u8; 8] {
    unreachable!("only guests are built for wasm")
}

/// An address beyond the memory.
fn out_of_bounds() -> Vec<Out> {
    let beyond = std::hint::black_box(0xffff_0000_usize) as *const u8;
    // SAFETY: none; that the sandbox stops it is what is tested.
    let byte = unsafe { beyond.read_volatile() };
    vec![Out { value: Some(Some(vec![byte])), ..Out::default() }]
}

/// The instruction itself: Rust would panic before it.
#[inline(never)]
fn divide(by: i32) -> i32 {
    let by = std::hint::black_box(by);
    // SAFETY: none; that the sandbox stops it is what is tested.
    unsafe { std::hint::black_box(1_i32).checked_div(by).unwrap_unchecked() }
}

fn overflowing(text: &str) -> u8 {
    let number: u8 = text.parse().unwrap_or(u8::MAX);
    number.checked_add(1).expect("a number with room for one more")
}

/// As many rounds of something that takes its time.
fn work(rounds: usize) -> u64 {
    (0..rounds as u64).fold(0, |sum, round| std::hint::black_box(sum ^ round).wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

/// What both guests do at their configuration.
pub fn greet(greeting: Option<&str>) -> Result<(), String> {
    match greeting {
        Some("") => Err("an empty greeting".to_owned()),
        Some("spin") => loop {
            std::hint::black_box(());
        },
        Some("sleep") => {
            std::thread::sleep(std::time::Duration::from_secs(3600));
            Ok(())
        }
        Some("panic") => panic!("no greeting at all"),
        _ => Ok(()),
    }
}
