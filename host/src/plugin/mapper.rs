//! A plugin as the pipeline's mapper: whatever the guest does costs at most the record it does it with.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::instance::{Again, Failed, Instance};
use super::load::Plugin;
use crate::pipeline::Mapper;
use crate::record::Batch;
use crate::verdict::{Columns, Failure, Verdicts};

/// How many records a guest may map before it says where it is: asking for each would cost a tenth of its time.
const STRIDE: u32 = 32;

/// Maps batches with instances of one plugin, of which there is one at a time.
pub struct PluginMapper {
    plugin: Arc<Plugin>,
    instance: Option<Instance>,
    renewals: u64,
}

impl PluginMapper {
    /// A mapper; its instance is made with the first batch.
    pub fn new(plugin: Arc<Plugin>) -> Self {
        Self { plugin, instance: None, renewals: 0 }
    }

    /// A mapper with its instance, so that its first batch waits for nothing.
    ///
    /// # Errors
    /// When no instance can be made.
    pub fn prepared(plugin: Arc<Plugin>) -> Result<Self, Failure<'static>> {
        let instance = Some(Instance::new(&plugin)?);
        Ok(Self { instance, ..Self::new(plugin) })
    }

    /// How many instances were given up because a call into them failed.
    pub fn renewals(&self) -> u64 {
        self.renewals
    }

    /// Maps a batch; what fails, fails where the guest said it was.
    fn call(&mut self, batch: &Batch) -> Result<Columns, Box<Failed>> {
        let exactly = batch.len() <= STRIDE as usize || self.plugin.exactly.load(Ordering::Relaxed);
        let mut result = self.attempt(batch, if exactly { 1 } else { STRIDE });
        if let Some(again) = result.as_ref().err().and_then(|failed| failed.again) {
            self.plugin.exactly.fetch_or(again == Again::ExactlyFromNowOn, Ordering::Relaxed);
            result = self.attempt(batch, 1);
        }
        result
    }

    fn attempt(&mut self, batch: &Batch, stride: u32) -> Result<Columns, Box<Failed>> {
        if self.instance.is_none() {
            let made = Instance::new(&self.plugin);
            self.instance = Some(made.map_err(|failure| {
                let exact = batch.len() == 1;
                Box::new(Failed { before: Columns::default(), at: 0, exact, again: None, failure })
            })?);
        }
        let instance = self.instance.as_mut().expect("made above");
        instance.map(batch, stride).inspect_err(|failed| {
            self.instance = None;
            self.renewals += u64::from(failed.again.is_none());
        })
    }
}

impl Mapper for PluginMapper {
    fn map(&mut self, batch: &Batch, verdicts: &mut Verdicts) {
        if batch.is_empty() {
            return;
        }
        let failed = match self.call(batch) {
            Ok(columns) => return verdicts.push_columns(columns),
            Err(failed) => *failed,
        };
        if failed.exact {
            let before = failed.before.statuses.len();
            verdicts.push_columns(failed.before);
            verdicts.push_failure(failed.failure);
            return self.map(&batch.slice(before + 1..batch.len()), verdicts);
        }
        // Nothing is known of any record but where the guest said it was: take the batch apart there. Each part is
        // smaller, so this ends whatever the guest says; usually the first part passes and the second fails alone.
        let middle = if failed.at == 0 { 1 } else { failed.at };
        for part in [0..middle, middle..middle + 1, middle + 1..batch.len()] {
            if !part.is_empty() && part.end <= batch.len() {
                self.map(&batch.slice(part), verdicts);
            }
        }
    }
}

impl Failure<'_> {
    /// Message and details as one text, for a person.
    pub fn text(&self) -> String {
        if self.details.is_empty() { self.message.to_string() } else { format!("{}\n{}", self.message, self.details) }
    }
}
