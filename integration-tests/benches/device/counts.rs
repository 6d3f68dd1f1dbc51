//! Instructions beside times: the same on a busy machine and on an idle one. This program runs itself under valgrind, once for all rows.

use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Duration;
use std::{env, fs, thread};

use crate::Done;
use crate::options::Options;
use crate::row::Row;

const CHILD: &str = "BACKSTOP_BENCH_COUNTS";
const CEILINGS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/device/ceilings.txt");
const HEAD: &str = "# The most instructions that the attribute may add to a call: `cargo xtask bench device --counts --record`.\n";
/// What a call costs that goes well. What the heap costs for the copies of the others differs from run to run.
const BOUNDED: [&str; 5] = ["empty-cpu", "empty-device", "empty-snapshot", "cpu", "device"];

/// The instructions of one call of a row.
pub struct Counted {
    name: String,
    base: u64,
    with: u64,
}

impl Counted {
    /// What the attribute adds.
    pub fn more(&self) -> i64 {
        self.with as i64 - self.base as i64
    }
}

/// Whether this process is the one under valgrind.
pub fn is_child() -> bool {
    env::var_os(CHILD).is_some()
}

/// What runs under valgrind. Of short calls the least of some is taken, each behind so many others that it sets nothing up, that the coarse
/// time is kept, for which the watchdog needs a turn, and that most are not the first in a tick of it.
pub fn count(row: &Row<'_>) {
    let (counted_calls, before) = if row.calls > 20 { (7, row.calls / 5) } else { (1, 1) };
    for call in [row.base, row.with] {
        for _ in 0..counted_calls {
            for calls in [before, before / 10] {
                (0..calls).for_each(|_| call());
                thread::sleep(Duration::from_millis(5));
            }
            (0..before / 10).for_each(|_| call());
            counted(call);
        }
        println!("{} {counted_calls}", row.name);
    }
}

/// Valgrind counts inside of this function, and writes down what it has when it is left.
#[inline(never)]
fn counted(call: &dyn Fn()) {
    call();
}

/// Those of every row, in their order.
pub fn all(options: &Options) -> Done<Vec<Counted>> {
    let folder = env::temp_dir().join(format!("backstop-counts-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    let counts = of_child(&folder.join("out"), options);
    let _ = fs::remove_dir_all(&folder);
    counts
}

fn of_child(out: &Path, options: &Options) -> Done<Vec<Counted>> {
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["--tool=callgrind", "--collect-atstart=no"]);
    valgrind.args(["--toggle-collect=device::counts::counted", "--dump-after=device::counts::counted"]);
    valgrind.arg(format!("--callgrind-out-file={}", out.display())).arg(env::current_exe()?).args(options.rows());
    let output = valgrind.env(CHILD, "1").output();
    let output = output.map_err(|error| format!("cannot start valgrind: {error}; on Debian and Ubuntu: apt install valgrind"))?;
    if !output.status.success() {
        return Err(format!("valgrind failed:\n{}", String::from_utf8_lossy(&output.stderr)).into());
    }
    let mut dumps = 1..;
    let mut sides = Vec::new();
    for line in String::from_utf8(output.stdout)?.lines() {
        let Some((name, calls)) = line.split_once(' ') else { continue };
        let counts: Vec<u64> = dumps.by_ref().take(calls.parse()?).map(|dump| total(out, dump)).collect::<Done<_>>()?;
        sides.push((name.to_owned(), counts.into_iter().min().ok_or("a row without a call")?));
    }
    let row = |sides: &[(String, u64)]| Counted { name: sides[0].0.clone(), base: sides[0].1, with: sides[1].1 };
    Ok(sides.chunks_exact(2).map(row).collect())
}

/// The instructions that the dump of this number holds.
fn total(out: &Path, dump: u32) -> Done<u64> {
    let path = format!("{}.{dump}", out.display());
    let text = fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
    let total = text.lines().find_map(|line| line.strip_prefix("totals: ")?.trim().parse().ok());
    Ok(total.ok_or_else(|| format!("{path} holds no total"))?)
}

/// Counts, prints, and compares with the ceilings or records new ones.
pub fn compare(options: &Options) -> Done<ExitCode> {
    let ceilings = if options.record { String::new() } else { fs::read_to_string(CEILINGS)? };
    let (mut recorded, mut met) = (HEAD.to_owned(), true);
    println!("instructions of one call\n{:<14} {:>10} {:>10} {:>10}", "row", "without", "more", "ceiling");
    // Each in a process of its own: what the rows before leave in the heap changes what an allocation costs.
    for row in BOUNDED.iter().filter(|row| options.takes(row)).map(|row| all(&options.within(&[row]))) {
        let row = row?.pop().ok_or("a row was not counted")?;
        let more = row.more();
        let ceiling = if options.record { more + (more.abs() + 49) / 50 } else { ceiling(&ceilings, &row.name)? };
        let verdict = if more <= ceiling { "" } else { "  exceeded" };
        println!("{:<14} {:>10} {more:>10} {ceiling:>10}{verdict}", row.name, row.base);
        recorded += &format!("{} {ceiling}\n", row.name);
        met &= more <= ceiling;
    }
    if options.record {
        fs::write(CEILINGS, recorded)?;
    }
    Ok(if met { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn ceiling(ceilings: &str, row: &str) -> Done<i64> {
    let line = ceilings.lines().find_map(|line| line.strip_prefix(row)?.strip_prefix(' '));
    let missing = || format!("{CEILINGS} says nothing of `{row}`; record it: cargo xtask bench device --counts --record");
    Ok(line.ok_or_else(missing)?.trim().parse()?)
}
