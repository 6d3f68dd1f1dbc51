//! What `explain` prints.

use super::*;

#[test]
fn it_names_the_winner_and_those_who_were_overruled() {
    let text = "\
[defaults]
timeout = \"20s\"
[functions.\"trading::api::fetch\"]
timeout = \"5s\"
retry = { initial = \"1s\" }
[functions.\"trading::**\"]
idle = \"1s\"
";
    let explanation = load(text).unwrap().explain("trading::api::fetch", &SITES).unwrap();
    let expected = "\
trading::api::fetch: #[timeout_async] at src/api.rs:7
  fallback ( total ( retry ( breaker ( rate limit ( attempt limit ( bulkhead ( injection ( body ))))))))
  [functions.\"trading::api::fetch\"] at backstop.toml:3 applies
  [functions.\"trading::**\"] at backstop.toml:6 matches too, but is less specific: nothing of it applies
  enabled        true  by default
  fenced         false  by default
  timeout        5s  by backstop.toml:4
                   over 10s  by attribute at src/api.rs:7
                   over 20s  by backstop.toml:2
                   over 30s  by default
  idle           none  by default
  total          none  by default
  warn_at        0.8  by default
  grace          none  by default
  on_timeout     cancel  by default
  on_late        value  by default
  inherit        true  by default
  blocked_after  1s  by default
  retry          { attempts = 4, initial = 1s, max = 5s, jitter = true, on = [timeout, error] }  by backstop.toml:5
                   over { attempts = 4 }  by attribute at src/api.rs:7
                   over none  by default
  breaker        none  by default
  rate_limit     none  by default
  concurrency    none  by default
  escalate       []  by default
";
    assert_eq!(explanation.to_string(), expected);
}

#[test]
fn the_process_as_a_whole_is_explained_by_the_name_of_its_table() {
    let text = "[defaults]\nescalate = [ { after = 1, severity = \"error\" } ]\n[watchdog]\nruntime_stalled_after = \"none\"\n";
    let explanation = load(text).unwrap().explain("[watchdog]", &SITES).unwrap();
    let expected = "\
[watchdog]: the process as a whole
  runtime_stalled_after  none  by backstop.toml:4
                           over 5s  by default
  on_runtime_stall       report  by default
  escalate               [{ after = 1, severity = error }]  by backstop.toml:2
                           over []  by default
";
    assert_eq!(explanation.to_string(), expected);
}

#[test]
fn a_function_with_both_attributes_is_explained_twice_over() {
    let explanation = load("").unwrap().explain("trading::train::epoch", &SITES).unwrap();
    assert!(explanation.setting("timeout").is_some() && explanation.setting("device").is_some());
    let text = explanation.to_string();
    assert!(text.contains("#[timeout_async] at src/train.rs:5") && text.contains("#[safe_mps_op] at src/train.rs:5"), "{text}");
}

#[test]
fn the_environment_is_named_where_it_decides() {
    let set = load_with("", &[("BACKSTOP_DISABLE", "1"), ("BACKSTOP_TIMEOUT_SCALE", "3")]).unwrap();
    let explanation = set.explain("trading::api::fetch", &SITES).unwrap();
    let enabled = explanation.setting("enabled").unwrap();
    assert_eq!((enabled.value(), enabled.origin().to_string()), ("false", "BACKSTOP_DISABLE".to_owned()));
    let timeout = explanation.setting("timeout").unwrap();
    assert_eq!((timeout.value(), timeout.overruled().next().unwrap().0), ("30s", "10s"));
}

#[test]
fn a_name_that_is_not_known_is_answered_with_the_nearest() {
    let unknown = load("").unwrap().explain("trading::api::fetsh", &SITES).unwrap_err();
    assert_eq!(unknown.nearest(), Some("trading::api::fetch"));
    assert_eq!(unknown.to_string(), "there is no annotated function `trading::api::fetsh`; did you mean `trading::api::fetch`?");
}
