//! What can be measured only once in a process runs in one of its own.

use std::process::Command;

use crate::Done;

/// The figures that this program prints when it is run with these arguments.
pub fn figures(arguments: &[&str]) -> Done<Vec<f64>> {
    let output = Command::new(std::env::current_exe()?).args(arguments).output()?;
    if !output.status.success() {
        return Err(format!("{arguments:?}: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    Ok(String::from_utf8(output.stdout)?.split_whitespace().map(str::parse).collect::<Result<_, _>>()?)
}
