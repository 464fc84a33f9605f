//! One redrive per dead-letter topic at a time.

use chrono::Utc;

use mapper_core::shutdown::Halt;
use mapper_dead_letters::state::{Claim, VERSION};
use mapper_state::claim::host_name;

use super::super::error::LetterError;
use super::super::states::{Access, now};

/// The claim of this process.
pub(super) fn new(by: String) -> Claim {
    Claim {
        v: VERSION,
        host: host_name(),
        process: std::process::id(),
        by,
        started: now(),
        expires_ms: 0,
        resolved: 0,
        ended: false,
    }
}

/// # Errors
/// If another redrive runs, by its claim.
pub(super) fn check(access: &Access, takes_over: bool) -> Result<(), Halt> {
    let now_ms = Utc::now().timestamp_millis();
    let Some(claim) = access.table.claim().filter(|claim| claim.is_valid(now_ms) && !takes_over) else { return Ok(()) };
    let Claim { host, process, by, started, expires_ms, resolved, .. } = claim;
    if *host == host_name() && !is_running(*process) {
        return Ok(());
    }
    let seconds = (expires_ms - now_ms) / 1000;
    let why = format!(
        "a redrive of '{}' runs already: on {host}, process {process}, started by {by} at {started}, {resolved} letters done. Wait until it \
         ends; if the process is dead, its claim expires in {seconds} s, or take it over with --take-over",
        access.dead_letters
    );
    Err(LetterError::Claimed(why).into())
}

fn is_running(process: u32) -> bool {
    // Without /proc, the claim decides.
    !std::path::Path::new("/proc/self").exists() || std::path::Path::new(&format!("/proc/{process}")).exists()
}
