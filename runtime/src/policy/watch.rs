//! Reloads the policy file when it changes. A broken file keeps what is in force, and the watching goes on.

use std::fs::Metadata;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::active;
use super::environment::Environment;
use super::problem::PolicyError;
use super::set::PolicySet;
use crate::clock::Tick;
use crate::event::Event;
use crate::observe;
use crate::site::{Site, sites};

/// How often the file is looked at.
const INTERVAL: Duration = Duration::from_millis(500);

/// Watches one policy file.
///
/// A change is taken up when the file has looked the same twice, so that a file which is being written is not read half-way. Files that are
/// replaced by renaming, links that are pointed elsewhere and files that vanish for a while are followed.
#[derive(Debug)]
pub(crate) struct Watch {
    path: PathBuf,
    environment: Environment,
    next: Tick,
    /// What was read, or refused, last.
    known: Option<Stamp>,
    /// What was seen last.
    seen: Option<Stamp>,
    /// Whether the file could not be read, and this was said. It is tried again at every look: what keeps a program from reading a file (its
    /// mode, too many open ones) may change without it.
    unread: bool,
}

type Loaded = Result<PolicySet, PolicyError>;

/// What changes when a file does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    modified: Option<SystemTime>,
    length: u64,
    /// Device and number: another file may have taken the name.
    file: (u64, u64),
}

impl Watch {
    /// The watch over the file in force, or over the one that is to be; `None` where no file was named.
    pub(crate) fn of_active() -> Option<Self> {
        Self::of(active::current().set())
    }

    /// Watches the file that `set` was read from, or should have been. The environment has its say in every reload.
    fn of(set: &PolicySet) -> Option<Self> {
        let path = set.path.as_deref()?.to_owned();
        let environment = set.environment.clone();
        Some(Self { path, environment, next: Tick::default(), known: set.stamp, seen: set.stamp, unread: set.stamp.is_none() })
    }

    /// Looks at the file, if it is time to, and puts its policies in force if it changed. Cheap when called more often.
    pub(crate) fn poll(&mut self, now: Tick) {
        match self.check(now, |watch| watch.load(sites())) {
            Some(Ok(set)) => active::install(set),
            Some(Err(error)) => observe::event(&Event::PolicyRefused { message: &error.to_string() }),
            None => {}
        }
    }

    /// What `load` makes of the file, if it changed. One that cannot be read is reported once; programs that replace a file may leave a
    /// moment without it.
    fn check(&mut self, now: Tick, load: impl FnOnce(&Self) -> Loaded) -> Option<Loaded> {
        if now < self.next {
            return None;
        }
        self.next = now.after(INTERVAL);
        let stamp = Stamp::of(&self.path);
        let settled = stamp == self.seen;
        self.seen = stamp;
        if !settled || (stamp == self.known && !self.unread) {
            return None;
        }
        let (loaded, said) = (load(self), self.unread);
        self.unread = loaded.as_ref().is_err_and(|error| error.unread);
        if self.unread {
            return (!said).then_some(loaded);
        }
        self.known = stamp;
        Some(loaded)
    }

    fn load(&self, sites: &[&'static Site]) -> Loaded {
        PolicySet::load(Some(&self.path), self.environment.clone(), Vec::new(), sites)
    }
}

impl Stamp {
    pub(super) fn of(path: &Path) -> Option<Self> {
        let metadata = std::fs::metadata(path).ok()?;
        Some(Self { modified: metadata.modified().ok(), length: metadata.len(), file: file_of(&metadata) })
    }
}

#[cfg(unix)]
fn file_of(metadata: &Metadata) -> (u64, u64) {
    use std::os::unix::fs::MetadataExt;
    (metadata.dev(), metadata.ino())
}

#[cfg(not(unix))]
fn file_of(_: &Metadata) -> (u64, u64) {
    (0, 0)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    static SITE: Site = Site::timeout_async("api::fetch");

    /// A folder of its own for each test, removed at its end.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let folder = std::env::temp_dir().join(format!("backstop-watch-{name}-{}", std::process::id()));
            fs::create_dir_all(&folder).unwrap();
            Self(folder)
        }

        fn file(&self) -> PathBuf {
            self.0.join("backstop.toml")
        }

