//! The channel kind `command`: a program that gets the report on its standard input. No shell is involved.

use std::io::{Read, Write};
use std::process::{Child, Command as Process, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::Notification;
use super::sink::Sink;

/// A program that runs longer is killed.
const LIMIT: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(20);
/// So much of what the program writes to its standard error is quoted.
const QUOTED: u64 = 512;

pub(super) struct Command {
    argv: Vec<String>,
    limit: Duration,
}

impl Command {
    pub(super) fn new(argv: Vec<String>) -> Self {
        Self { argv, limit: LIMIT }
    }

    fn start(&self, notification: &Notification) -> Result<Child, String> {
        let (program, arguments) = self.argv.split_first().ok_or("the command is empty")?;
        Process::new(program)
            .args(arguments)
            .env("BACKSTOP_INCIDENT", notification.id().to_string())
            .env("BACKSTOP_KIND", notification.incident.kind.as_str())
            .env("BACKSTOP_STATE", notification.state())
            .env("BACKSTOP_SEVERITY", notification.incident.severity.as_str())
            .env("BACKSTOP_FUNCTION", notification.incident.function)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("cannot run `{program}`: {error}"))
    }
}

impl Sink for Command {
    fn deliver(&mut self, notification: &Notification) -> Result<(), String> {
        let mut child = self.start(notification)?;
        feed(&mut child, notification.text.clone());
        let said = listen(&mut child);
        match wait(&mut child, self.limit)? {
            Some(status) if status.success() => Ok(()),
            Some(status) => Err(format!("`{}` failed: {status}: {}", self.argv[0], said.join().unwrap_or_default().trim())),
            None => Err(format!("`{}` was killed after {:?}", self.argv[0], self.limit)),
        }
    }
}

/// Writes the report on a thread of its own: a program that does not read it must not block the queue. The thread ends with the
/// program, whose end closes the pipe.
fn feed(child: &mut Child, text: String) {
    if let Some(mut stdin) = child.stdin.take() {
        // A program that does not want the report may close its input.
        let _ = thread::Builder::new().name("backstop-notify".into()).spawn(move || _ = stdin.write_all(text.as_bytes()));
    }
}

/// Reads the start of what the program complains about, and lets the rest through.
fn listen(child: &mut Child) -> Said {
    let stderr = child.stderr.take();
    let read = move || {
        let mut said = Vec::new();
        if let Some(mut stderr) = stderr {
            let _ = stderr.by_ref().take(QUOTED).read_to_end(&mut said);
            let _ = std::io::copy(&mut stderr, &mut std::io::sink());
        }
        String::from_utf8_lossy(&said).into_owned()
    };
    Said(thread::Builder::new().name("backstop-notify".into()).spawn(read).ok())
}

/// What the program complained about, once it has ended.
struct Said(Option<thread::JoinHandle<String>>);

impl Said {
    fn join(self) -> Option<String> {
        // A grandchild may hold the pipe open: what is not there by now is not waited for.
        let deadline = Instant::now() + Duration::from_secs(1);
        let thread = self.0?;
        while !thread.is_finished() && Instant::now() < deadline {
            thread::sleep(LOOK);
        }
        if thread.is_finished() { thread.join().ok() } else { None }
    }
}

/// The program's exit, or `None` when it had to be killed.
fn wait(child: &mut Child, limit: Duration) -> Result<Option<ExitStatus>, String> {
    let deadline = Instant::now() + limit;
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Ok(Some(status)),
            Ok(None) if Instant::now() < deadline => thread::sleep(LOOK),
            Ok(None) => {
                let _ = child.kill();
                // Reaps it: a killed child ends at once.
                let _ = child.wait();
                return Ok(None);
            }
            Err(error) => return Err(format!("cannot wait for the command: {error}")),
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::super::queue::testing::notification;
    use super::*;
    use crate::incident::testing::folder;

    fn shell(script: &str) -> Command {
        Command::new(["/bin/sh", "-c", script].map(str::to_owned).to_vec())
    }

    #[test]
    fn a_program_gets_the_report_on_its_input_and_the_facts_in_its_environment() {
        let folder = folder("command-channel");
        let out = folder.join("out");
        let mut sink = shell(&format!("echo $BACKSTOP_INCIDENT $BACKSTOP_KIND $BACKSTOP_STATE > {0}; cat >> {0}", out.display()));
        let notification = notification(5);
        sink.deliver(&notification).unwrap();
        assert_eq!(std::fs::read_to_string(out).unwrap(), format!("5 limit firing\n{}", notification.text));
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_program_that_fails_is_quoted() {
        let error = shell("echo no such pager >&2; exit 3").deliver(&notification(1)).unwrap_err();
        assert!(error.contains("exit status: 3") && error.contains("no such pager"), "{error}");
    }

    #[test]
    fn a_program_that_hangs_is_killed() {
        let mut sink = Command { limit: Duration::from_millis(200), ..shell("exec sleep 600") };
        let began = Instant::now();
        let error = sink.deliver(&notification(1)).unwrap_err();
        assert!(error.contains("killed"), "{error}");
        assert!(began.elapsed() < Duration::from_secs(60));
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        let error = Command::new(vec!["no-such-program-here".into()]).deliver(&notification(1)).unwrap_err();
        assert!(error.contains("no-such-program-here"), "{error}");
    }
}
