//! With the feature `disable-decorators` an annotated function is the function as written, and nothing of the runtime runs.

#![cfg(feature = "disable-decorators")]

use std::time::Duration;

use backstop::timeout_async;

#[derive(Debug, PartialEq)]
struct NoTimeout;

/// Its error could hold no timeout, so this would not compile with a guard.
#[timeout_async(secs = 1)]
async fn slow() -> Result<u32, NoTimeout> {
    tokio::time::sleep(Duration::from_secs(3600)).await;
    Ok(1)
}

#[tokio::test(start_paused = true)]
async fn a_disabled_guard_lets_a_call_take_its_time() {
    assert_eq!(slow().await, Ok(1));
    assert!(backstop::sites().is_empty());
}

#[test]
fn a_disabled_build_starts_with_the_same_policies() {
    let file = std::env::temp_dir().join(format!("backstop-disabled-{}.toml", std::process::id()));
    std::fs::write(&file, "[functions.\"trading::api::*\"]\ntimeout = \"30s\"\n").unwrap();
    let installed = backstop::Builder::new().policies(&file).install();
    std::fs::remove_file(&file).unwrap();
    assert!(installed.is_ok(), "{}", installed.unwrap_err());
}
