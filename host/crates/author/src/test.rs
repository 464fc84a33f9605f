//! `mapper-host test`: runs the cases of a plugin, with the limits of production.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Context;

use super::cases::{self, Case, CaseFile, CaseResult, FileResults};
use super::guest::{Guest, build_if_absent};
use super::junit::{self, Suite};
use super::{Outcome, diff};
use crate::config::{GuestConfig, TestConfig};
use crate::project::{self, Rebuild};
use mapper_core::shutdown::{Cause, Halt};
use mapper_state::files;
use mapper_terminal::output::{self, Colour, Line};

/// # Errors
/// There are no cases, a plugin can't be built or loaded, or a file can't be written.
pub fn test(config: &TestConfig) -> Result<Outcome, Halt> {
    let internal = |error: anyhow::Error| Halt::internal(error);
    let mut total = Counts::default();
    let mut suites = Vec::new();
    for target in &config.targets {
        let (plugin, project) = find_plugin(target)?;
        let files = select(read_cases(config, &plugin, project.as_deref())?, config.filter.as_deref())?;
        let started = Instant::now();
        let results = run(&plugin, files, &config.guest)?;
        let duration = started.elapsed();
        // Print "blessed" only after the file is written.
        if config.bless {
            bless(&results).map_err(internal)?;
        }
        let counts = print(&results, if config.bless { Shown::Blessed } else { Shown::All });
        total = Counts { passed: total.passed + counts.passed, failed: total.failed + counts.failed };
        suites.push(Suite { plugin, results, duration });
    }
    if let Some(path) = &config.junit {
        let written = junit::report(&suites).and_then(|xml| Ok(files::write(path, xml.as_bytes())?));
        written.with_context(|| format!("writing {}", path.display())).map_err(internal)?;
    }
    if total.failed > 0 {
        output::print_line("");
        let line = Line::default().coloured(Colour::Red, "-").text(" expected, ");
        output::print_line(line.coloured(Colour::Green, "+").text(" actual"));
    }
    let rest = if config.bless { "blessed" } else { "failed" };
    output::print_line(format!("{} passed, {} {rest}", total.passed, total.failed));
    Ok(if total.failed == 0 || config.bless { Outcome::Success } else { Outcome::CasesFailed })
}

#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Counts {
    pub(super) passed: usize,
    pub(super) failed: usize,
}

/// # Errors
/// The plugin can't be loaded, or rejects the settings of a case.
pub(super) fn run(plugin: &Path, files: Vec<CaseFile>, config: &GuestConfig) -> Result<Vec<FileResults>, Halt> {
    let guest = Guest::new(config, plugin)?;
    let results = files.into_iter().map(|file| {
        let results = run_cases(&guest, &file.cases, config)?;
        Ok(FileResults { file, results })
    });
    results.collect()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shown {
    All,
    /// All; failed cases are shown as blessed.
    Blessed,
    Failed,
}

/// The plugin and its project. Builds the project if the target is a directory, or if the plugin is missing.
fn find_plugin(target: &Path) -> Result<(PathBuf, Option<PathBuf>), Halt> {
    if target.is_dir() {
        let built =
            project::build(target, None, Rebuild::WhenChanged).map_err(|error| Halt::new(Cause::Plugin, error))?;
        // Without a leading dot, so that editors link `cases.jsonl:3`.
        let dir = target.strip_prefix(".").unwrap_or(target);
        return Ok((built.plugin, Some(dir.to_owned())));
    }
    build_if_absent(target)?;
    Ok((target.to_owned(), project::find_for_plugin(target)))
}

fn read_cases(config: &TestConfig, plugin: &Path, project: Option<&Path>) -> Result<Vec<CaseFile>, Halt> {
    let paths = config.cases.clone().map_or_else(|| cases::find_paths(plugin, project), |path| vec![path]);
    if paths.is_empty() {
        let in_project =
            project.map_or_else(String::new, |dir| format!(", cases.jsonl or cases/ in {}", dir.display()));
        return Err(Halt::configuration(format!(
            "no cases found: no {}, cases.jsonl or cases/ beside the plugin{in_project}. Set a file or directory of cases \
             with --cases PATH",
            cases::sibling_path(plugin).display()
        )));
    }
    cases::read_all(&paths)
        .map_err(|error| Halt::new(Cause::Configuration, anyhow::Error::new(error).context("failed to read the cases")))
}

/// Applies the filter. Selecting no case is an error, because it is most likely a mistake.
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
            || "the file has no cases".to_owned(),
            |filter| format!("no case matches --filter {filter:?}"),
        );
        return Err(Halt::configuration(format!("{}: {reason}", paths.join(", "))));
    }
    Ok(files)
}

fn run_cases(guest: &Guest, all: &[Case], config: &GuestConfig) -> Result<Vec<CaseResult>, Halt> {
    let mut results = Vec::with_capacity(all.len());
    // Consecutive runs with the same settings share the mapper.
    let mut loaded: Option<(Vec<(String, String)>, _)> = None;
    for range in cases::split_runs(all) {
        let cases = &all[range];
        let settings = cases[0].merge_settings(&config.set);
        let mut mapper = match loaded.take() {
            Some((loaded, mapper)) if loaded == settings => mapper,
            _ => guest.mapper(&settings)?,
        };
        for batch in cases.chunks(config.batch_records) {
            results.extend(cases::run(&mut mapper, batch));
        }
        loaded = Some((settings, mapper));
    }
    Ok(results)
}

fn title(path: &Path, case: &Case) -> String {
    let location = format!("{}:{}", path.display(), case.line);
    case.name.as_ref().map_or_else(|| location.clone(), |name| format!("{name}  ({location})"))
}

pub(super) fn print(results: &[FileResults], shown: Shown) -> Counts {
    let mut counts = Counts::default();
    for FileResults { file, results } in results {
        for (case, result) in file.cases.iter().zip(results) {
            let title = title(&file.path, case);
            if result.passed {
                counts.passed += 1;
                if shown != Shown::Failed {
                    output::print_line(Line::default().coloured(Colour::Green, "ok    ").text("  ").text(title));
                }
                continue;
            }
            counts.failed += 1;
            let (colour, word) = match shown {
                Shown::Blessed => (Colour::Green, "blessed"),
                Shown::All | Shown::Failed => (Colour::Red, "FAILED"),
            };
            output::print_line(Line::default().coloured(colour, word).text("  ").text(title));
            for line in diff::lines(result) {
                output::print_line(line.indented("        "));
            }
        }
    }
    counts
}

fn bless(results: &[FileResults]) -> anyhow::Result<()> {
    for FileResults { file, results } in results {
        let path = file.path.display().to_string();
        let failed = file.cases.iter().zip(results).filter(|(_, result)| !result.passed);
        let failed: BTreeMap<usize, &CaseResult> = failed.map(|(case, result)| (case.line, result)).collect();
        if failed.is_empty() {
            continue;
        }
        // `files::read` keeps the byte order mark.
        let text = files::read(&file.path, cases::LIMIT).with_context(|| path.clone())?;
        let text = String::from_utf8(text).with_context(|| path.clone())?;
        let blessed = cases::bless(&text, &failed)
            .map_err(|reason| anyhow::anyhow!("{path} has changed since it was read: {reason}"))?;
        std::fs::write(&file.path, blessed).with_context(|| path.clone())?;
    }
    Ok(())
}
