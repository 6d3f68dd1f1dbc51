//! Code or host: the verdict on a finding.

use super::{Finding, IncidentKind};
use crate::event::Event;
use crate::host::{self, Suspect, Verdict};
use crate::metrics::process;
use crate::observe;

/// Judges a finding, unless its finder has; whether it is held back, which is told and counted here.
pub(super) fn holds_back(finding: &mut Finding) -> bool {
    let verdict = finding.verdict.take().unwrap_or_else(|| verdict_on(finding));
    let held = finding.kind.can_be_excused() && verdict.holds_back();
    if held {
        tell(finding, &verdict);
    }
    finding.verdict = Some(verdict);
    held
}

/// Tells and counts a finding that is held back.
pub(super) fn tell(finding: &Finding, verdict: &Verdict) {
    observe::event(&Event::HeldBack { site: finding.site, kind: finding.kind.as_str(), because: &verdict.because });
    (0..finding.repeats).for_each(|_| process::drop_one("finding"));
}

/// Judges a finding.
pub(super) fn verdict_on(finding: &Finding) -> Verdict {
    match finding.kind {
        IncidentKind::Panicked => Verdict::of_the_code("a panic is the program's own"),
        IncidentKind::Orphan => Verdict::of_the_code("a body that does not await cannot be ended"),
        IncidentKind::Device => Verdict::unknown("the device, its driver, or what was asked of them"),
        _ if finding.paused_clock => Verdict::unknown("tokio's clock is paused"),
        _ => host::judge(&Suspect {
            since: finding.since,
            until: finding.at,
            limit: finding.limit.as_ref().map(|(limit, _)| *limit),
            threads: &[finding.polled_by],
        }),
    }
}
