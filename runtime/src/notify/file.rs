//! The channel kind `file`: one JSON line for each notification.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;

use super::Notification;
use super::sink::Sink;

pub(super) struct Append {
    path: PathBuf,
}

impl Append {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path }
    }
}

impl Sink for Append {
    /// Opens the file anew each time, so that log rotation works; a line is written by one call, so that writers of several
    /// processes do not mix.
    fn deliver(&mut self, notification: &Notification) -> Result<(), String> {
        let line = format!("{}\n", notification.json);
        let file = OpenOptions::new().create(true).append(true).open(&self.path);
        file.and_then(|mut file| file.write_all(line.as_bytes())).map_err(|error| format!("{}: {error}", self.path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::super::queue::testing::notification;
    use super::*;
    use crate::incident::testing::folder;

    #[test]
    fn each_notification_is_one_line_of_json() {
        let folder = folder("file-channel");
        let path = folder.join("incidents.jsonl");
        let mut sink = Append::new(path.clone());
        sink.deliver(&notification(1)).unwrap();
        sink.deliver(&notification(2)).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let ids: Vec<u64> =
            text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["id"].as_u64().unwrap()).collect();
        assert_eq!(ids, [1, 2]);
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_file_that_cannot_be_opened_is_named() {
        let error = Append::new("/proc/nowhere/incidents.jsonl".into()).deliver(&notification(1)).unwrap_err();
        assert!(error.contains("/proc/nowhere/incidents.jsonl"), "{error}");
    }
}