        /// Writes beside and renames, as careful programs do; the file is another one each time.
        fn write(&self, text: &str) {
            fs::write(self.0.join("new"), text).unwrap();
            fs::rename(self.0.join("new"), self.file()).unwrap();
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    /// A watch with a clock that a test moves.
    struct Watched(Watch, Tick);

    impl Watched {
        fn new(folder: &Folder) -> Self {
            Self(Watch::of(&read(folder)).unwrap(), Tick::default())
        }

        /// What the next looks at the file find, in order.
        fn look(&mut self, times: usize) -> Vec<Result<Option<Duration>, PolicyError>> {
            let results = (0..times).filter_map(|_| {
                self.1 = self.1.after(INTERVAL);
                self.0.check(self.1, |watch| watch.load(&[&SITE]))
            });
            results.map(|result| result.map(|set| set.policy(&SITE).timeout.value)).collect()
        }
    }

    fn read(folder: &Folder) -> PolicySet {
        PolicySet::load(Some(&folder.file()), Environment::default(), Vec::new(), &[&SITE]).unwrap()
    }

    #[test]
    fn a_change_between_the_reading_and_the_watching_is_not_missed() {
        let folder = Folder::new("between");
        folder.write("[defaults]\ntimeout = \"1s\"\n");
        let set = read(&folder);
        folder.write("[defaults]\ntimeout = \"2s\"\n");
        let mut watched = Watched(Watch::of(&set).unwrap(), Tick::default());
        assert_eq!(watched.look(5), [Ok(Some(2 * SECOND))]);
    }

    #[test]
    fn a_file_that_was_named_and_comes_later_is_read() {
        let folder = Folder::new("later");
        let environment = Environment { config: Some(folder.file()), ..Environment::default() };
        let mut watched = Watched(Watch::of(&PolicySet::without_file(environment, None)).unwrap(), Tick::default());
        assert!(watched.look(3).is_empty());
        folder.write("[defaults]\ntimeout = \"2s\"\n");
        assert_eq!(watched.look(3), [Ok(Some(2 * SECOND))]);
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_file_that_stays_is_not_read_again() {
        let folder = Folder::new("stays");
        folder.write("[defaults]\ntimeout = \"1s\"\n");
        assert!(Watched::new(&folder).look(5).is_empty());
    }

    #[test]
    fn a_changed_file_is_read_once_when_it_has_settled() {
        let folder = Folder::new("changed");
        folder.write("[defaults]\ntimeout = \"1s\"\n");
        let mut watched = Watched::new(&folder);
        folder.write("[defaults]\ntimeout = \"2s\"\n");
        assert!(watched.look(1).is_empty());
        assert_eq!(watched.look(5), [Ok(Some(2 * SECOND))]);
    }

    #[test]
    fn a_broken_file_is_refused_once_and_the_next_good_one_is_taken_up() {
        let folder = Folder::new("broken");
        folder.write("[defaults]\ntimeout = \"1s\"\n");
        let mut watched = Watched::new(&folder);
        folder.write("[defaults]\ntimeout = \"0s\"\n");
        assert!(matches!(&watched.look(5)[..], [Err(error)] if error.to_string().contains("longer than zero")));
        folder.write("[defaults]\ntimeout = \"3s\"\n");
        assert_eq!(watched.look(5), [Ok(Some(3 * SECOND))]);
    }

    #[test]
    fn a_file_that_vanishes_is_missed_once_and_found_again() {
        let folder = Folder::new("vanishes");
        folder.write("[defaults]\ntimeout = \"1s\"\n");
        let mut watched = Watched::new(&folder);
        fs::rename(folder.file(), folder.0.join("away")).unwrap();
        assert!(matches!(&watched.look(5)[..], [Err(error)] if error.to_string().contains("cannot read the policy file")));
        fs::rename(folder.0.join("away"), folder.file()).unwrap();
        assert_eq!(watched.look(5), [Ok(Some(SECOND))]);
    }

    #[test]
    fn a_file_that_cannot_be_read_is_refused_once_and_tried_again_though_nobody_touches_it() {
        let folder = Folder::new("unreadable");
        folder.write("[defaults]\ntimeout = \"1s\"\n");
        let mut watched = Watched::new(&folder);
        folder.write("[defaults]\ntimeout = \"2s\"\n");
        let elsewhere = folder.0.join("nowhere");
        let unreadable = || PolicySet::load(Some(&elsewhere), Environment::default(), Vec::new(), &[&SITE]);
        let refused = (0..5).filter_map(|_| {
            watched.1 = watched.1.after(INTERVAL);
            watched.0.check(watched.1, |_| unreadable())
        });
        assert_eq!(refused.count(), 1);
        assert_eq!(watched.look(5), [Ok(Some(2 * SECOND))]);
    }

    #[test]
    fn a_file_that_nobody_could_read_at_the_start_is_read_when_somebody_can() {
        let folder = Folder::new("start");
        folder.write("[defaults]\ntimeout = \"2s\"\n");
        let environment = Environment { config: Some(folder.file()), ..Environment::default() };
        let mut watched = Watched(Watch::of(&PolicySet::without_file(environment, None)).unwrap(), Tick::default());
        assert_eq!(watched.look(5), [Ok(Some(2 * SECOND))]);
    }

    #[cfg(unix)]
    #[test]
    fn a_link_that_is_pointed_elsewhere_is_a_change() {
        let folder = Folder::new("link");
        for (name, text) in [("one", "[defaults]\ntimeout = \"1s\"\n"), ("two", "[defaults]\ntimeout = \"2s\"\n")] {
            fs::write(folder.0.join(name), text).unwrap();
        }
        std::os::unix::fs::symlink("one", folder.file()).unwrap();
        let mut watched = Watched::new(&folder);
        std::os::unix::fs::symlink("two", folder.0.join("new")).unwrap();
        fs::rename(folder.0.join("new"), folder.file()).unwrap();
        assert_eq!(watched.look(5), [Ok(Some(2 * SECOND))]);
    }

    #[test]
    fn it_looks_no_more_often_than_its_interval() {
        let folder = Folder::new("interval");
        folder.write("[defaults]\ntimeout = \"1s\"\n");
        let mut watch = Watch::of(&read(&folder)).unwrap();
        assert!(watch.check(Tick::from_nanos(1), |_| panic!("it has not changed")).is_none());
        folder.write("[defaults]\ntimeout = \"2s\"\n");
        assert!((2..100).all(|nanos| watch.check(Tick::from_nanos(nanos), |_| panic!("too early")).is_none()));
    }
}
