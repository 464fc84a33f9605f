//! Forwards guest output (`logging.log`, stdout, stderr) to the host's log, with the position of the current record.
//!
//! Writes never fail and never block, because Rust and Python guests abort on a full stream.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamError, StreamResult};

use mapper_core::record::Batch;

use super::bindings::batch_world::mapper_host::mapper::logging::Level;
use super::line_budget::{LineBudget, MAX_BYTES, MAX_LINES};

/// Longer lines are truncated (`wit/mapper.wit`).
const MAX_LINE_BYTES: usize = 8 << 10;
/// Size of the output tail that becomes part of a failure.
const TAIL_BYTES: usize = 4 << 10;

/// The log of one instance. Clones share it.
#[derive(Clone, Default)]
pub(super) struct GuestLog(Arc<Shared>);

#[derive(Default)]
struct Shared {
    /// Batch index of the current record, from the guest's last progress report.
    index: AtomicU32,
    /// Batch index of the next requested progress report; 0 before the first report.
    next_report: AtomicU32,
    /// Records between two requested reports.
    stride: AtomicU32,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    budget: Arc<LineBudget>,
    plugin: String,
    topic: String,
    positions: Vec<(i32, i64)>,
    stdout: PartialLine,
    stderr: PartialLine,
    /// The latest lines about the record `tail_index`.
    tail: VecDeque<String>,
    tail_bytes: usize,
    tail_index: u32,
}

/// A line without its line feed yet.
#[derive(Default)]
struct PartialLine {
    bytes: Vec<u8>,
    /// The line reached its limit; the rest of it is dropped.
    is_truncated: bool,
}

impl GuestLog {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn new(budget: Arc<LineBudget>) -> Self {
        let log = Self::default();
        log.lock().budget = budget;
        log
    }

    pub(super) fn set_plugin_name(&self, plugin: &str) {
        plugin.clone_into(&mut self.lock().plugin);
    }

    /// Starts a batch whose guest reports its progress every `stride` records.
    pub(super) fn begin_batch(&self, batch: &Batch, stride: u32) {
        let mut inner = self.lock();
        if inner.topic != batch.topic() {
            batch.topic().clone_into(&mut inner.topic);
        }
        inner.positions.clear();
        inner
            .positions
            .extend(batch.partitions_of_topic().iter().copied().zip(batch.offsets_of_topic().iter().copied()));
        inner.reset_tail(0);
        inner.log_dropped_lines();
        self.0.index.store(0, Ordering::Relaxed);
        self.0.next_report.store(0, Ordering::Relaxed);
        self.0.stride.store(stride, Ordering::Relaxed);
    }

    /// Handles a progress report and returns the index of the next requested report. A guest that reports early reports every
    /// record from then on.
    pub(super) fn report_progress(&self, index: u32) -> u32 {
        if index < self.0.next_report.load(Ordering::Relaxed) {
            self.0.stride.store(1, Ordering::Relaxed);
        }
        let next = index.saturating_add(self.0.stride.load(Ordering::Relaxed));
        self.0.index.store(index, Ordering::Relaxed);
        self.0.next_report.store(next, Ordering::Relaxed);
        next
    }

    /// Whether the guest may have passed the reported record, because no report was requested since.
    pub(super) fn is_position_uncertain(&self) -> bool {
        self.0.next_report.load(Ordering::Relaxed) > self.index().saturating_add(1)
    }

    pub(super) fn index(&self) -> u32 {
        self.0.index.load(Ordering::Relaxed)
    }

    pub(super) fn log_line(&self, level: Level, text: &str) -> Result<(), PositionUncertain> {
        let index = self.exact_index()?;
        self.lock().log_line(index, level, text);
        Ok(())
    }

    fn exact_index(&self) -> Result<u32, PositionUncertain> {
        if self.is_position_uncertain() { Err(PositionUncertain) } else { Ok(self.index()) }
    }

    fn write(&self, stderr: bool, bytes: &[u8]) -> Result<(), PositionUncertain> {
        let index = self.exact_index()?;
        let mut inner = self.lock();
        let level = if stderr { Level::Warn } else { Level::Info };
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            let partial = if stderr { &mut inner.stderr } else { &mut inner.stdout };
            let (text, ends) = part.strip_suffix(b"\n").map_or((part, false), |text| (text, true));
            let remaining = MAX_LINE_BYTES - partial.bytes.len();
            if !partial.is_truncated {
                partial.bytes.extend_from_slice(&text[..text.len().min(remaining)]);
            }
            let full = !partial.is_truncated && text.len() > remaining;
            let line = (full || ends && !partial.is_truncated).then(|| std::mem::take(&mut partial.bytes));
            partial.is_truncated = !ends && (full || partial.is_truncated);
            if let Some(line) = line {
                inner.log_line(index, level, &String::from_utf8_lossy(&line));
            }
        }
        Ok(())
    }

    /// The latest output about the current record.
    pub(super) fn take_tail(&self) -> String {
        let index = self.index();
        let mut inner = self.lock();
        for (stderr, level) in [(false, Level::Info), (true, Level::Warn)] {
            let partial = std::mem::take(if stderr { &mut inner.stderr } else { &mut inner.stdout });
            if !partial.bytes.is_empty() {
                inner.log_line(index, level, &String::from_utf8_lossy(&partial.bytes));
            }
        }
        let tail = if inner.tail_index == index { std::mem::take(&mut inner.tail) } else { VecDeque::new() };
        inner.reset_tail(index);
        tail.into_iter().collect::<Vec<_>>().join("\n")
    }
}

