//! Which version made an output of which input record, in headers of the output.

use mapper_core::decision::HEADER_OVERHEAD_BYTES;
use mapper_core::identity::ActiveVersion;
use mapper_core::identity::MAX_NAME_BYTES;
use mapper_core::record::{Header, Record};
use mapper_core::source::{INPUT_HEADER, MAX_INPUT_BYTES, RecordSource};

/// As dead letters have them.
const DIGEST: &[u8] = b"mapper-host.plugin.digest";
const VERSION: &[u8] = b"mapper-host.plugin.version";
const DIGEST_BYTES: usize = 64;

/// What these headers take at most.
pub const PROVENANCE_BYTES: usize = 3 * HEADER_OVERHEAD_BYTES
    + DIGEST.len()
    + DIGEST_BYTES
    + VERSION.len()
    + MAX_NAME_BYTES
    + INPUT_HEADER.len()
    + MAX_INPUT_BYTES;

/// The headers of one version.
pub(super) struct Provenance {
    digest: String,
    version: String,
}

impl Provenance {
    pub(super) fn of(active_version: &ActiveVersion) -> Self {
        Self { digest: active_version.version.digest.clone(), version: active_version.version.version.clone() }
    }

    /// The value of the header that names the input of an output, which is one of several.
    pub(super) fn input(record: Record<'_>, output: usize) -> Vec<u8> {
        let (topic, partition, offset) = (record.topic(), record.partition(), record.offset());
        let output = u32::try_from(output).unwrap_or(u32::MAX);
        let mut value = Vec::new();
        RecordSource { topic, partition, offset, output }.write(&mut value);
        value
    }

    /// These headers, and ours; provenance headers of an earlier host are removed.
    pub(super) fn added_to<'h>(
        &'h self,
        input: &'h [u8],
        headers: impl Iterator<Item = Header<'h>>,
    ) -> impl Iterator<Item = Header<'h>> {
        let others = headers.filter(|(name, _)| *name != DIGEST && *name != VERSION && *name != INPUT_HEADER);
        let ours = [
            (DIGEST, Some(self.digest.as_bytes())),
            (VERSION, Some(self.version.as_bytes())),
            (INPUT_HEADER, Some(input)),
        ];
        others.chain(ours)
    }
}
