//! A process of a test's own: it stalls a runtime, stops or ends the process, or installs policies that no other test may see.

#![allow(dead_code, reason = "each test program uses a part of it")]

use std::env;
use std::io;
use std::process::{Child, Command, Output, Stdio};
use std::thread;

const CHILD: &str = "BACKSTOP_TEST_CHILD";

/// What such a process says when it is ready.
pub const READY: &str = "the call runs";

/// Runs `body` in a process of its own, which is this program again with the one test that `body` stands in.
#[track_caller]
pub fn alone<B: FnOnce()>(body: B) {
    if is(&body) {
        return body();
    }
    let output = start(&body).wait_with_output().unwrap();
    assert!(output.status.success(), "{}\n{}", output.status, told(&output));
    assert!(told(&output).contains("1 passed"), "nothing was tested\n{}", told(&output));
}

/// Whether this is the process of `test`.
pub fn is<T>(test: &T) -> bool {
    env::var_os(CHILD).is_some_and(|child| *child == *path(test))
}

/// Starts the process of `test`.
pub fn start<T>(test: &T) -> Child {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--exact", path(test), "--nocapture", "--test-threads=1"]).env(CHILD, path(test));
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Starts the test as a process of its own, and waits until it says that it is ready.
pub fn started<T>(test: &T) -> Child {
    let mut child = start(test);
    let mut said = io::BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains(READY) {
        line.clear();
        assert!(io::BufRead::read_line(&mut said, &mut line).unwrap() > 0, "the child has ended");
    }
    // It goes on talking.
    thread::spawn(move || io::copy(&mut said, &mut io::stderr()));
    child
}

#[track_caller]
pub fn succeeds(child: Child) {
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}\n{}", output.status, told(&output));
}

/// What it said.
pub fn told(output: &Output) -> String {
    format!("{}\n{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// What libtest calls a test: the path of its function, or of a closure in it, without the program.
fn path<T>(_: &T) -> &'static str {
    let path = std::any::type_name::<T>().trim_end_matches("::{{closure}}");
    path.split_once("::").map_or(path, |(_, path)| path)
}
