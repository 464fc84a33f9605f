//! Parses the command line, runs the command and returns its exit code.

#![deny(clippy::print_stdout, clippy::print_stderr)]
#![forbid(unsafe_code)]

use std::process::ExitCode;

use mapper_author::Outcome;
use mapper_core::shutdown::{Cause, Halt, Shutdown};
use mapper_host::cli::{self, CliError};
use mapper_host::config::{Command, DlqCommand, LogConfig, ManConfig, RemoteCommand, RunConfig};
use mapper_host::services::HostServices;
use mapper_host::{app, audit, check_file, dlq, memory, remote};
use mapper_runtime::helper;
use mapper_terminal::console::Console;
use mapper_terminal::output;
use mapper_versions::Reload;

// The allocator of the system keeps memory that librdkafka frees.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The message of a second signal during a redrive.
const REDRIVE_AGAIN: &str = "ended immediately; the same command continues after the last committed transaction";
/// The message of a second signal while the console ends.
const CONSOLE_AGAIN: &str = "ended immediately; a redrive of this console continues after its last committed transaction when it is started again";
/// The message of a second signal during a run.
const AGAIN: &str = "ended immediately; the next start processes uncommitted records again";

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
    // The results of these are not on stdout, which only shows the progress.
    let is_output_optional = matches!(command, Command::Run(_) | Command::Generate(_) | Command::Console(_));
    match run(command) {
        Ok(outcome) => match output_error().filter(|_| !is_output_optional) {
            Some(halt) => fail(&halt),
            None => ExitCode::from(outcome.exit_code()),
        },
        Err(halt) => fail(&halt),
    }
}

/// The error of a failed write to stdout, unless the reader has closed it.
fn output_error() -> Option<Halt> {
    let error = output::stdout_error()?;
    Some(Halt::internal(anyhow::anyhow!("failed to write to stdout: {error}")))
}

fn fail(halt: &Halt) -> ExitCode {
    output::eprint_error(&halt.reason());
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
        Command::Audit(config) => {
            Console::log_only(config.log.format, &config.log.filter).map_err(Halt::configuration)?;
            audit::run(&config, &on_signal(None, "ended immediately")?)?;
        }
        Command::Console(config) => {
            let console = start_console(&config.run.log)?;
            mapper_host::console::run(&config, &console, &on_signal(None, CONSOLE_AGAIN)?)?;
        }
        Command::Remote(config) => {
            // Only a shadow needs a clean shutdown.
            let ends = matches!(config.command, RemoteCommand::Shadow { .. });
            remote::run(
                &config,
                &if ends {
                    on_signal(
                        None,
                        "ended immediately; the shadow still runs. Stop it with: mapper-host shadow --stop",
                    )?
                } else {
                    Shutdown::default()
                },
            )?;
        }
        Command::Dlq(config) => {
            // Only a redrive needs a clean shutdown.
            let ends = matches!(config.command, DlqCommand::Redrive { .. } | DlqCommand::Edit { .. });
            let shutdown = if ends { on_signal(None, REDRIVE_AGAIN)? } else { Shutdown::default() };
            return dlq::run(&config, &shutdown);
        }
        Command::Build(config) => return mapper_author::build::build(&config, &HostServices),
        Command::Show(text) => output::print_text(&text),
        Command::Man(config) => write_pages(&config)?,
        Command::Author(command) => return mapper_author::run(&command, &HostServices),
    }
    Ok(Outcome::Success)
}

/// Parses the configuration of a run again, as at the start.
fn read_again() -> Result<RunConfig, String> {
    match cli::parse(std::env::args_os(), std::env::vars_os()) {
        Ok(Command::Run(config)) => Ok(*config),
        Ok(_) => Err("the arguments are not those of a run any more".to_owned()),
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
        std::fs::write(&path, text).map_err(|error| Halt::internal(failed(error)))?;
    }
    Ok(())
}

fn start_console(log: &LogConfig) -> Result<Console, Halt> {
    Console::start(log.format, &log.filter).map_err(Halt::configuration)
}

/// A shutdown that SIGINT and SIGTERM request. A second signal ends the process immediately, with
/// the message `at_once`. SIGHUP requests a reload, if there is
/// something to reload; otherwise it keeps its default action.
fn on_signal(reload: Option<Reload>, at_once: &'static str) -> Result<Shutdown, Halt> {
    let shutdown = Shutdown::default();
    let requested = shutdown.clone();
    let failed = |error: std::io::Error| Halt::internal(anyhow::Error::new(error).context("waiting for signals"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    let waiting = std::thread::Builder::new().name("signals".into()).spawn(move || {
        runtime.block_on(async {
            use tokio::signal::unix::{SignalKind, signal};
            let (Ok(mut interrupt), Ok(mut terminate)) =
                (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
            else {
                return tracing::warn!("cannot wait for signals; the host ends without draining");
            };
            let reloads = async {
                let Some(reload) = reload else { return std::future::pending().await };
                match signal(SignalKind::hangup()) {
                    Ok(mut hangup) => {
                        while hangup.recv().await.is_some() {
                            reload.request();
                        }
                    }
                    Err(error) => tracing::warn!(%error, "cannot wait for SIGHUP"),
                }
                std::future::pending::<()>().await
            };
            tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {}, () = reloads => {} }
            tracing::info!("draining: finishing and committing the open transactions");
            requested.request();
            tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} }
            output::eprint_line(at_once);
            std::process::exit(Cause::Internal.exit_code().into());
        });
    });
    waiting.map(|_| shutdown).map_err(failed)
}
