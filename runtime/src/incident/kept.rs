//! The last incidents, in memory.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{Incident, IncidentId};

const KEPT: usize = 64;

/// Locked by the reporter's thread and by those who ask; never on a guarded path.
static LAST: Mutex<VecDeque<Incident>> = Mutex::new(VecDeque::new());

/// The last 64 incidents of this process, oldest first.
///
/// An incident is here as soon as its report is made, a few milliseconds after it was found;
/// [`Incident::repeats`] grows until its second is over.
///
/// # Examples
///
/// ```
/// for incident in backstop::incidents() {
///     eprintln!("{incident}");
/// }
/// ```
#[must_use]
pub fn incidents() -> Vec<Incident> {
    lock().iter().cloned().collect()
}

/// The incident of this number, where it is still kept.
pub(super) fn find(id: IncidentId) -> Option<Incident> {
    lock().iter().rev().find(|incident| incident.id == id).cloned()
}

/// The incidents whose threads somebody still looks at.
pub(super) fn incomplete() -> Vec<Incident> {
    lock().iter().filter(|incident| incident.is_incomplete()).cloned().collect()
}

/// Keeps an incident, in place of its earlier state or of the oldest one.
pub(super) fn keep(incident: &Incident) {
    let mut last = lock();
    if let Some(earlier) = last.iter_mut().rev().find(|earlier| earlier.id == incident.id) {
        *earlier = incident.clone();
        return;
    }
    if last.len() == KEPT {
        last.pop_front();
    }
    last.push_back(incident.clone());
}

fn lock() -> MutexGuard<'static, VecDeque<Incident>> {
    LAST.lock().unwrap_or_else(PoisonError::into_inner)
}
