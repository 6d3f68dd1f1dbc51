//! One test for each rule by which a file is refused.

use super::*;

const FETCH_ENTRY: &str = "[functions.\"trading::api::fetch\"]\n";

/// The file is refused for one reason.
#[track_caller]
fn refused(text: &str, expected: &str) {
    assert_eq!(refusals(text), [expected]);
}

/// The same for keys of one function, which begin in line 2.
#[track_caller]
fn refused_of_fetch(keys: &str, expected: &str) {
    refused(&format!("{FETCH_ENTRY}{keys}\n"), expected);
}

fn help(text: &str) -> String {
    load(text).map(|_| ()).unwrap_err().problems()[0].help().unwrap_or_default().to_owned()
}

#[cfg(feature = "webhook")]
#[test]
fn the_example_of_the_reference_is_taken() {
    let text = include_str!("example.toml");
    #[cfg(not(feature = "inject"))]
    let text = text.split("[[inject]]").next().unwrap();
    let set = load(text).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(set.file.channels.len(), 4);
    assert_eq!(set.policy(&FETCH).escalate.value.len(), 2);
    assert_eq!(set.policy(&FETCH).concurrency.value, Some(8));
    assert_eq!(set.policy(&UPDATE).device.value.retry_device_after, Duration::from_secs(60));
}

#[test]
fn an_unknown_key_is_answered_with_the_nearest() {
    refused("[defaults]\ntimout = \"1s\"\n", "2:1 `defaults` has no key `timout`");
    assert_eq!(help("[defaults]\ntimout = \"1s\"\n"), "did you mean `timeout`?");
    refused("[function.\"a::b\"]\ntimeout = \"1s\"\n", "1:2 the file has no key `function`");
    refused_of_fetch("retry = { attempt = 3 }", "2:11 `retry` has no key `attempt`");
    assert_eq!(help("[defaults]\nquux = 1\n").split(',').next(), Some("known keys are `enabled`"));
}

#[test]
fn a_duration_needs_a_unit_and_must_be_longer_than_zero() {
    refused_of_fetch("timeout = 30", "2:11 `timeout` must be a duration, not an integer");
    refused_of_fetch("timeout = \"0s\"", "2:11 `timeout` must be longer than zero");
    assert_eq!(help(&format!("{FETCH_ENTRY}timeout = \"0s\"\n")), "write timeout = \"none\" where there is to be none");
    let parsecs = refusals(&format!("{FETCH_ENTRY}timeout = \"5 parsecs\"\n"));
    assert!(parsecs[0].starts_with("2:11 `timeout` is no duration: unknown time unit \"parsecs\""), "{parsecs:?}");
    assert!(refusals(&format!("{FETCH_ENTRY}idle = \"-5s\"\n"))[0].starts_with("2:8 `idle` is no duration"));
    refused_of_fetch("retry = { max = \"none\" }", "2:17 `max` is no duration: expected number at 0");
}

#[test]
fn a_value_has_one_type() {
    refused_of_fetch("enabled = \"yes\"", "2:11 `enabled` must be `true` or `false`, not a string");
    refused_of_fetch("concurrency = 2.5", "2:15 `concurrency` must be a whole number, not a float");
    refused_of_fetch("breaker = 3", "2:11 `breaker` must be a table, not an integer");
    refused_of_fetch("escalate = \"ops\"", "2:12 `escalate` must be an array, not a string");
    refused("defaults = 3\n", "1:12 `defaults` must be a table, not an integer");
}

#[test]
fn a_number_has_its_range() {
    refused_of_fetch("concurrency = 0", "2:15 `concurrency` must be from 1 to 1000000, not 0");
    refused_of_fetch("retry = { attempts = 0 }", "2:22 `attempts` must be from 1 to 4294967295, not 0");
    refused_of_fetch("breaker = { failures = -1 }", "2:24 `failures` must be from 1 to 10000, not -1");
    refused_of_fetch("warn_at = 1.5", "2:11 `warn_at` must be between 0 and 1, not 1.5");
    refused_of_fetch("warn_at = 0", "2:11 `warn_at` must be between 0 and 1, not 0");
}

#[test]
fn a_word_is_one_of_its_list() {
    refused_of_fetch("on_timeout = \"cancle\"", "2:14 `on_timeout` must be one of `cancel` and `warn`, not `cancle`");
    assert_eq!(help(&format!("{FETCH_ENTRY}on_timeout = \"cancle\"\n")), "did you mean `cancel`?");
    refused_of_fetch("retry = { on = [\"panic\"] }", "2:17 `on` must be one of `timeout`, `error` and `rejected`, not `panic`");
    refused_of_fetch("retry = { on = [] }", "2:16 `on` names no failure, so nothing would be tried again");
}

