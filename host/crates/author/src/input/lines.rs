//! Reads records from lines of files or of standard input.

use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use super::{BATCH_BYTES, Input, InputBatch, Progress, dead_letters};
use crate::config::MapFormat;
use crate::records::{DEFAULT_TOPIC, JsonRecord};
use mapper_core::record::Batch;
use mapper_core::shutdown::{Cause, Halt};
use mapper_core::topic_table::TopicNames;
use mapper_state::files::{self, WithoutBom};

/// Bounds the memory of a batch.
const MAX_LINE_BYTES: usize = 64 << 20;
const BUFFER_BYTES: usize = 1 << 20;

#[derive(Debug, Clone)]
pub(crate) struct LineFormat {
    pub(crate) format: MapFormat,
    /// The line for a tombstone, if a line is a value.
    pub(crate) tombstone: Option<String>,
}

pub(crate) struct Lines {
    files: VecDeque<OpenFile>,
    format: LineFormat,
    bytes_read: u64,
    /// Size of all inputs; `None` if one is not a regular file.
    bytes_total: Option<u64>,
    line: Vec<u8>,
    /// A record of another topic. It starts the next batch.
    pending: Option<PendingRecord>,
}

struct PendingRecord {
    record: JsonRecord,
    location: String,
    offset: i64,
}

struct OpenFile {
    /// `None` is standard input.
    name: Option<String>,
    reader: BufReader<WithoutBom<Box<dyn Read>>>,
    line: u64,
}

impl OpenFile {
    fn name(&self) -> &str {
        self.name.as_deref().unwrap_or("standard input")
    }

    fn location(&self) -> String {
        self.name.as_ref().map_or_else(|| format!("line {}", self.line), |name| format!("{name}:{}", self.line))
    }
}

impl Lines {
    /// Opens all files before reading the first. No path, or `-`, is standard input.
    ///
    /// # Errors
    /// A file can't be opened.
    pub(crate) fn open(paths: &[PathBuf], format: LineFormat) -> Result<Self, Halt> {
        let stdin = [PathBuf::from("-")];
        let mut bytes_total = Some(0);
        let mut files = VecDeque::new();
        for path in if paths.is_empty() { &stdin } else { paths } {
            let (reader, bytes): (Box<dyn Read>, _) = if path == Path::new("-") {
                (Box::new(io::stdin()), None)
            } else {
                let opened = files::open_stream(path).and_then(|file| file.metadata().map(|metadata| (file, metadata)));
                let (file, metadata) = opened.map_err(|error| {
                    Halt::new(Cause::Configuration, anyhow::Error::new(error).context(format!("{}", path.display())))
                })?;
                (Box::new(file), metadata.is_file().then_some(metadata.len()))
            };
            bytes_total = bytes_total.zip(bytes).map(|(total, bytes)| total + bytes);
            let name = (path != Path::new("-")).then(|| path.display().to_string());
            files.push_back(OpenFile {
                name,
                reader: BufReader::with_capacity(BUFFER_BYTES, WithoutBom::new(reader)),
                line: 0,
            });
        }
        Ok(Self { files, format, bytes_read: 0, bytes_total, line: Vec::new(), pending: None })
    }

    /// Parses the current line.
    fn parse(&self) -> Result<JsonRecord, String> {
        match self.format.format {
            MapFormat::Value => {
                let value = (!self.is_tombstone()).then(|| self.line.clone());
                Ok(JsonRecord { value, ..JsonRecord::default() })
            }
            MapFormat::DeadLetter => dead_letters::read_line(&self.line),
            MapFormat::Record => JsonRecord::read(std::str::from_utf8(&self.line).map_err(|_| "not UTF-8".to_owned())?),
        }
    }

    fn is_tombstone(&self) -> bool {
        let is_value = self.format.format == MapFormat::Value;
        is_value && self.format.tombstone.as_ref().is_some_and(|tombstone| tombstone.as_bytes() == self.line)
    }
}

/// Whether the record has the topic of the batch. An empty batch takes the topic of the record.
fn has_topic_of(batch: &mut Batch, record: &JsonRecord) -> bool {
    let topic = record.topic.as_deref().unwrap_or(DEFAULT_TOPIC);
    if batch.is_empty() && batch.topic() != topic {
        batch.topics = TopicNames::one(topic);
    }
    batch.topic() == topic
}

