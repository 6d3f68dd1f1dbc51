//! One annotated function: its name, its place in the source, what its attribute says; and the list of all of them,
//! collected by the linker. Knows nothing of policies, calls or metrics: they look a site up by its [`id`](Site::id).

use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

/// An annotated function, as the attribute wrote it down: one `static` each.
pub struct Site {
    name: &'static str,
    kind: Kind,
    file: &'static str,
    line: u32,
    column: u32,
    settings: Settings,
    /// [`UNKNOWN`] until the list of all sites is made.
    id: AtomicU32,
}

/// A type that stands for one annotated function, so that its guarded future need not hold a pointer to its site.
pub trait Sited {
    /// The site.
    fn site() -> &'static Site;
}

/// Which attribute a [`Site`] stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// `#[timeout_async]`
    TimeoutAsync,
    /// `#[safe_mps_op]`
    SafeMpsOp,
}

/// The arguments of the attribute. What is `None` or `false` was not written.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Settings {
    /// `secs` or `millis`: the limit of one attempt.
    pub limit: Option<Duration>,
    /// `idle_secs` or `idle_millis`: the longest silence between two beats.
    pub idle: Option<Duration>,
    /// `grace_secs`: how long the body may tidy up after the limit.
    pub grace: Option<Duration>,
    /// `retry`: `Some(None)` leaves the number to the policy, `Some(Some(3))` allows three retries.
    pub retry: Option<Option<u32>>,
    /// `fallback`: another function is called when everything else has failed.
    pub fallback: bool,
    /// `isolate`: the body runs as a task of its own.
    pub isolate: bool,
    /// `result = "cpu"`: tensors of the result stay on the CPU after a fallback.
    pub result_on_cpu: bool,
    /// `snapshot`: what the body may change is copied before the first attempt.
    pub snapshot: bool,
}

impl Site {
    /// A site of `#[timeout_async]`; the expansion adds what its arguments say.
    #[must_use]
    pub const fn timeout_async(name: &'static str) -> Self {
        Self::new(name, Kind::TimeoutAsync)
    }

    /// A site of `#[safe_mps_op]`; the expansion adds what its arguments say.
    #[must_use]
    pub const fn safe_mps_op(name: &'static str) -> Self {
        Self::new(name, Kind::SafeMpsOp)
    }

    const fn new(name: &'static str, kind: Kind) -> Self {
        let settings = Settings {
            limit: None,
            idle: None,
            grace: None,
            retry: None,
            fallback: false,
            isolate: false,
            result_on_cpu: false,
            snapshot: false,
        };
        Self { name, kind, file: "", line: 0, column: 0, settings, id: AtomicU32::new(UNKNOWN) }
    }

    /// Where the function stands: `file!()`, `line!()`, `column!()`.
    #[must_use]
    pub const fn at(mut self, file: &'static str, line: u32, column: u32) -> Self {
        self.file = file;
        self.line = line;
        self.column = column;
        self
    }

    /// `secs` or `millis`.
    #[must_use]
    pub const fn limit(mut self, limit: Duration) -> Self {
        self.settings.limit = Some(limit);
        self
    }

    /// `idle_secs` or `idle_millis`.
    #[must_use]
    pub const fn idle(mut self, idle: Duration) -> Self {
        self.settings.idle = Some(idle);
        self
    }

    /// `grace_secs`.
    #[must_use]
    pub const fn grace(mut self, grace: Duration) -> Self {
        self.settings.grace = Some(grace);
        self
    }

    /// `retry` (`None`: the policy says how often) or `retry = n`.
    #[must_use]
    pub const fn retry(mut self, retries: Option<u32>) -> Self {
        self.settings.retry = Some(retries);
        self
    }

    /// `fallback = path`.
    #[must_use]
    pub const fn fallback(mut self) -> Self {
        self.settings.fallback = true;
        self
    }

    /// `isolate`.
    #[must_use]
    pub const fn isolate(mut self) -> Self {
        self.settings.isolate = true;
        self
    }

    /// `result = "cpu"`.
    #[must_use]
    pub const fn result_on_cpu(mut self) -> Self {
        self.settings.result_on_cpu = true;
        self
    }

    /// `snapshot`.
    #[must_use]
    pub const fn snapshot(mut self) -> Self {
        self.settings.snapshot = true;
        self
    }

    /// The name in policies, metrics and reports: `module::path::function`, or what `name = "…"` says.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The attribute that made this site.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The source file, as `file!()` gives it.
    #[must_use]
    pub fn file(&self) -> &'static str {
        self.file
    }

    /// The line of the function's name in [`file`](Self::file).
    #[must_use]
    pub fn line(&self) -> u32 {
        self.line
    }

    /// What the attribute's arguments say.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// This site's place in [`sites`]; dense, from 0.
    #[inline]
    pub(crate) fn id(&'static self) -> usize {
        match self.id.load(Relaxed) {
            UNKNOWN => self.find_id(),
            id => id as usize,
        }
    }

    /// The same; beyond every place until the list of all sites is made.
    #[inline]
    pub(crate) fn place(&'static self) -> usize {
        self.id.load(Relaxed) as usize
    }

    #[cold]
    fn find_id(&'static self) -> usize {
        let _ = sites();
        match self.id.load(Relaxed) {
            // A site that no linker list holds cannot be made by the attributes; `detached` keeps it harmless.
            UNKNOWN => DETACHED,
            id => id as usize,
        }
    }
}

const UNKNOWN: u32 = u32::MAX;

/// The id of a site that was not made by an attribute.
pub(crate) const DETACHED: usize = usize::MAX;

impl fmt::Debug for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}:{}:{})", self.name, self.file, self.line, self.column)
    }
}

/// What an expansion hands to the linker's list.
pub struct Submitted(pub &'static Site);

inventory::collect!(Submitted);

/// Every annotated function that is linked into this program, sorted by name.
///
/// A crate that nothing refers to is left out by the linker; `use that_crate as _;` brings its functions back.
#[must_use]
pub fn sites() -> &'static [&'static Site] {
    static SITES: OnceLock<Vec<&'static Site>> = OnceLock::new();
    SITES.get_or_init(|| {
        let mut sites: Vec<&'static Site> = inventory::iter::<Submitted>.into_iter().map(|submitted| submitted.0).collect();
        sites.sort_by_key(|site| (site.name, site.file, site.line, site.column));
        for (id, site) in (0_u32..).zip(&sites) {
            site.id.store(id, Relaxed);
        }
        sites
    })
}