#[test]
fn a_step_of_an_escalation_is_whole_and_its_channels_exist() {
    refused_of_fetch("escalate = [{ after = 2 }]", "2:13 this step of `escalate` lacks `severity`");
    let text =
        format!("{FETCH_ENTRY}escalate = [{{ after = 1, severity = \"error\", notify = [\"obs\"] }}]\n[channels.ops]\nkind = \"log\"\n");
    refused(&text, "2:56 there is no channel `obs`");
    assert_eq!(help(&text), "did you mean `ops`?");
}

#[test]
fn a_step_of_an_escalation_that_can_never_decide_is_refused() {
    let expected = "2:13 this step can never decide: a later one is reached whenever it is, and the last one decides";
    refused_of_fetch("escalate = [{ after = 3, severity = \"error\" }, { after = 1, severity = \"info\" }]", expected);
    let narrower = "escalate = [{ after = 3, severity = \"error\" }, { after = 2, within = \"1m\", severity = \"critical\" }]\n";
    assert!(load(&format!("{FETCH_ENTRY}{narrower}")).is_ok());
}

#[test]
fn a_channel_has_the_keys_of_its_kind() {
    refused("[channels.ops]\nurl = \"http://x\"\n", "1:1 channel `ops` lacks `kind`");
    refused("[channels.ops]\nkind = \"pager\"\n", "2:8 `kind` must be one of `webhook`, `command`, `file` and `log`, not `pager`");
    refused("[channels.ops]\nkind = \"log\"\npath = \"x\"\n", "3:1 `ops` has no key `path`");
    refused("[channels.ops]\nkind = \"file\"\n", "1:1 channel `ops` lacks `path`");
    refused("[channels.ops]\nkind = \"command\"\ncommand = \"echo hi\"\n", "3:11 `command` must be an array of strings");
    refused("[channels.ops]\nkind = \"command\"\ncommand = []\n", "3:11 `command` names no program");
}

#[cfg(feature = "webhook")]
#[test]
fn a_webhook_needs_a_url() {
    let text = "[channels.ops]\nkind = \"webhook\"\nurl = \"localhost:9093\"\n";
    refused(text, "3:7 `url` must begin with http:// or https:// and a host, unlike `localhost:9093`");
}

#[test]
fn a_name_that_no_function_has_is_answered_with_the_nearest() {
    let text = "[functions.\"trading::api::fetsh\"]\ntimeout = \"1s\"\n";
    refused(text, "1:12 `trading::api::fetsh` matches no annotated function");
    assert_eq!(help(text), "did you mean `trading::api::fetch`?");
    let glob = "[functions.\"tradin::api::*\"]\ntimeout = \"1s\"\n";
    assert_eq!(help(glob), "did you mean `trading::api::fetch`?");
}

#[test]
fn a_name_that_is_no_pattern_is_refused() {
    refused("[functions.\"trading::\"]\n", "1:12 the function name `trading::` has an empty segment between `::`");
    refused("[functions.trading.api]\ntimeout = \"1s\"\n", "1:12 `trading` is no function's name here: the dots made tables of its parts");
}

#[test]
fn two_entries_that_are_equally_specific_for_a_function_tie() {
    let text = "[functions.\"trading::api::f*\"]\ntimeout = \"1s\"\n[functions.\"trading::api::*h\"]\ntimeout = \"2s\"\n";
    let expected = "3:12 `trading::api::*h` and `trading::api::f*` (line 1) are equally specific, and both match `trading::api::fetch`";
    refused(text, expected);
    let settled = format!("{text}{FETCH_ENTRY}timeout = \"3s\"\n");
    assert_eq!(policy(&settled, &FETCH).timeout.value, Some(Duration::from_secs(3)));
}

#[test]
fn a_key_that_no_matched_function_listens_to_has_no_effect() {
    let text = "[functions.\"trading::api::send\"]\nretry = { attempts = 3 }\n";
    refused(text, "2:1 `retry` has no effect: no attribute allows another call of `trading::api::send`");
    assert_eq!(help(text), "add `retry` to the attribute: #[timeout_async(retry)]");
    let text = "[functions.\"trading::a3c::update\"]\ntimeout = \"3s\"\n";
    refused(text, "2:1 `timeout` has no effect: #[timeout_async] is not on `trading::a3c::update`");
    let text = "[functions.\"trading::a3c::update\"]\nenabled = false\n";
    refused(text, "2:1 `enabled` has no effect: #[timeout_async] is not on `trading::a3c::update`");
    assert_eq!(help(text), "write device = { fallback = false } to switch the device fallback off");
    refused_of_fetch("device = { fallback = false }", "2:1 `device` has no effect: #[safe_mps_op] is not on `trading::api::fetch`");
    assert!(load("[functions.\"trading::**\"]\nretry = { attempts = 3 }\ndevice = { sticky_after = 2 }\n").is_ok());
}

