//! The tables that are printed.

use std::time::Duration;

use crate::Case;
use crate::latency::Latency;
use crate::median::median;
use crate::watch::Run;

/// The runs of one job in one case.
pub(crate) struct Row<'a> {
    pub(crate) job: &'static str,
    pub(crate) case: Case,
    pub(crate) records: u64,
    pub(crate) runs: &'a [Run],
    /// The runs of the native job, each of which was just before ours.
    pub(crate) beside: Option<&'a [Run]>,
}

pub(crate) fn throughput_head() {
    println!(
        "| job | delivery | workers | records/s, first to last output | middle 20–90 % | whole process | CPU µs/record | \
         first output s | peak RSS MiB | throughput ÷ native | CPU ÷ native |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|");
}

impl Row<'_> {
    pub(crate) fn print(&self) {
        let Case { delivery, workers } = self.case;
        let records = self.records as f64;
        let of = |what: &dyn Fn(&Run) -> f64| median(self.runs.iter().map(what).collect());
        let cpu_us = |run: &Run| run.usage.cpu.as_secs_f64() * 1e6 / records;
        let ratio = |what: &dyn Fn(&Run) -> f64| {
            let Some(natives) = self.beside else { return String::new() };
            let mut ratios: Vec<f64> =
                self.runs.iter().zip(natives).map(|(host, native)| what(host) / what(native)).collect();
            ratios.sort_by(f64::total_cmp);
            let (least, most) = (ratios[0], ratios[ratios.len() - 1]);
            format!("{:.2} ({least:.2}–{most:.2})", median(ratios))
        };
        println!(
            "| {} | {delivery} | {workers} | {:.0} | {:.0} | {:.0} | {:.2} | {:.2} | {:.0} | {} | {} |",
            self.job,
            of(&|run| run.steady),
            of(&|run| run.middle),
            of(&|run| records / run.usage.elapsed.as_secs_f64()),
            of(&cpu_us),
            of(&|run| run.first_output.as_secs_f64()),
            of(&|run| run.usage.peak_rss_kib as f64 / 1024.0),
            ratio(&|run| run.steady),
            ratio(&cpu_us),
        );
    }
}

pub(crate) fn latency_head(case: Case) {
    println!("\nFrom the timestamp of a visit to its output, at {} visits/s, {}:\n", crate::latency::RATE, case.name());
    println!("| job | p50 ms | p99 ms | longest ms |");
    println!("|---|---|---|---|");
}

pub(crate) fn latency(job: &str, runs: &[Latency]) {
    let of = |what: fn(&Latency) -> Duration| median(runs.iter().map(|run| what(run).as_secs_f64() * 1e3).collect());
    println!("| {job} | {:.0} | {:.0} | {:.0} |", of(|run| run.p50), of(|run| run.p99), of(|run| run.longest));
}
