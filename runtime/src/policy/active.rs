//! The policies in force: looked up by every guarded call, swapped whole by a reload.
//!
//! A lookup is an index into a table behind an [`ArcSwap`]: no lock, no waiting. A call keeps the [`Policy`] that it started with, so a
//! reload changes no running call.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use arc_swap::ArcSwap;

use super::channel::Channel;
use super::environment::{Disable, Environment};
use super::merge::Sources;
use super::problem::PolicyError;
use super::rules::Rules;
use super::set::PolicySet;
#[cfg(feature = "tch")]
use super::settings::DevicePolicy;
use super::settings::Policy;
use super::watch::Stamp;
use super::watchdog::WatchdogPolicy;
use crate::coarse;
use crate::event::Event;
use crate::observe;
use crate::site::{Site, sites};

/// The policies in force, worked out for every function of this program.
#[derive(Debug)]
pub(crate) struct Active {
    set: PolicySet,
    generation: u64,
    /// Grows whenever something is worked out anew, by a reload or by a fence.
    edition: u64,
    /// By [`Site::id`].
    table: Box<[Arc<Policy>]>,
    watchdog: Arc<WatchdogPolicy>,
    #[cfg(feature = "inject")]
    faults: crate::inject::Plan,
}

impl Active {
    /// `before` is what was in force until now: faults that are still to be injected go on counting.
    fn new(set: PolicySet, generation: u64, sites: &[&'static Site], before: Option<&Self>) -> Self {
        #[cfg(not(feature = "inject"))]
        let _ = before;
        static EDITION: AtomicU64 = AtomicU64::new(0);
        Self {
            generation,
            edition: EDITION.fetch_add(1, Ordering::Relaxed) + 1,
            table: sites.iter().map(|site| Arc::new(set.policy(site))).collect(),
            watchdog: Arc::new(set.file.watchdog()),
            #[cfg(feature = "inject")]
            faults: crate::inject::Plan::new(set.injections(), sites, before.map(|before| &before.faults)),
            set,
        }
    }

    /// What they were worked out from.
    pub(crate) fn set(&self) -> &PolicySet {
        &self.set
    }
}

static ACTIVE: OnceLock<ArcSwap<Active>> = OnceLock::new();
static GENERATION: AtomicU64 = AtomicU64::new(0);

/// What applies to `site` now. Without an `install`, the attribute, the environment and the file that `BACKSTOP_CONFIG` names apply; they
/// are read once, at the first call.
pub(crate) fn of(site: &'static Site) -> Arc<Policy> {
    match in_force().load().table.get(site.id()) {
        Some(policy) => Arc::clone(policy),
        None => Arc::new(detached(site)),
    }
}

/// What `#[safe_mps_op]` does in a call of `site` that starts now.
#[cfg(feature = "tch")]
pub(crate) fn device(site: &'static Site) -> DevicePolicy {
    match in_force().load().table.get(site.id()) {
        Some(policy) => policy.device.value,
        None => detached(site).device.value,
    }
}

/// The same, and of which edition it is.
pub(crate) fn of_edition(site: &'static Site) -> (Arc<Policy>, u64) {
    let active = in_force().load();
    let policy = active.table.get(site.id()).map_or_else(|| Arc::new(detached(site)), Arc::clone);
    (policy, active.edition)
}

/// A site that no attribute made is in no table, and no file can name it.
fn detached(site: &'static Site) -> Policy {
    Sources { defaults: &Rules::default(), attribute: Rules::of_attribute(site), entry: None }.merge(site)
}

/// Whether fallbacks apply: for all functions, or for none where the environment switches everything off.
pub(crate) fn fallbacks_are_on() -> bool {
    in_force().load().set.environment.disable != Some(Disable::All)
}

/// What applies to the process as a whole.
pub(crate) fn watchdog() -> Arc<WatchdogPolicy> {
    Arc::clone(&in_force().load().watchdog)
}

/// Whether reports may have native stacks, as far as the environment says.
pub(crate) fn stacks_are_on() -> bool {
    in_force().load().set.environment.stacks != Some(false)
}

/// Where notifications may go, as the file in force declares it.
pub(crate) fn channels() -> Arc<[Channel]> {
    Arc::clone(&in_force().load().set.file.channels)
}

/// Another number whenever something in force may have changed.
pub(crate) fn edition() -> u64 {
    in_force().load().edition
}

/// The fault that this call of `site` is to suffer, by the environment or the file.
#[cfg(feature = "inject")]
pub(crate) fn injected(site: &'static Site) -> Option<crate::inject::Fault> {
    in_force().load().faults.draw(site)
}

/// The policy file in force; `None` without one.
pub(crate) fn path() -> Option<Arc<std::path::Path>> {
    in_force().load().set.path.clone()
}

/// Everything in force, for those who need more than one function's policy.
pub(crate) fn current() -> Arc<Active> {
    in_force().load_full()
}

/// Reads the policies of a program that installs them: from the file that `BACKSTOP_CONFIG` names, or else from `path`, or else there are none.
///
/// # Errors
/// All that is wrong with the file and the environment, in one error.
pub(crate) fn load(path: Option<&Path>) -> Result<PolicySet, PolicyError> {
    let mut environment = Environment::read();
    let problems = environment.take_problems(sites());
    PolicySet::load(environment.config.clone().as_deref().or(path), environment, problems, sites())
}

/// One at a time: the highest generation is the one that stays, and what is published beside it is its own.
static INSTALLING: Mutex<()> = Mutex::new(());

/// See [`after_each_change`].
static FOLLOWER: OnceLock<fn()> = OnceLock::new();

/// `follower`, one for the process, is called whenever other policies have come into force: for what was made under the old ones and nobody asks for any more.
pub(crate) fn after_each_change(follower: fn()) {
    let _ = FOLLOWER.set(follower);
}

/// Works out anew what is in force: something outside of policies has changed.
pub(super) fn work_out_again() {
    // Before the lock, which a beginning takes.
    let in_force = in_force();
    let installing = INSTALLING.lock().unwrap_or_else(PoisonError::into_inner);
    let before = in_force.load_full();
    put_in_force(Active::new(before.set.clone(), before.generation, sites(), Some(&*before)), &installing);
}

/// Puts `set` in force for all calls that start from now on, and says so by [`Event::PolicyLoaded`].
pub(crate) fn install(set: PolicySet) {
    let installing = INSTALLING.lock().unwrap_or_else(PoisonError::into_inner);
    let path = set.path.clone();
    let generation = GENERATION.fetch_add(1, Ordering::Relaxed) + 1;
    let notices = notices_of_the_first(&set.environment);
    let before = ACTIVE.get().map(ArcSwap::load_full);
    put_in_force(Active::new(set, generation, sites(), before.as_deref()), &installing);
    drop(installing);
    announce(&notices);
    observe::event(&Event::PolicyLoaded { generation, path: path.as_deref().and_then(|path| path.to_str()) });
    if let Some(follower) = FOLLOWER.get() {
        follower();
    }
}

/// What others look up beside the table is published after it, by whoever holds the lock.
fn put_in_force(active: Active, _installing: &MutexGuard<'_, ()>) -> &'static ArcSwap<Active> {
    let active = Arc::new(active);
    let in_force = ACTIVE.get_or_init(|| ArcSwap::new(Arc::clone(&active)));
    in_force.store(Arc::clone(&active));
    active.watchdog.publish();
    coarse::advance();
    in_force
}

fn in_force() -> &'static ArcSwap<Active> {
    match ACTIVE.get() {
        Some(in_force) => in_force,
        None => begin(),
    }
}

/// The first call of a program that installs nothing. Events follow after the table stands: who hears them may look a policy up.
#[cold]
fn begin() -> &'static ArcSwap<Active> {
    let installing = INSTALLING.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(in_force) = ACTIVE.get() {
        return in_force;
    }
    let Uninstalled { set, refused, loaded } = uninstalled(&mut Environment::read(), sites());
    let generation = if loaded { GENERATION.fetch_add(1, Ordering::Relaxed) + 1 } else { 0 };
    let (notices, path) = (notices_of_the_first(&set.environment), set.path.clone());
    let in_force = put_in_force(Active::new(set, generation, sites(), None), &installing);
    drop(installing);
    announce(&notices);
    for error in refused {
        observe::event(&Event::PolicyRefused { message: &error.to_string() });
    }
    if generation > 0 {
        observe::event(&Event::PolicyLoaded { generation, path: path.as_deref().and_then(Path::to_str) });
    }
    in_force
}

