//! `[watchdog]`: what applies to the process as a whole.

use super::reader::{Reader, Value};
use super::rules::{escalate, none_is_never};
use crate::policy::watchdog::{OnRuntimeStall, WatchdogRules};

/// Every key of the table.
pub(in crate::policy) const KEYS: &[&str] = &["runtime_stalled_after", "on_runtime_stall", "escalate"];

pub(super) fn watchdog(reader: &mut Reader<'_>, value: &Value<'_>) -> Option<WatchdogRules> {
    let table = reader.table("watchdog", value)?;
    reader.only(&table, KEYS);
    Some(WatchdogRules {
        runtime_stalled_after: reader.field(&table, "runtime_stalled_after", none_is_never),
        on_runtime_stall: reader.field(&table, "on_runtime_stall", |reader, key, value| {
            reader.word(key, value, &[("report", OnRuntimeStall::Report), ("abort", OnRuntimeStall::Abort)])
        }),
        escalate: reader.field(&table, "escalate", escalate),
    })
}
