//! The decisions of one call, in the order in which they fall.

use std::any::Any;
use std::panic::{panic_any, resume_unwind};

use super::argument::{self, Arguments, Lent};
use super::attempt::{self, Ended};
use super::classify::{self, Class, Fault};
use super::health::Route;
use super::migrate::{Seen, SeenMut};
use super::moving::{Exchange, Migration};
use super::result::{Errors, Tensors};
use super::snapshot::{self, Change, Survey};
use super::torch::{self, Device, TchError};
use super::{Returns, opaque, preflight, routes};
use crate::event::Event;
use crate::observe;
use crate::policy::{self, DevicePolicy};
use crate::site::Site;

/// What is known of a call before its first attempt.
pub(super) struct Call {
    site: &'static Site,
    names: &'static [&'static str],
    policy: DevicePolicy,
    survey: Survey,
    probe: bool,
    /// The argument that the result may borrow from, and not from a copy of it: there is one attempt, on the device.
    bound: Option<usize>,
}

/// How a call begins.
pub(super) enum Begun {
    /// As the bare call: the fallback is switched off, or a fallback runs already.
    Plain,
    /// As the bare call: no argument shows a tensor on an accelerator.
    Unseen,
    Device(Call),
    /// Straight to the CPU: by policy, because of earlier faults, or because of this one, which the pre-flight check foresees.
    Cpu(Call, Option<Fault>),
    /// The device is lost; the cause.
    Lost(&'static str),
}

/// What follows the first attempt.
pub(super) enum Judged<R> {
    Done(R),
    Again(Failure<R>),
}

/// A first attempt that failed by a device fault.
pub(super) struct Failure<R> {
    result: std::thread::Result<R>,
    fault: Fault,
    /// Of the arguments as they were on the device, where what the fault says about later calls is still to be remembered.
    signature: Option<u64>,
}

impl<R> Failure<R> {
    /// As if the body had failed by this fault.
    pub(super) fn foreseen<E: Errors<R>>(errors: E, fault: Fault) -> Self {
        let result = errors.fail(fault.reason.clone()).map_err(|text| Box::new(unwrapped(&text)) as Box<dyn Any + Send>);
        Self { result, fault, signature: None }
    }
}

impl Call {
    pub(super) fn begin<A: Arguments>(site: &'static Site, names: &'static [&'static str], arguments: &mut A) -> Begun {
        if attempt::inside_fallback() {
            return Begun::Plain;
        }
        let Some(origin) = snapshot::origin(arguments) else { return Begun::Unseen };
        let policy = policy::of(site).device.value;
        if !policy.fallback && !policy.cpu {
            return Begun::Plain;
        }
        if let Some(cause) = routes::lost() {
            return Begun::Lost(cause);
        }
        let bound = arguments.bound();
        let (probe, routed) = match policy.cpu {
            _ if bound.is_some() => (false, false),
            true => (false, true),
            false => match routes::route(site, &policy, || Survey::signature(arguments)) {
                Route::Device => (false, false),
                Route::Probe => (true, false),
                Route::Cpu(_) => (false, true),
            },
        };
        let foreseen = if routed || !policy.preflight { None } else { preflight::check(arguments, origin, names) };
        let on_cpu = routed || foreseen.is_some();
        let survey = Survey::new(arguments, origin, site.settings().snapshot && !on_cpu);
        let call = Self { site, names, policy, survey, probe, bound };
        if let Some(fault) = foreseen.as_ref().filter(|_| bound.is_none()) {
            call.remember(fault, Survey::signature(arguments));
        }
        if on_cpu { Begun::Cpu(call, foreseen) } else { Begun::Device(call) }
    }

    fn device(&self) -> String {
        torch::label(self.survey.origin)
    }

    /// What a fault says about the next call.
    fn remember(&self, fault: &Fault, signature: u64) {
        routes::failed(self.site, fault.class, signature, &self.policy);
        if self.probe {
            routes::inconclusive(self.site, signature);
        }
    }

    /// Decides whether the first attempt is the last.
    pub(super) fn judge<A, R, E>(&self, errors: E, ended: Ended<R>, arguments: &mut A) -> Judged<R>
    where
        A: Arguments,
        E: Errors<R>,
    {
        if ended.result.is_err() {
            unlock_stores(arguments);
        }
        let fault = match &ended.result {
            Ok(returned) => errors.fault(returned),
            Err(panic) => classify::of_panic(&**panic),
        };
        let Some(fault) = fault else {
            self.device_answered(errors, &ended.result, arguments);
            return Judged::Done(ended.value());
        };
        let signature = Survey::signature(arguments);
        let objection = self.objection(errors, &ended, &fault, arguments);
        let remembered = self.bound.is_none() && (self.probe || objection.is_some());
        if remembered {
            self.remember(&fault, signature);
        }
        match objection {
            None => Judged::Again(Failure { result: ended.result, fault, signature: (!remembered).then_some(signature) }),
            Some(why) => Judged::Done(self.refuse(errors, ended.result, &fault, &why)),
        }
    }

    /// The CPU did what the device could not. Only that is a reason to send later calls there: where the CPU fails too, say because an
    /// argument hides its tensors, the device is the better place to fail, with its own error.
    fn cpu_answered<R>(&self, first: &Failure<R>) {
        first.signature.iter().for_each(|signature| self.remember(&first.fault, *signature));
    }

    fn device_answered<A: Arguments, R, E: Errors<R>>(&self, errors: E, result: &std::thread::Result<R>, arguments: &A) {
        let worked = result.as_ref().is_ok_and(|returned| errors.error(returned).is_none());
        if worked {
            routes::succeeded(self.site, || Survey::signature(arguments));
        } else if self.probe {
            routes::inconclusive(self.site, Survey::signature(arguments));
        }
    }

    /// Why a second attempt would be wrong; `None`: it is right, and everything is as it was before the first.
    fn objection<A, R, E>(&self, errors: E, ended: &Ended<R>, fault: &Fault, arguments: &mut A) -> Option<String>
    where
        A: Arguments,
        E: Errors<R>,
    {
        if fault.class == Class::Poisoned || (fault.class == Class::LibraryError && !torch::answers(self.survey.origin)) {
            routes::lose(&fault.reason);
            return Some(format!("{} is lost for this process: restart the program", self.device()));
        }
        if !fault.retry {
            return Some("a fault of this class says nothing about the CPU".to_owned());
        }
        if ended.stepped || stepped_in_frames(errors, &ended.result) {
            let restored = self.survey.restore(arguments);
            let weights = if self.survey.is_copied() && restored.is_ok() { "; the weights are as before the call" } else { "" };
            return Some(format!(
                "the optimizer's step was under way, and its moments may be half updated{weights}: step outside of this function"
            ));
        }
        if let Some(why) = self.borrowed() {
            let _ = self.survey.restore(arguments);
            return Some(why);
        }
        let changes = self.survey.changes(arguments);
        if changes.is_empty() {
            return None;
        }
        if self.survey.is_copied() {
            let restored = self.survey.restore(arguments);
            return restored.err().map(|error| format!("what the body changed could not be rolled back: {}", torch::text(&error)));
        }
        Some(format!("{}: write `#[safe_mps_op(snapshot)]` to roll back and try again", self.describe(&changes)))
    }

    /// Why there are no copies.
    fn borrowed(&self) -> Option<String> {
        let name = self.names.get(self.bound?).unwrap_or(&"an argument");
        Some(format!(
            "the result borrows from `{name}`, and cannot borrow from a copy: return an owned value (a tensor's `shallow_clone` copies no data)"
        ))
    }

    fn describe(&self, changes: &[(usize, Change)]) -> String {
        let describe =
            |(argument, change): &(usize, Change)| format!("`{}` {}", self.names.get(*argument).unwrap_or(&"an argument"), change.as_str());
        changes.iter().map(describe).collect::<Vec<_>>().join(", ")
    }

    /// Hands the first failure to the caller, with the reason why there was no second attempt.
    fn refuse<R, E: Errors<R>>(&self, errors: E, result: std::thread::Result<R>, fault: &Fault, why: &str) -> R {
        let (device, class, reason) = (&*self.device(), fault.class.as_str(), &*fault.reason);
        observe::event(&Event::DeviceRefused { site: self.site, device, class, reason, why });
        amend(errors, result, &format!("\n\nbackstop: `{}` was not tried again on the CPU: {why}", self.site.name()))
    }

    /// Copies all tensors to the CPU and reports the fallback; or ends the call.
    pub(super) fn migrated<A, R, E>(
        &mut self,
        errors: E,
        first: Option<Failure<R>>,
        arguments: &mut A,
    ) -> Result<(Migration, Option<Failure<R>>), R>
    where
        A: Arguments,
        E: Errors<R>,
    {
        let first = match (self.borrowed(), first) {
            (Some(why), Some(Failure { result, fault, .. })) => return Err(self.refuse(errors, result, &fault, &why)),
            (_, first) => first,
        };
        match self.migrate(arguments) {
            Ok(migration) => {
                self.announce(first.as_ref());
                Ok((migration, first))
            }
            Err(error) => Err(self.not_moved(errors, first, &error, arguments)),
        }
    }

    fn migrate<A: Arguments>(&self, arguments: &A) -> Result<Migration, TchError> {
        let chosen = |tensor: &torch::Tensor| torch::accelerator(tensor).is_some();
        Migration::new(self.survey.origin, Device::Cpu, chosen, |each| arguments.visit(&mut |_, _, seen| each(seen)))
    }

    /// The copies failed.
    fn not_moved<A, R, E>(&self, errors: E, first: Option<Failure<R>>, error: &TchError, arguments: &mut A) -> R
    where
        A: Arguments,
        E: Errors<R>,
    {
        let text = torch::text(error);
        // Devices report late: what the copy reports and is no device fault is the program's own error, and the real cause.
        let late = classify::text(&text).is_none();
        match first {
            Some(Failure { result, fault, .. }) if !late => {
                let _ = self.survey.restore(arguments);
                self.refuse(errors, result, &fault, &format!("the copy to the CPU failed: {}", head(&text)))
            }
            _ => fail(errors, &text),
        }
    }

    /// Reports the fallback before it runs, since it may take long.
    fn announce<R>(&self, first: Option<&Failure<R>>) {
        if let Some(Failure { fault, .. }) = first {
            let (class, reason) = (fault.class.as_str(), &*fault.reason);
            observe::event(&Event::DeviceFallback { site: self.site, device: &self.device(), class, reason });
        }
    }
}

/// The attempt on the CPU: while it lives, copies stand in the places of what was lent by `&mut`.
pub(super) struct OnCpu<'c, A: Arguments> {
    call: Call,
    arguments: &'c mut A,
    migration: Migration,
    exchange: Option<Exchange>,
}

impl<'c, A: Arguments> OnCpu<'c, A> {
    pub(super) fn new(call: Call, arguments: &'c mut A, migration: Migration) -> Self {
        let exchange = Some(argument::exchange(arguments, &migration));
        Self { call, arguments, migration, exchange }
    }

