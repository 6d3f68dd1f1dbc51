//! The channel kind `command`: a program that gets the report on its standard input. No shell is involved.

use std::os::unix::process::CommandExt;
use std::process::{Child, Command as Process, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::Notification;
use super::pipes::Pipes;
use super::sink::Sink;
use super::system::kill_group;

/// A program that runs longer is killed, with all that it has started.
const LIMIT: Duration = Duration::from_secs(10);
/// One that is killed ends at once, unless the kernel keeps it; then it is left alone.
const DYING: Duration = Duration::from_secs(1);
const LOOK: Duration = Duration::from_millis(20);

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
            // A group of its own, so that what it starts can be killed with it.
            .process_group(0)
            .spawn()
            .map_err(|error| format!("cannot run `{program}`: {error}"))
    }
}

impl Sink for Command {
    fn deliver(&mut self, notification: &Notification) -> Result<(), String> {
        let mut child = self.start(notification)?;
        let mut pipes = Pipes::of(&mut child, notification.text.clone());
        match ended(&mut child, self.limit, || pipes.exchange())? {
            Some(status) if status.success() => Ok(()),
            Some(status) => Err(format!("`{}` failed: {status}: {}", self.argv[0], pipes.said())),
            None => {
                kill_group(&child);
                let _ = ended(&mut child, DYING, || ());
                Err(format!("`{}` was killed after {:?}", self.argv[0], self.limit))
            }
        }
    }
}

/// The program's exit; `None` when it has not come within `limit`.
fn ended(child: &mut Child, limit: Duration, mut meanwhile: impl FnMut()) -> Result<Option<ExitStatus>, String> {
    let deadline = Instant::now() + limit;
    loop {
        meanwhile();
        match child.try_wait() {
            Ok(None) if Instant::now() < deadline => thread::sleep(LOOK),
            Ok(status) => return Ok(status),
            Err(error) => return Err(format!("cannot wait for the command: {error}")),
        }
    }
}

#[cfg(test)]
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

    #[cfg(target_os = "linux")]
    #[test]
    fn what_a_program_that_hangs_has_started_is_killed_with_it() {
        let folder = folder("command-group");
        let out = folder.join("pid");
        let script = format!("sleep 600 & echo $! > {}; wait", out.display());
        let mut sink = Command { limit: Duration::from_secs(2), ..shell(&script) };
        sink.deliver(&notification(1)).unwrap_err();
        let stat = format!("/proc/{}/stat", std::fs::read_to_string(&out).unwrap().trim());
        let runs = || std::fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(") Z "));
        let deadline = Instant::now() + Duration::from_secs(60);
        while runs() && Instant::now() < deadline {
            thread::sleep(LOOK);
        }
        assert!(!runs());
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_program_that_fails_is_quoted_though_it_leaves_another_behind_that_may_still_complain() {
        let error = shell("sleep 20 & echo no such pager >&2; exit 3").deliver(&notification(1)).unwrap_err();
        assert!(error.contains("no such pager"), "{error}");
    }

    #[test]
    fn a_long_report_and_long_complaints_pass_and_a_program_that_reads_nothing_is_not_waited_for() {
        let mut long = (*notification(1)).clone();
        long.text = "x".repeat(1 << 20);
        shell("head -c 300000 /dev/zero >&2; test $(wc -c) -eq 1048576").deliver(&long).unwrap();
        shell("exit 0").deliver(&long).unwrap();
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        let error = Command::new(vec!["no-such-program-here".into()]).deliver(&notification(1)).unwrap_err();
        assert!(error.contains("no-such-program-here"), "{error}");
    }
}
