//! Which version made an output, in headers of the output.

use mapper_core::decision::HEADER_OVERHEAD_BYTES;
use mapper_core::identity::ActiveVersion;
use mapper_core::identity::MAX_NAME_BYTES;
use mapper_core::record::Header;

/// As dead letters have them.
const DIGEST: &[u8] = b"mapper-host.plugin.digest";
const VERSION: &[u8] = b"mapper-host.plugin.version";
const DIGEST_BYTES: usize = 64;

/// What these headers take at most.
pub const PROVENANCE_BYTES: usize =
    2 * HEADER_OVERHEAD_BYTES + DIGEST.len() + DIGEST_BYTES + VERSION.len() + MAX_NAME_BYTES;

/// The headers of one version.
pub(super) struct Provenance {
    digest: String,
    version: String,
}

impl Provenance {
    pub(super) fn of(active_version: &ActiveVersion) -> Self {
        Self { digest: active_version.version.digest.clone(), version: active_version.version.version.clone() }
    }

    /// These headers, and ours; provenance headers of an earlier host are removed.
    pub(super) fn added_to<'h>(
        &'h self,
        headers: impl Iterator<Item = Header<'h>>,
    ) -> impl Iterator<Item = Header<'h>> {
        let others = headers.filter(|(name, _)| *name != DIGEST && *name != VERSION);
        others.chain([(DIGEST, Some(self.digest.as_bytes())), (VERSION, Some(self.version.as_bytes()))])
    }
}