    pub(super) fn lend<'x>(&'x mut self, copies: &'x mut A::Copies) -> Lent<'x, A> {
        self.arguments.lend_copies(copies, &self.migration)
    }

    /// Brings changes and results home, or undoes everything.
    pub(super) fn settle<R, E, T>(mut self, returns: Returns<E, T>, ended: Ended<R>, first: Option<Failure<R>>) -> R
    where
        E: Errors<R>,
        T: Tensors<R>,
    {
        let failed = match &ended.result {
            Ok(returned) => returns.errors.error(returned),
            Err(panic) => Some(attempt::text_of(&**panic).unwrap_or("a panic without a text").to_owned()),
        };
        match (ended.result, failed, first) {
            (_, Some(second), Some(first)) => self.both(returns.errors, first, &second),
            (result, Some(second), None) if is_mixed(&second) => self.misrouted(returns.errors, result, &second),
            (Err(panic), _, None) => {
                self.undo();
                raise(panic)
            }
            (Ok(returned), _, first) => {
                first.iter().for_each(|first| self.call.cpu_answered(first));
                self.bring_home(returns, returned, first)
            }
            (Err(panic), None, Some(_)) => raise(panic),
        }
    }

    fn bring_home<R, E: Errors<R>, T: Tensors<R>>(mut self, returns: Returns<E, T>, mut returned: R, first: Option<Failure<R>>) -> R {
        if let Err(error) = self.migration.write_back() {
            let text = format!("what the attempt on the CPU changed could not be written back: {}", torch::text(&error));
            return match first {
                Some(first) => self.both(returns.errors, first, &text),
                None => fail(returns.errors, &text),
            };
        }
        if let Some(exchange) = self.exchange.take() {
            argument::put_back(self.arguments, exchange, &self.migration, true);
        }
        let send = !self.call.site.settings().result_on_cpu;
        let mut kept = None;
        returns.tensors.visit_mut(&mut returned, &mut |seen| {
            if let SeenMut::Tensor(tensor) = seen
                && let Err(error) = self.migration.home(tensor, send)
            {
                kept = Some(error);
            }
        });
        if let Some(error) = kept {
            let reason = &*head(&torch::text(&error));
            observe::event(&Event::ResultKept { site: self.call.site, device: &self.call.device(), reason });
        }
        returned
    }

