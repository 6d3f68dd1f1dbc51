//! The way from counters to Prometheus' text, tested by reading that text back strictly.

use std::collections::BTreeMap;

/// The series of an exposition: name and labels as written (labels sorted), and the value.
pub(crate) type Series = BTreeMap<String, f64>;

/// Reads Prometheus' text format and insists on its rules: a `TYPE` before the first sample of a family, every family in one
/// block, no series twice, complete histograms whose buckets grow and end with the count.
pub(crate) fn parse(text: &str) -> Result<Series, String> {
    let mut types: BTreeMap<&str, &str> = BTreeMap::new();
    let mut series = Series::new();
    let mut current = "";
    for (number, line) in text.lines().enumerate() {
        let fail = |what: &str| Err(format!("line {}: {what}: {line}", number + 1));
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let Some((name, kind)) = rest.split_once(' ') else { return fail("no type") };
            if types.insert(name, kind).is_some() {
                return fail("family twice");
            }
            if kind == "counter" && !name.ends_with("_total") {
                return fail("counter without _total");
            }
            current = name;
        } else if line.is_empty() || line.starts_with("# HELP ") {
        } else if line.starts_with('#') {
            return fail("unknown comment");
        } else {
            let Some((key, value)) = line.rsplit_once(' ') else { return fail("no value") };
            let Ok(value) = value.parse::<f64>() else { return fail("not a number") };
            let key = canonical(key).ok_or_else(|| format!("line {}: labels: {line}", number + 1))?;
            let name = key.split('{').next().unwrap_or_default();
            let suffixes: &[&str] = if types.get(current) == Some(&"histogram") { &["_bucket", "_sum", "_count"] } else { &[""] };
            if !suffixes.iter().any(|suffix| name.strip_suffix(suffix) == Some(current)) {
                return fail("sample outside its family");
            }
            if series.insert(key, value).is_some() {
                return fail("series twice");
            }
        }
    }
    Ok(series)
}

/// `name{b="2",a="1"}` as `name{a="1",b="2"}`.
fn canonical(key: &str) -> Option<String> {
    let Some((name, labels)) = key.split_once('{') else { return Some(key.to_owned()) };
    let mut labels: Vec<&str> = labels.strip_suffix('}')?.split(',').collect();
    labels.sort_unstable();
    let good = |label: &&str| {
        label.split_once('=').is_some_and(|(name, value)| word(name) && value.len() > 1 && value.starts_with('"') && value.ends_with('"'))
    };
    labels.iter().all(good).then(|| format!("{name}{{{}}}", labels.join(",")))
}

