//! The environment's say: read in one place, once, into a value that pure functions are given.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;

use super::glob::Pattern;
use super::nearest::nearest;
use super::problem::Problem;
use crate::site::Site;

/// The file whose policies apply.
pub(crate) const CONFIG: &str = "BACKSTOP_CONFIG";
/// Switches guards off.
pub(crate) const DISABLE: &str = "BACKSTOP_DISABLE";
/// Multiplies every limit.
pub(crate) const TIMEOUT_SCALE: &str = "BACKSTOP_TIMEOUT_SCALE";
/// Faults to inject.
pub(crate) const INJECT: &str = "BACKSTOP_INJECT";

/// Switches native stacks off.
pub(crate) const STACKS: &str = "BACKSTOP_STACKS";

/// What the environment says.
#[derive(Clone, Debug, Default)]
pub(crate) struct Environment {
    pub(crate) disable: Option<Disable>,
    pub(crate) scale: Option<Scale>,
    pub(crate) config: Option<PathBuf>,
    pub(crate) inject: Option<String>,
    pub(crate) stacks: Option<bool>,
    /// What cannot be understood; such a variable has no effect.
    pub(crate) problems: Vec<Problem>,
}

/// What `BACKSTOP_DISABLE` switches off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Disable {
    /// `1`: every guard, except on functions that the file enables by their exact name. Fallbacks stay.
    Guards,
    /// `all`: every guard and every fallback.
    All,
    /// A list: the guards of these functions.
    Listed(Vec<Pattern>),
}

/// What `BACKSTOP_TIMEOUT_SCALE` says.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Scale {
    /// Greater than zero.
    pub(crate) factor: f64,
    /// As it was written.
    pub(crate) text: Arc<str>,
}

impl Environment {
    /// The environment of this process.
    pub(crate) fn read() -> Self {
        Self::of(|name| std::env::var_os(name))
    }

    /// What the variables say that `get` finds. An empty variable says nothing.
    pub(crate) fn of(get: impl Fn(&str) -> Option<OsString>) -> Self {
        let mut environment = Self { config: get(CONFIG).filter(|path| !path.is_empty()).map(PathBuf::from), ..Self::default() };
        let mut text = |name: &str| match get(name)?.into_string() {
            Ok(text) => Some(text.trim().to_owned()).filter(|text| !text.is_empty()),
            Err(_) => {
                environment.problems.push(Problem::new(format!("{name} is not valid UTF-8")));
                None
            }
        };
        let (disable, scale, inject, stacks) = (text(DISABLE), text(TIMEOUT_SCALE), text(INJECT), text(STACKS));
        environment.inject = inject;
        environment.disable = disable.and_then(|text| environment.ask(Disable::parse(&text)).flatten());
        environment.stacks = stacks.and_then(|text| environment.ask(on_or_off(&text)));
        environment.scale = scale.and_then(|text| environment.ask(Scale::parse(&text)));
        environment
    }

    fn ask<T>(&mut self, parsed: Result<T, Problem>) -> Option<T> {
        parsed.map_err(|problem| self.problems.push(problem)).ok()
    }

