//! Rules that contradict each other: found for each function, in what the file, the attribute and the defaults make together.

use std::collections::BTreeMap;

use super::{line_of, line_span, shown};
use crate::policy::merge::Sources;
use crate::policy::origin::Origin;
use crate::policy::problem::Problem;
use crate::policy::rules::{Rules, Said};
use crate::policy::set::{Entry, PolicyFile};
use crate::policy::settings::{OnTimeout, Policy, WarnAt};
use crate::site::{Kind, Site};

/// One contradiction. `line` is the one to change: of two that disagree, the later one.
struct Contradiction {
    line: usize,
    rule: &'static str,
    message: String,
    help: String,
}

/// What one function gets, and from whom.
struct Subject<'a> {
    policy: Policy,
    entry: Option<&'a Entry>,
}

/// All contradictions; one that a glob or the defaults cause for many functions is reported once.
pub(super) fn contradictions(file: &PolicyFile, text: &str, sites: &[&'static Site]) -> Vec<Problem> {
    let mut found: BTreeMap<(usize, &'static str), (Problem, usize)> = BTreeMap::new();
    for site in sites.iter().filter(|site| site.kind() == Kind::TimeoutAsync) {
        for Contradiction { line, rule, message, help } in of_site(file, site) {
            let more = found.entry((line, rule)).or_insert_with(|| {
                let span = line_span(text, &Origin::File { path: std::path::Path::new("").into(), line });
                (Problem::at(span, format!("{message}, for `{}`", site.name())).help(help), 0)
            });
            more.1 += 1;
        }
    }
    found.into_values().map(|(problem, functions)| with_count(problem, functions)).collect()
}

fn with_count(problem: Problem, functions: usize) -> Problem {
    match functions {
        1 => problem,
        _ => Problem { message: format!("{} and {} more", problem.message, functions - 1), ..problem },
    }
}

fn of_site(file: &PolicyFile, site: &'static Site) -> Vec<Contradiction> {
    let entry = file.entry(site.name());
    let sources = Sources { defaults: &file.defaults, attribute: Rules::of_attribute(site), entry };
    let subject = Subject { policy: sources.merge(site), entry };
    let rules: [fn(&Subject<'_>) -> Option<Contradiction>; 10] = [
        total_below_timeout,
        pauses_above_total,
        pauses_out_of_order,
        window_below_two_attempts,
        permits_missing,
        wait_above_total,
        idle_above_timeout,
        grace_without_limit,
        grace_without_cancel,
        warning_after_limit,
    ];
    rules.iter().filter_map(|rule| rule(&subject)).collect()
}

fn total_below_timeout(subject: &Subject<'_>) -> Option<Contradiction> {
    let Policy { total, timeout, .. } = &subject.policy;
    let (Some(whole), Some(attempt)) = (total.value, timeout.value) else { return None };
    let line = later([&total.origin, &timeout.origin])?;
    (whole < attempt).then(|| Contradiction {
        line,
        rule: "total",
        message: format!("`total` ({}) is shorter than `timeout` ({}), the limit of one attempt", shown(whole), shown(attempt)),
        help: "raise `total`, or lower `timeout`".to_owned(),
    })
}

fn pauses_above_total(subject: &Subject<'_>) -> Option<Contradiction> {
    let Policy { total, retry, .. } = &subject.policy;
    let (Some(whole), Some(rule)) = (total.value, &retry.value) else { return None };
    let line = line_of(&retry.origin)?;
    let pauses = rule.pauses();
    (pauses > whole).then(|| Contradiction {
        line: line.max(line_of(&total.origin).unwrap_or_default()),
        rule: "pauses",
        message: format!(
            "the pauses between {} attempts ({}) add up to more than `total` ({})",
            rule.attempts,
            shown(pauses),
            shown(whole)
        ),
        help: "lower `attempts`, `initial` or `max`, or raise `total`".to_owned(),
    })
}

fn pauses_out_of_order(subject: &Subject<'_>) -> Option<Contradiction> {
    let retry = &subject.policy.retry;
    let rule = retry.value.as_ref()?;
    let line = line_of(&retry.origin)?;
    (rule.initial > rule.max).then(|| Contradiction {
        line,
        rule: "order",
        message: format!("the first pause, `initial` ({}), is longer than the longest, `max` ({})", shown(rule.initial), shown(rule.max)),
        help: "raise `max`, or lower `initial`".to_owned(),
    })
}

fn window_below_two_attempts(subject: &Subject<'_>) -> Option<Contradiction> {
    let Policy { breaker, timeout, .. } = &subject.policy;
    let (Some(rule), Some(attempt)) = (breaker.value, timeout.value) else { return None };
    let written = subject.entry.and_then(|entry| entry.rules.breaker.as_ref()?.value.as_ref()?.window).is_some();
    if !written || timeout.origin == Origin::BuiltIn {
        return None;
    }
    let line = later([&breaker.origin, &timeout.origin])?;
    (rule.window < attempt.saturating_mul(2)).then(|| Contradiction {
        line,
        rule: "window",
        message: format!(
            "the breaker's `window` ({}) is shorter than two attempts of `timeout` ({}): timeouts would never open it",
            shown(rule.window),
            shown(attempt)
        ),
        help: format!("raise `window` to at least {}", shown(attempt.saturating_mul(2))),
    })
}

fn permits_missing(subject: &Subject<'_>) -> Option<Contradiction> {
    let rate = &subject.policy.rate_limit;
    let line = line_of(&rate.origin)?;
    (rate.value?.permits == 0).then(|| Contradiction {
        line,
        rule: "permits",
        message: "`rate_limit` lacks `permits`".to_owned(),
        help: "write how many calls may start, as in rate_limit = { permits = 10, per = \"1s\" }".to_owned(),
    })
}

fn wait_above_total(subject: &Subject<'_>) -> Option<Contradiction> {
    let Policy { rate_limit, total, .. } = &subject.policy;
    let (Some(rate), Some(whole)) = (rate_limit.value, total.value) else { return None };
    let line = later([&rate_limit.origin, &total.origin])?;
    (rate.wait > whole).then(|| Contradiction {
        line,
        rule: "wait",
        message: format!("`rate_limit` lets a call wait for {}, longer than `total` ({})", shown(rate.wait), shown(whole)),
        help: "lower `wait`, or raise `total`".to_owned(),
    })
}

/// Only where the function's own entry says one of the two: a general `idle` in `[defaults]` is for the functions that it fits.
fn idle_above_timeout(subject: &Subject<'_>) -> Option<Contradiction> {
    let Policy { idle, timeout, .. } = &subject.policy;
    let (Some(silence), Some(attempt)) = (idle.value, timeout.value) else { return None };
    let line = subject.own(|rules| &rules.idle).max(subject.own(|rules| &rules.timeout))?;
    (silence > attempt).then(|| Contradiction {
        line,
        rule: "idle",
        message: format!("`idle` ({}) is longer than `timeout` ({}): it can never pass", shown(silence), shown(attempt)),
        help: "lower `idle`; for a loop that never ends write timeout = \"none\"".to_owned(),
    })
}

fn grace_without_limit(subject: &Subject<'_>) -> Option<Contradiction> {
    let Policy { grace, timeout, idle, total, .. } = &subject.policy;
    let line = subject.own(|rules| &rules.grace)?;
    let limited = timeout.value.or(idle.value).or(total.value).is_some();
    (!limited && !grace.value.is_zero()).then(|| Contradiction {
        line,
        rule: "grace",
        message: "`grace` follows a limit, but there is none".to_owned(),
        help: "set `timeout`, `idle` or `total`, or remove `grace`".to_owned(),
    })
}

fn grace_without_cancel(subject: &Subject<'_>) -> Option<Contradiction> {
    let Policy { grace, on_timeout, .. } = &subject.policy;
    let line = subject.own(|rules| &rules.grace).max(subject.own(|rules| &rules.on_timeout))?;
    (on_timeout.value == OnTimeout::Warn && !grace.value.is_zero()).then(|| Contradiction {
        line,
        rule: "warn",
        message: "`grace` is the time to tidy up before the body is dropped, but on_timeout = \"warn\" lets it run".to_owned(),
        help: "remove `grace`, or write on_timeout = \"cancel\"".to_owned(),
    })
}

fn warning_after_limit(subject: &Subject<'_>) -> Option<Contradiction> {
    let Policy { warn_at, timeout, .. } = &subject.policy;
    let (Some(WarnAt::Elapsed(elapsed)), Some(attempt)) = (warn_at.value, timeout.value) else { return None };
    let line = subject.own(|rules| &rules.warn_at).max(subject.own(|rules| &rules.timeout))?;
    (elapsed >= attempt).then(|| Contradiction {
        line,
        rule: "warn_at",
        message: format!("`warn_at` ({}) is not before `timeout` ({}): nobody would be warned", shown(elapsed), shown(attempt)),
        help: "write a fraction of the limit, as in warn_at = 0.8".to_owned(),
    })
}

impl Subject<'_> {
    /// The line of a key that the function's own entry writes.
    fn own<T>(&self, said: impl Fn(&Rules) -> &Said<T>) -> Option<usize> {
        line_of(&said(&self.entry?.rules).as_ref()?.origin)
    }
}

/// The later line of those that the file says.
fn later(origins: [&Origin; 2]) -> Option<usize> {
    origins.into_iter().filter_map(line_of).max()
}
