//! `[[inject]]`: one fault each.

use std::time::Duration;

use super::reader::{Reader, Table, Value};
use crate::inject::{Fault, Rule};
use crate::policy::glob::Pattern;
use crate::policy::problem::Problem;

/// Reads all `[[inject]]` tables.
pub(super) fn rules(reader: &mut Reader<'_>, value: &Value<'_>) -> Vec<Rule> {
    let Some(tables) = value.get_ref().as_array() else {
        reader.report(Problem::at(value.span(), "`inject` must be an array of tables").help("write [[inject]] with two brackets"));
        return Vec::new();
    };
    tables.iter().filter_map(|table| rule(reader, table)).collect()
}

fn rule(reader: &mut Reader<'_>, value: &Value<'_>) -> Option<Rule> {
    let table = reader.table("inject", value)?;
    reader.only(&table, &["function", "fault", "probability", "count", "seed", "duration", "message"]);
    let function = required(reader, &table, value, "function").and_then(|()| reader.value(&table, "function", pattern));
    let fault = required(reader, &table, value, "fault").and_then(|()| fault(reader, &table, value));
    let probability = reader.value(&table, "probability", probability);
    let count = reader.value(&table, "count", Reader::count);
    let seed = reader.value(&table, "seed", seed);
    let rule = Rule::of(function?, fault?).probability(probability.unwrap_or(1.0));
    let rule = count.into_iter().fold(rule, |rule, count| rule.count(count.into()));
    let rule = seed.into_iter().fold(rule, Rule::seed);
    let (name, _) = table.get("function")?;
    Some(rule.written_at(reader.origin(&name.span())))
}

fn pattern(reader: &mut Reader<'_>, key: &str, value: &Value<'_>) -> Option<Pattern> {
    let text = reader.text(key, value)?;
    Pattern::parse(&text).map_err(|reason| reader.report(Problem::at(value.span(), format!("the function name `{text}` {reason}")))).ok()
}

/// What `fault` names, with the keys that this fault needs.
fn fault(reader: &mut Reader<'_>, table: &Table<'_>, value: &Value<'_>) -> Option<Fault> {
    let words = ["delay", "stall", "block", "panic", "error", "device"].map(|word| (word, word));
    let word = reader.value(table, "fault", |reader, key, value| reader.word(key, value, &words))?;
    let timed = matches!(word, "delay" | "block");
    let worded = matches!(word, "panic" | "error" | "device");
    for (key, fits) in [("duration", timed), ("message", worded)] {
        if let Some((key, _)) = table.get(key).filter(|_| !fits) {
            reader.report(Problem::at(key.span(), format!("the fault `{word}` has no `{}`", key.get_ref())));
        }
    }
    let duration = if timed { length(reader, table, value, word)? } else { Duration::ZERO };
    let message = reader.value(table, "message", Reader::text);
    Fault::of(word, duration, message)
}

fn length(reader: &mut Reader<'_>, table: &Table<'_>, value: &Value<'_>, word: &str) -> Option<Duration> {
    if table.get("duration").is_none() {
        reader.report(
            Problem::at(value.span(), format!("the fault `{word}` lacks `duration`")).help("write how long, as in duration = \"200ms\""),
        );
    }
    reader.value(table, "duration", Reader::duration)
}

/// Values outside of 0 to 1 are no mistake that could do harm: they mean never and always.
fn probability(reader: &mut Reader<'_>, key: &str, value: &Value<'_>) -> Option<f64> {
    match reader.number(key, value)? {
        number if number.is_nan() => reader.refuse(value, format!("`{key}` must be a number from 0 to 1")),
        number => Some(number),
    }
}

fn seed(reader: &mut Reader<'_>, key: &str, value: &Value<'_>) -> Option<u64> {
    let Some(number) = value.get_ref().as_integer() else {
        return reader.wrong(key, value, "a whole number");
    };
    match u64::from_str_radix(number.as_str(), number.radix()) {
        Ok(seed) => Some(seed),
        Err(_) => reader.refuse(value, format!("`{key}` must be from 0 to {}, not {number}", u64::MAX)),
    }
}

fn required(reader: &mut Reader<'_>, table: &Table<'_>, value: &Value<'_>, key: &str) -> Option<()> {
    if table.get(key).is_some() {
        return Some(());
    }
    reader.refuse(value, format!("this `[[inject]]` lacks `{key}`"))
}
