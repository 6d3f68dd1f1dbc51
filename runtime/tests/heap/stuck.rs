//! A body that is stuck in the allocator, and with it every thread that needs the heap, the reporter among them.

use std::io::{self, BufRead};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use backstop::timeout_async;

use crate::{child, counted};

/// Long enough for any machine.
const LONG: Duration = Duration::from_secs(120);

#[timeout_async(secs = 300, name = "heap.is_stuck_in_malloc")]
async fn is_stuck_in_malloc() -> io::Result<Vec<u8>> {
    // What starts has started by then.
    thread::sleep(Duration::from_millis(500));
    counted::hold();
    Ok(Vec::with_capacity(100))
}

#[timeout_async(millis = 1500, name = "heap.waits")]
async fn waits() -> io::Result<()> {
    std::future::pending().await
}

#[test]
fn a_program_that_is_stuck_in_malloc_is_told_of_on_standard_error() {
    let test = a_program_that_is_stuck_in_malloc_is_told_of_on_standard_error;
    if child::is(&test) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let other = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
        other.spawn(waits());
        runtime.block_on(is_stuck_in_malloc()).unwrap();
        unreachable!("the heap is held");
    }
    let mut child = child::start(&test);
    // A line comes after ten seconds and a little more.
    let (pid, (done, told_all)) = (child.id(), mpsc::channel::<()>());
    thread::spawn(move || {
        if told_all.recv_timeout(LONG) == Err(mpsc::RecvTimeoutError::Timeout) {
            // SAFETY: it is our child, which nobody has waited for.
            unsafe { libc::kill(i32::try_from(pid).unwrap(), libc::SIGKILL) };
        }
    });
    let wanted = [["blocked: `heap.is_stuck_in_malloc`", "(tid "], ["limit: `heap.waits`", "s by now"]];
    let mut told = Vec::new();
    let mut lines = io::BufReader::new(child.stderr.take().unwrap()).lines();
    while !wanted.iter().all(|parts| told.iter().any(|line: &String| parts.iter().all(|part| line.contains(part)))) {
        let line = lines.next().unwrap_or_else(|| panic!("the child has ended: {told:?}")).unwrap();
        told.push(line);
    }
    drop(done);
    child.kill().unwrap();
    child.wait().unwrap();
    let line = told.iter().find(|line| line.contains("is_stuck_in_malloc")).unwrap();
    assert!(line.starts_with("backstop: #") && line.contains("the reporter has not come forward for 1"), "{line}");
    assert_eq!(told.iter().filter(|line| line.contains("is_stuck_in_malloc`")).count(), 1, "once an episode: {told:?}");
}
