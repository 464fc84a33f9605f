//! `mapper-host rollback`: shows which version the host would return to, and asks before it does.

use std::io::{self, BufRead, IsTerminal};

use super::client::Client;
use super::text;
use mapper_api::versions::Report;
use mapper_api::versions::RollbackPlan;
use mapper_core::shutdown::{Cause, Halt};
use mapper_terminal::output;

/// Rolls back to this version, or to the one before. Without a version in `to`, and unless `yes`, a person is asked first.
///
/// # Errors
/// When the host can't be asked or refuses, or nobody agrees.
pub(super) fn rollback(client: &Client, to: Option<&str>, yes: bool) -> Result<Report, Halt> {
    let plan = client.rollback_plan(to)?;
    // On stderr: with --json, standard output is what the host answers.
    output::eprint_line(text::rollback_plan(&plan));
    if to.is_none() && !yes {
        confirm(&plan)?;
    }
    Ok(client.rollback_as_planned(&plan)?)
}

fn confirm(plan: &RollbackPlan) -> Result<(), Halt> {
    let digest = plan.to.digest.get(..12).unwrap_or(&plan.to.digest);
    if !io::stdin().is_terminal() || !output::stderr_is_terminal() {
        return Err(Halt::configuration(format!(
            "nothing was changed: nobody confirmed the rollback, as there is no terminal to ask at. Confirm it with --yes, or name \
             the version with --to {digest}"
        )));
    }
    output::eprint_prompt("Roll back? [y/N] ");
    let mut answer = String::new();
    let read = io::stdin().lock().read_line(&mut answer);
    read.map_err(|error| Halt::internal(&anyhow::Error::new(error).context("reading the answer")))?;
    if ["y", "yes"].contains(&answer.trim().to_ascii_lowercase().as_str()) {
        return Ok(());
    }
    Err(Halt { cause: Cause::Internal, reason: "nothing was changed: the answer was not yes".to_owned() })
}
