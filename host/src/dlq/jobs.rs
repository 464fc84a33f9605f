//! The redrives that the admin API has started: at most one runs for each pipeline, and the last ones are kept.

mod job;
mod reporter;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use chrono::Utc;

pub(crate) use job::{RedriveJob, RedriveVersion};

/// The ended redrives that are kept for each pipeline.
const MAX_ENDED: usize = 16;
/// The interval of checks whether the redrives have ended.
const POLL: Duration = Duration::from_millis(20);

/// The redrives of a process, by pipeline.
#[derive(Debug, Default)]
pub struct RedriveJobs(Mutex<All>);

#[derive(Debug, Default)]
struct All {
    /// Of each pipeline, the last one first.
    jobs: BTreeMap<String, VecDeque<Arc<RedriveJob>>>,
    last_id: i64,
    /// When the host began to end. No redrive starts any more.
    ending: Option<Instant>,
}

/// Why a redrive can't start.
#[derive(Debug)]
pub(crate) enum Unavailable {
    /// This one runs.
    Running(Arc<RedriveJob>),
    Ending,
}

/// A redrive that has not started. Dropping it frees the place.
pub(crate) struct Reserved<'a> {
    jobs: &'a RedriveJobs,
    pipeline: String,
    job: Arc<RedriveJob>,
}

impl Drop for Reserved<'_> {
    fn drop(&mut self) {
        if !self.job.is_begun() {
            self.jobs.remove(&self.pipeline, &self.job);
        }
    }
}

impl Reserved<'_> {
    pub(crate) fn job(&self) -> &Arc<RedriveJob> {
        &self.job
    }
}

impl RedriveJobs {
    fn lock(&self) -> MutexGuard<'_, All> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reserves the only place of a pipeline.
    ///
    /// # Errors
    /// If another redrive of the pipeline runs, or the host ends.
    pub(crate) fn reserve(&self, pipeline: &str, to_input: bool) -> Result<Reserved<'_>, Unavailable> {
        let mut all = self.lock();
        if all.ending.is_some() {
            return Err(Unavailable::Ending);
        }
        // Also unique after a restart of the host, and in their order.
        let id = Utc::now().timestamp_millis().max(all.last_id + 1);
        all.last_id = id;
        let jobs = all.jobs.entry(pipeline.to_owned()).or_default();
        if let Some(running) = jobs.iter().find(|job| !job.state().is_ended()) {
            return Err(Unavailable::Running(running.clone()));
        }
        jobs.truncate(MAX_ENDED - 1);
        let job = RedriveJob::new(id.to_string(), to_input);
        jobs.push_front(job.clone());
        Ok(Reserved { jobs: self, pipeline: pipeline.to_owned(), job })
    }

    /// Forgets a redrive that has done nothing.
    pub(crate) fn remove(&self, pipeline: &str, job: &Arc<RedriveJob>) {
        if let Some(jobs) = self.lock().jobs.get_mut(pipeline) {
            jobs.retain(|other| !Arc::ptr_eq(other, job));
        }
    }

    /// The redrives of a pipeline, the last one first.
    pub(crate) fn of_pipeline(&self, pipeline: &str) -> Vec<Arc<RedriveJob>> {
        self.lock().jobs.get(pipeline).into_iter().flatten().cloned().collect()
    }

    /// Stops the redrive of a pipeline after its open transaction.
    pub(crate) fn stop(&self, pipeline: &str) {
        self.of_pipeline(pipeline).iter().for_each(|job| job.stop());
    }

    /// Stops all redrives after their open transactions. None starts any more.
    pub(crate) fn stop_all(&self) {
        let mut all = self.lock();
        all.ending.get_or_insert_with(Instant::now);
        all.jobs.values().flatten().for_each(|job| job.stop());
    }

    /// Stops all redrives and waits for them, each for the drain timeout of its pipeline since the host began to end.
    pub(crate) fn finish(&self) {
        self.stop_all();
        let (jobs, ending): (Vec<_>, _) = {
            let all = self.lock();
            let running =
                all.jobs.iter().flat_map(|(name, jobs)| jobs.iter().map(move |job| (name.clone(), job.clone())));
            (running.collect(), all.ending.unwrap_or_else(Instant::now))
        };
        for (pipeline, job) in jobs {
            while !job.state().is_ended() {
                if ending.elapsed() >= job.drain_timeout() {
                    tracing::warn!(
                        pipeline,
                        redrive = job.view().id,
                        "ended without waiting for the redrive: its open transaction took longer than --drain-timeout. The same \
                         redrive continues after the last committed transaction"
                    );
                    break;
                }
                std::thread::sleep(POLL);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use mapper_api::redrives::RedriveState;

    use super::*;

    #[test]
    fn one_redrive_of_a_pipeline_runs_and_the_last_ones_are_kept() {
        let jobs = RedriveJobs::default();
        let mut ids = Vec::new();
        for _ in 0..MAX_ENDED + 5 {
            let reserved = jobs.reserve("a", false).ok().unwrap();
            let job = reserved.job().clone();
            assert!(
                matches!(jobs.reserve("a", false), Err(Unavailable::Running(running)) if Arc::ptr_eq(&running, &job))
            );
            assert!(jobs.reserve("b", false).is_ok(), "another pipeline has its own place");
            job.begin(Duration::ZERO);
            drop(reserved);
            ids.insert(0, job.view().id);
            job.end(Ok(RedriveState::Finished));
        }
        let kept: Vec<String> = jobs.of_pipeline("a").iter().map(|job| job.view().id).collect();
        assert_eq!(kept, ids[..MAX_ENDED]);
        assert_eq!(jobs.of_pipeline("b").len(), 0, "a reservation without a start leaves nothing");
    }

    #[test]
    fn ending_host_stops_redrives_and_waits_no_longer_than_the_drain_timeout() {
        let jobs = RedriveJobs::default();
        let reserved = jobs.reserve("a", false).ok().unwrap();
        let job = reserved.job().clone();
        job.begin(Duration::from_millis(1));
        drop(reserved);
        jobs.finish();
        assert_eq!((job.state(), job.wait_for_answer()), (RedriveState::Stopping, false));
        assert!(matches!(jobs.reserve("b", false), Err(Unavailable::Ending)));
    }

    #[test]
    fn waiting_redrive_continues_or_stops_by_the_answer() {
        for (stops, expected) in [(false, true), (true, false)] {
            let jobs = RedriveJobs::default();
            let reserved = jobs.reserve("a", false).ok().unwrap();
            let job = reserved.job().clone();
            job.begin(Duration::ZERO);
            assert!(!job.continue_with_next_batch(), "it does not wait yet");
            let waits = job.clone();
            let thread = std::thread::spawn(move || waits.wait_for_answer());
            let mut view = job.subscribe();
            while view.borrow_and_update().state != RedriveState::Waiting {
                std::thread::yield_now();
            }
            if stops {
                job.stop()
            } else {
                assert!(job.continue_with_next_batch())
            }
            assert_eq!(thread.join().unwrap(), expected);
        }
    }
}
