//! The schemas of a registry, each looked up once.

mod bounded;
mod resolve;

#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::registry::{LookupError, SchemaSource, SchemaText, UnusableSchema};
use crate::schema::{Schema, SchemaSettings};
use crate::wire::SchemaId;
use bounded::Bounded;

/// How long a denial holds: the schema can be registered later.
const DENIAL_TIME: Duration = Duration::from_secs(60);
/// The schemas of all ids: more than any topic has.
const MAX_SCHEMAS: usize = 1000;
/// The ids that the registry denies, and the schemas that can't be used.
const MAX_UNUSABLE: usize = 10_000;

/// A schema or the reason why there is none, both from the registry; or why the registry has not answered.
pub type Lookup = Result<Result<Arc<Schema>, UnusableSchema>, LookupError>;

/// Shared by all workers. The schema of an id never changes, so it is kept without a limit of time.
pub struct SchemaCache<S> {
    source: S,
    settings: SchemaSettings,
    now: fn() -> Instant,
    entries: Mutex<Entries>,
    /// Held while the registry is asked: many workers need the same new schema at the same time.
    asking: Mutex<()>,
}

struct Entries {
    schemas: Bounded<SchemaId, Arc<Schema>>,
    unusable: Bounded<SchemaId, Unusable>,
    /// The schemas that others refer to, by subject and version.
    references: Bounded<(String, u32), Arc<SchemaText>>,
}

struct Unusable {
    reason: UnusableSchema,
    /// An invalid schema stays invalid.
    until: Option<Instant>,
}

impl<S: SchemaSource> SchemaCache<S> {
    pub fn new(source: S, settings: SchemaSettings) -> Self {
        Self::with_clock(source, settings, Instant::now)
    }

    fn with_clock(source: S, settings: SchemaSettings, now: fn() -> Instant) -> Self {
        let entries = Entries {
            schemas: Bounded::new(MAX_SCHEMAS),
            unusable: Bounded::new(MAX_UNUSABLE),
            references: Bounded::new(MAX_SCHEMAS),
        };
        Self { source, settings, now, entries: Mutex::new(entries), asking: Mutex::new(()) }
    }

    /// The registry, for requests whose answers change.
    pub fn source(&self) -> &S {
        &self.source
    }

    /// The schema of an id. Asks the registry if it has not been asked before.
    pub fn get(&self, id: SchemaId) -> Lookup {
        if let Some(known) = self.known(id) {
            return Ok(known);
        }
        let _asking = self.asking.lock().unwrap_or_else(PoisonError::into_inner);
        // Another worker may have asked.
        if let Some(known) = self.known(id) {
            return Ok(known);
        }
        let answer = match id {
            SchemaId::Id(id) => self.source.by_id(id),
            SchemaId::Guid(guid) => self.source.by_guid(guid),
        };
        self.add(id, answer)
    }

    /// Adds a schema whose id is known from another request, such as the latest of a subject.
    pub fn insert(&self, id: SchemaId, source: SchemaText) -> Lookup {
        let _asking = self.asking.lock().unwrap_or_else(PoisonError::into_inner);
        let known = self.entries().schemas.get(&id).cloned();
        match known {
            Some(known) => Ok(Ok(known)),
            None => self.add(id, Ok(source)),
        }
    }

    fn known(&self, id: SchemaId) -> Option<Result<Arc<Schema>, UnusableSchema>> {
        let mut entries = self.entries();
        if let Some(schema) = entries.schemas.get(&id) {
            return Some(Ok(schema.clone()));
        }
        let unusable = entries.unusable.get(&id)?;
        let holds = unusable.until.is_none_or(|until| (self.now)() < until);
        holds.then(|| Err(unusable.reason.clone()))
    }

    fn add(&self, id: SchemaId, answer: Result<SchemaText, LookupError>) -> Lookup {
        let parsed = answer.and_then(|source| {
            let references = resolve::resolve(self, &source)?;
            Ok(references.and_then(|references| Schema::parse(id, source, &references, &self.settings)))
        });
        let (reason, until) = match parsed {
            Ok(Ok(schema)) => {
                let schema = Arc::new(schema);
                self.entries().schemas.insert(id, schema.clone());
                return Ok(Ok(schema));
            }
            Ok(Err(reason)) => (UnusableSchema::Invalid { id, reason }, None),
            Err(LookupError::NotFound(reason)) => {
                (UnusableSchema::Denied { id, reason }, Some((self.now)() + DENIAL_TIME))
            }
            Err(error) => return Err(error),
        };
        self.entries().unusable.insert(id, Unusable { reason: reason.clone(), until });
        Ok(Err(reason))
    }

    /// The schema of a subject and version, which never changes.
    fn reference(&self, subject: &str, version: u32) -> Result<Arc<SchemaText>, LookupError> {
        let key = (subject.to_owned(), version);
        if let Some(known) = self.entries().references.get(&key) {
            return Ok(known.clone());
        }
        let source = Arc::new(self.source.version(subject, version)?.schema);
        self.entries().references.insert(key, source.clone());
        Ok(source)
    }

    /// No entry is half written, so a panic of another worker harms none.
    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
