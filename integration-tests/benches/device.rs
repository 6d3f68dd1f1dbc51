//! What `#[safe_mps_op]` costs, beside the bare call in the same run: `cargo xtask bench device`.
//!
//! Each round measures both sides of a row in turn; a figure is the median over the rounds, "more" the median of the rounds' differences.
//! Instructions are counted by valgrind, which runs this program once more. The device is simulated: its operators run on the CPU, behind a
//! dispatcher. Of the times only the ratios are worth quoting: they are this machine's, now.

#[path = "device/counts.rs"]
mod counts;
#[path = "device/functions.rs"]
mod functions;
#[path = "device/options.rs"]
mod options;
#[path = "device/row.rs"]
mod row;
#[path = "device/rows.rs"]
mod rows;

use std::process::ExitCode;

use options::Options;
use row::Row;
use sim_mps::Orders;

type Done<T = ()> = Result<T, Box<dyn std::error::Error>>;

fn main() -> Done<ExitCode> {
    let options = options::read()?;
    if options.counts {
        return counts::compare(&options);
    }
    let Ok(orders) = Orders::take() else {
        println!("skipped: the simulated device exists on Linux only");
        return Ok(ExitCode::SUCCESS);
    };
    tch::set_num_threads(1);
    let policies = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/device.toml");
    let _backstop = backstop::Builder::new().policies(policies).install()?;
    match counts::is_child() {
        true => each(&orders, &options, &mut |row| counts::count(row)),
        false => measure(&orders, &options),
    }
    Ok(ExitCode::SUCCESS)
}

fn measure(orders: &Orders, options: &Options) {
    let mut counted = counts::all(options).unwrap_or_else(|problem| {
        println!("no instruction counts: {problem}");
        Vec::new()
    });
    counted.reverse();
    println!("medians of {} rounds, in ns of processor time a call; `more` is what the attribute adds", options.rounds);
    println!("| call | against | without | more | more | goal | more instructions |\n|---|---|---|---|---|---|---|");
    each(orders, options, &mut |row| {
        let times = row.time(if row.calls > 1 { options.rounds } else { options.rounds.div_ceil(3) });
        let instructions = counted.pop().map_or_else(|| "–".to_owned(), |counted| counted.more().to_string());
        let (goal, Row { what, against, .. }) = (row.goal.shown(&times), row);
        println!("| {what} | {against} | {:.0} | {:+.0} | {:+.1} % | {goal} | {instructions} |", times.base, times.more, times.percent);
    });
}

fn each(orders: &Orders, options: &Options, each: &mut dyn FnMut(&Row<'_>)) {
    rows::rows(orders, &mut |row| {
        if options.takes(row.name) {
            each(row);
        }
    });
}
