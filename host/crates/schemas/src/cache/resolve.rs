//! Follows the references of a schema to all schemas that it needs.

use super::SchemaCache;
use crate::error::{SchemaError, shortened};
use crate::registry::{LookupError, Reference, SchemaSource, SchemaText};
use crate::schema::Resolved;

/// References of references.
const MAX_LEVELS: usize = 32;

/// The schemas that a schema refers to, each after those that it refers to itself.
pub(super) fn resolve<S: SchemaSource>(
    cache: &SchemaCache<S>,
    source: &SchemaText,
) -> Result<Result<Vec<Resolved>, SchemaError>, LookupError> {
    let mut resolver = Resolver { cache, resolved: Vec::new(), open: Vec::new(), bytes: source.text.len() };
    match resolver.add_all(&source.references) {
        Ok(()) => Ok(Ok(resolver.resolved)),
        Err(Stop::Invalid(reason)) => Ok(Err(SchemaError::new(reason))),
        Err(Stop::Lookup(error)) => Err(error),
    }
}

enum Stop {
    Invalid(String),
    Lookup(LookupError),
}

struct Resolver<'a, S> {
    cache: &'a SchemaCache<S>,
    resolved: Vec<Resolved>,
    /// The references whose own references are being resolved.
    open: Vec<Reference>,
    bytes: usize,
}

impl<S: SchemaSource> Resolver<'_, S> {
    fn add_all(&mut self, references: &[Reference]) -> Result<(), Stop> {
        references.iter().try_for_each(|reference| self.add(reference))
    }

    fn add(&mut self, reference: &Reference) -> Result<(), Stop> {
        let Reference { name, subject, version } = reference;
        if let Some(known) = self.resolved.iter().find(|resolved| *resolved.name == **name) {
            return if (&*known.subject, known.version) == (subject, *version) {
                Ok(())
            } else {
                let reason = format!(
                    "the reference {} is {} version {} and {subject} version {version}",
                    shortened(name),
                    known.subject,
                    known.version
                );
                Err(Stop::Invalid(reason))
            };
        }
        if self.open.contains(reference) {
            return Err(Stop::Invalid(format!("the reference {} refers to itself", shortened(name))));
        }
        if self.open.len() >= MAX_LEVELS {
            return Err(Stop::Invalid(format!("the schema has more than {MAX_LEVELS} levels of references")));
        }
        let source = self.cache.reference(subject, *version).map_err(|error| Stop::Lookup(named(reference, error)))?;
        let limits = self.cache.settings.limits;
        self.bytes = self.bytes.saturating_add(source.text.len());
        if self.bytes > limits.schema_bytes {
            return Err(Stop::Invalid(format!(
                "the schema has more than {} bytes with its references",
                limits.schema_bytes
            )));
        }
        self.open.push(reference.clone());
        self.add_all(&source.references)?;
        self.open.pop();
        if self.resolved.len() >= limits.references {
            return Err(Stop::Invalid(format!("the schema has more than {} references", limits.references)));
        }
        self.resolved.push(Resolved {
            name: name.as_str().into(),
            subject: subject.as_str().into(),
            version: *version,
            source,
        });
        Ok(())
    }
}

fn named(Reference { name, subject, version }: &Reference, error: LookupError) -> LookupError {
    let about =
        |reason: &str| format!("the reference {} ({subject} version {version}): {reason}", shortened(name)).into();
    match error {
        LookupError::NotFound(reason) => LookupError::NotFound(about(&reason)),
        LookupError::Unavailable(reason) => LookupError::Unavailable(about(&reason)),
        LookupError::Refused(reason) => LookupError::Refused(about(&reason)),
    }
}
