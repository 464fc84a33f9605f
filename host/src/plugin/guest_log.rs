//! What a guest writes, to its log or to stdout and stderr: lines of the host's log, each with the record it is about.
//!
//! Writing never fails and never blocks: a stream that is full kills Rust and Python guests.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};

use crate::record::Batch;

use super::bindings::batch_world::mapper_host::mapper::logging::Level;

/// A longer line is cut (`wit/mapper.wit`).
const MAX_LINE_BYTES: usize = 8 << 10;
/// How much of what a guest wrote about a record goes into its dead letter.
const KEPT_BYTES: usize = 4 << 10;
/// A guest that writes more is cut short, so that it can't fill a disk.
const MAX_LINES_PER_SECOND: u32 = 100;

/// The log of one instance. Cheap to clone: all clones are the same log.
#[derive(Clone, Default)]
pub(super) struct GuestLog(Arc<Shared>);

#[derive(Default)]
struct Shared {
    /// The record of the batch that is being mapped; apart from the rest, as it changes for every record.
    index: AtomicU32,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    plugin: String,
    topic: String,
    positions: Vec<(i32, i64)>,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    /// The last lines about the record `kept_for`.
    kept: VecDeque<String>,
    kept_bytes: usize,
    kept_for: u32,
    second: Option<Instant>,
    lines: u32,
    dropped: u64,
}

impl GuestLog {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn name(&self, plugin: &str) {
        plugin.clone_into(&mut self.lock().plugin);
    }

    /// A batch is about to be mapped.
    pub(super) fn begin(&self, batch: &Batch) {
        let mut inner = self.lock();
        if inner.topic != *batch.topic {
            (*batch.topic).clone_into(&mut inner.topic);
        }
        inner.positions.clear();
        inner.positions.extend(batch.partitions.iter().copied().zip(batch.offsets.iter().copied()));
        inner.forget_kept(0);
        self.0.index.store(0, Ordering::Relaxed);
    }

    /// The record of the batch that is being mapped.
    pub(super) fn at(&self, index: u32) {
        self.0.index.store(index, Ordering::Relaxed);
    }

    pub(super) fn index(&self) -> u32 {
        self.0.index.load(Ordering::Relaxed)
    }

    pub(super) fn line(&self, level: Level, text: &str) {
        self.lock().line(self.index(), level, text);
    }

    fn write(&self, stderr: bool, bytes: &[u8]) {
        let index = self.index();
        let mut inner = self.lock();
        let level = if stderr { Level::Warn } else { Level::Info };
        for &byte in bytes {
            let pending = if stderr { &mut inner.stderr } else { &mut inner.stdout };
            if byte != b'\n' {
                pending.push(byte);
            }
            if byte == b'\n' || pending.len() >= MAX_LINE_BYTES {
                let line = std::mem::take(pending);
                inner.line(index, level, &String::from_utf8_lossy(&line));
            }
        }
    }

    /// What was written about the current record, the oldest of it dropped: one line each, none if nothing was.
    pub(super) fn take_kept(&self) -> String {
        let index = self.index();
        let mut inner = self.lock();
        for (stderr, level) in [(false, Level::Info), (true, Level::Warn)] {
            let pending = std::mem::take(if stderr { &mut inner.stderr } else { &mut inner.stdout });
            if !pending.is_empty() {
                inner.line(index, level, &String::from_utf8_lossy(&pending));
            }
        }
        let kept = if inner.kept_for == index { std::mem::take(&mut inner.kept) } else { VecDeque::new() };
        inner.forget_kept(index);
        kept.into_iter().collect::<Vec<_>>().join("\n")
    }
}

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
        if self.may_log() {
            self.log(index, level, text);
        }
    }

    fn may_log(&mut self) -> bool {
        let now = Instant::now();
        if self.second.is_none_or(|second| now - second >= Duration::from_secs(1)) {
            if self.dropped > 0 {
                tracing::warn!(target: "guest", plugin = self.plugin, lines = self.dropped,
                    "the guest wrote more than {MAX_LINES_PER_SECOND} lines a second; these were left out");
            }
            (self.second, self.lines, self.dropped) = (Some(now), 0, 0);
        }
        self.lines += 1;
        self.dropped += u64::from(self.lines > MAX_LINES_PER_SECOND);
        self.lines <= MAX_LINES_PER_SECOND
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
    pub(super) log: GuestLog,
    pub(super) stderr: bool,
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
        self.log.write(self.stderr, &bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(MAX_LINE_BYTES)
    }
}
