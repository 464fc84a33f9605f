//! Test results as JUnit XML for CI systems.

use std::path::PathBuf;
use std::time::Duration;

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use super::cases::FileResults;
use super::diff;
use mapper_terminal::output::escape;

pub(super) struct Suite {
    pub(super) plugin: PathBuf,
    pub(super) results: Vec<FileResults>,
    pub(super) duration: Duration,
}

/// One test suite per file of cases.
///
/// # Errors
/// The XML writer failed.
pub(super) fn report(plugins: &[Suite]) -> anyhow::Result<String> {
    let mut report = Report::new("mapper-host test");
    report.set_time(plugins.iter().map(|suite| suite.duration).sum());
    let files = plugins.iter().flat_map(|suite| suite.results.iter().map(move |results| (suite, results)));
    for (suite, FileResults { file, results }) in files {
        let name = suite.plugin.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let path = file.path.display().to_string();
        let mut suite = TestSuite::new(text(&path));
        for (case, result) in file.cases.iter().zip(results) {
            let mut status = TestCaseStatus::success();
            if !result.passed {
                status = TestCaseStatus::non_success(NonSuccessKind::Failure);
                status
                    .set_message(text(&format!(
                        "{path}:{}: the actual result differs from the expected one",
                        case.line
                    )))
                    .set_description(
                        diff::lines(result).iter().map(|line| format!("{}\n", line.plain())).collect::<String>(),
                    );
            }
            let title = case.name.clone().unwrap_or_else(|| format!("line {}", case.line));
            let mut test = TestCase::new(text(&title), status);
            test.set_classname(text(&name));
            suite.add_test_case(test);
        }
        report.add_test_suite(suite);
    }
    Ok(report.to_string()?)
}

/// Escapes characters that XML 1.0 can't represent: U+FFFE, U+FFFF and most control characters (section 2.2).
fn text(text: &str) -> String {
    escape::line(text).into_owned()
}
