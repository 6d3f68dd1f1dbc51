//! The grammar of `BACKSTOP_INJECT`.
//!
//! ```text
//! rules  = item *( ";" item )
//! item   = rule | "seed=" number
//! rule   = name "=" step *( "->" step )
//! step   = [ percent "%" ] [ count "*" ] fault [ "(" argument ")" ]
//! fault  = "delay" | "stall" | "block" | "panic" | "error" | "device" | "off"
//! ```

use std::fmt;
use std::time::Duration;

use super::fault::Fault;
use super::rule::{InvalidRule, Rule, Step};
use crate::policy::{Pattern, nearest};

const FAULTS: [&str; 7] = ["delay", "stall", "block", "panic", "error", "device", "off"];

/// A seed holds for the rules behind it.
pub(super) fn rules(text: &str) -> Result<Vec<Rule>, InvalidRule> {
    let mut rules = Vec::new();
    let mut seed = 0;
    for item in text.split(';').map(str::trim).filter(|item| !item.is_empty()) {
        match item.strip_prefix("seed=") {
            Some(number) => seed = whole(number).ok_or_else(|| InvalidRule(format!("`{item}` is no seed: write a whole number")))?,
            None => rules.push(rule(item)?.seed(seed)),
        }
    }
    Ok(rules)
}

fn rule(text: &str) -> Result<Rule, InvalidRule> {
    let Some((name, steps)) = text.split_once('=') else {
        return Err(InvalidRule(format!("`{text}` lacks `=`: write `function=fault`, as in `api::fetch=5%stall`")));
    };
    let function = Pattern::parse(name.trim()).map_err(|reason| InvalidRule(format!("the function name `{name}` {reason}")))?;
    let steps: Result<Vec<Step>, InvalidRule> = steps.split("->").map(|text| step(text.trim())).collect();
    Ok(Rule::of_steps(function, steps?))
}

fn step(text: &str) -> Result<Step, InvalidRule> {
    // A percent sign or a star inside the argument is text.
    let (head, argument) = text.split_once('(').map_or((text, None), |(head, argument)| (head, Some(argument)));
    let (percent, head) = head.split_once('%').map_or((None, head), |(percent, rest)| (Some(percent), rest));
    let (count, name) = head.split_once('*').map_or((None, head), |(count, rest)| (Some(count), rest));
    let argument = argument.map(|argument| closed(argument, text)).transpose()?;
    Ok(Step {
        probability: percent.map_or(Ok(1.0), probability)?,
        count: count.map(times).transpose()?,
        fault: fault(name.trim(), argument)?,
    })
}

fn closed<'a>(argument: &'a str, step: &str) -> Result<&'a str, InvalidRule> {
    argument.strip_suffix(')').ok_or_else(|| InvalidRule(format!("`{step}` lacks its closing parenthesis")))
}

fn probability(percent: &str) -> Result<f64, InvalidRule> {
    match percent.trim().parse::<f64>() {
        Ok(percent) if !percent.is_nan() => Ok((percent / 100.0).clamp(0.0, 1.0)),
        _ => Err(InvalidRule(format!("`{percent}%` is no probability: write a number from 0 to 100 before the `%`"))),
    }
}

fn times(count: &str) -> Result<u64, InvalidRule> {
    whole(count).ok_or_else(|| InvalidRule(format!("`{count}*` is no count: write a whole number before the `*`")))
}

fn whole(number: &str) -> Option<u64> {
    number.trim().parse().ok()
}

fn fault(name: &str, argument: Option<&str>) -> Result<Option<Fault>, InvalidRule> {
    match (name, argument) {
        ("delay" | "block", None) => Err(InvalidRule(format!("`{name}` lacks its duration: write `{name}(200ms)`"))),
        ("delay" | "block", Some(argument)) => Ok(Fault::of(name, duration(argument)?, None)),
        ("panic" | "error" | "device", message) => Ok(Fault::of(name, Duration::ZERO, message.map(str::to_owned))),
        ("stall" | "off", Some(_)) => Err(InvalidRule(format!("`{name}` takes no argument"))),
        ("stall", None) => Ok(Some(Fault::Stall)),
        ("off", None) => Ok(None),
        _ => Err(unknown(name)),
    }
}

fn unknown(name: &str) -> InvalidRule {
    let known = FAULTS.join(", ");
    match nearest(name, FAULTS) {
        Some(nearest) => InvalidRule(format!("there is no fault `{name}`: did you mean `{nearest}`?")),
        None => InvalidRule(format!("there is no fault `{name}`: write one of {known}")),
    }
}

fn duration(text: &str) -> Result<Duration, InvalidRule> {
    humantime::parse_duration(text.trim())
        .map_err(|error| InvalidRule(format!("`{text}` is no duration: {error}; write `200ms` or `1.5s`")))
}

/// The inverse of [`step`].
pub(super) fn write_step(f: &mut fmt::Formatter<'_>, step: &Step) -> fmt::Result {
    if step.probability < 1.0 {
        write!(f, "{}%", step.probability * 100.0)?;
    }
    if let Some(count) = step.count {
        write!(f, "{count}*")?;
    }
    match &step.fault {
        None => f.write_str("off"),
        Some(fault @ (Fault::Delay(duration) | Fault::Block(duration))) => {
            write!(f, "{}({})", fault.name(), humantime::format_duration(*duration))
        }
        Some(Fault::Stall) => f.write_str("stall"),
        Some(fault @ (Fault::Panic(text) | Fault::Error(text) | Fault::Device(text))) => write!(f, "{}({text})", fault.name()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_read_step_by_step() {
        let rules = rules("api::fetch=5%3*delay(200ms)->2*error(no quote)->off; train::*=stall").unwrap();
        let [fetch, train] = &rules[..] else { panic!("{rules:?}") };
        assert_eq!(
            fetch.steps(),
            [
                Step { probability: 0.05, count: Some(3), fault: Some(Fault::Delay(Duration::from_millis(200))) },
                Step { probability: 1.0, count: Some(2), fault: Some(Fault::Error("no quote".to_owned())) },
                Step::always(None),
            ]
        );
        assert_eq!(train.function().as_str(), "train::*");
        assert_eq!(train.steps(), [Step::always(Some(Fault::Stall))]);
    }

    #[test]
    fn what_is_printed_is_read_back() {
        for text in ["a::b=50%3*delay(200ms)->off", "a=stall", "a=block(1s)", "a=error(100% of * it)", "**=2*panic(x)"] {
            let rules = rules(text).unwrap();
            assert_eq!(rules[0].to_string(), text);
        }
    }

    #[test]
    fn a_seed_holds_for_the_rules_behind_it() {
        let seeds = |text| rules(text).unwrap().iter().map(Rule::seed_of).collect::<Vec<_>>();
        assert_eq!(seeds("a=stall; seed=7; b=stall; c=stall; seed=8; d=stall"), [0, 7, 7, 8]);
    }

    #[test]
    fn what_cannot_be_read_is_named_with_what_to_write() {
        let expected = [
            ("api::fetch", "lacks `=`"),
            ("api::fetch=stal", "did you mean `stall`?"),
            ("api::fetch=delay", "write `delay(200ms)`"),
            ("api::fetch=delay(5 parsecs)", "is no duration"),
            ("api::fetch=delay(1s", "closing parenthesis"),
            ("api::fetch=x%stall", "is no probability"),
            ("api::fetch=-1*stall", "is no count"),
            ("seed=often;a=stall", "is no seed"),
            ("api::=stall", "empty segment"),
            ("api::fetch=stall(1s)", "takes no argument"),
        ];
        for (text, part) in expected {
            let error = rules(text).unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
