//! Rules that hold inside one future only: tests that run at the same time do not disturb each other.

use std::sync::Arc;

use super::fault::Fault;
use super::plan::{Armed, Fits};
use super::rule::Rule;
use crate::site::{Site, sites};

tokio::task_local! {
    static CURRENT: Scope;
}

/// The rules of a [`scope`]; what takes them along into a spawned task.
#[derive(Clone, Debug)]
pub struct Scope {
    rules: Arc<[Armed]>,
    outer: Option<Box<Scope>>,
}

/// Runs `future`; guarded calls inside suffer the faults of `rules`, before those of the environment and the policy file.
///
/// Scopes may be nested, the inner one is asked first. The scope follows isolated bodies and what [`carry`](crate::carry) takes along; any
/// other task that is spawned inside does not belong to it unless it is given it by [`Scope::current`] and [`Scope::enter`]. Works under
/// any executor.
///
/// ```
/// # futures::executor::block_on(async {
/// use backstop::inject::{Fault, Rule, Scope, scope};
///
/// let rules = Rule::parse("api::fetch=1*stall")?;
/// let inside = scope(rules, async { Scope::current().is_some() }).await;
/// assert!(inside && Scope::current().is_none());
/// # Ok::<(), backstop::inject::InvalidRule>(())
/// # }).unwrap();
/// ```
pub async fn scope<F: Future>(rules: impl IntoIterator<Item = Rule>, future: F) -> F::Output {
    let rules = rules.into_iter().map(Armed::new).collect();
    let scope = Scope { rules, outer: Scope::current().map(Box::new) };
    scope.enter(future).await
}

impl Scope {
    /// The scope that the caller runs in.
    #[must_use]
    pub fn current() -> Option<Self> {
        CURRENT.try_with(Self::clone).ok()
    }

    /// Runs `future` in this scope: its counters go on.
    pub async fn enter<F: Future>(self, future: F) -> F::Output {
        // Tests use scopes, production does not.
        super::expect();
        CURRENT.scope(self, future).await
    }

    fn draw(&self, site: &Site, fits: Fits) -> Option<Fault> {
        let own = self.rules.iter().filter(|armed| armed.matches(site.name())).find_map(|armed| armed.draw(fits));
        own.or_else(|| self.outer.as_ref()?.draw(site, fits))
    }
}

/// The scope of the caller, for code of it that runs on in another task: an isolated body, a carried future.
pub(crate) struct Taken(Option<Scope>);

impl Taken {
    pub(crate) fn here() -> Self {
        Self(Scope::current())
    }

    /// Runs in that scope, if there is one.
    pub(crate) fn during<R>(&self, run: impl FnOnce() -> R) -> R {
        match &self.0 {
            Some(scope) => CURRENT.sync_scope(scope.clone(), run),
            None => run(),
        }
    }
}

/// The fault that the scope of the caller has for a call of this function.
pub(super) fn draw(site: &Site) -> Option<Fault> {
    CURRENT.try_with(|scope| scope.draw(site, Fits::of(site, sites()))).ok().flatten()
}

#[cfg(test)]
mod tests {
    use futures::executor::block_on;

    use super::*;

    static FETCH: Site = Site::timeout_async("api::fetch");
    static SEND: Site = Site::timeout_async("api::send");

    fn rules(text: &str) -> Vec<Rule> {
        Rule::parse(text).unwrap()
    }

    #[test]
    fn scopes_that_run_at_the_same_time_do_not_disturb_each_other() {
        let stalled = scope(rules("api::fetch=stall"), async { draw(&FETCH) });
        let failed = scope(rules("api::fetch=error(x)"), async { draw(&FETCH) });
        let (stalled, failed, outside) = block_on(async { tokio::join!(stalled, failed, async { draw(&FETCH) }) });
        assert_eq!((stalled, failed, outside), (Some(Fault::Stall), Some(Fault::Error("x".to_owned())), None));
    }

    #[test]
    fn the_inner_scope_is_asked_first_and_the_outer_one_next() {
        let inner = scope(rules("api::fetch=1*stall"), async { [draw(&FETCH), draw(&FETCH), draw(&SEND)] });
        let drawn = block_on(scope(rules("api::*=error(x)"), inner));
        let error = Some(Fault::Error("x".to_owned()));
        assert_eq!(drawn, [Some(Fault::Stall), error.clone(), error]);
    }

    #[test]
    fn a_scope_that_is_taken_along_goes_on_counting() {
        let taken = block_on(scope(rules("api::fetch=1*stall"), async {
            let carried = Scope::current().unwrap();
            std::thread::spawn(|| block_on(carried.enter(async { draw(&FETCH) }))).join().unwrap()
        }));
        assert_eq!(taken, Some(Fault::Stall));
    }
}