impl Input for Lines {
    fn fill(&mut self, input: &mut InputBatch, max_records: usize) -> Result<bool, Halt> {
        if let Some(PendingRecord { record, location, offset }) = self.pending.take() {
            has_topic_of(&mut input.batch, &record);
            record.push_to(&mut input.batch, offset);
            input.locations.push(location);
        }
        while input.batch.len() < max_records && input.batch.bytes() < BATCH_BYTES {
            let Some(file) = self.files.front_mut() else { return Ok(false) };
            // Return the available records before blocking for more.
            let is_filled = !input.locations.is_empty() || !input.malformed.is_empty();
            if is_filled && !file.reader.buffer().contains(&b'\n') {
                break;
            }
            self.line.clear();
            let read = read_line(&mut file.reader, &mut self.line);
            let (bytes, is_complete) = read.map_err(|error| match error.kind() {
                io::ErrorKind::InvalidData => {
                    Halt::new(Cause::Configuration, anyhow::Error::new(error).context(file.name().to_string()))
                }
                _ => Halt::internal(anyhow::Error::new(error).context(format!("reading {}", file.name()))),
            })?;
            if bytes == 0 {
                self.files.pop_front();
                continue;
            }
            self.bytes_read += bytes;
            file.line += 1;
            let (location, offset) = (file.location(), file.line as i64);
            if !is_complete {
                input.push_malformed(location, format!("the line is longer than {MAX_LINE_BYTES} bytes"));
                continue;
            }
            if self.line.trim_ascii().is_empty() && !self.is_tombstone() {
                continue;
            }
            match self.parse() {
                Err(reason) => input.push_malformed(location, reason),
                Ok(record) if has_topic_of(&mut input.batch, &record) => {
                    record.push_to(&mut input.batch, offset);
                    input.locations.push(location);
                }
                Ok(record) => {
                    self.pending = Some(PendingRecord { record, location, offset });
                    break;
                }
            }
        }
        Ok(true)
    }

    fn progress(&self) -> Option<Progress> {
        self.bytes_total.map(|bytes_total| Progress { bytes_read: self.bytes_read, bytes_total })
    }
}

/// Reads a line without its LF or CRLF, and skips the rest of an overlong line. Returns the bytes read, and whether the line is
/// complete.
fn read_line(reader: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<(u64, bool)> {
    let mut read = 0;
    let mut is_complete = true;
    loop {
        let buffer = reader.fill_buf()?;
        if buffer.is_empty() {
            return Ok((read, is_complete));
        }
        let end = buffer.iter().position(|byte| *byte == b'\n');
        let content = &buffer[..end.unwrap_or(buffer.len())];
        is_complete &= line.len() + content.len() <= MAX_LINE_BYTES;
        if is_complete {
            line.extend_from_slice(content);
        }
        let bytes = content.len() + usize::from(end.is_some());
        read += bytes as u64;
        reader.consume(bytes);
        if end.is_some() {
            if line.last() == Some(&b'\r') {
                line.pop();
            }
            return Ok((read, is_complete));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_with_a_line_feed_or_the_file_and_overlong_lines_are_skipped() {
        let long = vec![b'x'; MAX_LINE_BYTES + 1];
        let text = [b"a\r\nb\r\r\n\r\n", &b"\n"[..], &long, b"\nlast\r"].concat();
        let mut reader = BufReader::with_capacity(7, text.as_slice());
        let mut next = || {
            let mut line = Vec::new();
            let (bytes, is_complete) = read_line(&mut reader, &mut line).unwrap();
            (bytes, is_complete, line)
        };
        assert_eq!(next(), (3, true, b"a".to_vec()));
        assert_eq!(next(), (4, true, b"b\r".to_vec()));
        assert_eq!(next(), (2, true, Vec::new()));
        assert_eq!(next(), (1, true, Vec::new()));
        let (bytes, is_complete, _) = next();
        assert_eq!((bytes, is_complete), (long.len() as u64 + 1, false));
        assert_eq!(next(), (5, true, b"last\r".to_vec()));
        assert_eq!(next().0, 0);
    }
}