fn word(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[test]
fn the_parser_refuses_what_prometheus_would_refuse() {
    assert!(parse("# TYPE a gauge\na 1\na 2\n").is_err());
    assert!(parse("a 1\n").is_err());
    assert!(parse("# TYPE a counter\na 1\n").is_err());
    assert!(parse("# TYPE a gauge\na{x=1} 1\n").is_err());
    assert!(parse("# TYPE a gauge\na{y=\"2\",x=\"1\"} 1\n").unwrap().contains_key("a{x=\"1\",y=\"2\"}"));
}

#[cfg(feature = "prometheus")]
mod exposition {
    use std::time::Duration;

    use super::{Series, parse};
    use crate::clock::Tick;
    use crate::incident::IncidentKind;
    use crate::metrics::exporter;
    use crate::metrics::flush::Flushed;
    use crate::metrics::groups::{Group, groups};
    use crate::metrics::tally::{self, Tally};
    use crate::outcome::Outcome;
    use crate::policy::Severity;
    use crate::site::{Site, Submitted};

    static IDLE: Site = Site::timeout_async("metrics_test::idle").at("m.rs", 1, 1);
    static BUSY: Site = Site::timeout_async("metrics_test::busy").at("m.rs", 2, 1);
    static TWIN: Site = Site::timeout_async("metrics_test::busy").at("m.rs", 3, 1);
    static TENSOR: Site = Site::safe_mps_op("metrics_test::tensor").at("m.rs", 4, 1);
    static LATE: Site = Site::timeout_async("metrics_test::late_recorder").at("m.rs", 5, 1);

    inventory::submit! { Submitted(&IDLE) }
    inventory::submit! { Submitted(&BUSY) }
    inventory::submit! { Submitted(&TWIN) }
    inventory::submit! { Submitted(&TENSOR) }
    inventory::submit! { Submitted(&LATE) }

    fn group(name: &str) -> &'static [Group] {
        let place = groups().iter().position(|group| group.name == name).unwrap();
        &groups()[place..=place]
    }

    fn tally(site: &'static Site) -> &'static Tally {
        tally::of(site).unwrap()
    }

    fn call(site: &'static Site, outcome: Outcome, elapsed: Duration) {
        tally(site).start(Tick::now(), 1);
        tally(site).finish(Tick::now(), outcome, elapsed);
    }

    /// What a recorder of its own shows after these flushes.
    struct Scraper {
        recorder: metrics_exporter_prometheus::PrometheusRecorder,
        flushed: Flushed,
        groups: &'static [Group],
    }

    impl Scraper {
        fn of(name: &str) -> Self {
            let recorder = exporter::builder(Some(Duration::from_secs(300))).unwrap().build_recorder();
            Self { recorder, flushed: Flushed::default(), groups: group(name) }
        }

        fn scrape(&mut self) -> Series {
            metrics::with_local_recorder(&self.recorder, || self.flushed.flush(self.groups));
            parse(&self.recorder.handle().render()).unwrap()
        }
    }

    #[test]
    fn every_series_of_a_function_that_was_never_called_is_there_at_zero() {
        let series = Scraper::of("metrics_test::idle").scrape();
        for outcome in Outcome::ALL {
            let key = format!("backstop_calls_total{{function=\"metrics_test::idle\",outcome=\"{}\"}}", outcome.as_str());
            assert_eq!(series.get(&key), Some(&0.0), "{key}");
        }
        for name in [
            "backstop_in_flight",
            "backstop_retries_total",
            "backstop_blocked_polls_total",
            "backstop_breaker_state",
            "backstop_orphans",
            "backstop_call_duration_seconds_count",
            "backstop_call_duration_seconds_sum",
        ] {
            assert_eq!(series.get(&format!("{name}{{function=\"metrics_test::idle\"}}")), Some(&0.0), "{name}");
        }
        let incident = "backstop_incidents_total{function=\"metrics_test::idle\",kind=\"limit\",severity=\"error\"}";
        assert_eq!(series.get(incident), Some(&0.0));
        assert!(series.contains_key("backstop_watchdog_lag_seconds"));
        assert!(series.contains_key("backstop_policy_generation"));
        assert!(series.contains_key("backstop_policy_reload_failed_total"));
        assert!(series.contains_key("backstop_dropped_total{what=\"notification\"}"));
        assert!(!series.keys().any(|key| key.contains("device")), "a function without a device has no device series");
    }

    #[test]
    fn two_timeouts_and_an_ok_of_functions_that_share_a_name_add_up() {
        call(&BUSY, Outcome::Timeout, Duration::from_secs(301));
        call(&TWIN, Outcome::Timeout, Duration::from_secs(300));
        call(&TWIN, Outcome::Ok, Duration::from_millis(40));
        let series = Scraper::of("metrics_test::busy").scrape();
        let get = |key: &str| series[&key.replace("FN", "function=\"metrics_test::busy\"")];
        assert_eq!(get("backstop_calls_total{FN,outcome=\"timeout\"}"), 2.0);
        assert_eq!(get("backstop_calls_total{FN,outcome=\"ok\"}"), 1.0);
        assert_eq!(get("backstop_call_duration_seconds_count{FN}"), 3.0);
        assert!((get("backstop_call_duration_seconds_sum{FN}") - 601.04).abs() < 1e-6);
        assert_eq!(get("backstop_call_duration_seconds_bucket{FN,le=\"0.025\"}"), 0.0);
        assert_eq!(get("backstop_call_duration_seconds_bucket{FN,le=\"0.05\"}"), 1.0);
        assert_eq!(get("backstop_call_duration_seconds_bucket{FN,le=\"300\"}"), 2.0);
        assert_eq!(get("backstop_call_duration_seconds_bucket{FN,le=\"600\"}"), 3.0);
        assert!(!series.contains_key("backstop_call_duration_seconds_bucket{function=\"metrics_test::busy\",le=\"1800\"}"));
    }

    #[test]
    fn a_recorder_that_is_installed_late_sees_earlier_calls() {
        let mut flushed = Flushed::default();
        call(&LATE, Outcome::Ok, Duration::from_millis(3));
        // Nobody listens yet: the facade's own recorder discards everything.
        metrics::with_local_recorder(&metrics::NoopRecorder, || flushed.flush(group("metrics_test::late_recorder")));
        let mut scraper = Scraper { flushed, ..Scraper::of("metrics_test::late_recorder") };
        let series = scraper.scrape();
        assert_eq!(series["backstop_calls_total{function=\"metrics_test::late_recorder\",outcome=\"ok\"}"], 1.0);
        assert_eq!(series["backstop_call_duration_seconds_count{function=\"metrics_test::late_recorder\"}"], 1.0);
        let again = scraper.scrape();
        assert_eq!(again["backstop_call_duration_seconds_count{function=\"metrics_test::late_recorder\"}"], 1.0);
    }

    #[test]
    fn device_fallbacks_and_incidents_have_their_labels() {
        tally(&TENSOR).device_fallback("mps", "out_of_memory");
        tally(&TENSOR).device_fallback("cuda", "poisoned");
        tally(&TENSOR).incident(IncidentKind::Device, Severity::Critical);
        let series = Scraper::of("metrics_test::tensor").scrape();
        let fallbacks = |device: &str, class: &str| {
            series
                .get(&format!("backstop_device_fallbacks_total{{class=\"{class}\",device=\"{device}\",function=\"metrics_test::tensor\"}}"))
        };
        assert_eq!(fallbacks("mps", "out_of_memory"), Some(&1.0));
        assert_eq!(fallbacks("mps", "unsupported_op"), Some(&0.0));
        assert_eq!(fallbacks("cuda", "poisoned"), Some(&1.0));
        assert_eq!((fallbacks("cuda", "out_of_memory"), fallbacks("other", "poisoned")), (Some(&0.0), None));
        assert_eq!(series["backstop_incidents_total{function=\"metrics_test::tensor\",kind=\"device\",severity=\"critical\"}"], 1.0);
        assert_eq!(series["backstop_device_route{function=\"metrics_test::tensor\"}"], 0.0);
    }

    #[test]
    fn means_of_buckets_keep_the_sum_exact_over_many_flushes() {
        static SUMMED: Site = Site::timeout_async("metrics_test::summed").at("m.rs", 6, 1);
        inventory::submit! { Submitted(&SUMMED) }
        let mut scraper = Scraper::of("metrics_test::summed");
        let mut expected = 0_u64;
        let mut last = Series::new();
        for round in 1..=50_u64 {
            for step in 0..8 {
                let nanos = 1_000_003 * round + step;
                expected += nanos;
                call(&SUMMED, Outcome::Ok, Duration::from_nanos(nanos));
            }
            last = scraper.scrape();
        }
        assert_eq!(last["backstop_call_duration_seconds_count{function=\"metrics_test::summed\"}"], 400.0);
        let sum = last["backstop_call_duration_seconds_sum{function=\"metrics_test::summed\"}"];
        // What a division leaves over is handed over with the next calls: less than 8 ns, and not 4 ns for each flush.
        assert!((sum - crate::metrics::buckets::seconds(expected)).abs() < 5e-8, "{sum}");
    }
}