/// Stops a guest that writes while its position is uncertain. The mapper then retries the batch with a report per record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the guest wrote output without a progress report for the current record")]
pub(super) struct PositionUncertain;

impl Inner {
    fn reset_tail(&mut self, index: u32) {
        self.tail.clear();
        self.tail_bytes = 0;
        self.tail_index = index;
    }

    fn log_line(&mut self, index: u32, level: Level, text: &str) {
        let text = truncate(text, MAX_LINE_BYTES);
        if self.tail_index != index {
            self.reset_tail(index);
        }
        let line = truncate(text, TAIL_BYTES).to_owned();
        self.tail_bytes += line.len();
        self.tail.push_back(line);
        while self.tail_bytes > TAIL_BYTES {
            self.tail_bytes -= self.tail.pop_front().map_or(self.tail_bytes, |oldest| oldest.len());
        }
        self.log_dropped_lines();
        if self.budget.admits(text.len(), Instant::now()) {
            self.emit(index, level, text);
        }
    }

    fn log_dropped_lines(&self) {
        let lines = self.budget.take_dropped(Instant::now());
        if lines > 0 {
            tracing::warn!(target: "guest", plugin = self.plugin, lines,
                "dropped guest log lines: the plugin exceeded {MAX_LINES} lines or {MAX_BYTES} bytes per second");
        }
    }

    fn emit(&self, index: u32, level: Level, text: &str) {
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

fn truncate(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

/// The guest's stdout or stderr.
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
        // Only WASI 0.3 calls this, and it is not linked.
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
        self.log.write(self.stderr, &bytes).map_err(|uncertain| StreamError::Trap(uncertain.into()))
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
        log.begin_batch(&batch, stride);
        log
    }

    #[test]
    fn silent_guest_reports_every_stride_and_may_not_write() {
        let log = log(32);
        assert!(!log.is_position_uncertain());
        assert_eq!(log.report_progress(0), 32);
        assert!(log.is_position_uncertain());
        assert_eq!(log.log_line(Level::Info, "which?"), Err(PositionUncertain));
        assert_eq!(log.write(true, b"which?\n"), Err(PositionUncertain));
        assert_eq!(log.report_progress(32), 64);
    }

    #[test]
    fn early_report_makes_every_following_record_reported() {
        let log = log(32);
        assert_eq!((log.report_progress(0), log.report_progress(7)), (32, 8));
        assert!(!log.is_position_uncertain());
        assert_eq!(log.log_line(Level::Info, "this"), Ok(()));
        assert_eq!(log.write(true, b"this"), Ok(()));
        assert_eq!(log.take_tail(), "this\nthis");
        assert_eq!((log.report_progress(8), log.is_position_uncertain()), (9, false));
    }

    #[test]
    fn overlong_line_is_truncated_once_and_the_next_line_is_complete() {
        let log = log(1);
        for _ in 0..100 {
            assert_eq!(log.write(false, &[b'x'; 1000]), Ok(()));
        }
        assert_eq!(log.lock().stdout.bytes.len(), 0);
        assert_eq!(log.lock().tail.len(), 1);
        log.report_progress(1);
        assert_eq!(log.write(false, b"xx\nnext\n\xff\0\nlast"), Ok(()));
        assert_eq!(log.take_tail(), "next\n\u{fffd}\0\nlast");
    }

    #[test]
    fn tail_keeps_the_latest_lines_within_its_limit() {
        let log = log(1);
        for number in 0..100_000 {
            assert_eq!(log.write(true, format!("line {number}\n").as_bytes()), Ok(()));
        }
        let tail = log.take_tail();
        assert!(tail.len() <= TAIL_BYTES + tail.lines().count(), "{} bytes", tail.len());
        assert!(tail.ends_with("line 99999") && tail.len() > TAIL_BYTES / 2, "{tail}");
    }

    #[test]
    fn missing_or_invalid_reports_do_not_panic() {
        let log = log(1);
        assert_eq!(log.log_line(Level::Info, "never called"), Ok(()));
        assert_eq!((log.report_progress(u32::MAX), log.is_position_uncertain()), (u32::MAX, false));
        assert_eq!(log.log_line(Level::Info, "nonsense"), Ok(()));
        assert_eq!((log.report_progress(0), log.is_position_uncertain()), (1, false));
    }
}
