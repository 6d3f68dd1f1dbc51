//! The attempt on the CPU: the copies, what comes home from them, and what is undone.

use std::borrow::Cow;

use super::Returns;
use super::argument::{self, Arguments, Lent};
use super::attempt::Ended;
use super::call::Call;
use super::classify::{self, Backend, Class, Fault, without_frames};
use super::failure::{Failure, amend, fail, raise, said};
use super::judge::unlock_stores;
use super::left::Left;
use super::migrate::{Seen, SeenMut, Visitor, VisitorMut};
use super::moving::{Exchange, Migration, Steps};
use super::opaque::{self, Holds};
use super::report;
use super::result::{Errors, Tensors};
use super::torch::{self, Device, TchError, Tensor};
use crate::event::Event;
use crate::observe;

impl Call {
    /// `lets_out`: whether something that is computed from the copies may outlive the attempt.
    fn migrate<A: Arguments>(&self, arguments: &A, lets_out: bool) -> Result<Migration, TchError> {
        let chosen = |tensor: &Tensor| torch::accelerator(tensor).is_some();
        let steps = match opaque::optimizer(arguments) {
            Holds::Never if !lets_out && opaque::keep_nothing(arguments) => Steps::ByHand,
            Holds::Never => Steps::Elsewhere,
            Holds::Perhaps => Steps::Perhaps,
            Holds::Surely => Steps::Inside,
        };
        Migration::new(self.survey.origin, Device::Cpu, steps, chosen, |visitor| arguments.visit(visitor))
    }

    /// The copies failed.
    fn not_moved<A, R, E>(&self, errors: E, first: Option<Failure<R>>, error: &TchError, arguments: &mut A) -> R
    where
        A: Arguments,
        E: Errors<R>,
    {
        let text = torch::text(error);
        let failed = || format!("the copy to the CPU failed: {}", without_frames(&text));
        let of_copy = classify::text(&text).map(|mut fault| {
            self.confirm(&mut fault);
            fault
        });
        match (first, of_copy) {
            (first, Some(lost)) if lost.class == Class::Poisoned => {
                let why = self.lose(&lost);
                match first {
                    Some(Failure { result, .. }) => self.refuse(errors, result, &lost, &format!("{}; {why}", failed())),
                    None => self.refuse(errors, Failure::foreseen(errors, lost.clone()).result, &lost, &why),
                }
            }
            (Some(Failure { result, fault, .. }), Some(_)) => {
                let _ = self.survey.restore(arguments);
                self.refuse(errors, result, &fault, &failed())
            }
            // Devices report late: what the copy reports and is no device fault is the program's own error, and the real cause.
            _ => fail(errors, &text),
        }
    }

    /// Reports the fallback before it runs, since it may take long.
    fn announce<R>(&self, first: &Failure<R>) {
        report::fell_back(self.site, &self.device(), &first.fault);
    }

    /// The CPU did what the device could not. Only that is a reason to send later calls there: where the CPU fails too, say because an
    /// argument hides its tensors, the device is the better place to fail, with its own error.
    fn cpu_answered<R>(&self, first: &Failure<R>) {
        first.signature.iter().for_each(|signature| self.remember(&first.fault, *signature));
    }
}

const UNCOUNTED: &str = "a tensor is changed without being counted, as running statistics are, perhaps on the device too: write \
    `#[safe_mps_op(snapshot)]` to roll back and try again";

/// The attempt on the CPU: while it lives, copies stand in the places of what was lent by `&mut`.
pub(super) struct OnCpu<'c, A: Arguments, R> {
    call: Call,
    /// Why it is needed, where the body has run before.
    first: Option<Failure<R>>,
    arguments: &'c mut A,
    migration: Migration,
    exchange: Option<Exchange>,
}

/// There is no attempt on the CPU, because the copies failed.
pub(super) struct Unmoved<'c, A, R> {
    pub(super) returned: R,
    pub(super) arguments: &'c mut A,
}

