//! Small indexes for the versions of plugins and the partitions of failed records that letters name.

use std::collections::HashMap;

use mapper_core::dead_letter::{DeadLetter, PluginName};

/// The most versions of plugins that are distinguished.
const MAX_VERSIONS: usize = NO_VERSION as usize;
/// The most partitions of failed records, and the most topics.
const MAX_PARTITIONS: usize = 100_000;
/// The index of an unknown version, or of one beyond the limit.
pub const NO_VERSION: u16 = u16::MAX;
/// The index of an unknown partition, or of one beyond the limit.
pub const NO_PARTITION: u32 = u32::MAX;

/// A version of a plugin, owned.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PluginVersion {
    pub name: String,
    pub version: String,
    pub digest: String,
}

/// What the statistics of a group need of a letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LetterFacts {
    /// The position of the letter.
    pub partition: i32,
    pub offset: i64,
    /// When it failed, in milliseconds since 1970.
    pub failed_ms: Option<i64>,
    pub attempt: u32,
    /// The index of the version, or [`NO_VERSION`].
    pub version: u16,
    /// The index of the partition of the failed record, or [`NO_PARTITION`].
    pub source: u32,
    pub source_offset: i64,
}

/// The versions and partitions, by index.
#[derive(Debug, Clone, Default)]
pub struct Names {
    versions: Vec<PluginVersion>,
    topics: HashMap<String, u32>,
    partitions: HashMap<(u32, i32), u32>,
    has_unnamed: bool,
}

impl Names {
    pub fn facts(&mut self, letter: &DeadLetter<'_>) -> LetterFacts {
        let at = letter.position();
        let source = letter.source.map_or(NO_PARTITION, |source| self.partition(source.topic, source.partition));
        LetterFacts {
            partition: at.partition,
            offset: at.offset,
            failed_ms: letter.failed_at_ms(),
            attempt: letter.attempt,
            version: letter.plugin.map_or(NO_VERSION, |plugin| self.version(plugin)),
            source,
            source_offset: letter.source.map_or(0, |source| source.offset),
        }
    }

    /// Whether each version and each partition has an index of its own.
    pub fn is_complete(&self) -> bool {
        !self.has_unnamed
    }

    pub fn version_at(&self, index: u16) -> Option<&PluginVersion> {
        self.versions.get(usize::from(index))
    }

    pub fn versions(&self) -> &[PluginVersion] {
        &self.versions
    }

    /// The index of a partition of failed records, if a letter has named it.
    pub fn find_partition(&self, topic: &str, partition: i32) -> Option<u32> {
        self.partitions.get(&(*self.topics.get(topic)?, partition)).copied()
    }

    fn version(&mut self, plugin: PluginName<'_>) -> u16 {
        // Nearly all letters are of one of the last versions.
        if let Some(known) = self.versions.iter().rposition(|known| known.digest == plugin.digest) {
            return known as u16;
        }
        if self.versions.len() >= MAX_VERSIONS {
            self.has_unnamed = true;
            return NO_VERSION;
        }
        let PluginName { name, version, digest } = plugin;
        let version = PluginVersion { name: name.to_owned(), version: version.to_owned(), digest: digest.to_owned() };
        self.versions.push(version);
        (self.versions.len() - 1) as u16
    }

    fn partition(&mut self, topic: &str, partition: i32) -> u32 {
        let topic = match self.topics.get(topic) {
            Some(known) => *known,
            None if self.topics.len() >= MAX_PARTITIONS => {
                self.has_unnamed = true;
                return NO_PARTITION;
            }
            None => {
                let index = self.topics.len() as u32;
                self.topics.insert(topic.to_owned(), index);
                index
            }
        };
        let next = self.partitions.len();
        if let Some(known) = self.partitions.get(&(topic, partition)) {
            return *known;
        }
        if next >= MAX_PARTITIONS {
            self.has_unnamed = true;
            return NO_PARTITION;
        }
        self.partitions.insert((topic, partition), next as u32);
        next as u32
    }
}
