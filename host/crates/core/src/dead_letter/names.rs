//! The names of the headers of dead letters.

pub(super) const CONNECT_PREFIX: &[u8] = b"__connect.errors.";
pub(super) const CONNECT_TOPIC: &str = "__connect.errors.topic";
pub(super) const CONNECT_PARTITION: &str = "__connect.errors.partition";
pub(super) const CONNECT_OFFSET: &str = "__connect.errors.offset";
pub(super) const CONNECT_EXCEPTION: &str = "__connect.errors.exception.class.name";
pub(super) const CONNECT_MESSAGE: &str = "__connect.errors.exception.message";
pub(super) const CONNECT_TRACE: &str = "__connect.errors.exception.stacktrace";

pub(super) const OWN_PREFIX: &[u8] = b"mapper-host.";
/// The mark of version 1.
pub(super) const VERSION_1: &str = "mapper-host.headers";
/// The kind of failure, in version 1.
pub(super) const KIND: &str = "mapper-host.kind";
/// The fingerprint, in version 1.
pub(super) const FINGERPRINT: &str = "mapper-host.fingerprint";
/// The name, the version and the digest of the plugin, in version 1.
pub(super) const PLUGIN_NAME: &str = "mapper-host.plugin.name";
pub(super) const PLUGIN_VERSION: &str = "mapper-host.plugin.version";
pub(super) const PLUGIN_DIGEST: &str = "mapper-host.plugin.digest";
/// The position of the record, `TOPIC/PARTITION@OFFSET`. With [`FAILURE`] the mark of version 2.
pub(super) const SOURCE: &str = "mapper-host.source";
/// The kind of failure and the fingerprint, `KIND FINGERPRINT`.
pub(super) const FAILURE: &str = "mapper-host.failure";
/// The plugin, `NAME VERSION DIGEST`.
pub(super) const PLUGIN: &str = "mapper-host.plugin";
/// How many times the record has failed. Version 2 omits a 1.
pub(super) const ATTEMPT: &str = "mapper-host.attempt";
/// The backtrace and the last log lines. Kafka Connect's trace has them, too, so it is left out beside that.
pub(super) const BACKTRACE: &str = "mapper-host.backtrace";
/// The timestamp of the record. Version 2 has it only if the dead letter has another one; -1 means that the record has none.
pub(super) const SOURCE_TIMESTAMP: &str = "mapper-host.source.timestamp-ms";
/// The beginning of a cut key.
pub(super) const SOURCE_KEY: &str = "mapper-host.source.key";
/// The mark of a generated key.
pub(super) const KEY: &str = "mapper-host.key";
pub(super) const GENERATED: &str = "generated";
/// The parts that were cut.
pub(super) const CUT: &str = "mapper-host.cut";