#[test]
fn a_total_shorter_than_an_attempt_is_refused() {
    let expected = "2:1 `total` (5s) is shorter than `timeout` (10s), the limit of one attempt, for `trading::api::fetch`";
    refused_of_fetch("total = \"5s\"", expected);
    let general = "2:1 `total` (5s) is shorter than `timeout` (10s), the limit of one attempt, for `trading::api::fetch` and 2 more";
    refused("[defaults]\ntotal = \"5s\"\n", general);
}

#[test]
fn pauses_longer_than_the_total_are_refused() {
    let keys = "timeout = \"1s\"\ntotal = \"3s\"\nretry = { attempts = 4, initial = \"1s\" }";
    let expected = "4:1 the pauses between 4 attempts (7s) add up to more than `total` (3s), for `trading::api::fetch`";
    refused_of_fetch(keys, expected);
    assert!(load(&format!("{FETCH_ENTRY}total = \"1m\"\nretry = {{ attempts = 4 }}\n")).is_ok());
    let endless = "total = \"1m\"\nretry = { attempts = 4000000000 }";
    assert!(refusals(&format!("{FETCH_ENTRY}{endless}\n"))[0].contains("the pauses between 4000000000 attempts"));
}

#[test]
fn pauses_that_begin_longer_than_they_may_be_are_refused() {
    let expected = "2:1 the first pause, `initial` (9s), is longer than the longest, `max` (5s), for `trading::api::fetch`";
    refused_of_fetch("retry = { initial = \"9s\" }", expected);
}

#[test]
fn a_window_that_timeouts_cannot_fill_is_refused() {
    let keys = "breaker = { window = \"15s\" }";
    let expected = "2:1 the breaker's `window` (15s) is shorter than two attempts of `timeout` (10s): timeouts would never open it, \
                    for `trading::api::fetch`";
    refused_of_fetch(keys, expected);
    assert!(load("[functions.\"trading::api::send\"]\nbreaker = { window = \"15s\" }\n").is_ok(), "nobody wrote a limit");
}

#[test]
fn a_rate_limit_says_how_many_and_waits_no_longer_than_the_total() {
    refused_of_fetch("rate_limit = { per = \"1s\" }", "2:1 `rate_limit` lacks `permits`, for `trading::api::fetch`");
    let keys = "total = \"20s\"\nrate_limit = { permits = 1, wait = \"30s\" }";
    refused_of_fetch(keys, "3:1 `rate_limit` lets a call wait for 30s, longer than `total` (20s), for `trading::api::fetch`");
}

#[test]
fn a_silence_longer_than_the_limit_is_refused() {
    refused_of_fetch("idle = \"11s\"", "2:1 `idle` (11s) is longer than `timeout` (10s): it can never pass, for `trading::api::fetch`");
    assert!(load("[defaults]\nidle = \"11s\"\n").is_ok(), "a general value is for those whom it fits");
}

#[test]
fn a_grace_needs_a_limit_that_cancels() {
    refused_of_fetch("timeout = \"none\"\ngrace = \"1s\"", "3:1 `grace` follows a limit, but there is none, for `trading::api::fetch`");
    let expected = "3:1 `grace` is the time to tidy up before the body is dropped, but on_timeout = \"warn\" lets it run, \
                    for `trading::api::fetch`";
    refused_of_fetch("on_timeout = \"warn\"\ngrace = \"1s\"", expected);
}

#[test]
fn a_warning_after_the_limit_is_refused() {
    let expected = "2:1 `warn_at` (10s) is not before `timeout` (10s): nobody would be warned, for `trading::api::fetch`";
    refused_of_fetch("warn_at = \"10s\"", expected);
}

#[test]
fn broken_syntax_and_everything_else_are_reported_together() {
    let text = "[defaults]\ntimeout = \"1s\nidle = 3\ntotal = 5\ntotal = 6\n";
    let problems = refusals(text);
    assert!(problems[0].starts_with("2:14 this is not TOML: invalid basic string"), "{problems:?}");
    assert!(problems.iter().any(|problem| problem == "3:8 `idle` must be a duration, not an integer"), "{problems:?}");
    assert!(problems.iter().any(|problem| problem.starts_with("5:1 this is not TOML: duplicate key")), "{problems:?}");
}

#[test]
fn a_value_that_is_no_toml_is_not_also_said_to_be_of_the_wrong_type() {
    let problems = refusals("[defaults]\ntimeout =\nidle = 30 seconds\n");
    assert_eq!(problems.len(), 2, "{problems:?}");
    assert!(problems.iter().all(|problem| problem.contains("this is not TOML")), "{problems:?}");
}

