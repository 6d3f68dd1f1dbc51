//! Instructions beside times: the same on a busy machine and on an idle one. This program runs itself under valgrind, once for all rows.

use std::env;
use std::fs;
use std::process::Command;

use super::Row;

const CHILD: &str = "BACKSTOP_BENCH_COUNTS";

/// Of one call: without and with the attribute.
pub type Counts = (u64, u64);

/// Whether this process is the one under valgrind.
pub fn is_child() -> bool {
    env::var_os(CHILD).is_some()
}

/// What runs under valgrind: the first calls, which set everything up, are not counted.
pub fn count(row: &Row<'_>) {
    let calls = calls(row);
    for call in [row.base, row.with] {
        (0..calls).for_each(|_| call());
        counted(calls, call);
        println!("{calls}");
    }
}

/// Costly calls are counted once: there is nothing to average.
fn calls(row: &Row<'_>) -> u32 {
    if row.calls >= 1000 { 20 } else { 1 }
}

/// Valgrind counts inside of this function, and writes down what it has when it is left.
#[inline(never)]
fn counted(calls: u32, call: &dyn Fn()) {
    (0..calls).for_each(|_| call());
}

/// Those of every row, in their order.
pub fn all() -> Result<Vec<Counts>, String> {
    let folder = env::temp_dir().join(format!("backstop-counts-{}", std::process::id()));
    fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
    let counts = of_child(&folder.join("out"));
    let _ = fs::remove_dir_all(&folder);
    counts
}

fn of_child(out: &std::path::Path) -> Result<Vec<Counts>, String> {
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["--tool=callgrind", "--collect-atstart=no"]);
    valgrind.args(["--toggle-collect=device::counts::counted", "--dump-after=device::counts::counted"]);
    valgrind.arg(format!("--callgrind-out-file={}", out.display())).arg(env::current_exe().map_err(|error| error.to_string())?);
    let output = valgrind.env(CHILD, "1").output();
    let output = output.map_err(|error| format!("cannot start valgrind: {error}; on Debian and Ubuntu: apt install valgrind"))?;
    if !output.status.success() {
        return Err(format!("valgrind failed:\n{}", String::from_utf8_lossy(&output.stderr)));
    }
    let calls: Vec<u64> = String::from_utf8_lossy(&output.stdout).lines().filter_map(|line| line.parse().ok()).collect();
    let counts: Vec<u64> = calls.iter().zip(1..).map(|(calls, dump)| Ok(total(out, dump)? / calls)).collect::<Result<_, String>>()?;
    Ok(counts.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect())
}

/// The instructions that the dump of this number holds.
fn total(out: &std::path::Path, dump: u32) -> Result<u64, String> {
    let path = format!("{}.{dump}", out.display());
    let text = fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
    let total = text.lines().find_map(|line| line.strip_prefix("totals: ")?.trim().parse().ok());
    total.ok_or_else(|| format!("{path} holds no total"))
}
