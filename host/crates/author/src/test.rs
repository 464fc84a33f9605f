//! `mapper-host test`: runs the cases of a plugin in the real plugin, in its real limits.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Context;

use super::cases::{self, Case, CaseFile, Judged, Ran};
use super::guest::{Guest, build_if_absent};
use super::junit::{self, Suite};
use super::{Outcome, diff};
use crate::config::{GuestConfig, TestConfig};
use crate::project::{self, Rebuild};
use mapper_core::shutdown::Halt;
use mapper_state::files;
use mapper_terminal::output::{self, Colour, Line};

/// Runs the cases, and prints which hold, and of the others what came instead.
///
/// # Errors
/// When there are no cases, a plugin can't be built or used, or something can't be written.
pub fn test(config: &TestConfig) -> Result<Outcome, Halt> {
    let failed = |error: anyhow::Error| Halt::internal(&error);
    let (mut passed, mut wrong) = (0, 0);
    let mut suites = Vec::new();
    for target in &config.targets {
        let (plugin, project) = plugin_of(target)?;
        let files = select(find(config, &plugin, project.as_deref())?, config.filter.as_deref())?;
        let started = Instant::now();
        let judged = run(&plugin, files, &config.guest)?;
        let took = started.elapsed();
        // Before it is said.
        if config.bless {
            bless(&judged).map_err(failed)?;
        }
        let shown = if config.bless { Shown::Blessed } else { Shown::All };
        let counts = print(&judged, shown);
        (passed, wrong) = (passed + counts.0, wrong + counts.1);
        suites.push(Suite { plugin, judged, took });
    }
    if let Some(path) = &config.junit {
        let written = junit::report(&suites).and_then(|xml| Ok(files::write(path, xml.as_bytes())?));
        written.with_context(|| format!("writing {}", path.display())).map_err(failed)?;
    }
    if wrong > 0 {
        output::print_line("");
        let line = Line::default().coloured(Colour::Red, "-").text(" only what must come, ");
        output::print_line(line.coloured(Colour::Green, "+").text(" only what came"));
    }
    let rest = if config.bless { "blessed" } else { "failed" };
    output::print_line(format!("{passed} passed, {wrong} {rest}"));
    Ok(if wrong == 0 || config.bless { Outcome::Good } else { Outcome::CasesFailed })
}

/// Runs cases in a plugin.
///
/// # Errors
/// When the plugin can't be used, be it with the settings of one case only.
pub(super) fn run(plugin: &Path, files: Vec<CaseFile>, config: &GuestConfig) -> Result<Ran, Halt> {
    let guest = Guest::new(config, plugin)?;
    let judged = files.into_iter().map(|file| {
        let verdicts = judge(&guest, &file.cases, config)?;
        Ok((file, verdicts))
    });
    judged.collect()
}

/// Which cases are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shown {
    All,
    /// All; those that don't hold are blessed.
    Blessed,
    /// Those that don't hold.
    Failed,
}

/// The plugin, and the project that makes it; one that is named is built.
fn plugin_of(target: &Path) -> Result<(PathBuf, Option<PathBuf>), Halt> {
    if target.is_dir() {
        let built =
            project::build(target, None, Rebuild::WhenChanged).map_err(|error| Halt::plugin(format!("{error:#}")))?;
        // Without the dot that nobody would write: `cases.jsonl:3`, as editors know it.
        let dir = target.strip_prefix(".").unwrap_or(target);
        return Ok((built.plugin, Some(dir.to_owned())));
    }
    build_if_absent(target)?;
    Ok((target.to_owned(), project::of_plugin(target)))
}

fn find(config: &TestConfig, plugin: &Path, project: Option<&Path>) -> Result<Vec<CaseFile>, Halt> {
    let paths = config.cases.clone().map_or_else(|| cases::find(plugin, project), |path| vec![path]);
    if paths.is_empty() {
        let within =
            project.map_or_else(String::new, |dir| format!(", nor cases.jsonl or cases/ in {}", dir.display()));
        return Err(Halt::configuration(format!(
            "there are no cases: there is no {}, nor cases.jsonl or cases/ beside it{within}; give a file or folder of cases with \
             --cases PATH",
            cases::beside(plugin).display()
        )));
    }
    cases::read_all(&paths).map_err(|wrong| Halt::configuration(format!("the cases can't be read: {wrong}")))
}