    /// Both attempts failed: the first error, with the second after it.
    fn both<R, E: Errors<R>>(&mut self, errors: E, first: Failure<R>, second: &str) -> R {
        self.undo();
        let site = self.call.site;
        let left_behind = if is_mixed(second) { format!("; {}", self.left_behind()) } else { String::new() };
        let second = format!("{}{left_behind}", head(second));
        let (device, class, reason) = (&*self.call.device(), first.fault.class.as_str(), &*first.fault.reason);
        observe::event(&Event::DeviceRefused { site, device, class, reason, why: &second });
        amend(errors, first.result, &format!("\n\nbackstop: `{}` failed on the CPU too: {second}", site.name()))
    }

    /// Earlier calls sent this one here, or a policy, and it meets a tensor that was left on the device: the next one is sent there.
    fn misrouted<R, E: Errors<R>>(&mut self, errors: E, result: std::thread::Result<R>, text: &str) -> R {
        self.undo();
        let site = self.call.site;
        routes::succeeded(site, || Survey::signature(self.arguments));
        let (reason, why) = (&*head(text), &*self.left_behind());
        observe::event(&Event::DeviceRefused { site, device: &self.call.device(), class: Class::DeviceMismatch.as_str(), reason, why });
        amend(errors, result, &format!("\n\nbackstop: `{}` was sent to the CPU, and could not run there: {why}", site.name()))
    }