#[test]
fn the_whole_message_shows_every_place() {
    let text = "[defaults]\ntimout = \"1s\"\n\n[functions.\"trading::api::fetch\"]\ntimeout = \"0s\"\n";
    let expected = "\
error: `defaults` has no key `timout`
 --> backstop.toml:2:1
  |
2 | timout = \"1s\"
  | ^^^^^^
  |
  = help: did you mean `timeout`?

error: `timeout` must be longer than zero
 --> backstop.toml:5:11
  |
5 | timeout = \"0s\"
  |           ^^^^
  |
  = help: write timeout = \"none\" where there is to be none

error: the policies were not loaded because of these 2 problems";
    assert_eq!(load(text).map(|_| ()).unwrap_err().to_string(), expected);
}

#[test]
fn the_table_of_the_watchdog_is_as_strict_as_the_others() {
    refused("[watchdog]\non_runtime_stal = \"abort\"\n", "2:1 `watchdog` has no key `on_runtime_stal`");
    refused("[watchdog]\non_runtime_stall = \"exit\"\n", "2:20 `on_runtime_stall` must be one of `report` and `abort`, not `exit`");
    refused("[watchdog]\nruntime_stalled_after = \"0s\"\n", "2:25 `runtime_stalled_after` must be longer than zero");
    let escalate = "[watchdog]\nescalate = [ { after = 1, severity = \"error\", notify = [\"opps\"] } ]\n";
    refused(escalate, "2:57 there is no channel `opps`");
}

#[test]
fn a_stall_that_never_comes_cannot_end_the_process() {
    let never = "`on_runtime_stall` is \"abort\", but with runtime_stalled_after = \"none\" no runtime is ever stalled";
    let text = "[watchdog]\nruntime_stalled_after = \"none\"\non_runtime_stall = \"abort\"\n";
    refused(text, &format!("3:1 {never}"));
    assert_eq!(help(text), "write a duration, as in runtime_stalled_after = \"30s\"");
}

#[cfg(not(feature = "inject"))]
#[test]
fn a_fault_needs_a_program_with_fault_injection() {
    let text = "[[inject]]\nfunction = \"trading::api::fetch\"\nfault = \"stall\"\n";
    refused(text, "1:3 `[[inject]]` needs a program that was built with fault injection");
}

#[cfg(feature = "inject")]
#[test]
fn a_fault_has_the_keys_of_its_kind_and_a_function_that_it_fits() {
    refused("[[inject]]\nfault = \"stall\"\n", "1:1 this `[[inject]]` lacks `function`");
    let inject = |function, keys| refusals(&format!("[[inject]]\nfunction = \"{function}\"\n{keys}\n"));
    assert_eq!(inject("trading::api::fetch", "fault = \"delay\""), ["1:1 the fault `delay` lacks `duration`"]);
    assert_eq!(inject("trading::api::fetch", "fault = \"stall\"\nduration = \"1s\""), ["4:1 the fault `stall` has no `duration`"]);
    assert_eq!(inject("trading::api::fetsh", "fault = \"stall\"")[0], "2:1 `trading::api::fetsh` matches no annotated function");
    let device = "2:1 the fault `device` has no effect: #[safe_mps_op] is not on `trading::api::fetch`";
    assert_eq!(inject("trading::api::fetch", "fault = \"device\""), [device]);
    assert!(load("[[inject]]\nfunction = \"trading::a3c::*\"\nfault = \"device\"\nprobability = 7\n").is_ok(), "clamped to always");
}

#[cfg(feature = "inject")]
#[test]
fn the_environment_injects_before_the_file() {
    let text = "[[inject]]\nfunction = \"trading::api::fetch\"\nfault = \"stall\"\n";
    let set = load_with(text, &[("BACKSTOP_INJECT", "trading::api::*=error(x)")]).unwrap();
    let rules: Vec<String> = set.injections().iter().map(ToString::to_string).collect();
    assert_eq!(rules, ["trading::api::*=error(x)", "trading::api::fetch=stall"]);
    let broken = load_with("", &[("BACKSTOP_INJECT", "trading::api::*=eror")]).map(|_| ()).unwrap_err();
    let lost = load_with("", &[("BACKSTOP_INJECT", "trading::api::fetsh=stall")]).map(|_| ()).unwrap_err();
    assert_eq!(lost.problems()[0].help(), Some("did you mean `trading::api::fetch`?"));
    assert_eq!(broken.problems()[0].message(), "BACKSTOP_INJECT: there is no fault `eror`: did you mean `error`?");
}

#[test]
fn a_broken_variable_is_reported_with_the_file() {
    let error = load_with("[defaults]\ntimeout = 3\n", &[("BACKSTOP_TIMEOUT_SCALE", "-1")]).map(|_| ()).unwrap_err();
    assert_eq!(error.problems().len(), 2);
    assert_eq!(error.problems()[0].message(), "BACKSTOP_TIMEOUT_SCALE=`-1` is not a number greater than zero");
}
