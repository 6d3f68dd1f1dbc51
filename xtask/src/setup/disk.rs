//! Free space, before half a gigabyte is fetched.

use std::path::Path;
use std::process::Command;

use crate::problem::{Done, Problem};

/// Wheels (540 MB) and unpacked libtorch (490 MB) lie side by side for a moment; the rest is margin.
const NEEDED_MB: u64 = 1300;

/// Checks that the disk of `folder` has room; where `df` does not say, the work is tried.
pub fn check(folder: &Path) -> Done {
    match free_mb(folder) {
        Some(free) if free < NEEDED_MB => {
            Err(Problem::new(format!("making libtorch needs {NEEDED_MB} MB, and the disk of {} has {free} MB left", folder.display()))
                .help("free some space, or choose another disk: XDG_CACHE_HOME=/path/on/it cargo xtask setup"))
        }
        _ => Ok(()),
    }
}

fn free_mb(folder: &Path) -> Option<u64> {
    let output = Command::new("df").arg("-Pk").arg(folder).output().ok()?;
    available_mb(&String::from_utf8_lossy(&output.stdout))
}

/// The fourth column of the last line of `df -Pk`, from kilobytes.
fn available_mb(table: &str) -> Option<u64> {
    let kilobytes: u64 = table.lines().last()?.split_whitespace().nth(3)?.parse().ok()?;
    Some(kilobytes / 1024)
}

#[cfg(test)]
mod tests {
    use super::available_mb;

    #[test]
    fn the_available_column_of_df_is_read() {
        let table = "Filesystem     1024-blocks     Used Available Capacity Mounted on\n\
                     /dev/vda         263987784 13912345  81264640      15% /\n";
        assert_eq!(available_mb(table), Some(79_360));
    }

    #[test]
    fn a_table_that_cannot_be_read_says_nothing() {
        assert_eq!(available_mb("df: no such file\n"), None);
        assert_eq!(available_mb(""), None);
    }
}
