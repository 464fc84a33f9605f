//! Groups and letters as text for a terminal. Each line is escaped by itself.

mod hex;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use mapper_api::dead_letters::{
    Decision, Letter, LetterCounts, LetterGroup, LetterGroupState, LetterGroups, LetterInput,
};
use mapper_core::identity::Version;
use mapper_terminal::output::{self, Colour, Line, fit, table};

/// The most lines of a value or a backtrace.
const MAX_LINES: usize = 40;
/// The most bytes of a hex dump.
const MAX_DUMP_BYTES: usize = 512;

/// The table of groups, and what it leaves out.
pub(super) fn groups(found: &LetterGroups, hidden: usize) -> Vec<Line> {
    let mut lines = Vec::new();
    if !found.groups.is_empty() {
        let titles = ["GROUP", "STATE", "LETTERS", "FIRST", "LAST", "VERSIONS", "FAILURE"].map(str::to_owned).to_vec();
        let rows: Vec<Vec<String>> = [titles].into_iter().chain(found.groups.iter().map(group_row)).collect();
        lines.extend(table(&rows, output::stdout_columns()));
        lines.push(Line::default());
    }
    lines.push(summary(found, hidden).into());
    lines.extend(remarks(&found.letters, &found.state_topic));
    lines
}

fn group_row(group: &LetterGroup) -> Vec<String> {
    let LetterGroup { fingerprint, state, kind, message, count, first_failed, last_failed, versions, .. } = group;
    let versions = match &versions[..] {
        [] => "-".to_owned(),
        [one] => one.version.version.clone(),
        [first, .., last] => format!("{}…{}", first.version.version, last.version.version),
    };
    let message = message.lines().next().unwrap_or_default();
    vec![
        fingerprint.clone(),
        state.name().to_owned(),
        count.to_string(),
        time(first_failed.as_deref()),
        time(last_failed.as_deref()),
        versions,
        format!("{kind}: {message}"),
    ]
}

fn summary(found: &LetterGroups, hidden: usize) -> String {
    let LetterCounts { open, closed, filtered_out, .. } = found.letters;
    let topic = &found.topic;
    let mut text = format!("{topic}: {} in {}", count(open, "open letter"), count(found.groups.len() as u64, "group"));
    if filtered_out > 0 {
        text.push_str(&format!(", {filtered_out} of them excluded by the filters"));
    }
    if closed > 0 {
        text.push_str(&format!("; {closed} closed"));
    }
    if hidden > 0 {
        text.push_str(&format!("; {hidden} muted or resolved groups are not shown (--state all)"));
    }
    text
}

