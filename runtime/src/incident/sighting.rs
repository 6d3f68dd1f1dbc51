//! What the watchdog saw, in a fixed size: written while a stuck thread may hold the heap, and made a [`Finding`] by whoever may wait for it.

use std::sync::Arc;
use std::time::Duration;

use super::also::Also;
use super::{Awaited, Finding, IncidentId, IncidentKind};
use crate::clock::Tick;
use crate::flight::runtime::Runtime;
use crate::flight::{Beat, CallId, Left, Plan, Roll, Terms, Tree, View};
use crate::host::{self, Cause, Suspect, Weighed};
use crate::site::Site;
use crate::text::{Name, Text};

/// What becomes of a sighting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Occasion {
    /// Something new is wrong.
    First,
    /// The same again, while it lasts.
    Again,
    /// The host is to blame: it is told and counted, and not reported.
    HeldBack,
}

/// How the finder puts it in words.
pub(crate) type Words = fn(&Sighting) -> Finding;

/// See the module.
pub(crate) struct Sighting {
    pub(crate) id: IncidentId,
    pub(crate) words: Words,
    pub(crate) kind: IncidentKind,
    pub(crate) site: Option<&'static Site>,
    pub(crate) at: Tick,
    pub(crate) elapsed: Duration,
    pub(crate) call: Option<(CallId, View)>,
    pub(crate) plan: Option<&'static Plan>,
    /// Of a call that does not simply run under its plan.
    pub(crate) terms: Option<Arc<Terms>>,
    /// Of its caller, likewise.
    pub(crate) caller: Option<Arc<Terms>>,
    /// What the call said last.
    pub(crate) said: Text<200>,
    /// The thread that it is about, by number; 0 for none.
    pub(crate) thread: u32,
    pub(crate) name: Name,
    /// Whether that thread's stack says where.
    pub(crate) held: bool,
    pub(crate) awaited: Option<Arc<Awaited>>,
    /// The running calls, and whether all of them are shown.
    pub(crate) roll: Option<(Arc<Roll>, bool)>,
    pub(crate) runtime: Option<Arc<Runtime>>,
    pub(crate) weighed: Option<Weighed>,
    /// The work that has outlived its caller.
    pub(crate) left: Option<Left>,
    /// Why the watchdog was late, and how often.
    pub(crate) late: Option<(Cause, u32)>,
    pub(crate) also: Also,
}

impl Sighting {
    /// A sighting of the process, with nothing but the kind and the time.
    pub(crate) fn process(words: Words, kind: IncidentKind, at: Tick, elapsed: Duration) -> Self {
        Self {
            id: IncidentId(0),
            words,
            kind,
            site: None,
            at,
            elapsed,
            call: None,
            plan: None,
            terms: None,
            caller: None,
            said: Text::EMPTY,
            thread: 0,
            name: Name::EMPTY,
            held: false,
            awaited: None,
            roll: None,
            runtime: None,
            weighed: None,
            left: None,
            late: None,
            also: Also::default(),
        }
    }

    /// Judges it, against this limit: whether it is held back.
    pub(crate) fn weigh(&mut self, limit: Duration) -> bool {
        let suspect = Suspect { since: self.at.before(self.elapsed), until: self.at, limit: Some(limit), threads: &[self.thread] };
        self.weighed = Some(host::weigh(&suspect));
        self.is_excused()
    }

    /// Whether it was judged, and is held back.
    pub(crate) fn is_excused(&self) -> bool {
        self.kind.can_be_excused() && self.weighed.as_ref().is_some_and(Weighed::holds_back)
    }

    /// What it is about, in a word.
    pub(crate) fn subject(&self) -> &'static str {
        self.site.map(Site::name).or_else(|| Some(self.runtime.as_ref()?.name())).unwrap_or_default()
    }

    /// In words. Takes the heap.
    pub(super) fn finding(self) -> Finding {
        let mut finding = Finding { tree: self.tree(), ..(self.words)(&self) };
        (finding.repeats, finding.also) = (self.also.count(), self.also.named().collect());
        finding.verdict = finding.verdict.or(self.weighed.map(Weighed::verdict));
        finding.threads = self.awaited.or(finding.threads);
        finding
    }

    fn tree(&self) -> Option<Tree> {
        let (roll, whole) = self.roll.as_ref()?;
        let (call, view) = self.call.as_ref()?;
        let known = (self.thread, self.name.as_str());
        let mut tree = if *whole { roll.tree(known) } else { roll.path(*call, known) };
        if let Some(node) = tree.calls.iter_mut().find(|node| node.id == call.number())
            && !self.said.as_str().is_empty()
        {
            let ago = self.at.since(view.beat);
            node.beat = Some(Beat { ago, progress: Some(self.said.as_str().to_owned()) });
        }
        Some(tree)
    }
}
