//! What is known of a call before its first attempt, and where that runs.

use super::argument::Arguments;
use super::attempt;
use super::classify::Fault;
use super::counted::Counted;
use super::health::Route;
use super::opaque::{self, Holds};
use super::routes::{self, Routes};
use super::survey::{Survey, signature};
use super::{preflight, standing, torch};
use crate::policy::{self, DevicePolicy};
use crate::site::Site;

/// One call. Made in place and then filled there: see [`Survey`].
pub(super) struct Call {
    pub(super) site: &'static Site,
    pub(super) names: &'static [&'static str],
    pub(super) survey: Survey,
    pub(super) routes: Routes,
    /// Whether this call tries the device for others that wait.
    pub(super) probe: bool,
    /// Of the arguments as they came, where the routes asked for it.
    signature: Option<u64>,
    /// The argument that the result may borrow from, and not from a copy of it: there is one attempt, on the device.
    pub(super) bound: Option<usize>,
}

/// How a call begins.
pub(super) enum Begun {
    /// As the bare call: the fallback is switched off, or a fallback runs already.
    Plain,
    /// As the bare call: no argument shows a tensor on an accelerator.
    Unseen,
    Device,
    /// Straight to the CPU: by policy, because of earlier faults, or because of this one, which the pre-flight check foresees.
    Cpu(Option<Box<Fault>>),
    /// The device is lost; the cause.
    Lost(&'static str),
}

impl Call {
    #[inline]
    pub(super) fn new(site: &'static Site, names: &'static [&'static str]) -> Self {
        Self { site, names, survey: Survey::new(), routes: Routes::of(site), probe: false, signature: None, bound: None }
    }

    pub(super) fn begin<A: Arguments>(&mut self, arguments: &mut A, counted: &Counted) -> Begun {
        if attempt::inside_fallback() {
            return Begun::Plain;
        }
        if !self.survey.note(arguments) {
            return Begun::Unseen;
        }
        self.bound = arguments.bound();
        let special = counted.special();
        if (special.is_some() || standing::is_unusual())
            && let Some(elsewhere) = self.elsewhere(arguments, special)
        {
            return elsewhere;
        }
        if !self.copy(arguments) && self.survey.is_training() && opaque::optimizer(arguments) != Holds::Never {
            self.survey.weigh(arguments);
        }
        Begun::Device
    }

    /// Where it begins, if not on the device.
    #[cold]
    fn elsewhere<A: Arguments>(&mut self, arguments: &mut A, special: Option<DevicePolicy>) -> Option<Begun> {
        if special.is_some_and(|policy| !policy.fallback && !policy.cpu) {
            return Some(Begun::Plain);
        }
        if let Some(cause) = routes::lost() {
            return Some(Begun::Lost(cause));
        }
        if self.bound.is_none() && (self.is_chosen(special) || self.is_routed(arguments)) {
            self.copy(arguments);
            return Some(Begun::Cpu(None));
        }
        let fault = special.filter(|policy| policy.preflight).and_then(|_| self.foreseen(arguments))?;
        self.copy(arguments);
        Some(Begun::Cpu(Some(Box::new(fault))))
    }

    /// Whether everything is copied, to be put back.
    #[inline]
    fn copy<A: Arguments>(&mut self, arguments: &mut A) -> bool {
        let snapshot = self.site.settings().snapshot;
        if snapshot {
            self.survey.copy(arguments);
        }
        snapshot
    }

    fn is_chosen(&self, special: Option<DevicePolicy>) -> bool {
        let chosen = special.is_some_and(|policy| policy.cpu);
        if chosen {
            self.routes.chosen();
        }
        chosen
    }

    fn is_routed<A: Arguments>(&mut self, arguments: &A) -> bool {
        let mut of_arguments = None;
        let route = self.routes.route(|| (self.policy(), *of_arguments.insert(signature(arguments))));
        self.signature = of_arguments;
        self.probe = route == Route::Probe;
        matches!(route, Route::Cpu(_))
    }

    fn foreseen<A: Arguments>(&self, arguments: &A) -> Option<Fault> {
        preflight::check(arguments, self.survey.origin, self.names).inspect(|fault| {
            if self.bound.is_none() {
                self.remember(fault, signature(arguments));
            }
        })
    }

    /// Of the arguments: as they came, where that is known, since the body may have changed them.
    pub(super) fn signature<A: Arguments>(&self, arguments: &A) -> u64 {
        self.signature.unwrap_or_else(|| signature(arguments))
    }

    fn policy(&self) -> DevicePolicy {
        policy::device(self.site)
    }

    pub(super) fn device(&self) -> String {
        torch::label(self.survey.origin)
    }

    /// What a fault says about the next call.
    pub(super) fn remember(&self, fault: &Fault, signature: u64) {
        self.routes.failed(fault.class, signature, &self.policy());
        if self.probe {
            self.routes.inconclusive(signature);
        }
    }
}
