//! `mapper-host rollback`: shows the plan and asks for a confirmation.

use std::io::{self, BufRead, IsTerminal};

use super::client::Client;
use super::text;
use mapper_api::versions::Report;
use mapper_api::versions::RollbackPlan;
use mapper_core::shutdown::Halt;
use mapper_terminal::output;

/// Rolls back to this version, or to the one before. Without a version and without `yes`, the user must confirm it.
///
/// # Errors
/// If the host cannot be reached or refuses, or the user does not confirm.
pub(super) fn rollback(client: &Client, to: Option<&str>, yes: bool) -> Result<Report, Halt> {
    let plan = client.rollback_plan(to)?;
    // On stderr: with --json, stdout has the answer of the host.
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
            "nothing was changed: the rollback needs a confirmation, and there is no terminal. Confirm it with --yes, or name \
             the version with --to {digest}"
        )));
    }
    output::eprint_prompt("Roll back? [y/N] ");
    let mut answer = String::new();
    let read = io::stdin().lock().read_line(&mut answer);
    read.map_err(|error| Halt::internal(anyhow::Error::new(error).context("reading the answer")))?;
    if ["y", "yes"].contains(&answer.trim().to_ascii_lowercase().as_str()) {
        return Ok(());
    }
    Err(Halt::internal(anyhow::anyhow!("nothing was changed: the answer was not yes")))
}