    /// What mixed devices in the attempt on the CPU say about the arguments.
    fn left_behind(&self) -> String {
        opaque::remedy(self.call.names, self.arguments).unwrap_or_else(|| {
            "a tensor that the body uses was left on the device: derive `backstop::Migrate` for the argument that holds it".to_owned()
        })
    }

    fn undo(&mut self) {
        if let Some(exchange) = self.exchange.take() {
            argument::put_back(self.arguments, exchange, &self.migration, false);
            unlock_stores(self.arguments);
            // Gradients may have reached the originals; a failing copy leaves what the body made of them.
            let _ = self.call.survey.restore(self.arguments);
        }
    }
}

impl<A: Arguments> Drop for OnCpu<'_, A> {
    /// The call was cancelled, or is over.
    fn drop(&mut self) {
        self.undo();
    }
}

/// Whether an attempt on the CPU met a tensor that was left on the device.
fn is_mixed(text: &str) -> bool {
    classify::text(text).is_some_and(|fault| fault.class == Class::DeviceMismatch)
}

/// A panic inside of a store's method leaves its lock poisoned, and the store useless to everybody.
fn unlock_stores<A: Arguments>(arguments: &A) {
    arguments.visit(&mut |_, _, seen| {
        if let Seen::Store(store) = seen {
            store.variables_.clear_poison();
        }
    });
}

/// The fault that the body is to fail with instead of running.
#[cfg(feature = "inject")]
pub(super) fn inject<R, E: Errors<R>>(site: &'static Site, errors: E) -> Option<R> {
    match crate::inject::before(site)? {
        crate::inject::Fault::Device(text) => Some(fail(errors, &text)),
        other => match other.run_blocking() {
            Ok(()) => None,
            Err(error) => Some(fail(errors, &error.to_string())),
        },
    }
}

/// Without the feature `inject` nothing is injected.
#[cfg(not(feature = "inject"))]
pub(super) fn inject<R, E: Errors<R>>(_: &'static Site, _: E) -> Option<R> {
    None
}

/// The value that fails with this libtorch text, or tch's panic where the type cannot say it.
pub(super) fn fail<R, E: Errors<R>>(errors: E, text: &str) -> R {
    errors.fail(text.to_owned()).unwrap_or_else(|text| panic_any(unwrapped(&text)))
}

/// A libtorch text as tch's plain methods panic with it.
fn unwrapped(text: &str) -> String {
    format!("called `Result::unwrap()` on an `Err` value: {:?}", torch::error(text.to_owned()))
}

fn amend<R, E: Errors<R>>(errors: E, result: std::thread::Result<R>, addition: &str) -> R {
    match result {
        Ok(mut returned) => {
            errors.append(&mut returned, addition);
            returned
        }
        // Its first report was silenced, so it is reported now.
        Err(panic) => match attempt::text_of(&*panic) {
            Some(text) => panic_any(format!("{text}{addition}")),
            None => resume_unwind(panic),
        },
    }
}

/// Goes on with a panic; a device fault was not reported when it was raised, and is now.
fn raise<R>(panic: Box<dyn Any + Send>) -> R {
    match (classify::of_panic(&*panic), attempt::text_of(&*panic)) {
        (Some(_), Some(text)) => panic_any(text.to_owned()),
        _ => resume_unwind(panic),
    }
}

/// Whether the C++ frames show an optimizer at work. Frames never make a device fault; here they only forbid a retry.
fn stepped_in_frames<R, E: Errors<R>>(errors: E, result: &std::thread::Result<R>) -> bool {
    const STEP: &str = "torch::optim::";
    match result {
        Ok(returned) => errors.error(returned).is_some_and(|text| text.contains(STEP)),
        Err(panic) => attempt::text_of(&**panic).is_some_and(|text| text.contains(STEP)),
    }
}

/// A text without its C++ frames.
fn head(text: &str) -> String {
    let cut = ["\nException raised from ", "\nframe #", "\\nException raised from ", "\\nframe #"];
    let end = cut.iter().filter_map(|mark| text.find(mark)).min().unwrap_or(text.len());
    text[..end].trim().to_owned()
}
