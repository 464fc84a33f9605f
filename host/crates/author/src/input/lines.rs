//! Records from lines of files or of standard input.

use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use super::{BATCH_BYTES, Filled, Input, dead_letters};
use crate::config::MapFormat;
use crate::records::{JsonRecord, TOPIC};
use mapper_core::record::Batch;
use mapper_core::shutdown::Halt;
use mapper_state::files::{self, WithoutMark};

/// A longer line is no record: a batch of such could not be held in memory.
const MAX_LINE_BYTES: usize = 64 << 20;
const BUFFER_BYTES: usize = 1 << 20;

/// What a line is.
#[derive(Debug, Clone)]
pub(crate) struct LineFormat {
    pub(crate) format: MapFormat,
    /// The line that stands for a record without a value, where a line is a value.
    pub(crate) tombstone: Option<String>,
}

/// Lines of some files, one after the other.
pub(crate) struct Lines {
    files: VecDeque<Open>,
    format: LineFormat,
    read: u64,
    /// Bytes of all files, if all are files.
    all: Option<u64>,
    line: Vec<u8>,
    /// A record of another topic than the batch's: it goes into the next one.
    waiting: Option<(JsonRecord, String, i64)>,
}

struct Open {
    /// `None` is standard input.
    name: Option<String>,
    reader: BufReader<WithoutMark<Box<dyn Read>>>,
    line: u64,
}

impl Open {
    fn name(&self) -> &str {
        self.name.as_deref().unwrap_or("standard input")
    }

    fn place(&self) -> String {
        self.name.as_ref().map_or_else(|| format!("line {}", self.line), |name| format!("{name}:{}", self.line))
    }
}

impl Lines {
    /// Opens all files, before any is read. None is standard input, and so is `-`.
    ///
    /// # Errors
    /// When one can't be opened.
    pub(crate) fn open(paths: &[PathBuf], format: LineFormat) -> Result<Self, Halt> {
        let stdin = [PathBuf::from("-")];
        let mut all = Some(0);
        let mut files = VecDeque::new();
        for path in if paths.is_empty() { &stdin } else { paths } {
            let (reader, bytes): (Box<dyn Read>, _) = if path == Path::new("-") {
                (Box::new(io::stdin()), None)
            } else {
                let opened = files::open_stream(path).and_then(|file| file.metadata().map(|metadata| (file, metadata)));
                let (file, metadata) =
                    opened.map_err(|error| Halt::configuration(format!("{}: {error}", path.display())))?;
                (Box::new(file), metadata.is_file().then_some(metadata.len()))
            };
            all = all.zip(bytes).map(|(all, bytes)| all + bytes);
            let name = (path != Path::new("-")).then(|| path.display().to_string());
            files.push_back(Open {
                name,
                reader: BufReader::with_capacity(BUFFER_BYTES, WithoutMark::new(reader)),
                line: 0,
            });
        }
        Ok(Self { files, format, read: 0, all, line: Vec::new(), waiting: None })
    }

    /// The line that was read, as a record.
    fn record(&self) -> Result<JsonRecord, String> {
        match self.format.format {
            MapFormat::Value => {
                let value = (!self.is_tombstone()).then(|| self.line.clone());
                Ok(JsonRecord { value, ..JsonRecord::default() })
            }
            MapFormat::DeadLetter => dead_letters::read_line(&self.line),
            MapFormat::Record => {
                JsonRecord::read(std::str::from_utf8(&self.line).map_err(|_| "it is not UTF-8".to_owned())?)
            }
        }
    }

    fn is_tombstone(&self) -> bool {
        let is_value = self.format.format == MapFormat::Value;
        is_value && self.format.tombstone.as_ref().is_some_and(|tombstone| tombstone.as_bytes() == self.line)
    }
}

/// Whether the next record belongs into this batch; an empty one takes its topic.
fn fits(batch: &mut Batch, record: &JsonRecord) -> bool {
    let topic = record.topic.as_deref().unwrap_or(TOPIC);
    if batch.is_empty() && *batch.topic != *topic {
        batch.topic = topic.into();
    }
    *batch.topic == *topic
}