impl<'c, A: Arguments, R> OnCpu<'c, A, R> {
    /// Copies all tensors to the CPU and reports the fallback; or ends the call.
    pub(super) fn begin<E: Errors<R>, T: Tensors<R>>(
        call: Call,
        returns: Returns<E, T>,
        first: Option<Failure<R>>,
        arguments: &'c mut A,
    ) -> Result<Self, Unmoved<'c, A, R>> {
        let first = match (call.borrowed(), first) {
            (Some(why), Some(Failure { result, fault, .. })) => {
                return Err(Unmoved { returned: call.refuse(returns.errors, result, &fault, &why), arguments });
            }
            (_, first) => first,
        };
        match call.migrate(arguments, returns.tensors.lets_out()) {
            Ok(migration) => {
                first.iter().for_each(|first| call.announce(first));
                let exchange = Some(argument::exchange(arguments, &migration));
                Ok(Self { call, first, arguments, migration, exchange })
            }
            Err(error) => Err(Unmoved { returned: call.not_moved(returns.errors, first, &error, arguments), arguments }),
        }
    }

    pub(super) fn lend<'x>(&'x mut self, copies: &'x mut A::Copies) -> Lent<'x, A> {
        self.arguments.lend_copies(copies, &self.migration)
    }

    /// Brings changes and results home, or undoes everything.
    pub(super) fn settle<E: Errors<R>, T: Tensors<R>>(mut self, returns: Returns<E, T>, ended: Ended<R>) -> R {
        let failed = said(returns.errors, &ended.result).map(Cow::into_owned);
        failed.iter().for_each(|text| self.call.look_for_loss(text));
        match (ended.result, self.first.take(), failed) {
            (_, Some(first), Some(second)) => self.both(returns.errors, first, &second),
            (result, None, Some(second))
                if mixed(&second).is_some() || self.migration.is_outrun() || self.without_gradients(&second).is_some() =>
            {
                self.misrouted(returns.errors, result, &second)
            }
            (Ok(returned), first, _) => {
                first.iter().for_each(|first| self.call.cpu_answered(first));
                self.bring_home(returns, returned, first)
            }
            (Err(panic), ..) => {
                self.undo_failed();
                raise(panic)
            }
        }
    }

    fn bring_home<E: Errors<R>, T: Tensors<R>>(mut self, returns: Returns<E, T>, mut returned: R, first: Option<Failure<R>>) -> R {
        let mut look = |seen: SeenMut<'_>| self.migration.look(&seen);
        returns.tensors.visit_mut(&mut returned, &mut VisitorMut::new(&mut look));
        self.arguments.visit_mut(&mut VisitorMut::new(&mut look));
        let twice =
            first.as_ref().is_some_and(|first| first.ran) && !self.call.survey.is_copied() && self.migration.has_changed_uncounted();
        if let Err(error) = if twice { Err(torch::error(UNCOUNTED.to_owned())) } else { self.migration.write_back() } {
            self.call.look_for_loss(&torch::text(&error));
            let text = format!("what the attempt on the CPU changed could not be written back: {}", torch::text(&error));
            return match first {
                Some(first) => self.both(returns.errors, first, &text),
                None => {
                    let why = self.outrun();
                    self.undo_failed();
                    fail(returns.errors, &explained(&text, why))
                }
            };
        }
        if let Some(exchange) = self.exchange.take() {
            argument::put_back(self.arguments, exchange, &self.migration, true);
        }
        self.result_home(returns, &mut returned);
        returned
    }

    fn result_home<E: Errors<R>, T: Tensors<R>>(&self, returns: Returns<E, T>, returned: &mut R) {
        let send = !self.call.site.settings().result_on_cpu;
        let mut kept = None;
        for stores in [true, false] {
            let mut home = |seen: SeenMut<'_>| {
                if matches!(seen, SeenMut::Store(_)) == stores {
                    kept = self.migration.home(seen, send).err().or(kept.take());
                }
            };
            returns.tensors.visit_mut(returned, &mut VisitorMut::new(&mut home));
        }
        let mut left = false;
        let mut look = |seen: Seen<'_>, send| left |= seen.tensor().is_some_and(|(tensor, _)| self.migration.is_left(tensor, send));
        returns.tensors.visit(returned, &mut Visitor::new(&mut |_, seen| look(seen, send && kept.is_none())));
        self.arguments.visit(&mut Visitor::new(&mut |_, seen| look(seen, false)));
        if let Some(error) = kept {
            self.call.look_for_loss(&torch::text(&error));
            self.result_kept(without_frames(&torch::text(&error)));
        }
        if left {
            self.result_kept("the body has put it behind an `Arc` or `Rc` that is held elsewhere, too: it holds copies");
        }
        if let Some(ty) = returns.tensors.hidden().filter(|_| send) {
            self.result_kept(&format!("`{ty}` does not show its tensors: derive `backstop::Migrate` for it"));
        }
    }

    fn result_kept(&self, reason: &str) {
        observe::event(&Event::ResultKept { site: self.call.site, device: &self.call.device(), reason });
    }

    /// Both attempts failed: the first error, with the second after it.
    fn both<E: Errors<R>>(&mut self, errors: E, first: Failure<R>, second: &str) -> R {
        let site = self.call.site;
        let why = self.outrun().or_else(|| mixed(second).map(|_| self.left_behind()));
        let why = why.or_else(|| self.without_gradients(second)).or_else(|| Self::chosen_by_the_body(second));
        self.undo_failed();
        let second = explained(without_frames(second), why);
        report::refused(site, &self.call.device(), &first.fault, &format!("the CPU failed too: {second}"));
        amend(errors, first.result, &format!("\n\nbackstop: `{}` failed on the CPU too: {second}", site.name()))
    }

    /// Earlier calls sent this one here, or a policy, and it cannot run here: the next one is sent to the device.
    fn misrouted<E: Errors<R>>(&mut self, errors: E, result: std::thread::Result<R>, text: &str) -> R {
        let site = self.call.site;
        let why = self.outrun().or_else(|| self.without_gradients(text)).unwrap_or_else(|| self.left_behind());
        self.undo_failed();
        self.call.routes.succeeded(|| self.call.signature(self.arguments));
        mixed(text).iter().for_each(|fault| report::refused(site, &self.call.device(), fault, &why));
        amend(errors, result, &format!("\n\nbackstop: `{}` was sent to the CPU, and could not run there: {why}", site.name()))
    }

    /// What a step says that was taken before the attempt on the CPU failed.
    fn outrun(&self) -> Option<String> {
        let weights = if self.call.survey.is_copied() { ", while the weights are as before the call" } else { "" };
        self.migration.is_outrun().then(|| {
            format!(
                "an optimizer has stepped on the device, and the copies on the CPU do not follow it{weights}: step once, after the last use of \
                 the network, or outside of this function"
            )
        })
    }

    /// What an undefined tensor in the attempt on the CPU says where parameters were moved.
    fn without_gradients(&self, second: &str) -> Option<String> {
        (self.call.survey.is_training() && classify::shows_undefined(second)).then(|| {
            "a copy of a parameter shows no gradient, since its gradients go to the device: read and clear gradients outside of this function, or \
             through an optimizer"
                .to_owned()
        })
    }

    /// What mixed devices in the attempt on the CPU say about the arguments.
    fn left_behind(&self) -> String {
        opaque::remedy(self.call.names, self.arguments).or_else(|| self.shared()).unwrap_or_else(|| {
            "a tensor that the body uses was left on the device: derive `backstop::Migrate` for the argument that holds it, or, where the body \
             puts it there itself, take the `Device` as an argument or ask a tensor for its own"
                .to_owned()
        })
    }

    /// What a device's own fault in the attempt on the CPU says about the body.
    fn chosen_by_the_body(second: &str) -> Option<String> {
        let of_device = classify::text(second).is_some_and(|fault| fault.backend != Backend::Other && fault.class != Class::DeviceMismatch);
        of_device.then(|| {
            "the body puts tensors on the device itself: take the `Device` as an argument, which is the CPU then, or ask a tensor for its own".to_owned()
        })
    }

    /// Which argument could not be lent copies, because others hold its tensors too.
    fn shared(&self) -> Option<String> {
        let mut shared = None;
        self.arguments.visit(&mut Visitor::new(&mut |whose, seen| {
            if whose.exclusive && seen.device() != Device::Cpu {
                shared = shared.or(Some(whose.argument));
            }
        }));
        let name = self.call.names.get(shared? as usize).unwrap_or(&"an argument");
        Some(format!(
            "`{name}` holds tensors behind an `Rc` or `Arc` that is held elsewhere too, and lent by `&mut` it cannot change for a call: lend it by `&`"
        ))
    }

    /// Undoes everything, as far as that can be: the function around this one is told of the rest.
    fn undo_failed(&mut self) {
        let stepped = self.migration.is_outrun();
        self.undo();
        let survey = &self.call.survey;
        if stepped {
            self.call.leave_behind(Left::unknown());
        } else if !survey.is_copied() {
            self.call.leave_behind(survey.left(self.arguments));
        }
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

impl<A: Arguments, R> Drop for OnCpu<'_, A, R> {
    /// The call was cancelled, or is over.
    fn drop(&mut self) {
        if self.exchange.is_some() {
            self.undo_failed();
        }
    }
}

fn explained(text: &str, why: Option<String>) -> String {
    why.map_or_else(|| text.to_owned(), |why| format!("{text}; {why}"))
}

/// The fault of an attempt on the CPU that met a tensor on the device.
fn mixed(text: &str) -> Option<Fault> {
    classify::text(text).filter(|fault| fault.class == Class::DeviceMismatch)
}