/// Only what the filter leaves; a filter or a file that leaves nothing is more likely a slip than a wish.
fn select(mut files: Vec<CaseFile>, filter: Option<&str>) -> Result<Vec<CaseFile>, Halt> {
    if let Some(filter) = filter {
        for file in &mut files {
            let path = file.path.clone();
            file.cases.retain(|case| title(&path, case).contains(filter));
        }
    }
    if files.iter().all(|file| file.cases.is_empty()) {
        let paths: Vec<_> = files.iter().map(|file| file.path.display().to_string()).collect();
        let reason = filter.map_or_else(
            || "there is no case in it".to_owned(),
            |filter| format!("no case has {filter:?} in its name or place (--filter)"),
        );
        return Err(Halt::configuration(format!("{}: {reason}", paths.join(", "))));
    }
    Ok(files)
}

fn judge(guest: &Guest, all: &[Case], config: &GuestConfig) -> Result<Vec<Judged>, Halt> {
    let mut judged = Vec::with_capacity(all.len());
    // The same settings again need no new plugin.
    let mut loaded: Option<(Vec<(String, String)>, _)> = None;
    for run in cases::runs(all) {
        let cases = &all[run];
        let settings = cases[0].settings_over(&config.set);
        let mut mapper = match loaded.take() {
            Some((same, mapper)) if same == settings => mapper,
            _ => guest.mapper(&settings)?,
        };
        for batch in cases.chunks(config.batch_records) {
            judged.extend(cases::judge(&mut mapper, batch));
        }
        loaded = Some((settings, mapper));
    }
    Ok(judged)
}

fn title(path: &Path, case: &Case) -> String {
    let place = format!("{}:{}", path.display(), case.line);
    case.name.as_ref().map_or_else(|| place.clone(), |name| format!("{name}  ({place})"))
}

/// Returns how many passed and how many failed.
pub(super) fn print(judged: &[(CaseFile, Vec<Judged>)], shown: Shown) -> (usize, usize) {
    let (mut passed, mut failed) = (0, 0);
    for (file, verdicts) in judged {
        for (case, judged) in file.cases.iter().zip(verdicts) {
            let title = title(&file.path, case);
            if judged.passed {
                passed += 1;
                if shown != Shown::Failed {
                    output::print_line(Line::default().coloured(Colour::Green, "ok    ").text("  ").text(title));
                }
                continue;
            }
            failed += 1;
            let (colour, word) = match shown {
                Shown::Blessed => (Colour::Green, "blessed"),
                Shown::All | Shown::Failed => (Colour::Red, "FAILED"),
            };
            output::print_line(Line::default().coloured(colour, word).text("  ").text(title));
            for line in diff::lines(judged) {
                output::print_line(line.indented("        "));
            }
        }
    }
    (passed, failed)
}

fn bless(judged: &[(CaseFile, Vec<Judged>)]) -> anyhow::Result<()> {
    for (file, verdicts) in judged {
        let path = file.path.display().to_string();
        let failed = file.cases.iter().zip(verdicts).filter(|(_, judged)| !judged.passed);
        let failed: BTreeMap<usize, &Judged> = failed.map(|(case, judged)| (case.line, judged)).collect();
        if failed.is_empty() {
            continue;
        }
        // With its byte order mark, if it has one.
        let text = files::read(&file.path, cases::LIMIT).with_context(|| path.clone())?;
        let text = String::from_utf8(text).with_context(|| path.clone())?;
        let blessed =
            cases::bless(&text, &failed).map_err(|reason| anyhow::anyhow!("{path} was changed meanwhile: {reason}"))?;
        std::fs::write(&file.path, blessed).with_context(|| path.clone())?;
    }
    Ok(())
}