impl Input for Lines {
    fn fill(&mut self, filled: &mut Filled, most: usize) -> Result<bool, Halt> {
        if let Some((record, place, offset)) = self.waiting.take() {
            fits(&mut filled.batch, &record);
            record.push_to(&mut filled.batch, offset);
            filled.places.push(place);
        }
        while filled.batch.len() < most && filled.batch.bytes() < BATCH_BYTES {
            let Some(open) = self.files.front_mut() else { return Ok(false) };
            // What has come is dealt with before more is waited for.
            let some = !filled.places.is_empty() || !filled.bad.is_empty();
            if some && !open.reader.buffer().contains(&b'\n') {
                break;
            }
            self.line.clear();
            let read = read_line(&mut open.reader, &mut self.line);
            let (bytes, whole) = read.map_err(|error| match error.kind() {
                io::ErrorKind::InvalidData => Halt::configuration(format!("{}: {error}", open.name())),
                _ => Halt::internal(&anyhow::Error::new(error).context(format!("reading {}", open.name()))),
            })?;
            if bytes == 0 {
                self.files.pop_front();
                continue;
            }
            self.read += bytes;
            open.line += 1;
            let (place, offset) = (open.place(), open.line as i64);
            if !whole {
                filled.refuse(place, format!("it is longer than {MAX_LINE_BYTES} bytes"));
                continue;
            }
            if self.line.trim_ascii().is_empty() && !self.is_tombstone() {
                continue;
            }
            match self.record() {
                Err(reason) => filled.refuse(place, reason),
                Ok(record) if fits(&mut filled.batch, &record) => {
                    record.push_to(&mut filled.batch, offset);
                    filled.places.push(place);
                }
                Ok(record) => {
                    self.waiting = Some((record, place, offset));
                    break;
                }
            }
        }
        Ok(true)
    }

    fn progress(&self) -> Option<(u64, u64)> {
        self.all.map(|all| (self.read, all))
    }
}

/// Reads a line without its end, LF or CRLF; one that is too long is read over. Returns the bytes read, and whether the line is whole.
fn read_line(reader: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<(u64, bool)> {
    let mut read = 0;
    let mut whole = true;
    loop {
        let buffer = reader.fill_buf()?;
        if buffer.is_empty() {
            return Ok((read, whole));
        }
        let end = buffer.iter().position(|byte| *byte == b'\n');
        let content = &buffer[..end.unwrap_or(buffer.len())];
        whole &= line.len() + content.len() <= MAX_LINE_BYTES;
        if whole {
            line.extend_from_slice(content);
        }
        let bytes = content.len() + usize::from(end.is_some());
        read += bytes as u64;
        reader.consume(bytes);
        if end.is_some() {
            if line.last() == Some(&b'\r') {
                line.pop();
            }
            return Ok((read, whole));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_with_a_newline_or_the_file_and_long_ones_are_read_over() {
        let long = vec![b'x'; MAX_LINE_BYTES + 1];
        let text = [b"a\r\nb\r\r\n\r\n", &b"\n"[..], &long, b"\nlast\r"].concat();
        let mut reader = BufReader::with_capacity(7, text.as_slice());
        let mut next = || {
            let mut line = Vec::new();
            let (bytes, whole) = read_line(&mut reader, &mut line).unwrap();
            (bytes, whole, line)
        };
        assert_eq!(next(), (3, true, b"a".to_vec()));
        assert_eq!(next(), (4, true, b"b\r".to_vec()));
        assert_eq!(next(), (2, true, Vec::new()));
        assert_eq!(next(), (1, true, Vec::new()));
        let (bytes, whole, _) = next();
        assert_eq!((bytes, whole), (long.len() as u64 + 1, false));
        assert_eq!(next(), (5, true, b"last\r".to_vec()));
        assert_eq!(next().0, 0);
    }
}
