//! The outcome of cases in JUnit's XML, which CI systems show.

use std::path::PathBuf;
use std::time::Duration;

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use super::cases::Ran;
use super::diff;
use mapper_terminal::output::escape;

/// All cases of one plugin.
pub(super) struct Suite {
    pub(super) plugin: PathBuf,
    pub(super) judged: Ran,
    pub(super) took: Duration,
}

/// The report: a suite per file.
///
/// # Errors
/// When it can't be written as XML.
pub(super) fn report(plugins: &[Suite]) -> anyhow::Result<String> {
    let mut report = Report::new("mapper-host test");
    report.set_time(plugins.iter().map(|suite| suite.took).sum());
    let files = plugins.iter().flat_map(|suite| suite.judged.iter().map(move |(file, judged)| (suite, file, judged)));
    for (suite, file, judged) in files {
        let name = suite.plugin.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let path = file.path.display().to_string();
        let mut suite = TestSuite::new(text(&path));
        for (case, judged) in file.cases.iter().zip(judged) {
            let mut status = TestCaseStatus::success();
            if !judged.passed {
                status = TestCaseStatus::non_success(NonSuccessKind::Failure);
                status
                    .set_message(text(&format!("{path}:{}: what came is not what must come", case.line)))
                    .set_description(
                        diff::lines(judged).iter().map(|line| format!("{}\n", line.plain())).collect::<String>(),
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

/// A text that XML 1.0 can have: it has no way to write U+FFFE, U+FFFF and most control characters (section 2.2).
fn text(text: &str) -> String {
    escape::line(text).into_owned()
}
