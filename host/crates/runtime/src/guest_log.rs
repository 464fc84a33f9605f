//! What a guest writes, to its log or to stdout and stderr: lines of the host's log, each with the record it is about.
//!
//! Writing never fails and never blocks: a stream that is full kills Rust and Python guests.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamError, StreamResult};

use mapper_core::record::Batch;

use super::bindings::batch_world::mapper_host::mapper::logging::Level;
use super::line_budget::{LineBudget, MAX_BYTES, MAX_LINES};

/// A longer line is cut (`wit/mapper.wit`).
const MAX_LINE_BYTES: usize = 8 << 10;
/// How much of what a guest wrote about a record goes into its dead letter.
const KEPT_BYTES: usize = 4 << 10;

/// The log of one instance. Cheap to clone: all clones are the same log.
#[derive(Clone, Default)]
pub(super) struct GuestLog(Arc<Shared>);

#[derive(Default)]
struct Shared {
    /// The record of the batch that the guest said it was at.
    index: AtomicU32,
    /// The record at which it was asked to say so again; 0 when it has not said anything yet.
    next: AtomicU32,
    /// How far apart these are.
    stride: AtomicU32,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    budget: Arc<LineBudget>,
    plugin: String,
    topic: String,
    positions: Vec<(i32, i64)>,
    stdout: Pending,
    stderr: Pending,
    /// The last lines about the record `kept_for`.
    kept: VecDeque<String>,
    kept_bytes: usize,
    kept_for: u32,
}

/// A line that has no end yet.
#[derive(Default)]
struct Pending {
    bytes: Vec<u8>,
    /// It is longer than a line may be: what comes of it yet is left out.
    cut: bool,
}

impl GuestLog {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A log that writes as much as this budget allows.
    pub(super) fn new(budget: Arc<LineBudget>) -> Self {
        let log = Self::default();
        log.lock().budget = budget;
        log
    }

    pub(super) fn name(&self, plugin: &str) {
        plugin.clone_into(&mut self.lock().plugin);
    }

    /// A batch is about to be mapped, by a guest that is to say every `stride` records where it is.
    pub(super) fn begin(&self, batch: &Batch, stride: u32) {
        let mut inner = self.lock();
        if inner.topic != *batch.topic {
            (*batch.topic).clone_into(&mut inner.topic);
        }
        inner.positions.clear();
        inner.positions.extend(batch.partitions.iter().copied().zip(batch.offsets.iter().copied()));
        inner.forget_kept(0);
        inner.tell_left_out();
        self.0.index.store(0, Ordering::Relaxed);
        self.0.next.store(0, Ordering::Relaxed);
        self.0.stride.store(stride, Ordering::Relaxed);
    }

    /// This record of the batch is next. Returns the one at which to hear of the guest again; when it calls sooner, that
    /// is every further one.
    pub(super) fn at(&self, index: u32) -> u32 {
        if index < self.0.next.load(Ordering::Relaxed) {
            self.0.stride.store(1, Ordering::Relaxed);
        }
        let next = index.saturating_add(self.0.stride.load(Ordering::Relaxed));
        self.0.index.store(index, Ordering::Relaxed);
        self.0.next.store(next, Ordering::Relaxed);
        next
    }

    /// Whether the guest may be at a later record than it said, because it was not asked to say so.
    pub(super) fn is_vague(&self) -> bool {
        self.0.next.load(Ordering::Relaxed) > self.index().saturating_add(1)
    }

    pub(super) fn index(&self) -> u32 {
        self.0.index.load(Ordering::Relaxed)
    }

    pub(super) fn line(&self, level: Level, text: &str) -> Result<(), Vague> {
        let index = self.exact_index()?;
        self.lock().line(index, level, text);
        Ok(())
    }

    fn exact_index(&self) -> Result<u32, Vague> {
        if self.is_vague() { Err(Vague) } else { Ok(self.index()) }
    }

    fn write(&self, stderr: bool, bytes: &[u8]) -> Result<(), Vague> {
        let index = self.exact_index()?;
        let mut inner = self.lock();
        let level = if stderr { Level::Warn } else { Level::Info };
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            let pending = if stderr { &mut inner.stderr } else { &mut inner.stdout };
            let (text, ends) = part.strip_suffix(b"\n").map_or((part, false), |text| (text, true));
            let room = MAX_LINE_BYTES - pending.bytes.len();
            if !pending.cut {
                pending.bytes.extend_from_slice(&text[..text.len().min(room)]);
            }
            let full = !pending.cut && text.len() > room;
            let line = (full || ends && !pending.cut).then(|| std::mem::take(&mut pending.bytes));
            pending.cut = !ends && (full || pending.cut);
            if let Some(line) = line {
                inner.line(index, level, &String::from_utf8_lossy(&line));
            }
        }
        Ok(())
    }

    /// What was written about the current record, the oldest of it dropped: one line each, none if nothing was.
    pub(super) fn take_kept(&self) -> String {
        let index = self.index();
        let mut inner = self.lock();
        for (stderr, level) in [(false, Level::Info), (true, Level::Warn)] {
            let pending = std::mem::take(if stderr { &mut inner.stderr } else { &mut inner.stdout });
            if !pending.bytes.is_empty() {
                inner.line(index, level, &String::from_utf8_lossy(&pending.bytes));
            }
        }
        let kept = if inner.kept_for == index { std::mem::take(&mut inner.kept) } else { VecDeque::new() };
        inner.forget_kept(index);
        kept.into_iter().collect::<Vec<_>>().join("\n")
    }
}

