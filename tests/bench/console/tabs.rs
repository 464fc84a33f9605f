//! What ten open tabs cost.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::http;
use crate::scale::{LARGE, World};

const TABS: usize = 10;
/// The interval of the script of the console.
const INTERVAL: Duration = Duration::from_secs(5);
/// The time of a measurement, with tabs or without: each tab is loaded once.
const WINDOW: Duration = INTERVAL;
/// The records that the loaded pipeline has left at the start.
const BACKLOG: usize = 12_000_000;

/// Loads the pages of the tabs at their interval, evenly spread, as long as `is_open` is true.
fn open_tabs(world: &World<'_>, is_open: &AtomicBool) {
    let of = |pipeline: &str, path: &str| format!("/console/pipelines/{pipeline}{path}");
    let pages =
        ["/console".to_owned(), of(LARGE, ""), of(LARGE, "/live"), "/console?page=2".to_owned(), of(LARGE, "/live")];
    let started = Instant::now();
    for number in 0.. {
        let due = INTERVAL * number / TABS as u32;
        std::thread::sleep(due.saturating_sub(started.elapsed()));
        if !is_open.load(Ordering::Relaxed) {
            return;
        }
        http::get(&world.address, &pages[number as usize % pages.len()]);
    }
}

/// Runs `work` with open tabs, or without.
fn beside<T>(world: &World<'_>, has_tabs: bool, work: impl FnOnce() -> T) -> T {
    let is_open = AtomicBool::new(has_tabs);
    std::thread::scope(|scope| {
        scope.spawn(|| has_tabs.then(|| open_tabs(world, &is_open)));
        let result = work();
        is_open.store(false, Ordering::Relaxed);
        result
    })
}

/// Records per second in a window; `None` if none are left.
fn throughput(world: &World<'_>) -> Option<f64> {
    let ((before, _), started) = (world.progress(), Instant::now());
    std::thread::sleep(WINDOW);
    let ((after, left), took) = (world.progress(), started.elapsed());
    (left > 0).then(|| (after - before) as f64 / took.as_secs_f64())
}

/// Cores that the host uses in a window.
fn cores(world: &World<'_>) -> f64 {
    let (before, started) = (world.cpu(), Instant::now());
    std::thread::sleep(WINDOW * 2);
    (world.cpu() - before).as_secs_f64() / started.elapsed().as_secs_f64()
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

pub(crate) fn measure(world: &World<'_>, pairs: usize) {
    let mut used = [Vec::new(), Vec::new()];
    for has_tabs in [false, true, true, false, false, true] {
        used[usize::from(has_tabs)].push(beside(world, has_tabs, || cores(world)));
    }
    let [without, with] = used.map(|mut used| median(&mut used));
    println!("\nCPU time of the host without load: {without:.3} cores, with {TABS} tabs {with:.3}");
    println!("of two cores, the tabs use {:.2} %\n", (with - without) * 50.0);
    world.load(BACKLOG);
    let mut ratios = Vec::new();
    println!("| pair | records/s without tabs | with {TABS} tabs | with ÷ without |");
    println!("|---|---|---|---|");
    for pair in 0..pairs {
        // In turn, which of them is the first one.
        let order = if pair % 2 == 0 { [false, true] } else { [true, false] };
        let mut rates = [None, None];
        for has_tabs in order {
            rates[usize::from(has_tabs)] = beside(world, has_tabs, || throughput(world));
        }
        let [Some(without), Some(with)] = rates else { break };
        println!("| {} | {without:.0} | {with:.0} | {:.3} |", pair + 1, with / without);
        ratios.push(with / without);
    }
    assert!(!ratios.is_empty(), "the records were mapped before the first pair was measured");
    let most = ratios.iter().copied().fold(f64::MIN, f64::max);
    let least = ratios.iter().copied().fold(f64::MAX, f64::min);
    println!("\nmedian {:.3} ({least:.3}–{most:.3})", median(&mut ratios));
}
