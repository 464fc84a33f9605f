//! Parses the command line, runs it, and turns the outcome into an exit code.

#![deny(clippy::print_stdout, clippy::print_stderr)]
#![forbid(unsafe_code)]

use std::process::ExitCode;

use mapper_author::Outcome;
use mapper_core::shutdown::{Cause, Halt, Shutdown};
use mapper_host::cli::{self, CliError};
use mapper_host::config::{Command, LogConfig, ManConfig, RemoteCommand, RunConfig};
use mapper_host::services::HostServices;
use mapper_host::{app, check_file, memory, remote};
use mapper_runtime::helper;
use mapper_terminal::console::Console;
use mapper_terminal::output;
use mapper_versions::Reload;

// The allocator of the system keeps what librdkafka frees.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What a second signal means for a run.
const AGAIN: &str = "ended at once; what was not committed is done again at the next start";

fn main() -> ExitCode {
    match helper::serve(std::env::args_os()) {
        Some(Ok(code)) => return code,
        Some(Err(error)) => {
            output::eprint_error(&error);
            return ExitCode::from(helper::REFUSED);
        }
        None => {}
    }
    output::report_panics();
    helper::register_this_program();
    let command = match cli::parse(std::env::args_os(), std::env::vars_os()) {
        Ok(command) => command,
        Err(CliError::Help(text)) => {
            output::print_text(&text);
            return output_error().map_or(ExitCode::SUCCESS, |halt| fail(&halt));
        }
        Err(wrong) => return fail(&Halt::configuration(wrong.to_string())),
    };
    // What these two are for is in Kafka; their stdout only tells how it goes.
    let is_output_optional = matches!(command, Command::Run(_) | Command::Generate(_));
    match run(command) {
        Ok(outcome) => match output_error().filter(|_| !is_output_optional) {
            Some(halt) => fail(&halt),
            None => ExitCode::from(outcome.exit_code()),
        },
        Err(halt) => fail(&halt),
    }
}

/// What was to be printed and could not be, unless nobody wanted to read it.
fn output_error() -> Option<Halt> {
    let error = output::stdout_error()?;
    Some(Halt::internal(&anyhow::anyhow!("stdout can't be written: {error}")))
}

fn fail(halt: &Halt) -> ExitCode {
    output::eprint_error(&halt.to_string());
    ExitCode::from(halt.cause.exit_code())
}

fn run(command: Command) -> Result<Outcome, Halt> {
    match command {
        Command::Run(config) => {
            let console = start_console(&config.log)?;
            memory::disable_huge_pages();
            let reload = Reload::default();
            let shutdown = on_signal(Some(reload.clone()), AGAIN)?;
            app::run(&config, &console, (&shutdown, &reload), &read_again)?;
        }
        Command::CheckFile(config) => check_file::check(&config)?,
        Command::Generate(config) => {
            let console = start_console(&config.log)?;
            app::generate(&config, &console, &on_signal(None, AGAIN)?)?;
        }
        Command::Remote(config) => {
            // Only a shadow has something to end before the process does.
            let ends = matches!(config.command, RemoteCommand::Shadow { .. });
            remote::run(
                &config,
                &if ends {
                    on_signal(None, "ended at once; the shadow runs on until: mapper-host shadow --stop")?
                } else {
                    Shutdown::default()
                },
            )?;
        }
        Command::Build(config) => return mapper_author::build::build(&config, &HostServices),
        Command::Show(text) => output::print_text(&text),
        Command::Man(config) => write_pages(&config)?,
        Command::Author(command) => return mapper_author::run(&command, &HostServices),
    }
    Ok(Outcome::Success)
}

/// The configuration of a run, read once more as at the start.
fn read_again() -> Result<RunConfig, String> {
    match cli::parse(std::env::args_os(), std::env::vars_os()) {
        Ok(Command::Run(config)) => Ok(*config),
        Ok(_) => Err("the arguments do not ask for a run any more".to_owned()),
        Err(wrong) => Err(wrong.to_string()),
    }
}

fn write_pages(config: &ManConfig) -> Result<(), Halt> {
    let Some(dir) = &config.dir else {
        config.pages.iter().take(1).for_each(|(_, text)| output::print_text(text));
        return Ok(());
    };
    for (name, text) in &config.pages {
        let path = dir.join(name);
        let failed = |error| anyhow::Error::new(error).context(format!("writing {}", path.display()));
        std::fs::write(&path, text).map_err(|error| Halt::internal(&failed(error)))?;
    }
    Ok(())
}

fn start_console(log: &LogConfig) -> Result<Console, Halt> {
    Console::start(log.format, &log.filter).map_err(Halt::configuration)
}

/// A shutdown that SIGINT and SIGTERM request. A second signal ends the process `at_once`, with
/// these words. SIGHUP asks for a reload, if there is
/// something to reload; else it does what it does.
fn on_signal(reload: Option<Reload>, at_once: &'static str) -> Result<Shutdown, Halt> {
    let shutdown = Shutdown::default();
    let requested = shutdown.clone();
    let failed = |error: std::io::Error| Halt::internal(&anyhow::Error::new(error).context("waiting for signals"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    let waiting = std::thread::Builder::new().name("signals".into()).spawn(move || {
        runtime.block_on(async {
            use tokio::signal::unix::{SignalKind, signal};
            let (Ok(mut interrupt), Ok(mut terminate)) =
                (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
            else {
                return tracing::warn!("signals can't be waited for; the host ends without draining");
            };
            let reloads = async {
                let Some(reload) = reload else { return std::future::pending().await };
                match signal(SignalKind::hangup()) {
                    Ok(mut hangup) => {
                        while hangup.recv().await.is_some() {
                            reload.request();
                        }
                    }
                    Err(error) => tracing::warn!(%error, "SIGHUP can't be waited for"),
                }
                std::future::pending::<()>().await
            };
            tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {}, () = reloads => {} }
            tracing::info!("ending: finishing and committing the work in hand");
            requested.request();
            tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} }
            output::eprint_line(at_once);
            std::process::exit(Cause::Internal.exit_code().into());
        });
    });
    waiting.map(|_| shutdown).map_err(failed)
}
