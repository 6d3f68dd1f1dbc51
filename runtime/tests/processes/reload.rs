//! A policy file that changes while calls run. The file is looked at once a second, so these take real seconds.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use backstop::timeout_async;

use crate::common::wait_for;

#[timeout_async(name = "reload.waits")]
async fn waits(until: tokio::sync::oneshot::Receiver<()>) -> io::Result<Duration> {
    let limit = backstop::remaining().unwrap_or_default();
    until.await.map_err(io::Error::other)?;
    Ok(limit)
}

fn write(file: &PathBuf, text: &str) {
    let beside = file.with_extension("new");
    std::fs::write(&beside, text).unwrap();
    std::fs::rename(&beside, file).unwrap();
}

fn limit() -> String {
    backstop::explain("reload.waits").unwrap().setting("timeout").unwrap().value().to_owned()
}

fn in_force(expected: &str) {
    wait_for(expected, || limit() == expected);
}

#[tokio::test]
async fn running_calls_keep_their_limits_and_a_broken_file_the_last_good_ones() {
    let file = std::env::temp_dir().join(format!("backstop-reload-{}.toml", std::process::id()));
    write(&file, "[functions.\"reload.waits\"]\ntimeout = \"1m\"\n");
    let _backstop = backstop::Builder::new().policies(&file).install().unwrap();
    assert_eq!(limit(), "1m");

    let (end, until) = tokio::sync::oneshot::channel();
    let running = tokio::spawn(waits(until));
    tokio::task::yield_now().await;
    write(&file, "[functions.\"reload.waits\"]\ntimeout = \"1ms\"\n");
    in_force("1ms");
    let (_kept, never) = tokio::sync::oneshot::channel();
    waits(never).await.unwrap_err();

    write(&file, "[functions.\"reload.waits\"]\ntimeout = \"0s\"\n");
    wait_for("a refusal", || backstop::dump().events.iter().any(|event| event.what == "policy_refused"));
    assert_eq!(limit(), "1ms");
    end.send(()).unwrap();
    assert!(running.await.unwrap().unwrap() > Duration::from_secs(50), "the call that ran kept its minute");

    write(&file, "[functions.\"reload.waits\"]\ntimeout = \"3m\"\n");
    in_force("3m");
    let _ = std::fs::remove_file(&file);
}
