//! The directory in which a run keeps what must survive a restart: it is checked before anything is touched.

use std::path::Path;

use crate::config::{Delivery, PipelineSpec, RunConfig};
use mapper_core::shutdown::Halt;
use mapper_state::files::PrivateDir;

/// The state directory of a run; `None`: no directory is private to this user, and the run continues without one.
///
/// # Errors
/// When there is none, and exactly-once needs one: it holds the transactional id that lasts from run to run.
pub fn check(config: &RunConfig) -> Result<Option<&Path>, Halt> {
    let dir = config.state_dir.as_deref();
    let why = match dir.map(PrivateDir::open) {
        Some(Ok(_)) => return Ok(dir),
        Some(Err(error)) => error.to_string(),
        None => "neither XDG_STATE_HOME nor HOME is set".to_owned(),
    };
    let needs_one = |spec: &PipelineSpec| spec.delivery == Delivery::ExactlyOnce && spec.transactional_id.is_none();
    if config.pipelines.iter().any(needs_one) {
        return Err(Halt::configuration(format!(
            "exactly-once keeps its transactional id in a state directory that only this user can change: {why}. Give one with \
             --state-dir DIR"
        )));
    }
    tracing::warn!(
        why,
        "there is no state directory: the history of versions ends with this process, and the host does not detect a record that crashes \
         it. Give one that only this user can change with --state-dir"
    );
    Ok(None)
}
