//! Channels that hang or fail: nobody waits for them, and what they lose is counted.
// Real seconds, in which libtorch has no part: they are spent once, without it.
#![cfg(not(feature = "tch"))]
#![cfg(unix)]

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use backstop::{Backstop, timeout_async};

/// A command that hangs is killed after ten seconds, and tried again three times.
const HANGS: Duration = Duration::from_secs(10);

fn installed() -> &'static (Backstop, PathBuf) {
    static INSTALLED: OnceLock<(Backstop, PathBuf)> = OnceLock::new();
    INSTALLED.get_or_init(|| {
        let folder = std::env::temp_dir().join(format!("backstop-channels-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let policies = folder.join("backstop.toml");
        let text = format!(
            r#"
            [functions."channels.told"]
            escalate = [{{ after = 1, severity = "error", notify = ["hangs", "fails", "works"] }}]

            [channels.hangs]
            kind = "command"
            command = ["/bin/sh", "-c", "echo started > '{0}/hangs'; exec sleep 600"]

            [channels.fails]
            kind = "file"
            path = "/proc/nowhere"

            [channels.works]
            kind = "file"
            path = "{0}/works.jsonl"
            "#,
            folder.display()
        );
        fs::write(&policies, text).unwrap();
        (backstop::Builder::new().policies(policies).install().unwrap(), folder)
    })
}

#[timeout_async(millis = 50, name = "channels.told")]
async fn told() -> io::Result<()> {
    std::future::pending().await
}

#[timeout_async(secs = 60, name = "channels.quick")]
async fn quick() -> io::Result<()> {
    tokio::task::yield_now().await;
    Ok(())
}

/// Waits until a channel has written this file.
fn until_there(file: &Path) {
    let began = Instant::now();
    while !file.exists() {
        assert!(began.elapsed() < Duration::from_secs(60), "{} is not there", file.display());
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[tokio::test]
async fn while_a_channel_hangs_calls_keep_their_time_and_other_channels_work() {
    let (backstop, folder) = installed();
    told().await.unwrap_err();
    until_there(&folder.join("hangs"));
    let began = Instant::now();
    for _ in 0..10_000 {
        quick().await.unwrap();
    }
    let error = told().await.unwrap_err();
    let took = began.elapsed();
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    until_there(&folder.join("works.jsonl"));
    assert!(took < HANGS / 2, "{took:?}");
    assert!(!backstop.flush(Duration::from_millis(10)), "it still hangs; whoever waits for it is told that it was not enough");
}
