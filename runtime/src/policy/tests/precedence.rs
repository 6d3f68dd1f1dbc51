//! Who wins.

use super::*;
use crate::policy::origin::Origin;
use crate::policy::settings::{OnLate, Retry, RetryOn, Severity, WarnAt};
use crate::site::Kind;

const fn secs(secs: u64) -> Option<Duration> {
    Some(Duration::from_secs(secs))
}

#[test]
fn without_a_file_the_attribute_stands_over_the_built_in() {
    assert_eq!(policy("", &FETCH).timeout.value, secs(10));
    assert_eq!(policy("", &FETCH).timeout.origin.to_string(), "attribute at src/api.rs:7");
    assert_eq!(policy("", &SEND).timeout.value, secs(30));
    assert_eq!(policy("", &SEND).timeout.origin, Origin::BuiltIn);
}

#[test]
fn the_most_specific_entry_wins_over_the_attribute_and_the_attribute_over_the_defaults() {
    let text = "\
[defaults]
timeout = \"20s\"
[functions.\"trading::train::*\"]
timeout = \"10m\"
[functions.\"trading::train::epoch\"]
timeout = \"3h\"
";
    assert_eq!(policy(text, &EPOCH).timeout.value, secs(3 * 3600));
    assert_eq!(policy(text, &EPOCH).timeout.origin.to_string(), "backstop.toml:6");
    assert_eq!(policy(text, &SEND).timeout.value, secs(20));
    assert_eq!(policy(text, &FETCH).timeout.value, secs(10));
}

#[test]
fn what_an_entry_leaves_out_stays_as_it_was_and_only_one_entry_applies() {
    let text = "\
[defaults]
on_late = \"error\"
[functions.\"trading::**\"]
idle = \"1s\"
[functions.\"trading::api::fetch\"]
warn_at = \"5s\"
";
    let fetch = policy(text, &FETCH);
    assert_eq!((fetch.timeout.value, fetch.idle.value, fetch.on_late.value), (secs(10), None, OnLate::Error));
    assert_eq!(fetch.warn_at.value, Some(WarnAt::Elapsed(Duration::from_secs(5))));
    assert_eq!(policy(text, &SEND).idle.value, secs(1));
}

#[test]
fn an_idle_limit_in_the_attribute_alone_takes_the_default_limit_away() {
    assert_eq!((policy("", &MONITOR).timeout.value, policy("", &MONITOR).idle.value), (None, secs(60)));
    let text = "[functions.\"trading::main_loop::monitor\"]\ntimeout = \"2m\"\n";
    assert_eq!(policy(text, &MONITOR).timeout.value, secs(120));
}

#[test]
fn tables_are_merged_key_by_key() {
    let text = "\
[defaults]
retry = { initial = \"1s\", on = [\"rejected\"] }
[functions.\"trading::api::*\"]
retry = { jitter = false }
breaker = { failures = 2 }
";
    let expected = Retry {
        attempts: 4,
        initial: Duration::from_secs(1),
        max: Duration::from_secs(5),
        jitter: false,
        on: RetryOn { timeout: false, error: false, rejected: true },
    };
    let fetch = policy(text, &FETCH);
    assert_eq!(fetch.retry.value, Some(expected));
    assert_eq!(fetch.retry.origin.to_string(), "backstop.toml:4");
    assert_eq!(fetch.breaker.value.map(|breaker| (breaker.failures, breaker.window)), Some((2, Duration::from_secs(60))));
    assert_eq!(policy(text, &SEND).retry.value, None, "its attribute does not allow another call");
}

#[test]
fn none_takes_away_what_was_set_below() {
    let text = "\
[defaults]
total = \"5m\"
breaker = { failures = 2 }
[functions.\"trading::api::fetch\"]
timeout = \"none\"
total = \"none\"
retry = \"none\"
breaker = \"none\"
";
    let fetch = policy(text, &FETCH);
    assert_eq!((fetch.timeout.value, fetch.total.value, fetch.breaker.value), (None, None, None));
    assert_eq!(fetch.retry.value, None);
    assert!(policy(text, &SEND).breaker.value.is_some());
}

#[test]
fn both_attributes_of_a_function_listen_to_one_entry() {
    let text = "\
[functions.\"trading::train::epoch\"]
timeout = \"1h\"
device = { sticky_after = 9 }
";
    assert_eq!(policy(text, &EPOCH).timeout.value, secs(3600));
    assert_eq!(policy(text, &EPOCH_ON_DEVICE).device.value.sticky_after, 9);
    assert!(policy(text, &EPOCH_ON_DEVICE).device.value.fallback);
}

#[test]
fn a_scale_multiplies_every_limit_and_says_so() {
    let text = "\
[functions.\"trading::api::fetch\"]
idle = \"2s\"
total = \"1m\"
grace = \"1s\"
warn_at = \"5s\"
";
    let fetch = load_with(text, &[("BACKSTOP_TIMEOUT_SCALE", "2.5")]).unwrap().policy(&FETCH);
    assert_eq!((fetch.timeout.value, fetch.idle.value, fetch.total.value), (secs(25), secs(5), secs(150)));
    assert_eq!(fetch.grace.value, Duration::from_millis(2500));
    assert_eq!(fetch.warn_at.value, Some(WarnAt::Elapsed(Duration::from_millis(12_500))));
    assert_eq!(fetch.timeout.origin.to_string(), "attribute at src/api.rs:7, times 2.5 by BACKSTOP_TIMEOUT_SCALE");
    assert_eq!(fetch.blocked_after.value, Duration::from_secs(1));
}

#[test]
fn a_huge_scale_does_not_overflow_and_a_tiny_one_leaves_a_limit() {
    let timeout = |scale| load_with("", &[("BACKSTOP_TIMEOUT_SCALE", scale)]).unwrap().policy(&FETCH).timeout.value;
    assert_eq!(timeout("1e300"), Some(Duration::MAX));
    assert_eq!(timeout("1e-300"), Some(Duration::from_nanos(1)));
}

fn guarded(text: &str, disable: &str) -> Vec<&'static str> {
    let set = load_with(text, &[("BACKSTOP_DISABLE", disable)]).unwrap();
    SITES.into_iter().filter(|site| site.kind() == Kind::TimeoutAsync && set.policy(site).enabled.value).map(Site::name).collect()
}

#[test]
fn the_process_takes_the_escalation_of_the_defaults_where_it_has_none() {
    let defaults = "[defaults]\nescalate = [ { after = 1, severity = \"error\" } ]\n";
    let steps = |text: &str| load(text).unwrap().file.watchdog().escalate.value;
    assert_eq!(steps("").len(), 0);
    assert_eq!(steps(defaults)[0].severity, Severity::Error);
    assert_eq!(steps(&format!("{defaults}[watchdog]\nescalate = []\n")), []);
}

#[test]
fn the_kill_switch_leaves_what_the_file_enables_by_its_name() {
    assert!(guarded("", "1").is_empty());
    let text = "[functions.\"trading::api::fetch\"]\nenabled = true\n[functions.\"trading::**\"]\nenabled = true\n";
    assert_eq!(guarded(text, "1"), ["trading::api::fetch"]);
    assert!(guarded(text, "all").is_empty());
}

#[test]
fn device_fallbacks_stay_on_unless_everything_is_off() {
    let falls_back = |disable| load_with("", &[("BACKSTOP_DISABLE", disable)]).unwrap().policy(&UPDATE).device.value.fallback;
    assert!(falls_back("1") && !falls_back("all"));
}

#[test]
fn a_list_switches_off_what_it_names_whatever_the_file_says() {
    let text = "[functions.\"trading::api::fetch\"]\nenabled = true\n";
    assert_eq!(guarded(text, "trading::api::*,trading::train::*"), ["trading::main_loop::monitor"]);
}

#[test]
fn the_more_specific_entry_decides_whether_a_function_is_guarded() {
    let text = "[functions.\"trading::api::*\"]\nenabled = false\n[functions.\"trading::api::fetch\"]\nenabled = true\n";
    assert!(policy(text, &FETCH).enabled.value && !policy(text, &SEND).enabled.value);
    let text = "[functions.\"trading::api::*\"]\nenabled = true\n[functions.\"trading::api::fetch\"]\nenabled = false\n";
    assert!(!policy(text, &FETCH).enabled.value && policy(text, &SEND).enabled.value);
}

#[test]
fn the_longest_call_has_all_attempts_their_turns_and_pauses_or_the_limit_of_them_all() {
    use crate::policy::set::longest;
    let seconds =
        |text: &str| longest(&policy(&format!("[functions.\"trading::api::fetch\"]\n{text}\n"), &FETCH)).map(|longest| longest.as_secs());
    let retry = "timeout = \"30s\"\nretry = { attempts = 4, initial = \"1s\", max = \"2s\" }\n";
    assert_eq!(seconds("timeout = \"30s\"\nretry = \"none\""), Some(30));
    assert_eq!(seconds(retry), Some(4 * 30 + 1 + 2 + 2));
    assert_eq!(seconds(&format!("{retry}rate_limit = {{ permits = 1, wait = \"5s\" }}")), Some(4 * 35 + 5));
    assert_eq!(seconds(&format!("{retry}grace = \"3s\"\ntotal = \"1m\"")), Some(63));
    assert_eq!(seconds("timeout = \"none\"\nretry = \"none\""), None);
}
