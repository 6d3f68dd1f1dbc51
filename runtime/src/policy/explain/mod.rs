//! Says what applies to a function, who set it, and who was overruled.

mod show;

use std::error::Error;
use std::fmt;

use show::Show;

use super::active;
use super::merge::Sources;
use super::nearest::nearest;
use super::origin::{Origin, Set};
use super::rules::{Rules, Said};
use super::set::{Entry, PolicySet};
use super::settings::Policy;
use super::watchdog::WatchdogPolicy;
use crate::site::{Kind, Site, sites};

/// The order in which the layers of a guarded call run, from the outside in.
const LAYERS: &str = "fallback ( total ( retry ( breaker ( rate limit ( attempt limit ( bulkhead ( injection ( body ))))))))";

/// The name by which [`explain`] knows what applies to the process as a whole.
const WATCHDOG: &str = "[watchdog]";

/// Says what applies now to the function of this name, who set it, and who was overruled. Print it.
///
/// `explain("[watchdog]")` says what applies to the process as a whole.
///
/// # Errors
/// Where no annotated function has this name; the error has the nearest one.
///
/// ```no_run
/// match backstop::explain("trading::api::fetch_quotes") {
///     Ok(explanation) => println!("{explanation}"),
///     Err(unknown) => eprintln!("{unknown}"),
/// }
/// ```
pub fn explain(name: &str) -> Result<Explanation, UnknownFunction> {
    active::current().set().explain(name, sites())
}

/// What applies to one function. Printed, it is a table.
#[derive(Clone, Debug)]
pub struct Explanation {
    functions: Vec<Explained>,
}

/// What applies by one attribute: a function may carry both. Or what applies to the process as a whole.
#[derive(Clone, Debug)]
struct Explained {
    /// The function, its attribute and where it stands.
    heading: String,
    /// Whether a call of it passes layers.
    layered: bool,
    settings: Vec<Setting>,
    entry: Option<String>,
    /// Entries that match, but less specifically.
    passed_over: Vec<String>,
}

/// One setting: its value in force, and what else was said.
#[derive(Clone, Debug)]
pub struct Setting {
    key: &'static str,
    value: String,
    origin: Origin,
    overruled: Vec<(String, Origin)>,
}

impl Setting {
    /// The key in the policy file.
    #[must_use]
    pub fn key(&self) -> &'static str {
        self.key
    }

    /// The value in force, as the policy file would spell it.
    #[must_use]
    pub fn value(&self) -> &str {
        &self.value
    }

    /// Who set it; for a table of several keys, who set one of them last.
    #[must_use]
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// What others said, with lower precedence: the next lower first.
    pub fn overruled(&self) -> impl Iterator<Item = (&str, &Origin)> {
        self.overruled.iter().map(|(value, origin)| (&**value, origin))
    }
}

impl Explanation {
    /// Every setting that the function's attributes listen to.
    pub fn settings(&self) -> impl Iterator<Item = &Setting> {
        self.functions.iter().flat_map(|function| &function.settings)
    }

    /// One setting.
    #[must_use]
    pub fn setting(&self, key: &str) -> Option<&Setting> {
        self.settings().find(|setting| setting.key == key)
    }
}

