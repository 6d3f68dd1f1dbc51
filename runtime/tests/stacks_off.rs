//! `Builder::native_stacks(false)`: reports as before, and nobody looks at threads. One process, one `install`.

mod common;

use std::io;
use std::time::Duration;

use backstop::{IncidentKind, timeout_async};

const POLICIES: &str = "[functions.\"off.blocks\"]\nblocked_after = \"50ms\"\n";

#[timeout_async(secs = 60, name = "off.blocks")]
async fn blocks() -> io::Result<()> {
    common::wait_for("a report", || backstop::incidents().iter().any(|incident| incident.kind == IncidentKind::Blocked));
    Ok(())
}

#[tokio::test]
async fn a_blocked_call_is_reported_without_stacks() {
    let file = std::env::temp_dir().join(format!("backstop-stacks-off-{}.toml", std::process::id()));
    std::fs::write(&file, POLICIES).unwrap();
    let backstop = backstop::Builder::new().policies(&file).native_stacks(false).install().unwrap();
    blocks().await.unwrap();
    assert!(backstop.flush(Duration::from_secs(60)));
    let incident = backstop::incidents().into_iter().find(|incident| incident.function == "off.blocks").unwrap();
    assert_eq!((incident.kind, incident.threads.len()), (IncidentKind::Blocked, 0));
    assert!(!incident.to_string().contains("\nThreads\n"));
    assert!(backstop::threads().is_empty());
    std::fs::remove_file(file).unwrap();
}
