//! A mapper whose records are decoded, and whose outputs are encoded.

use std::ops::Range;
use std::sync::Arc;

use mapper_core::record::Batch;
use mapper_core::verdict::{Failure, FailureKind, Part, Verdicts};
use mapper_pipeline::{Mapper, Unavailable};
use mapper_schemas::InputFormat;

use crate::Schemas;
use crate::decoded::DecodedBatch;
use crate::encoders::Encoders;

/// How a pipeline reads and writes keys and values.
#[derive(Clone)]
pub struct Codec {
    pub schemas: Arc<Schemas>,
    /// `None` passes the bytes.
    pub input_key: Option<InputFormat>,
    /// `None` passes the bytes.
    pub input_value: Option<InputFormat>,
    pub outputs: Arc<Encoders>,
}

/// A mapper that gets decoded records. Without a codec, it is the mapper itself.
pub struct CodecMapper<M> {
    inner: M,
    state: Option<Box<State>>,
}

struct State {
    outputs: Arc<Encoders>,
    /// `None` if neither keys nor values are decoded.
    decoded: Option<DecodedBatch>,
    /// The verdicts of the inner mapper.
    verdicts: Verdicts,
}

impl<M> CodecMapper<M> {
    pub fn new(inner: M, codec: Option<&Codec>) -> Self {
        let state = codec.map(|codec| {
            let decodes = codec.input_key.is_some() || codec.input_value.is_some();
            Box::new(State {
                outputs: codec.outputs.clone(),
                decoded: decodes.then(|| DecodedBatch::new(codec)),
                verdicts: Verdicts::default(),
            })
        });
        Self { inner, state }
    }

    /// The mapper that gets the decoded records.
    pub fn inner(&self) -> &M {
        &self.inner
    }
}

impl<M: Mapper> Mapper for CodecMapper<M> {
    fn prepare(&mut self, batch: &Batch, records: Range<usize>) -> Result<(), Unavailable> {
        self.inner.prepare(batch, records.clone())?;
        let decoded = self.state.as_mut().and_then(|state| state.decoded.as_mut());
        decoded.map_or(Ok(()), |decoded| decoded.prepare(batch, records))
    }

    fn map_until_failure(&mut self, batch: &Batch, records: Range<usize>, verdicts: &mut Verdicts) {
        let Some(state) = &mut self.state else { return self.inner.map_until_failure(batch, records, verdicts) };
        let State { outputs, decoded, verdicts: own } = &mut **state;
        let Some(decoded) = decoded else {
            own.clear();
            self.inner.map_until_failure(batch, records.clone(), own);
            return encode(outputs, own, batch, records.start, false, verdicts);
        };
        // Who calls this without a preparation can't wait.
        if !decoded.is_prepared(&records)
            && let Err(Unavailable { reason }) = decoded.prepare(batch, records.clone())
        {
            let message = format!("the schema registry can't be used: {reason}");
            return verdicts.push_failure(Failure::new(FailureKind::Undecodable, message));
        }
        let end = decoded.end().min(records.end);
        let mut at = records.start;
        while at < end {
            if let Some(failure) = decoded.take_failure(at) {
                verdicts.push_failure(failure);
                at += 1;
                continue;
            }
            let run = at..decoded.end_of_run(at).min(end);
            own.clear();
            self.inner.map_until_failure(decoded.batch(), decoded.indexes(&run), own);
            let judged = own.len();
            encode(outputs, own, batch, at, decoded.has_schema_headers(), verdicts);
            at += judged;
            // A call failed, or the outputs are many.
            if judged < run.len() {
                break;
            }
        }
        decoded.judged(at);
    }
}

/// Moves verdicts, with the outputs encoded. `first` is the index of their first record in the batch.
fn encode(
    outputs: &Encoders,
    from: &mut Verdicts,
    batch: &Batch,
    first: usize,
    has_schema_headers: bool,
    to: &mut Verdicts,
) {
    let mut at = first;
    for part in from.drain() {
        match part {
            Part::Failed(failure) => {
                to.push_failure(failure);
                at += 1;
            }
            Part::Columns(columns) => {
                let records = columns.statuses.len();
                outputs.encode(*columns, (batch, at), has_schema_headers, to);
                at += records;
            }
        }
    }
}
