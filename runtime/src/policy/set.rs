//! All policies of a program: what a file says, and what the environment says.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
#[cfg(any(feature = "prometheus", test))]
use std::time::Duration;

use super::channel::Channel;
use super::check;
use super::environment::Environment;
use super::fence;
use super::file;
use super::glob::Pattern;
use super::merge::{Sources, apply_environment};
use super::origin::{Origin, Set};
use super::problem::{PolicyError, Problem};
use super::rules::Rules;
use super::settings::Policy;
#[cfg(any(feature = "prometheus", test))]
use super::settings::Retry;
use super::watch::Stamp;
use super::watchdog::WatchdogRules;
use crate::site::Site;

/// What a policy file says.
#[derive(Clone, Debug, Default)]
pub(crate) struct PolicyFile {
    pub(crate) defaults: Rules,
    pub(crate) functions: Vec<Entry>,
    pub(crate) watchdog: WatchdogRules,
    pub(crate) channels: Arc<[Channel]>,
    #[cfg(feature = "inject")]
    pub(crate) injections: Vec<crate::inject::Rule>,
}

/// One `[functions."…"]` table.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) pattern: Pattern,
    /// The bytes of its name in the file.
    pub(crate) span: Range<usize>,
    pub(crate) origin: Origin,
    pub(crate) rules: Rules,
}

impl Entry {
    /// Whether it stands against `BACKSTOP_DISABLE=1`: it names one function, and says `enabled = true`.
    pub(crate) fn enables_by_name(&self) -> bool {
        self.pattern.is_exact() && self.rules.enabled.as_ref().is_some_and(|enabled| enabled.value)
    }
}

/// All policies of a program.
#[derive(Clone, Debug, Default)]
pub(crate) struct PolicySet {
    /// What the file is called in messages; `None` without one.
    pub(crate) path: Option<Arc<Path>>,
    /// What the file looked like when it was read; `None` for a text that is no file.
    pub(super) stamp: Option<Stamp>,
    pub(crate) file: PolicyFile,
    pub(crate) environment: Environment,
}

impl PolicySet {
    /// Reads a policy file; without a path there is none, and that is fine.
    ///
    /// # Errors
    /// All that is wrong with the file, and `problems`, those of the environment, in one error.
    pub(crate) fn load(
        path: Option<&Path>,
        environment: Environment,
        mut problems: Vec<Problem>,
        sites: &[&'static Site],
    ) -> Result<Self, PolicyError> {
        let Some(path) = path else { return Self::of_text(Path::new(""), "", environment, problems, sites) };
        // Before the text: a file that changes in between looks changed afterwards.
        let stamp = Stamp::of(path);
        match std::fs::read_to_string(path) {
            Ok(text) => Ok(Self { stamp, ..Self::of_text(path, &text, environment, problems, sites)? }),
            Err(error) => {
                problems.push(unreadable(path, &error));
                Err(PolicyError::unread(problems, path))
            }
        }
    }

    /// Reads the text of a policy file; `path` stands for it in messages, and is empty where there is none.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub(super) fn of_text(
        path: &Path,
        text: &str,
        environment: Environment,
        mut problems: Vec<Problem>,
        sites: &[&'static Site],
    ) -> Result<Self, PolicyError> {
        let shared: Arc<Path> = path.into();
        let (file, found) = file::read(&shared, text);
        problems.extend(found);
        problems.extend(check::check(&file, text, sites));
        if !problems.is_empty() {
            return Err(PolicyError::new(problems, path, text));
        }
        let path = (!path.as_os_str().is_empty()).then_some(shared);
        Ok(Self { path, stamp: None, file, environment })
    }

    /// The environment alone has its say; the file that it names is broken, but may be mended while it is watched. `stamp`: what it looked
    /// like when it was refused for what it says; `None` where nobody could read it.
    pub(super) fn without_file(environment: Environment, stamp: Option<Stamp>) -> Self {
        let path: Option<Arc<Path>> = environment.config.as_deref().map(Arc::from);
        Self { path, stamp, file: PolicyFile::default(), environment }
    }

    /// What applies to `site`.
    pub(crate) fn policy(&self, site: &'static Site) -> Policy {
        let sources = self.sources(site);
        let mut policy = sources.merge(site);
        apply_environment(&mut policy, &self.environment, site, sources.entry);
        if fence::is_fenced(site.name()) {
            policy.fenced = Set { value: true, origin: Origin::Call("backstop::fence") };
        }
        policy
    }

    /// The longest that limits let a call of any function last; `None` without a limit.
    #[cfg(feature = "prometheus")]
    pub(crate) fn longest_call(&self) -> Option<Duration> {
        crate::site::sites().iter().filter_map(|site| longest(&self.policy(site))).max()
    }

    pub(crate) fn sources(&self, site: &'static Site) -> Sources<'_> {
        Sources { defaults: &self.file.defaults, attribute: Rules::of_attribute(site), entry: self.file.entry(site.name()) }
    }
}

/// All attempts, the turns that they wait for and the pauses between them, or the limit of them all where that comes earlier.
#[cfg(any(feature = "prometheus", test))]
pub(super) fn longest(policy: &Policy) -> Option<Duration> {
    let retry = policy.retry.value.as_ref();
    let turn = policy.rate_limit.value.as_ref().map_or(Duration::ZERO, |rule| rule.wait);
    let attempts = policy.timeout.value.map(|limit| {
        let one = limit.saturating_add(turn);
        one.saturating_mul(retry.map_or(1, |rule| rule.attempts)).saturating_add(retry.map_or(Duration::ZERO, Retry::pauses))
    });
    let longest = [attempts, policy.total.value].into_iter().flatten().min()?;
    Some(longest.saturating_add(policy.grace.value))
}

fn unreadable(path: &Path, error: &std::io::Error) -> Problem {
    Problem::new(format!("cannot read the policy file `{}`: {error}", path.display()))
}

impl PolicyFile {
    /// The one entry that applies to a function: of all that match its name, the most specific.
    pub(crate) fn entry(&self, name: &str) -> Option<&Entry> {
        self.matching(name).into_iter().max_by(|a, b| a.pattern.compare(&b.pattern))
    }

    /// Every entry that matches a function's name.
    pub(crate) fn matching(&self, name: &str) -> Vec<&Entry> {
        self.functions.iter().filter(|entry| entry.pattern.matches(name)).collect()
    }
}

#[cfg(feature = "inject")]
impl PolicySet {
    /// The faults to inject: first what the environment says, then the file.
    pub(crate) fn injections(&self) -> Vec<crate::inject::Rule> {
        let environment = self.environment.inject.as_deref().map(crate::inject::Rule::parse).and_then(Result::ok);
        environment.into_iter().flatten().chain(self.file.injections.iter().cloned()).collect()
    }
}
