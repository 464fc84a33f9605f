//! `mapper-host console`: its arguments, read and checked.

use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, Command};

use super::arguments::{self, argument};
use super::settings::{CONSOLE, RUN};
use super::sources::{Environment, Sources, without_credentials};
use super::{CliError, in_force, pipelines, run};
use crate::config::{ConsoleConfig, RunConfig, remote};

const USAGE: &str = "mapper-host console --host URL… [OPTIONS]
       mapper-host console --brokers LIST [--host URL]… [OPTIONS]
       mapper-host console --config FILE [--host URL]… [OPTIONS]";

const AFTER: &str = "Examples:
  mapper-host console --host 10.0.0.7:8080 --host 10.0.0.8:8080
      The pipelines of two hosts. Everything is asked of them; the console needs no access to Kafka.
  mapper-host console --brokers kafka-1:9092 --dead-letter-topic visits_dlq
      The dead letters of one pipeline, also while no host runs.
  mapper-host console --config host.toml --host 10.0.0.7:8080 --admin 127.0.0.1:8090
      The dead letters of all pipelines of a settings file, and the live figures of a host.

Live figures, versions, swaps, try-outs and redrives are those of the hosts. Dead letters and decisions come from Kafka if it is given.
Open the printed address in a browser. Ctrl-C ends the console. See docs/console.md.

Exit codes: 0 clean shutdown; 1 internal error; 2 bad configuration, or the address is in use.";

const NOTHING: &str = "give the console something to show: the admin server of a host with --host URL, such as --host 127.0.0.1:8080, or a \
    Kafka with --brokers LIST, or a settings file with --config FILE. Several can be given together";

pub(super) fn command() -> Command {
    let host = Arg::new("host").long("host").value_name("URL").action(ArgAction::Append);
    let token = arguments::path(Arg::new("host-token-file").long("host-token-file").value_name("FILE"));
    let pipeline = Arg::new("pipeline").long("pipeline").value_name("NAME");
    Command::new("console")
        .about("Serves the web console for hosts that run elsewhere")
        .override_usage(USAGE)
        .arg(host.help(
            "The admin server of a host: the address that it was given as --admin, or a URL such as http://10.0.0.7:8080. Repeat the \
             flag for several hosts",
        ))
        .arg(token.help(
            "A file whose first line is the token of the hosts for changes. Only this user may be able to read it. It needs \
             --admin-token-file, which can be the same file [default: what the viewer enters is sent to the host, too]",
        ))
        .arg(pipeline.help(
            "The name of the pipeline that the flags describe: the one that its host gives it (see mapper-host status) [default: \
             default]",
        ))
        .args(CONSOLE.iter().map(|setting| match setting.name {
            // As the commands for dead letters name it.
            "group" => argument(setting).alias("consumer-group"),
            _ => argument(setting),
        }))
        .after_help(AFTER)
}

/// Reads and checks.
///
/// # Errors
/// The first argument or setting that is wrong; of a file with `[[pipeline]]` tables, all of them.
pub(super) fn config(matches: &ArgMatches, environment: &Environment) -> Result<ConsoleConfig, CliError> {
    let (mut sources, mistakes) = Sources::read_all(&RUN, matches, environment)?;
    // The console runs no plugin of a file.
    sources.leave_out("plugin");
    let hosts = hosts(matches)?;
    let has_tables = sources.file().is_some_and(|file| !file.pipelines.is_empty());
    let has_kafka = has_tables || sources.find("brokers").is_some();
    if !has_kafka && hosts.is_empty() {
        return Err(CliError::Wrong(NOTHING.to_owned()));
    }
    let mut run = match (has_kafka, mistakes.into_iter().next()) {
        (true, mistake) => run::config(&sources, mistake.into_iter().collect())?,
        (false, Some(mistake)) => return Err(mistake),
        (false, None) => in_force::add(&sources, run::process(&sources)?)?,
    };
    name_pipeline(matches, has_tables, &mut run)?;
    let Some(admin) = run.admin else {
        return Err(sources
            .present("admin")
            .refuse("the console is this server. Give an address such as 127.0.0.1:8080"));
    };
    let host_token_file = matches.get_one::<PathBuf>("host-token-file").cloned();
    if let Some(file) = &host_token_file {
        let refuse = |why: &str| Err(CliError::Wrong(format!("flag --host-token-file: {}: {why}", file.display())));
        if hosts.is_empty() {
            return refuse("there is no host to send the token to. Give one with --host URL");
        }
        if run.admin_token_file.is_none() {
            return refuse(
                "anyone who can reach the console could change the hosts with this token. Give --admin-token-file FILE, too; it can be \
                 the same file",
            );
        }
    }
    Ok(ConsoleConfig { address: admin.address, hosts, host_token_file, run })
}

fn hosts(matches: &ArgMatches) -> Result<Vec<String>, CliError> {
    let mut hosts = Vec::new();
    for text in matches.get_many::<String>("host").into_iter().flatten() {
        let refuse =
            |why: &str| CliError::Wrong(format!("flag --host: {:?} is not allowed: {why}", without_credentials(text)));
        let url = remote::url(text).map_err(|allowed| refuse(&allowed))?;
        if hosts.contains(&url) {
            return Err(refuse("it is given twice. Leave one out"));
        }
        hosts.push(url);
    }
    Ok(hosts)
}

/// Names the pipeline that flags describe.
fn name_pipeline(matches: &ArgMatches, has_tables: bool, run: &mut RunConfig) -> Result<(), CliError> {
    let Some(name) = matches.get_one::<String>("pipeline") else { return Ok(()) };
    let name = pipelines::name(name)?;
    match &mut run.pipelines[..] {
        [pipeline] if !has_tables => {
            let settings = run.settings.pipelines.remove(&pipeline.name);
            run.settings.pipelines.extend(settings.map(|settings| (name.clone(), settings)));
            pipeline.name = name;
        }
        [] => {
            return Err(CliError::Wrong(
                "flag --pipeline: no flags describe a pipeline. Give --brokers LIST, too".to_owned(),
            ));
        }
        _ => {
            let why = "flag --pipeline: the settings file names its pipelines. Leave the flag out";
            return Err(CliError::Wrong(why.to_owned()));
        }
    }
    Ok(())
}
