//! The commands that call the admin server of a running host: `swap`, `rollback`, `status`, `history` and `shadow`.

pub mod client;
mod rollback;
mod text;

use std::path::Path;
use std::time::Duration;

use crate::config::{RemoteCommand, RemoteConfig};
use client::{Client, RemoteError};
use mapper_api::versions::{Report, ShadowStatus, SwapOutcome};
use mapper_core::shutdown::{Cause, Halt, Shutdown};
use mapper_state::files;
use mapper_state::files::PLUGIN_LIMIT;
use mapper_terminal::output::{self, Line};

/// The interval in which the status of a shadow is read.
const SHADOW_INTERVAL: Duration = Duration::from_secs(1);

/// Runs one command and prints the answer. A shadow is followed until the shutdown.
///
/// # Errors
/// If the host cannot be reached or refuses the request.
pub fn run(config: &RemoteConfig, shutdown: &Shutdown) -> Result<(), Halt> {
    let client = Client::new(&config.url, config.token_file.as_deref())?.about(config.pipeline.clone());
    match &config.command {
        RemoteCommand::Swap { file, dry_run, force } => swap(&client, file, (*dry_run, *force), config.json),
        RemoteCommand::Rollback { to, yes } => show(&rollback::rollback(&client, to.as_deref(), *yes)?, config.json),
        RemoteCommand::Status => status(&client, config),
        RemoteCommand::History => {
            let terms = client.history()?;
            if config.json {
                output::print_json(&terms);
            } else {
                print_lines(text::history(&terms));
            }
            Ok(())
        }
        RemoteCommand::StopShadow => {
            let status = client.stop_shadow()?;
            if config.json {
                output::print_json(&status);
            } else {
                match status {
                    Some(status) => print_lines(text::shadow(&status)),
                    None => output::print_line("there is no shadow"),
                }
            }
            Ok(())
        }
        RemoteCommand::Shadow { file } => {
            client.start_shadow(read(file)?)?;
            follow(config, &client, shutdown)
        }
    }
}

/// Prints the state of all pipelines, or of the named one.
fn status(client: &Client, config: &RemoteConfig) -> Result<(), Halt> {
    let mut pipelines = client.pipelines()?;
    if let Some(name) = &config.pipeline {
        pipelines.retain(|pipeline| pipeline.name == *name);
        if pipelines.is_empty() {
            let why =
                format!("the host at {} has no pipeline {name}. List its pipelines: mapper-host status", config.url);
            return Err(Halt::configuration(why));
        }
    }
    if config.json {
        output::print_json(&pipelines);
    } else {
        print_lines(text::pipelines(&pipelines));
    }
    Ok(())
}

/// Swaps to the plugin in a file and prints the outcome.
///
/// # Errors
/// If the file cannot be read, or if the host cannot be reached or refuses the plugin.
pub(crate) fn swap(client: &Client, file: &Path, (dry_run, force): (bool, bool), json: bool) -> Result<(), Halt> {
    show(&client.swap(read(file)?, dry_run, force)?, json)
}

fn read(file: &Path) -> Result<Vec<u8>, Halt> {
    files::read(file, PLUGIN_LIMIT).map_err(|error| {
        Halt::new(Cause::Configuration, anyhow::Error::new(error).context(format!("{}", file.display())))
    })
}

fn print_lines(lines: Vec<Line>) {
    lines.into_iter().for_each(output::print_line);
}

/// Prints the outcome of a swap. A refused swap is an error.
fn show(report: &Report, json: bool) -> Result<(), Halt> {
    if json {
        output::print_json(report);
    } else {
        print_lines(text::report(report));
    }
    if report.outcome == SwapOutcome::Refused {
        let step = report.step.map(|step| step.name()).unwrap_or_default();
        let reason = report.reason.as_deref().unwrap_or_default();
        return Err(Halt::plugin(format!("refused at the step {step}: {reason}")));
    }
    Ok(())
}

/// Prints the results of a shadow until it ends or this process is asked to end.
fn follow(config: &RemoteConfig, client: &Client, shutdown: &Shutdown) -> Result<(), Halt> {
    let mut shown = 0;
    let mut counts = String::new();
    let show_new = |status: &ShadowStatus, shown: &mut usize, counts: &mut String| {
        for difference in &status.differences[(*shown).min(status.differences.len())..] {
            print_lines(text::difference(difference).into());
        }
        *shown = status.differences.len();
        let now = text::shadow_counts(status);
        if *counts != now {
            output::print_line(now.as_str());
            *counts = now;
        }
    };
    loop {
        let stop = shutdown.requested() || output::stdout_is_closed();
        let status = if stop { client.stop_shadow()? } else { client.shadow()? };
        let Some(status) = status else { return Ok(()) };
        if config.json && !status.running {
            output::print_json(&status);
        } else if !config.json {
            show_new(&status, &mut shown, &mut counts);
        }
        if !status.running {
            if !config.json {
                output::print_line(format!("ended: {}", status.ended.as_deref().unwrap_or_default()));
            }
            return Ok(());
        }
        shutdown.sleep(SHADOW_INTERVAL);
    }
}

impl From<RemoteError> for Halt {
    fn from(error: RemoteError) -> Self {
        match error {
            RemoteError::Unreachable { .. } | RemoteError::Answer { .. } => Self::internal(error),
            RemoteError::Token { .. } | RemoteError::TokenFile(_) => Self::new(Cause::Configuration, error),
            RemoteError::Refused { .. } => Self::new(Cause::Plugin, error),
        }
    }
}