    /// Takes out what is wrong: variables that cannot be understood, which have no effect, and globs that switch nothing off.
    pub(crate) fn take_problems(&mut self, sites: &[&'static Site]) -> Vec<Problem> {
        let mut problems = std::mem::take(&mut self.problems);
        if let Some(Disable::Listed(patterns)) = &mut self.disable {
            let lost = patterns.extract_if(.., |pattern| is_lost(pattern, sites));
            problems.extend(lost.map(|pattern| unmatched(DISABLE, &pattern, sites)));
            self.disable = self.disable.take_if(|disable| *disable != Disable::Listed(Vec::new()));
        }
        #[cfg(feature = "inject")]
        problems.extend(self.take_injection_problems(sites));
        problems
    }

    #[cfg(feature = "inject")]
    fn take_injection_problems(&mut self, sites: &[&'static Site]) -> Vec<Problem> {
        match self.inject.as_deref().map(crate::inject::Rule::parse) {
            None => Vec::new(),
            Some(Err(problem)) => {
                self.inject = None;
                vec![Problem::new(format!("{INJECT}: {problem}"))]
            }
            Some(Ok(rules)) => {
                let patterns = rules.iter().map(crate::inject::Rule::function);
                let lost: Vec<_> = patterns.filter(|pattern| is_lost(pattern, sites)).collect();
                if lost.len() == rules.len() {
                    self.inject = None;
                }
                lost.into_iter().map(|pattern| unmatched(INJECT, pattern, sites)).collect()
            }
        }
    }

    /// One sentence for each variable that changes what guards do. To be asked for once the [problems](Self::take_problems) are taken out.
    pub(crate) fn notices(&self) -> Vec<String> {
        let disable = self.disable.as_ref().map(|disable| match disable {
            Disable::Guards => format!("{DISABLE}=1: every guard is off, fallbacks stay on"),
            Disable::All => format!("{DISABLE}=all: every guard and every fallback is off"),
            Disable::Listed(patterns) => {
                let names: Vec<&str> = patterns.iter().map(Pattern::as_str).collect();
                format!("{DISABLE}: the guards of {} are off", names.join(", "))
            }
        });
        let scale = self.scale.as_ref().map(|scale| format!("{TIMEOUT_SCALE}={}: every limit is multiplied by it", scale.text));
        let inject = self.inject.as_ref().map(|rules| {
            if cfg!(feature = "inject") {
                format!("{INJECT}={rules}: faults are injected")
            } else {
                format!("{INJECT} has no effect: this program was built without the feature `inject` of backstop")
            }
        });
        let stacks = (self.stacks == Some(false)).then(|| format!("{STACKS}=0: reports are without native stacks"));
        [disable, scale, inject, stacks].into_iter().flatten().collect()
    }
}

fn on_or_off(text: &str) -> Result<bool, Problem> {
    match text.to_ascii_lowercase().as_str() {
        "0" | "false" | "off" | "no" => Ok(false),
        "1" | "true" | "on" | "yes" => Ok(true),
        _ => Err(Problem::new(format!("{STACKS}=`{text}` is neither on nor off")).help("write `0` for reports without native stacks")),
    }
}

impl Disable {
    fn parse(text: &str) -> Result<Option<Self>, Problem> {
        match text.to_ascii_lowercase().as_str() {
            "0" | "false" | "off" | "no" => Ok(None),
            "1" | "true" | "on" | "yes" => Ok(Some(Self::Guards)),
            "all" => Ok(Some(Self::All)),
            _ => Self::parse_list(text).map(Some),
        }
    }

    fn parse_list(text: &str) -> Result<Self, Problem> {
        let patterns: Result<Vec<_>, _> = text.split(',').map(|glob| (glob.trim(), Pattern::parse(glob.trim()))).map(named).collect();
        patterns.map(Self::Listed)
    }
}

fn named((glob, parsed): (&str, Result<Pattern, String>)) -> Result<Pattern, Problem> {
    parsed.map_err(|reason| {
        Problem::new(format!("{DISABLE}: `{glob}` {reason}"))
            .help("write `1`, `all`, or names and globs with commas between them, as in `api::fetch,train::*`")
    })
}

impl Scale {
    fn parse(text: &str) -> Result<Self, Problem> {
        match text.parse::<f64>() {
            Ok(factor) if factor > 0.0 && factor.is_finite() => Ok(Self { factor, text: text.into() }),
            _ => Err(Problem::new(format!("{TIMEOUT_SCALE}=`{text}` is not a number greater than zero"))
                .help("write a factor for every limit, as in `3` or `0.5`")),
        }
    }
}

/// Whether a pattern matches no function. A build with its attributes switched off has none, which is nobody's mistake.
fn is_lost(pattern: &Pattern, sites: &[&'static Site]) -> bool {
    !cfg!(feature = "disable-decorators") && !sites.iter().any(|site| pattern.matches(site.name()))
}

fn unmatched(variable: &str, pattern: &Pattern, sites: &[&'static Site]) -> Problem {
    let problem = Problem::new(format!("{variable}: `{pattern}` matches no annotated function"));
    match nearest(pattern.as_str(), sites.iter().map(|site| site.name())) {
        Some(name) => problem.help(format!("did you mean `{name}`?")),
        None => problem,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(variables: &[(&str, &str)]) -> Environment {
        Environment::of(|name| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| value.into()))
    }

    #[test]
    fn an_empty_environment_says_nothing() {
        let empty = environment(&[("BACKSTOP_DISABLE", ""), ("BACKSTOP_TIMEOUT_SCALE", " "), ("BACKSTOP_CONFIG", "")]);
        assert_eq!((empty.disable.is_none(), empty.scale.is_none(), empty.config.is_none()), (true, true, true));
        assert!(empty.problems.is_empty() && empty.notices().is_empty());
    }

    #[test]
    fn disable_is_one_all_off_or_a_list() {
        let disable = |text| environment(&[("BACKSTOP_DISABLE", text)]).disable;
        assert_eq!(disable("1"), Some(Disable::Guards));
        assert_eq!(disable("ALL"), Some(Disable::All));
        assert_eq!(disable("0"), None);
        let Some(Disable::Listed(patterns)) = disable("api::fetch, train::*") else { panic!("no list") };
        assert_eq!(patterns.iter().map(Pattern::as_str).collect::<Vec<_>>(), ["api::fetch", "train::*"]);
    }

    #[test]
    fn a_scale_must_be_a_positive_number() {
        for text in ["0", "-1", "nan", "inf", "twice"] {
            let environment = environment(&[("BACKSTOP_TIMEOUT_SCALE", text)]);
            assert!(environment.scale.is_none(), "{text}");
            assert!(environment.problems[0].message.contains(text), "{:?}", environment.problems);
        }
        assert_eq!(environment(&[("BACKSTOP_TIMEOUT_SCALE", "2.5")]).scale.unwrap().factor, 2.5);
    }

    #[test]
    fn a_list_that_switches_nothing_off_is_a_problem_with_a_suggestion() {
        static SITE: Site = Site::timeout_async("api::fetch");
        let problems = environment(&[("BACKSTOP_DISABLE", "api::fetsh")]).take_problems(&[&SITE]);
        assert!(problems[0].message.contains("`api::fetsh` matches no annotated function"));
        assert_eq!(problems[0].help.as_deref(), Some("did you mean `api::fetch`?"));
    }

    #[test]
    fn a_switch_that_is_refused_has_no_sentence() {
        static SITE: Site = Site::timeout_async("api::fetch");
        let mut switched = environment(&[("BACKSTOP_DISABLE", "api::nothing"), ("BACKSTOP_INJECT", "api::nothing=stall")]);
        assert_eq!(switched.take_problems(&[&SITE]).len(), if cfg!(feature = "inject") { 2 } else { 1 });
        assert_eq!(switched.disable, None);
        let said = switched.notices();
        assert!(said.iter().all(|said| said.contains("has no effect")), "{said:?}");
    }

    #[test]
    fn native_stacks_are_switched_off_by_a_word_that_is_understood() {
        assert_eq!(environment(&[("BACKSTOP_STACKS", "off")]).stacks, Some(false));
        assert_eq!(environment(&[]).stacks, None);
        assert!(environment(&[("BACKSTOP_STACKS", "some")]).problems[0].message.contains("`some` is neither on nor off"));
    }

    #[test]
    fn every_switch_has_a_sentence_for_the_start() {
        let switched = environment(&[("BACKSTOP_DISABLE", "1"), ("BACKSTOP_TIMEOUT_SCALE", "3"), ("BACKSTOP_STACKS", "0")]);
        assert_eq!(switched.notices().len(), 3);
        assert!(switched.notices()[0].starts_with("BACKSTOP_DISABLE=1"));
    }
}