/// The policies of a program that installs none.
struct Uninstalled {
    set: PolicySet,
    /// What is wrong and therefore left out: the environment's errors, then the file's.
    refused: Vec<PolicyError>,
    /// Whether there is a file, and it is right.
    loaded: bool,
}

fn uninstalled(environment: &mut Environment, sites: &[&'static Site]) -> Uninstalled {
    let mut refused = Vec::new();
    let problems = environment.take_problems(sites);
    if !problems.is_empty() {
        refused.push(PolicyError::new(problems, Path::new(""), ""));
    }
    // Before it is read: a file that changes in between looks changed afterwards.
    let stamp = environment.config.as_deref().and_then(Stamp::of);
    match PolicySet::load(environment.config.as_deref(), environment.clone(), Vec::new(), sites) {
        Ok(set) => Uninstalled { loaded: set.path.is_some(), set, refused },
        Err(error) => {
            let set = PolicySet::without_file(environment.clone(), stamp.filter(|_| !error.unread));
            refused.push(error);
            Uninstalled { set, refused, loaded: false }
        }
    }
}

/// What the environment switches, said once in the life of a program.
fn notices_of_the_first(environment: &Environment) -> Vec<String> {
    static SAID: OnceLock<()> = OnceLock::new();
    match SAID.set(()) {
        Ok(()) => environment.notices(),
        Err(()) => Vec::new(),
    }
}

fn announce(notices: &[String]) {
    for message in notices {
        observe::event(&Event::Notice { message });
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::policy::file;
    use crate::site::Submitted;

    static SITE: Site = Site::timeout_async("policy::active::tests::site").limit(Duration::from_secs(10));
    inventory::submit! { Submitted(&SITE) }

    fn set(text: &str) -> PolicySet {
        let path: Arc<Path> = Path::new("backstop.toml").into();
        let (file, problems) = file::read(&path, text);
        assert!(problems.is_empty(), "{problems:?}");
        PolicySet { path: Some(path), file, ..PolicySet::default() }
    }

    /// The only test that installs anything: what is in force is shared by the whole process, so it speaks of its own function only.
    #[test]
    fn an_install_holds_for_calls_that_start_later() {
        let running = of(&SITE);
        assert_eq!(running.timeout.value, Some(Duration::from_secs(10)));
        let before = edition();
        install(set("[functions.\"policy::active::tests::site\"]\ntimeout = \"7s\"\n[channels.ops]\nkind = \"log\"\n"));
        assert_eq!(running.timeout.value, Some(Duration::from_secs(10)));
        assert_eq!(of(&SITE).timeout.value, Some(Duration::from_secs(7)));
        assert_eq!(&*channels()[0].name, "ops");
        assert!(edition() > before);
        let explanation = crate::explain("policy::active::tests::site").unwrap();
        assert_eq!(explanation.setting("timeout").unwrap().origin().to_string(), "backstop.toml:2");
    }

    /// Who works policies out may come second, and must not be heard of then.
    #[test]
    fn what_is_worked_out_and_not_put_in_force_is_not_published() {
        let _ = in_force();
        let never = set("[watchdog]\nruntime_stalled_after = \"77s\"\n");
        assert_eq!(Active::new(never, 0, &[], None).watchdog.runtime_stalled_after.value, Duration::from_secs(77));
        assert_ne!(crate::policy::runtime_stalled_after(), Duration::from_secs(77));
        assert_eq!(crate::policy::runtime_stalled_after(), watchdog().runtime_stalled_after.value);
    }

    #[test]
    fn a_function_that_is_not_in_the_list_gets_its_attribute() {
        static DETACHED: Site = Site::timeout_async("nowhere").limit(Duration::from_secs(3));
        assert_eq!(of(&DETACHED).timeout.value, Some(Duration::from_secs(3)));
    }

    #[test]
    fn without_an_install_what_is_wrong_is_returned_and_the_rest_applies() {
        let variable = |name: &str| match name {
            "BACKSTOP_TIMEOUT_SCALE" => Some("0".into()),
            "BACKSTOP_CONFIG" => Some("/nonexistent/backstop.toml".into()),
            "BACKSTOP_DISABLE" => Some("1".into()),
            _ => None,
        };
        let Uninstalled { set, refused, loaded } = uninstalled(&mut Environment::of(variable), &[&SITE]);
        let texts: Vec<String> = refused.iter().map(ToString::to_string).collect();
        assert_eq!((texts.len(), loaded), (2, false));
        assert!(texts[0].contains("BACKSTOP_TIMEOUT_SCALE=`0`") && texts[1].contains("/nonexistent/backstop.toml"), "{texts:?}");
        let policy = set.policy(&SITE);
        assert_eq!((policy.enabled.value, policy.timeout.value), (false, Some(Duration::from_secs(10))));
    }
}
