//! Finds the headers of this host and of Kafka Connect in one pass.

use std::borrow::Cow;

use super::super::names::{
    ATTEMPT, BACKTRACE, CONNECT_EXCEPTION, CONNECT_MESSAGE, CONNECT_OFFSET, CONNECT_PARTITION, CONNECT_TOPIC,
    CONNECT_TRACE, CUT, FAILURE, FINGERPRINT, KEY, KIND, PLUGIN, PLUGIN_DIGEST, PLUGIN_NAME, PLUGIN_VERSION, SOURCE,
    VERSION_1,
};
use super::{DeadLetter, LetterFormat, PluginName, RecordPosition, UNKNOWN_KIND};
use crate::record::Record;

/// The last header of each name. `None` is a missing header or one without a value.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct LetterHeaders<'a> {
    pub(super) version_1: Option<&'a [u8]>,
    pub(super) source: Option<&'a [u8]>,
    pub(super) failure: Option<&'a [u8]>,
    pub(super) plugin: Option<&'a [u8]>,
    pub(super) attempt: Option<&'a [u8]>,
    pub(super) backtrace: Option<&'a [u8]>,
    pub(super) cut: Option<&'a [u8]>,
    pub(super) key: Option<&'a [u8]>,
    pub(super) kind: Option<&'a [u8]>,
    pub(super) fingerprint: Option<&'a [u8]>,
    pub(super) plugin_name: Option<&'a [u8]>,
    pub(super) plugin_version: Option<&'a [u8]>,
    pub(super) plugin_digest: Option<&'a [u8]>,
    /// Of Kafka Connect. The other formats set the same fields.
    pub(super) topic: Option<&'a [u8]>,
    pub(super) partition: Option<&'a [u8]>,
    pub(super) offset: Option<&'a [u8]>,
    pub(super) exception: Option<&'a [u8]>,
    pub(super) message: Option<&'a [u8]>,
    pub(super) trace: Option<&'a [u8]>,
}

impl<'a> LetterHeaders<'a> {
    pub(super) fn read(record: Record<'a>) -> Self {
        let mut headers = Self::default();
        for (name, value) in record.headers() {
            let Ok(name) = std::str::from_utf8(name) else { continue };
            if let Some(field) = headers.field(name) {
                *field = value;
            }
        }
        headers
    }

    fn field(&mut self, name: &str) -> Option<&mut Option<&'a [u8]>> {
        Some(match name {
            VERSION_1 => &mut self.version_1,
            SOURCE => &mut self.source,
            FAILURE => &mut self.failure,
            PLUGIN => &mut self.plugin,
            ATTEMPT => &mut self.attempt,
            BACKTRACE => &mut self.backtrace,
            CUT => &mut self.cut,
            KEY => &mut self.key,
            KIND => &mut self.kind,
            FINGERPRINT => &mut self.fingerprint,
            PLUGIN_NAME => &mut self.plugin_name,
            PLUGIN_VERSION => &mut self.plugin_version,
            PLUGIN_DIGEST => &mut self.plugin_digest,
            CONNECT_TOPIC => &mut self.topic,
            CONNECT_PARTITION => &mut self.partition,
            CONNECT_OFFSET => &mut self.offset,
            CONNECT_EXCEPTION => &mut self.exception,
            CONNECT_MESSAGE => &mut self.message,
            CONNECT_TRACE => &mut self.trace,
            _ => return None,
        })
    }

    /// The letter of this host, by the headers that only its letters have together.
    pub(super) fn own(self, record: Record<'a>) -> Option<DeadLetter<'a>> {
        let letter = |format, source, kind, fingerprint, plugin, attempt| DeadLetter {
            record,
            headers: self,
            format,
            source,
            kind: Cow::Borrowed(kind),
            fingerprint: Cow::Borrowed(fingerprint),
            plugin,
            attempt,
        };
        let attempt = text(self.attempt).and_then(|text| text.parse().ok()).unwrap_or(1);
        if let (Some(source), Some(failure)) = (text(self.source), text(self.failure)) {
            let (kind, fingerprint) = failure.split_once(' ').unwrap_or((failure, ""));
            let source = RecordPosition::parse(source);
            let plugin = text(self.plugin).and_then(plugin);
            return Some(letter(LetterFormat::MapperHost(2), source, kind, fingerprint, plugin, attempt));
        }
        let (Some(_), Some(kind)) = (self.version_1, text(self.kind)) else { return None };
        let plugin = Some(PluginName {
            name: text(self.plugin_name)?,
            version: text(self.plugin_version)?,
            digest: text(self.plugin_digest)?,
        });
        let fingerprint = text(self.fingerprint).unwrap_or_default();
        let kind = if kind.is_empty() { UNKNOWN_KIND } else { kind };
        Some(letter(LetterFormat::MapperHost(1), self.text_position(), kind, fingerprint, plugin, attempt))
    }

    /// The position in headers whose values are text.
    pub(super) fn text_position(self) -> Option<RecordPosition<'a>> {
        let number = |bytes| text(bytes).and_then(|text| text.parse::<i64>().ok()).filter(|number| *number >= 0);
        let partition = i32::try_from(number(self.partition)?).ok()?;
        Some(RecordPosition { topic: text(self.topic)?, partition, offset: number(self.offset)? })
    }
}

pub(super) fn text(bytes: Option<&[u8]>) -> Option<&str> {
    std::str::from_utf8(bytes?).ok()
}

/// Parses `NAME VERSION DIGEST`. Only the name can contain spaces.
fn plugin(text: &str) -> Option<PluginName<'_>> {
    let (rest, digest) = text.rsplit_once(' ')?;
    let (name, version) = rest.rsplit_once(' ')?;
    Some(PluginName { name, version, digest })
}