impl PolicySet {
    pub(super) fn explain(&self, name: &str, sites: &[&'static Site]) -> Result<Explanation, UnknownFunction> {
        if name == WATCHDOG {
            return Ok(Explanation { functions: vec![self.explained_watchdog()] });
        }
        let functions: Vec<Explained> = sites.iter().filter(|site| site.name() == name).map(|site| self.explained(site)).collect();
        if functions.is_empty() {
            return Err(UnknownFunction::new(name, sites));
        }
        Ok(Explanation { functions })
    }

    fn explained(&self, site: &'static Site) -> Explained {
        let sources = self.sources(site);
        let applied = sources.entry.map(|entry| entry.span.clone());
        let others = self.file.matching(site.name()).into_iter().filter(|entry| Some(&entry.span) != applied.as_ref());
        let attribute = match site.kind() {
            Kind::TimeoutAsync => "timeout_async",
            Kind::SafeMpsOp => "safe_mps_op",
        };
        Explained {
            heading: format!("{}: #[{attribute}] at {}:{}", site.name(), site.file(), site.line()),
            layered: site.kind() == Kind::TimeoutAsync,
            settings: settings(&self.policy(site), &sources, site.kind()),
            entry: sources.entry.map(placed),
            passed_over: others.map(placed).collect(),
        }
    }

    fn explained_watchdog(&self) -> Explained {
        let (policy, base) = (self.file.watchdog(), WatchdogPolicy::built_in());
        let settings = vec![
            over("runtime_stalled_after", &policy.runtime_stalled_after, &base.runtime_stalled_after, []),
            over("on_runtime_stall", &policy.on_runtime_stall, &base.on_runtime_stall, []),
            over("escalate", &policy.escalate, &base.escalate, self.file.defaults.escalate.as_ref()),
        ];
        Explained { heading: format!("{WATCHDOG}: the process as a whole"), layered: false, settings, entry: None, passed_over: Vec::new() }
    }
}

/// A setting, and those that it overrules, the lowest first: the built-in value, and what others said.
fn over<'a, T: Show + 'a>(key: &'static str, set: &Set<T>, base: &'a Set<T>, others: impl IntoIterator<Item = &'a Set<T>>) -> Setting {
    let all = [base].into_iter().chain(others).map(|set| (set.value.show(), set.origin.clone()));
    let mut overruled: Vec<(String, Origin)> = all.filter(|(_, origin)| *origin != set.origin).collect();
    overruled.reverse();
    Setting { key, value: set.value.show(), origin: set.origin.clone(), overruled }
}

fn placed(entry: &Entry) -> String {
    format!("[functions.\"{}\"] at {}", entry.pattern, entry.origin)
}

fn settings(policy: &Policy, sources: &Sources<'_>, kind: Kind) -> Vec<Setting> {
    let base = Policy::built_in();
    let row = Rows { sources };
    let mut rows = Vec::new();
    match kind {
        Kind::TimeoutAsync => rows.extend(timing(policy, &base, &row)),
        Kind::SafeMpsOp => rows.push(row.of("device", &policy.device, &base.device, |rules| &rules.device)),
    }
    rows.push(row.of("escalate", &policy.escalate, &base.escalate, |rules| &rules.escalate));
    rows
}

fn timing(policy: &Policy, base: &Policy, row: &Rows<'_>) -> [Setting; 15] {
    [
        row.of("enabled", &policy.enabled, &base.enabled, |rules| &rules.enabled),
        row.of("fenced", &policy.fenced, &base.fenced, |rules| &rules.fenced),
        row.of("timeout", &policy.timeout, &base.timeout, |rules| &rules.timeout),
        row.of("idle", &policy.idle, &base.idle, |rules| &rules.idle),
        row.of("total", &policy.total, &base.total, |rules| &rules.total),
        row.of("warn_at", &policy.warn_at, &base.warn_at, |rules| &rules.warn_at),
        row.of("grace", &policy.grace, &base.grace, |rules| &rules.grace),
        row.of("on_timeout", &policy.on_timeout, &base.on_timeout, |rules| &rules.on_timeout),
        row.of("on_late", &policy.on_late, &base.on_late, |rules| &rules.on_late),
        row.of("inherit", &policy.inherit, &base.inherit, |rules| &rules.inherit),
        row.of("blocked_after", &policy.blocked_after, &base.blocked_after, |rules| &rules.blocked_after),
        row.of("retry", &policy.retry, &base.retry, |rules| &rules.retry),
        row.of("breaker", &policy.breaker, &base.breaker, |rules| &rules.breaker),
        row.of("rate_limit", &policy.rate_limit, &base.rate_limit, |rules| &rules.rate_limit),
        row.of("concurrency", &policy.concurrency, &base.concurrency, |rules| &rules.concurrency),
    ]
}

struct Rows<'a> {
    sources: &'a Sources<'a>,
}

impl Rows<'_> {
    fn of<T: Show, P: Show>(&self, key: &'static str, set: &Set<T>, base: &Set<T>, said: impl Fn(&Rules) -> &Said<P>) -> Setting {
        let shown = self.sources.ascending().filter_map(|rules| said(rules).as_ref()).map(|set| (set.value.show(), set.origin.clone()));
        let all = [(base.value.show(), base.origin.clone())].into_iter().chain(shown);
        let mut overruled: Vec<(String, Origin)> = all.filter(|(_, origin)| *origin != set.origin).collect();
        overruled.reverse();
        Setting { key, value: set.value.show(), origin: set.origin.clone(), overruled }
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.functions.iter().try_for_each(|function| function.fmt(f))
    }
}

impl fmt::Display for Explained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.heading)?;
        if self.layered {
            writeln!(f, "  {LAYERS}")?;
        }
        if let Some(entry) = &self.entry {
            writeln!(f, "  {entry} applies")?;
        }
        for entry in &self.passed_over {
            writeln!(f, "  {entry} matches too, but is less specific: nothing of it applies")?;
        }
        let width = self.settings.iter().map(|setting| setting.key.len()).max().unwrap_or_default();
        self.settings.iter().try_for_each(|setting| setting.write(f, width))
    }
}

impl Setting {
    fn write(&self, f: &mut fmt::Formatter<'_>, width: usize) -> fmt::Result {
        writeln!(f, "  {:width$}  {}  by {}", self.key, self.value, self.origin)?;
        for (value, origin) in &self.overruled {
            writeln!(f, "  {:width$}    over {value}  by {origin}", "")?;
        }
        Ok(())
    }
}

/// No annotated function has this name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownFunction {
    name: String,
    nearest: Option<&'static str>,
}

impl UnknownFunction {
    pub(super) fn new(name: &str, sites: &[&'static Site]) -> Self {
        Self { name: name.to_owned(), nearest: nearest(name, sites.iter().map(|site| site.name())) }
    }

    /// The annotated function whose name is nearest.
    #[must_use]
    pub fn nearest(&self) -> Option<&'static str> {
        self.nearest
    }
}

impl fmt::Display for UnknownFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "there is no annotated function `{}`", self.name)?;
        match self.nearest {
            Some(nearest) => write!(f, "; did you mean `{nearest}`?"),
            None => Ok(()),
        }
    }
}

impl Error for UnknownFunction {}
