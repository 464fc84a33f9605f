//! Parses the command line, runs it, and turns the outcome into an exit code.

use std::process::ExitCode;

use mapper_host::app;
use mapper_host::author::{self, Outcome};
use mapper_host::cli::{self, CliError};
use mapper_host::config::{Command, LogConfig, ManConfig};
use mapper_host::console::Console;
use mapper_host::shutdown::{Cause, Halt, Shutdown};

// The allocator of the system keeps what librdkafka frees.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let command = match cli::parse(std::env::args_os(), std::env::vars_os()) {
        Ok(command) => command,
        Err(CliError::Help(text)) => {
            print!("{text}");
            return ExitCode::SUCCESS;
        }
        Err(CliError::Wrong(message)) => return fail(&Halt::configuration(message)),
    };
    match run(command) {
        Ok(outcome) => ExitCode::from(outcome.exit_code()),
        Err(halt) => fail(&halt),
    }
}

fn fail(halt: &Halt) -> ExitCode {
    eprintln!("error: {halt}");
    ExitCode::from(halt.cause.exit_code())
}

fn run(command: Command) -> Result<Outcome, Halt> {
    match command {
        Command::Run(config) => {
            let console = start_console(&config.log)?;
            app::run(&config, &console, &on_signal()?)?;
        }
        Command::Generate(config) => {
            let console = start_console(&config.log)?;
            app::generate(&config, &console, &on_signal()?)?;
        }
        Command::Build(config) => return author::build::build(&config),
        Command::Show(text) => print!("{text}"),
        Command::Man(config) => write_pages(&config)?,
        Command::Author(command) => return author::run(&command),
    }
    Ok(Outcome::Good)
}

fn write_pages(config: &ManConfig) -> Result<(), Halt> {
    let Some(dir) = &config.dir else {
        config.pages.iter().take(1).for_each(|(_, text)| print!("{text}"));
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

/// A shutdown that SIGINT and SIGTERM request. A second signal ends the process at once.
fn on_signal() -> Result<Shutdown, Halt> {
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
            tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} }
            tracing::info!("ending: finishing and committing the work in hand");
            requested.request();
            tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} }
            eprintln!("ended at once; what was not committed is done again at the next start");
            std::process::exit(Cause::Internal.exit_code().into());
        });
    });
    waiting.map(|_| shutdown).map_err(failed)
}
