//! The help of the program and of its commands.

use super::*;
use crate::cli::definition;

#[test]
fn help_of_a_command_shows_every_flag_variable_and_default() {
    for (arguments, settings) in
        [(&["run", "--help"][..], &RUN), (&["run", "-h"], &RUN), (&["generate", "--help"], &GENERATE)]
    {
        let text = help(arguments);
        for setting in settings.iter() {
            assert!(text.contains(&format!("--{}", setting.name)), "{}", setting.name);
            assert!(text.contains(&format!("[env: {}]", setting.variable())), "{}", setting.name);
            let default = setting.default_text().map(|default| format!("[default: {default}]"));
            assert!(default.is_none_or(|default| text.contains(&default)), "{}", setting.name);
        }
    }
    let text = help(&["run", "--help"]);
    for heading in ["Plugin:", "Topics:", "Delivery:", "Limits:", "Kafka:", "Admin:", "Output:"] {
        assert!(text.contains(heading), "{heading}");
    }
    assert_eq!(help(&["--version"]), format!("mapper-host {}", env!("CARGO_PKG_VERSION")));
}

#[test]
fn help_of_the_program_lists_each_command_once_and_no_setting() {
    for flag in ["--help", "-h"] {
        let Err(CliError::Help(text)) = parsed(&[flag], &[]) else { panic!("{flag}") };
        for title in ["Run:", "Develop plugins:", "Operate a running host:", "Options:"] {
            assert!(text.lines().any(|line| line == title), "{title}: {text}");
        }
        for command in definition::command().get_subcommands() {
            let about = command.get_about().unwrap().to_string();
            let line = format!("  {:<12} {about}", command.get_name());
            assert_eq!(text.lines().filter(|found| *found == line).count(), 1, "{line}: {text}");
            assert!(line.len() <= 100, "it does not fit a terminal: {line}");
        }
        assert!(RUN.iter().all(|setting| !text.contains(setting.help)), "{text}");
        assert!(text.contains("mapper-host run --help"), "{text}");
    }
}