fn remarks(letters: &LetterCounts, state_topic: &str) -> Vec<Line> {
    let remark = |count: u64, text: String| (count > 0).then(|| Line::default().coloured(Colour::Yellow, text));
    let LetterCounts { in_other_groups, foreign, removed, foreign_states, .. } = *letters;
    [
        remark(in_other_groups, format!("{in_other_groups} letters are in further groups")),
        remark(foreign, format!("{foreign} records of the topic are no dead letters in a known format")),
        remark(removed, format!("{removed} offsets before the first records are not there any more (retention)")),
        remark(foreign_states, format!("{foreign_states} records of the topic {state_topic} are not of mapper-host")),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// A group with some of its letters.
pub(super) fn group(group: &LetterGroup, letters: &[Letter]) -> Vec<Line> {
    let LetterGroup { fingerprint, kind, message, count, share_of_letters, share_of_records, max_attempt, .. } = group;
    let state = group.state.name();
    let state = match group.state {
        LetterGroupState::New | LetterGroupState::Regressed => field("state").coloured(Colour::Red, state),
        _ => field("state").text(state),
    };
    let mut lines = vec![Line::default().text(format!("group {fingerprint}: {kind}: {message}")), state];
    let share = share_of_records
        .map(|share| format!("; {} of the records between the first and the last failure", percent(share)));
    let of_letters = percent(*share_of_letters);
    lines.push(field("letters").text(format!("{count} open, {of_letters} of all{}", share.unwrap_or_default())));
    let (first, last) = (time(group.first_failed.as_deref()), time(group.last_failed.as_deref()));
    lines.push(field("failed").text(format!("from {first} to {last} (UTC)")));
    if *max_attempt > 1 {
        lines.push(field("attempts").text(format!("up to {max_attempt}")));
    }
    for of in &group.versions {
        lines.push(field("version").text(format!("{}: {}", version(&of.version), self::count(of.count, "letter"))));
    }
    lines.extend(group.decision.iter().map(|of| field("decision").text(decision(of))));
    lines.extend(group.history.iter().map(|of| field("before").text(decision(of))));
    lines.push(field("samples").text(group.samples.join("  ")));
    let backtrace = letters.iter().find_map(|letter| letter.backtrace.as_deref());
    if let Some(backtrace) = backtrace {
        lines.push(Line::default());
        lines.push("backtrace and log of the plugin".into());
        lines.extend(block(backtrace));
    }
    for letter in letters {
        lines.push(Line::default());
        lines.extend(letter_with_input(letter));
    }
    lines.push(Line::default());
    lines.push(format!("test cases: mapper-host dlq cases {fingerprint}").into());
    lines
}

/// One letter with everything that it has.
pub(super) fn letter(letter: &Letter) -> Vec<Line> {
    let mut lines = letter_with_input(letter);
    let Letter { state, format, kind, fingerprint, message, backtrace, plugin, attempt, failed_at, cut, .. } = letter;
    lines.push(field("failure").text(format!("{kind}: {message}")));
    lines.push(field("group").text(fingerprint));
    lines.push(field("state").text(state));
    lines.push(field("failed").text(format!("{} (UTC), attempt {attempt}", time(failed_at.as_deref()))));
    lines.extend(plugin.as_ref().map(|plugin| field("plugin").text(version(plugin))));
    lines.push(field("format").text(format));
    lines.extend(cut.as_ref().map(|cut| field("cut").text(cut)));
    if let Some(backtrace) = backtrace {
        lines.push("backtrace and log of the plugin".into());
        lines.extend(block(backtrace));
    }
    lines
}

fn letter_with_input(letter: &Letter) -> Vec<Line> {
    let source = letter.source.as_deref().unwrap_or("an unknown record");
    let mut lines = vec![Line::default().text(format!("letter {} of {source}", letter.position))];
    let Some(input) = &letter.input else {
        lines.push(field("value").coloured(Colour::Yellow, "not in the letter"));
        return lines;
    };
    let LetterInput { key, key_base64, value, value_base64, headers, timestamp_ms } = input;
    lines.extend(content("key", key.as_deref(), key_base64.as_deref()));
    lines.extend(content("value", value.as_deref(), value_base64.as_deref()));
    for (name, value) in headers {
        lines.push(field("header").text(format!("{name}: {}", value.as_deref().unwrap_or("null"))));
    }
    let timestamp = timestamp_ms.and_then(mapper_dead_letters::report::time);
    lines.extend(timestamp.map(|timestamp| field("timestamp").text(time(Some(&timestamp)))));
    lines
}

/// One letter in one line.
pub(super) fn letter_line(letter: &Letter, width: Option<usize>) -> Line {
    let Letter { position, source, kind, fingerprint, message, failed_at, .. } = letter;
    let (source, failed) = (source.as_deref().unwrap_or("-"), time(failed_at.as_deref()));
    let message = message.lines().next().unwrap_or_default();
    let text = format!("{position}  {source}  {failed}  {fingerprint}  {kind}: {message}");
    Line::from(fit(&output::escape::line(&text), width))
}

/// A key or a value: text, or the dump of bytes.
fn content(name: &str, text: Option<&str>, base64: Option<&str>) -> Vec<Line> {
    if let Some(bytes) = base64.and_then(|text| BASE64_STANDARD.decode(text).ok()) {
        let mut lines = vec![field(name).text(format!("{} bytes that are not UTF-8", bytes.len()))];
        lines.extend(hex::dump(&bytes[..bytes.len().min(MAX_DUMP_BYTES)]).map(|line| Line::from(line).indented("  ")));
        return lines;
    }
    match text {
        None => vec![field(name).text("null")],
        Some(text) if text.contains('\n') => [field(name)].into_iter().chain(block(text)).collect(),
        Some(text) => vec![field(name).text(text)],
    }
}

/// The lines of a text, indented.
fn block(text: &str) -> Vec<Line> {
    let mut lines: Vec<Line> = text.lines().take(MAX_LINES).map(|line| Line::from(format!("  {line}"))).collect();
    let left = text.lines().count().saturating_sub(MAX_LINES);
    if left > 0 {
        lines.push(format!("  … {left} more lines").into());
    }
    lines
}

fn field(name: &str) -> Line {
    Line::default().coloured(Colour::Faint, format!("  {name:<10}"))
}

fn decision(decision: &Decision) -> String {
    let Decision { mark, at, by, reason, until, version } = decision;
    let until = until.as_ref().map(|until| format!(" until {}", time(Some(until)))).unwrap_or_default();
    let version = version.as_ref().map(|version| format!(" by version {version}")).unwrap_or_default();
    format!("{mark}{until}{version} at {} by {by}: {reason}", time(Some(at)))
}

fn version(version: &Version) -> String {
    let digest: String = version.digest.chars().take(12).collect();
    format!("{} {} ({digest})", version.name, version.version)
}

pub(super) fn count(count: u64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

fn percent(share: f64) -> String {
    if share > 0.0 && share < 0.001 { "less than 0.1 %".to_owned() } else { format!("{:.1} %", share * 100.0) }
}

/// A time of RFC 3339 without its fraction.
fn time(text: Option<&str>) -> String {
    let Some(text) = text else { return "-".to_owned() };
    text.get(..19).unwrap_or(text).replace('T', " ")
}
