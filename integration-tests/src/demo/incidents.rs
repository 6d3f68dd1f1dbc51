//! Shows incidents as they happen: the head of each report and the calls that were running.

use std::time::Duration;

use backstop::Incident;

use super::screen::Screen;

/// How often it looks for new ones.
const EVERY: Duration = Duration::from_millis(200);

/// Shows each new incident, until it is dropped.
pub(super) async fn show(screen: Screen) {
    let mut seen = 0;
    loop {
        tokio::time::sleep(EVERY).await;
        for incident in backstop::incidents() {
            if incident.id.get() > seen {
                seen = incident.id.get();
                screen.block(&headline(&incident));
            }
        }
    }
}

/// The first two paragraphs of the report, what is wrong and what was running, and where the rest lies.
fn headline(incident: &Incident) -> String {
    let report = incident.to_string();
    let mut lines: Vec<&str> = report.split("\n\n").take(2).flat_map(str::lines).collect();
    let place = incident.report.as_ref().map(|path| format!("  report   {}", path.display()));
    lines.extend(place.as_deref());
    lines.iter().map(|line| format!("  | {line}\n")).collect()
}
