//! The table that is printed.

use crate::median::median;
use crate::peer::Peer;
use crate::watch::Run;

/// The runs of one peer, one a round, and the records that it wrote more than once.
pub(crate) struct Row {
    pub(crate) peer: Peer,
    pub(crate) runs: Vec<Run>,
    pub(crate) duplicates: u64,
}

pub(crate) fn print(rows: &[Row]) {
    println!(
        "| job | records/s | CPU µs/record | first output s | peak RSS MiB | this host (Rust) ÷ it | it ÷ PyFlink | delivery |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    let of = |peer: Peer| rows.iter().find(|row| row.peer == peer);
    for row in rows {
        let host = of(Peer::Rust).filter(|host| host.peer != row.peer);
        let flink = of(Peer::PyFlink).filter(|_| row.peer == Peer::Python);
        let delivery = match row.duplicates {
            0 => row.peer.delivery().to_string(),
            duplicates => format!("{}, {duplicates} duplicates", row.peer.delivery()),
        };
        println!(
            "| {} | {} | {} | {} | {} | {} | {} | {delivery} |",
            row.peer.title(),
            spread(row.runs.iter().map(|run| run.records_per_second), 0),
            spread(row.runs.iter().map(|run| run.cpu_us), 2),
            spread(row.runs.iter().map(|run| run.first_output.as_secs_f64()), 2),
            spread(row.runs.iter().map(|run| run.peak_rss_bytes as f64 / f64::from(1 << 20)), 0),
            ratio(host, Some(row)),
            ratio(Some(row), flink),
        );
    }
}

/// The ratio of the throughputs of the same rounds.
fn ratio(dividend: Option<&Row>, divisor: Option<&Row>) -> String {
    let (Some(dividend), Some(divisor)) = (dividend, divisor) else { return String::new() };
    let pairs = dividend.runs.iter().zip(&divisor.runs);
    spread(pairs.map(|(above, below)| above.records_per_second / below.records_per_second), 2)
}

/// The median, with the least and the most.
fn spread(values: impl Iterator<Item = f64>, decimals: usize) -> String {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let (Some(least), Some(most)) = (values.first(), values.last()) else { return String::new() };
    let (least, most, count) = (*least, *most, values.len());
    let median = median(values);
    if count == 1 {
        return format!("{median:.decimals$}");
    }
    format!("{median:.decimals$} ({least:.decimals$}–{most:.decimals$})")
}