/// Stops a guest that writes while it is not known which record it is at; the batch is then taken again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the guest wrote without having said which record it is at")]
pub(super) struct Vague;

impl Inner {
    fn forget_kept(&mut self, index: u32) {
        self.kept.clear();
        self.kept_bytes = 0;
        self.kept_for = index;
    }

    fn line(&mut self, index: u32, level: Level, text: &str) {
        let text = cut(text, MAX_LINE_BYTES);
        if self.kept_for != index {
            self.forget_kept(index);
        }
        let mut kept = String::new();
        let _ = write!(kept, "{}", cut(text, KEPT_BYTES));
        self.kept_bytes += kept.len();
        self.kept.push_back(kept);
        while self.kept_bytes > KEPT_BYTES {
            self.kept_bytes -= self.kept.pop_front().map_or(self.kept_bytes, |oldest| oldest.len());
        }
        self.tell_left_out();
        if self.budget.admits(text.len(), Instant::now()) {
            self.log(index, level, text);
        }
    }

    fn tell_left_out(&self) {
        let lines = self.budget.left_out(Instant::now());
        if lines > 0 {
            tracing::warn!(target: "guest", plugin = self.plugin, lines,
                "the guest wrote more than {MAX_LINES} lines or {MAX_BYTES} bytes within a second; these lines were left out");
        }
    }

    fn log(&self, index: u32, level: Level, text: &str) {
        let position = self.positions.get(index as usize);
        macro_rules! log {
            ($level:ident) => {
                match position {
                    Some((partition, offset)) => tracing::$level!(target: "guest", plugin = self.plugin,
                        topic = self.topic, partition, offset, "{text}"),
                    None => tracing::$level!(target: "guest", plugin = self.plugin, "{text}"),
                }
            };
        }
        match level {
            Level::Trace => log!(trace),
            Level::Debug => log!(debug),
            Level::Info => log!(info),
            Level::Warn => log!(warn),
            Level::Error => log!(error),
        }
    }
}

/// The longest part of a text that has at most that many bytes.
fn cut(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

/// A guest's stdout or stderr.
#[derive(Clone)]
pub(super) struct Stream {
    log: GuestLog,
    stderr: bool,
}

impl Stream {
    pub(super) fn new(log: GuestLog, stderr: bool) -> Self {
        Self { log, stderr }
    }
}

impl IsTerminal for Stream {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Stream {
    fn async_stream(&self) -> Box<dyn tokio::io::AsyncWrite + Send + Sync> {
        // Only used by WASI 0.3, which is not linked.
        Box::new(tokio::io::sink())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

#[async_trait::async_trait]
impl Pollable for Stream {
    async fn ready(&mut self) {}
}

#[async_trait::async_trait]
impl OutputStream for Stream {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.log.write(self.stderr, &bytes).map_err(|vague| StreamError::Trap(vague.into()))
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(MAX_LINE_BYTES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(stride: u32) -> GuestLog {
        let log = GuestLog::default();
        let mut batch = Batch::new("visits");
        for offset in 0..100 {
            batch.push((0, offset), 0, None, None, std::iter::empty());
        }
        log.begin(&batch, stride);
        log
    }

    #[test]
    fn a_guest_that_is_quiet_is_heard_of_at_every_stride() {
        let log = log(32);
        assert!(!log.is_vague());
        assert_eq!(log.at(0), 32);
        assert!(log.is_vague());
        assert_eq!(log.line(Level::Info, "which?"), Err(Vague));
        assert_eq!(log.write(true, b"which?\n"), Err(Vague));
        assert_eq!(log.at(32), 64);
    }

    #[test]
    fn who_calls_sooner_is_at_that_very_record_from_then_on() {
        let log = log(32);
        assert_eq!((log.at(0), log.at(7)), (32, 8));
        assert!(!log.is_vague());
        assert_eq!(log.line(Level::Info, "this"), Ok(()));
        assert_eq!(log.write(true, b"this"), Ok(()));
        assert_eq!(log.take_kept(), "this\nthis");
        assert_eq!((log.at(8), log.is_vague()), (9, false));
    }

    #[test]
    fn a_line_without_end_is_cut_once_and_the_next_line_is_whole() {
        let log = log(1);
        for _ in 0..100 {
            assert_eq!(log.write(false, &[b'x'; 1000]), Ok(()));
        }
        assert_eq!(log.lock().stdout.bytes.len(), 0);
        assert_eq!(log.lock().kept.len(), 1);
        log.at(1);
        assert_eq!(log.write(false, b"xx\nnext\n\xff\0\nlast"), Ok(()));
        assert_eq!(log.take_kept(), "next\n\u{fffd}\0\nlast");
    }

    #[test]
    fn of_what_is_written_without_end_the_last_is_kept_up_to_a_bound() {
        let log = log(1);
        for number in 0..100_000 {
            assert_eq!(log.write(true, format!("line {number}\n").as_bytes()), Ok(()));
        }
        let kept = log.take_kept();
        assert!(kept.len() <= KEPT_BYTES + kept.lines().count(), "{} bytes", kept.len());
        assert!(kept.ends_with("line 99999") && kept.len() > KEPT_BYTES / 2, "{kept}");
    }

    #[test]
    fn a_guest_that_never_calls_or_says_nonsense_does_no_harm() {
        let log = log(1);
        assert_eq!(log.line(Level::Info, "never called"), Ok(()));
        assert_eq!((log.at(u32::MAX), log.is_vague()), (u32::MAX, false));
        assert_eq!(log.line(Level::Info, "nonsense"), Ok(()));
        assert_eq!((log.at(0), log.is_vague()), (1, false));
    }
}
