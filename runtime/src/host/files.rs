//! The files that the watchdog reads at each look stay open: opening one costs more than reading it.

use std::fs::File;

use super::procfs::{self, Times};

/// So many threads' files stay open; those of further ones are opened for each look.
const THREADS: usize = 16;

/// See the module. Takes nothing from the heap once it has its room.
#[derive(Debug, Default)]
pub(crate) struct Files {
    own: Option<File>,
    threads: Vec<(i32, File)>,
}

impl Files {
    /// With all the room that they ever take.
    pub(crate) fn with_room() -> Self {
        Self { own: None, threads: Vec::with_capacity(THREADS) }
    }

    /// The times of the thread that asks, which is the same one always.
    pub(super) fn own_times(&mut self) -> Option<Times> {
        if self.own.is_none() {
            self.own = procfs::open_own_times();
        }
        procfs::read_times(self.own.as_mut()?)
    }

    /// The times of a thread of this process; `None` where it has ended, or the kernel does not count them.
    pub(super) fn times_of(&mut self, tid: i32) -> Option<Times> {
        if let Some(place) = self.threads.iter().position(|(open, _)| *open == tid) {
            let times = procfs::read_times(&mut self.threads[place].1);
            if times.is_some() {
                return times;
            }
            // It has ended, and another one may have its number.
            self.threads.swap_remove(place);
        }
        let mut file = procfs::open_times(tid)?;
        let times = procfs::read_times(&mut file);
        if times.is_some() && self.threads.len() < THREADS {
            self.threads.push((tid, file));
        }
        times
    }

    /// Closes those of the threads that have ended.
    pub(super) fn keep_threads(&mut self, lives: impl Fn(i32) -> bool) {
        self.threads.retain(|(tid, _)| lives(*tid));
    }
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;
    use crate::flight::thread;

    #[test]
    fn a_thread_is_read_again_and_again_until_it_ends() {
        let (mut files, own) = (Files::with_room(), thread::tid(thread::current()));
        // The kernel counts when the thread leaves its CPU, or at the next tick.
        std::thread::sleep(std::time::Duration::from_millis(10));
        let before = files.times_of(own).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(10));
        assert!(files.times_of(own).unwrap().on_cpu > before.on_cpu && files.own_times().unwrap().on_cpu > before.on_cpu);

        let ended = std::thread::spawn(|| thread::tid(thread::current())).join().unwrap();
        // The kernel lists a thread for a moment after it is joined.
        let begin = std::time::Instant::now();
        while files.times_of(ended).is_some() {
            assert!(begin.elapsed() < std::time::Duration::from_secs(60), "it has ended");
            std::thread::yield_now();
        }
        assert_eq!(files.times_of(i32::MAX), None);
        assert_eq!(files.threads.len(), 1);
        files.keep_threads(|_| false);
        assert!(files.threads.is_empty());
    }
}
