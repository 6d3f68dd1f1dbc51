//! Whether the first attempt is the last: what it answered, and what it left changed.

use super::argument::Arguments;
use super::attempt::{self, Ended};
use super::call::Call;
use super::classify::{self, Class, Fault};
use super::failure::{Failure, amend, said};
use super::left::Left;
use super::migrate::{Seen, Visitor};
use super::opaque::{self, Holds};
use super::result::Errors;
use super::survey::Change;
use super::torch::{self, TchError};
use super::{report, routes};

/// What follows the first attempt.
pub(super) enum Judged<R> {
    Done(R),
    Again(Failure<R>),
}

/// Why there is no second attempt.
struct Objection {
    why: String,
    /// What the first one changed and nobody has put back.
    left: Left,
}

impl Objection {
    /// The fault alone forbids it, also to a function around this one.
    fn harmless(why: String) -> Self {
        Self { why, left: Left::default() }
    }
}

impl Call {
    /// Whether the first attempt went well: then the call is over.
    #[inline]
    pub(super) fn went_well<A, R, E>(&self, errors: E, returned: &R, arguments: &A) -> bool
    where
        A: Arguments,
        E: Errors<R>,
    {
        let well = !errors.failed(returned);
        if well {
            self.routes.succeeded(|| self.signature(arguments));
        }
        well
    }

    /// Decides whether a first attempt that did not [go well](Self::went_well) is the last.
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
        let Some(mut fault) = fault else {
            if self.probe {
                self.routes.inconclusive(self.signature(arguments));
            }
            return Judged::Done(ended.value());
        };
        self.confirm(&mut fault);
        let objection = self.objection(errors, &ended, &fault, arguments);
        let of_arguments = self.signature(arguments);
        let remembered = self.bound.is_none() && (self.probe || objection.is_some());
        if remembered {
            self.remember(&fault, of_arguments);
        }
        match objection {
            None => Judged::Again(Failure { result: ended.result, fault, signature: (!remembered).then_some(of_arguments), ran: true }),
            Some(Objection { why, left }) => {
                self.leave_behind(left);
                Judged::Done(self.refuse(errors, ended.result, &fault, &why))
            }
        }
    }

    /// Why a second attempt would be wrong; `None`: it is right, and everything is as it was before the first.
    fn objection<A, R, E>(&self, errors: E, ended: &Ended<R>, fault: &Fault, arguments: &mut A) -> Option<Objection>
    where
        A: Arguments,
        E: Errors<R>,
    {
        if fault.class == Class::Poisoned {
            return Some(Objection::harmless(self.lose(fault)));
        }
        if !fault.retry {
            return Some(Objection::harmless("a fault of this class says nothing about the CPU".to_owned()));
        }
        let after = ended.after.as_deref();
        let unknown = || after.is_some_and(|after| after.unheard) && opaque::optimizer(arguments) != Holds::Never;
        if after.is_some_and(|after| after.stepped)
            || unknown()
            || said(errors, &ended.result).is_some_and(|text| classify::shows_a_step(&text))
        {
            let weights = self.weights_back(arguments);
            let why =
                format!("the optimizer's step was under way, and its moments may be half updated{weights}: step outside of this function");
            return Some(Objection { why, left: Left::unknown() });
        }
        if let Some(left) = after.and_then(|after| after.left.as_ref()).filter(|left| !self.survey.covers(left)) {
            let _ = self.survey.restore(arguments);
            let why = format!("`{}` inside was not, and what it had changed is not all among the arguments here: pass it along", left.by);
            return Some(Objection { why, left: Left::unknown() });
        }
        if let Some(why) = self.borrowed() {
            let restored = self.survey.is_copied() && self.survey.restore(arguments).is_ok();
            let left = if restored { Left::default() } else { self.survey.left(arguments) };
            return Some(Objection { why, left });
        }
        if opaque::optimizer(arguments) != Holds::Never && self.survey.is_trained(arguments) {
            let weights = self.weights_back(arguments);
            let why = format!(
                "an optimizer may have stepped before the fault, and its moments cannot be put back{weights}: step outside of this function"
            );
            return Some(Objection { why, left: Left::unknown() });
        }
        if self.survey.is_copied() {
            // Whatever was counted: what was not may have changed too.
            let error = self.survey.restore(arguments).err()?;
            self.look_for_loss(&torch::text(&error));
            let why = format!("what the body changed could not be rolled back: {}", torch::text(&error));
            return Some(Objection { why, left: Left::unknown() });
        }
        let changes = self.survey.changes(arguments);
        if changes.is_empty() {
            return None;
        }
        let why = format!("{}: write `#[safe_mps_op(snapshot)]` to roll back and try again", self.describe(&changes));
        Some(Objection { why, left: self.survey.left(arguments) })
    }

    /// Rolls back, and says so where that went well.
    fn weights_back<A: Arguments>(&self, arguments: &mut A) -> &'static str {
        let restored = self.survey.restore(arguments);
        if self.survey.is_copied() && restored.is_ok() { "; the weights are as before the call" } else { "" }
    }

    /// Tells the function around what this one leaves changed.
    pub(super) fn leave_behind(&self, left: Left) {
        attempt::leave_behind(Left { by: self.site.name(), ..left });
    }

    /// Asks the device where its library's error may mean that it is lost.
    pub(super) fn confirm(&self, fault: &mut Fault) {
        if fault.class == Class::LibraryError && !self.answers() {
            fault.class = Class::Poisoned;
        }
    }

    /// From now on every call on an accelerator fails with this cause; what the caller is told.
    pub(super) fn lose(&self, fault: &Fault) -> String {
        routes::lose(&fault.reason);
        format!("{} is lost for this process: restart the program", self.device())
    }

    /// A device may be found lost wherever it is asked for something, not only by the body.
    pub(super) fn look_for_loss(&self, text: &str) {
        if let Some(fault) = classify::text(text).filter(|fault| fault.class == Class::Poisoned) {
            let why = self.lose(&fault);
            report::refused(self.site, &self.device(), &fault, &why);
        }
    }

    /// Whether the device still works: one that is full does.
    fn answers(&self) -> bool {
        let full = |error: &TchError| classify::text(&torch::text(error)).is_some_and(|fault| fault.class == Class::OutOfMemory);
        torch::asked(self.survey.origin).map_or_else(|error| full(&error), |()| true)
    }

    /// Why there are no copies.
    pub(super) fn borrowed(&self) -> Option<String> {
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
    pub(super) fn refuse<R, E: Errors<R>>(&self, errors: E, result: std::thread::Result<R>, fault: &Fault, why: &str) -> R {
        report::refused(self.site, &self.device(), fault, why);
        amend(errors, result, &format!("\n\nbackstop: `{}` was not tried again on the CPU: {why}", self.site.name()))
    }
}

/// A panic inside of a store's method leaves its lock poisoned, and the store useless to everybody.
pub(super) fn unlock_stores<A: Arguments>(arguments: &A) {
    arguments.visit(&mut Visitor::new(&mut |_, seen| {
        if let Seen::Store(store) = seen {
            store.variables_.clear_poison();
        }
    }));
}
