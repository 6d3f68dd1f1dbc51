//! The demo as a user runs it, from its first line to its tables.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

fn demo(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_demo"));
    command.args(arguments).env_remove("RUST_LOG").current_dir(env!("CARGO_TARGET_TMPDIR"));
    command
}

fn scrape(address: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("the metrics are served");
    write!(stream, "GET /metrics HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn the_demo_serves_metrics_while_it_runs_and_ends_with_its_tables() {
    let arguments = ["--seconds", "5", "--seed", "3", "--device", "cpu"];
    let mut child = demo(&arguments).stderr(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap()).lines().map(|line| line.unwrap());
    let line = log.find(|line| line.contains("metrics: http://")).expect("a line with the address");
    let address = line.split("http://").nth(1).and_then(|rest| rest.split('/').next()).unwrap().to_owned();
    let trained = log.find(|line| line.contains("trained")).expect("a line about training");
    let answer = scrape(&address);
    let rest: Vec<String> = log.collect();
    let output = child.wait_with_output().unwrap();
    let tables = String::from_utf8(output.stdout).unwrap();

    assert!(output.status.success(), "{rest:?}");
    assert!(trained.contains("steps=600"), "{trained}");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(tables.contains("250 bars traded, 24 lessons learnt"), "{tables}");
    assert!(tables.contains("Incident reports lie in"), "{tables}");
    if cfg!(feature = "disable-decorators") {
        assert!(tables.contains("as written"), "{tables}");
    } else {
        assert!(
            answer.contains(r#"backstop_calls_total{function="trading::training_loop::main_training_loop",outcome="ok"} 1"#),
            "{answer}"
        );
        assert!(tables.contains("trading::main_loop::trading_loop"), "{tables}");
    }
}

#[test]
fn the_help_names_every_option_and_a_mistake_points_to_it() {
    let help = String::from_utf8(demo(&["--help"]).output().unwrap().stdout).unwrap();
    for option in ["--seconds", "--seed", "--device", "--quiet", "--help"] {
        assert!(help.contains(option), "{help}");
    }
    let wrong = demo(&["--device", "gpu"]).output().unwrap();
    assert_eq!(wrong.status.code(), Some(2));
    let message = String::from_utf8(wrong.stderr).unwrap();
    assert!(message.contains("expected cpu, mps or sim-mps") && message.contains("demo --help"), "{message}");
}

/// `script` gives the demo a terminal of its own.
#[cfg(target_os = "linux")]
#[test]
fn on_a_terminal_a_key_lists_the_running_calls() {
    let line = format!("{} --seconds 5 --device cpu", env!("CARGO_BIN_EXE_demo"));
    let mut command = Command::new("script");
    command.args(["--quiet", "--return", "--command", &line, "/dev/null"]);
    command.env_remove("RUST_LOG").env("TERM", "xterm").env("NO_COLOR", "1").current_dir(env!("CARGO_TARGET_TMPDIR"));
    let Ok(mut terminal) = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn() else {
        eprintln!("skipped: there is no `script` to make a terminal with");
        return;
    };
    let mut keyboard = terminal.stdin.take().unwrap();
    // A key five times a second, until the demo is over.
    thread::spawn(move || {
        while keyboard.write_all(b"l").is_ok() {
            thread::sleep(Duration::from_millis(200));
        }
    });
    let output = terminal.wait_with_output().unwrap();
    let shown = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{shown}");
    assert!(shown.contains("(key: list)") && shown.contains("| Running calls"), "{shown}");
    if !cfg!(feature = "disable-decorators") {
        assert!(shown.contains("  |   trading::main_loop::trading_loop  ["), "{shown}");
    }
}
