//! `fork` without `exec`: only the thread that forks lives on in the child. Each case runs in a process of its own: this test program runs
//! itself again, on one thread.

#![cfg(unix)]

mod common;

use std::future::{Future, pending};
use std::io;
use std::process::Command;
use std::thread;
use std::time::Duration;

use backstop::timeout_async;
use common::park;

#[timeout_async(millis = 200, name = "fork.hangs")]
async fn hangs() -> io::Result<()> {
    pending().await
}

#[timeout_async(secs = 60, name = "fork.yields")]
async fn yields() -> io::Result<u32> {
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    Ok(7)
}

/// Looks again and again: in a child there may be nobody who wakes it.
fn block_on<F: Future>(future: F) -> F::Output {
    park::block_on(future, || thread::park_timeout(Duration::from_millis(1)))
}

/// Whether `check` holds in a child of this process.
fn holds_in_a_child(check: impl FnOnce() -> bool) -> bool {
    // SAFETY: the child goes on on this thread alone, in a process that has no other thread of ours which could hold a lock that it
    // takes; it leaves by `_exit`.
    let child = unsafe { libc::fork() };
    assert!(child >= 0, "fork: {}", io::Error::last_os_error());
    if child == 0 {
        let held = std::panic::catch_unwind(std::panic::AssertUnwindSafe(check)).unwrap_or(false);
        // SAFETY: it ends the child at once, without destructors that belong to the parent.
        unsafe { libc::_exit(i32::from(!held)) };
    }
    let mut status = 0;
    // SAFETY: the child is ours, and the status is a place of the right type.
    let waited = unsafe { libc::waitpid(child, &raw mut status, 0) };
    waited == child && libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0
}

fn times_out() -> bool {
    block_on(hangs()).is_err_and(|error| error.kind() == io::ErrorKind::TimedOut)
}

#[test]
#[ignore = "run by the other tests, in a process of its own"]
fn before_the_first_call() {
    assert!(holds_in_a_child(times_out));
    assert!(times_out(), "in the parent too");
}

#[test]
#[ignore = "run by the other tests, in a process of its own"]
fn after_the_first_call() {
    assert!(times_out());
    assert!(holds_in_a_child(|| block_on(yields()).is_ok_and(|value| value == 7)));
    assert!(times_out(), "the parent has lost nothing");
}

fn passes_alone(test: &str) {
    let mut child = Command::new(std::env::current_exe().unwrap());
    let output = child.args(["--exact", test, "--ignored", "--test-threads=1"]).output().unwrap();
    assert!(output.status.success(), "{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_child_that_is_forked_before_the_first_guarded_call_has_a_watchdog_of_its_own() {
    passes_alone("before_the_first_call");
}

#[test]
fn a_child_that_is_forked_later_has_none_but_its_calls_run() {
    passes_alone("after_the_first_call");
}
