//! Instructions instead of time: the same on a busy machine and on an idle one. This program runs itself under valgrind.

use std::fs;
use std::hint::black_box;
use std::process::{Command, ExitCode};
use std::thread;
use std::time::Duration;

use crate::Done;
use crate::each;
use crate::one_call::calls;
use crate::rounds::{Each, column};

const CALLS: u32 = 20_000;
const CEILINGS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/guard/ceilings.txt");
const HEAD: &str =
    "# The most instructions that a guarded call may cost over the bare call: `cargo xtask bench guard --counts --record`.\n";
/// How often a call is pending, by the scenario's name.
const SCENARIOS: [(&str, u32); 3] = [("ready", 0), ("pending-once", 1), ("pending-ten", 10)];

/// Counts, prints, and compares with the ceilings or records new ones.
pub fn compare(record: bool) -> Done<ExitCode> {
    let ceilings = if record { String::new() } else { fs::read_to_string(CEILINGS)? };
    let (mut recorded, mut met) = (HEAD.to_owned(), true);
    println!("instructions of one call over the bare call");
    println!("{:<14} {:>8} {:>8} {:>8}", "scenario", "tokio", "guarded", "ceiling");
    for (scenario, _) in SCENARIOS {
        eprintln!("{scenario} …");
        let bare = count(scenario, "bare")?;
        let (tokio, guarded) = (count(scenario, "tokio")?.saturating_sub(bare), count(scenario, "guarded")?.saturating_sub(bare));
        let ceiling = if record { guarded + guarded.div_ceil(50) } else { ceiling(&ceilings, scenario)? };
        let verdict = if guarded <= ceiling { "" } else { "  exceeded" };
        println!("{scenario:<14} {tokio:>8} {guarded:>8} {ceiling:>8}{verdict}");
        recorded += &format!("{scenario} {ceiling}\n");
        met &= guarded <= ceiling;
    }
    if record {
        fs::write(CEILINGS, recorded)?;
    }
    Ok(if met { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn ceiling(ceilings: &str, scenario: &str) -> Done<u64> {
    let line = ceilings.lines().find_map(|line| line.strip_prefix(scenario)?.strip_prefix(' '));
    let line =
        line.ok_or_else(|| format!("{CEILINGS} says nothing of `{scenario}`; record it: cargo xtask bench guard --counts --record"))?;
    Ok(line.trim().parse()?)
}

/// The instructions of one call, in the thread that makes it.
fn count(scenario: &str, variant: &str) -> Done<u64> {
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["--tool=callgrind", "--callgrind-out-file=/dev/null", "--collect-atstart=no", "--toggle-collect=*counts*measured*"]);
    let output = valgrind.arg(std::env::current_exe()?).args(["--calls", scenario, variant]).output();
    let output = output.map_err(|error| format!("cannot start valgrind: {error}; on Debian and Ubuntu: apt install valgrind"))?;
    let text = String::from_utf8_lossy(&output.stderr);
    let collected = text.lines().find_map(|line| line.split_once("Collected :")?.1.trim().parse::<u64>().ok());
    match collected.filter(|_| output.status.success()) {
        Some(collected) if collected > 0 => Ok(collected / u64::from(CALLS)),
        _ => Err(format!("valgrind has counted nothing:\n{text}").into()),
    }
}

/// What runs under valgrind: the first calls, which set everything up, are not counted, until the watchdog keeps the coarse time: valgrind runs
/// one thread at a time.
pub fn run(scenario: &str, variant: &str) -> Done {
    let measures: Each<fn(u32, u32) -> f64> = each!(calls);
    let (_, yields) = SCENARIOS.iter().find(|(name, _)| *name == scenario).ok_or("no such scenario")?;
    if let Some(calls) = measures[column(variant)?] {
        for _ in 0..20 {
            calls(*yields, 200);
            thread::sleep(Duration::from_millis(5));
        }
        measured(calls, *yields);
    }
    Ok(())
}

/// Valgrind counts from where this function is entered to where it is left.
#[inline(never)]
fn measured(calls: fn(u32, u32) -> f64, yields: u32) {
    black_box(calls(black_box(yields), black_box(CALLS)));
}
