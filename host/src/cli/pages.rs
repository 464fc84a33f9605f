//! Completions for shells and man pages, from the definition of the command line.

use std::path::PathBuf;

use clap::{Arg, ArgMatches, Command};
use clap_complete::Shell;
use clap_mangen::Man;

use super::arguments;
use crate::config::{self, ManConfig};

/// Both commands.
pub(super) fn commands() -> [Command; 2] {
    let completions = Command::new("completions")
        .about("Prints completions for a shell")
        .arg(
            Arg::new("shell")
                .value_name("SHELL")
                .required(true)
                .value_parser(clap::value_parser!(Shell))
                .help("Which shell"),
        )
        .after_help(
            "bash: mapper-host completions bash > ~/.local/share/bash-completion/completions/mapper-host\n\
             zsh:  mapper-host completions zsh > a folder of $fpath/_mapper-host\n\
             fish: mapper-host completions fish > ~/.config/fish/completions/mapper-host.fish",
        );
    let man = Command::new("man").about("Prints the man page, or writes those of all commands").arg(
        arguments::path(Arg::new("dir").long("dir").value_name("DIR"))
            .help("Write mapper-host.1, mapper-host-run.1, … into this folder, which may be one of $MANPATH/man1"),
    );
    [completions, man]
}

/// What `mapper-host completions` prints for this command line.
pub(super) fn completions(matches: &ArgMatches, mut whole: Command) -> config::Command {
    let mut text = Vec::new();
    // clap requires it.
    if let Some(shell) = matches.get_one::<Shell>("shell") {
        clap_complete::generate(*shell, &mut whole, "mapper-host", &mut text);
    }
    config::Command::Show(String::from_utf8_lossy(&text).into_owned())
}

/// The man pages of this command line.
pub(super) fn man(matches: &ArgMatches, whole: Command) -> config::Command {
    let dir = matches.get_one::<PathBuf>("dir").cloned();
    let commands: Vec<Command> = whole.get_subcommands().cloned().collect();
    let mut pages = vec![page(whole)];
    for command in commands {
        let name = format!("mapper-host-{}", command.get_name());
        // clap needs static names.
        pages.push(page(command.name(name.clone().leak() as &'static str).display_name(name)));
    }
    config::Command::Man(ManConfig { dir, pages })
}

fn page(command: Command) -> (String, String) {
    let command = command.version(env!("CARGO_PKG_VERSION")).disable_help_flag(true).disable_version_flag(true);
    let name = format!("{}.1", command.get_name());
    let mut text = Vec::new();
    // Writing to a vector cannot fail.
    let _ = Man::new(command).source(format!("mapper-host {}", env!("CARGO_PKG_VERSION"))).render(&mut text);
    (name, String::from_utf8_lossy(&text).into_owned())
}
