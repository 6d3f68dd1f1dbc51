//! Arguments that may hold tensors which they do not show, such as a module behind a trait object: what is said when that matters.
//! Their tensors cannot move, so the names of their types are all there is to read.

use std::panic::resume_unwind;

use super::argument::Arguments;
use super::classify::{self, Backend, Class, Fault, text_of};
use super::migrate::{Seen, Visitor};
use super::result::Errors;
use super::{report, routes, torch};
use crate::policy;
use crate::site::Site;

/// Whether a type holds something that it does not show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Holds {
    Never,
    Perhaps,
    Surely,
}

/// Ends a call that found no tensor on a device. If a device failed it all the same, an argument hid its tensors, and is named.
#[inline]
pub(super) fn explain<A, R, E>(
    site: &'static Site,
    names: &[&str],
    errors: E,
    result: std::thread::Result<R>,
    arguments: &A,
) -> std::thread::Result<R>
where
    A: Arguments,
    E: Errors<R>,
{
    match result {
        Ok(returned) if !errors.failed(&returned) => Ok(returned),
        failed => explain_failure(site, names, errors, failed, arguments),
    }
}

#[cold]
#[inline(never)]
fn explain_failure<A, R, E>(
    site: &'static Site,
    names: &[&str],
    errors: E,
    mut result: std::thread::Result<R>,
    arguments: &A,
) -> std::thread::Result<R>
where
    A: Arguments,
    E: Errors<R>,
{
    let fault = match &result {
        Ok(returned) => errors.fault(returned),
        Err(panic) => classify::of_panic(&**panic),
    };
    let Some((fault, device)) = fault.and_then(on_device) else { return result };
    let why = if fault.class == Class::Poisoned {
        routes::lose(&fault.reason);
        Some("the device is lost for this process: restart the program".to_owned())
    } else {
        remedy(names, arguments)
    };
    let Some(why) = why.filter(|_| policy::device(site).fallback) else { return result };
    report::refused(site, device, &fault, &why);
    let addition = format!("\n\nbackstop: `{}` was not tried again on the CPU: {why}", site.name());
    match &mut result {
        Ok(returned) => errors.append(returned, &addition),
        Err(panic) => {
            // It was reported where it was raised.
            let amended = text_of(&**panic).map(|text| format!("{text}{addition}"));
            amended.into_iter().for_each(|text| *panic = Box::new(text));
        }
    }
    result
}

/// The value of an [explained](explain) call; a panic goes on.
pub(super) fn value<R>(result: std::thread::Result<R>) -> R {
    result.unwrap_or_else(|panic| resume_unwind(panic))
}

/// The device that a fault names.
fn on_device(fault: Fault) -> Option<(Fault, &'static str)> {
    match fault.backend {
        Backend::Mps => Some((fault, "mps")),
        Backend::Cuda => Some((fault, "cuda")),
        Backend::Other => None,
    }
}

/// Which arguments hide tensors, and what to pass instead; `None` where every argument shows what it holds.
pub(super) fn remedy<A: Arguments>(names: &[&str], arguments: &A) -> Option<String> {
    let mut hidden = Vec::new();
    arguments.opaque(&mut |at, ty| hidden.push((holds(ty), format!("`{}` (`{ty}`)", names.get(at).unwrap_or(&"an argument")))));
    let certainty = hidden.iter().map(|(holds, _)| *holds).max().filter(|holds| *holds != Holds::Never)?;
    let shown: Vec<String> = hidden.into_iter().filter(|(holds, _)| *holds == certainty).map(|(_, shown)| shown).collect();
    let hides = if certainty == Holds::Surely { "hides its tensors" } else { "may hide tensors" };
    Some(format!(
        "{} {hides}, which therefore stay on the device: pass the layers themselves, a struct of them with `#[derive(backstop::Migrate)]`, or \
         the `VarStore` that the body takes its variables from",
        shown.join(", ")
    ))
}

/// Whether an optimizer can be reached: surely by an argument or a skipped field of that name, perhaps by other fields that are skipped, by
/// what is lent by `&mut` and shows nothing, and by what changes behind a shared reference.
pub(super) fn optimizer<A: Arguments>(arguments: &A) -> Holds {
    let may_hold = |ty: &str| match torch::names_an_optimizer(ty) {
        true => Holds::Surely,
        false => holds(ty).min(Holds::Perhaps),
    };
    let mut found = Holds::Never;
    arguments.opaque(&mut |_, ty| {
        let lent = ty.starts_with("&mut ") && holds(ty) == Holds::Perhaps;
        found = found.max(if lent || may_share_an_optimizer(ty) { may_hold(ty) } else { Holds::Never });
    });
    arguments.visit(&mut Visitor::new(&mut |_, seen| {
        if let Seen::Skipped(ty) = seen {
            found = found.max(may_hold(ty));
        }
    }));
    found
}

/// Whether the name of a type says that it may lead to an optimizer, also from a shared reference or from a clone.
pub(super) fn may_share_an_optimizer(ty: &str) -> bool {
    let changes_when_shared = || ["Cell<", "Mutex<", "RwLock<", "dyn "].iter().any(|sign| ty.contains(sign));
    torch::names_an_optimizer(ty) || holds(ty) == Holds::Perhaps && changes_when_shared()
}

/// The name of a type that surely holds tensors.
pub(super) fn hides_tensors(ty: &'static str) -> Option<&'static str> {
    (holds(ty) == Holds::Surely).then_some(ty)
}

/// Whether nothing that is computed from the arguments can be kept in one of them, but in the place of a tensor: they are tensors, layers and
/// stores of tch, and what holds none.
pub(super) fn keep_nothing<A: Arguments>(arguments: &A) -> bool {
    let mut kept = false;
    arguments.opaque(&mut |_, ty| kept |= holds(ty) != Holds::Never || torch::names_an_optimizer(ty));
    arguments.shown(&mut |ty| kept |= !torch::is_named(ty) && holds(ty) != Holds::Never);
    !kept
}

/// Whether the name of a type, or of what its `Ok` holds, says that nothing computed from tensors can leave by it.
pub(super) fn holds_none(ty: &str) -> bool {
    let value = ty.strip_prefix("core::result::Result<").map_or(ty, first_of);
    holds(value) == Holds::Never && !torch::names_an_optimizer(value)
}

/// The first of a list of types.
fn first_of(list: &str) -> &str {
    let mut depth = 0_usize;
    let end = list.find(|letter| {
        match letter {
            '<' | '(' | '[' => depth += 1,
            '>' | ')' | ']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        letter == ',' && depth == 0
    });
    end.map_or(list, |end| &list[..end])
}

/// What the name of a type says: tensors and modules of tch behind something that does not show them, and all that is no type of the
/// standard library.
fn holds(ty: &str) -> Holds {
    let paths = || ty.split(|letter: char| !(letter.is_alphanumeric() || matches!(letter, '_' | ':' | '{' | '}')));
    if ty.starts_with("fn(") {
        return Holds::Never;
    }
    if paths().any(torch::is_named_for_tensors) {
        return Holds::Surely;
    }
    let known = |path: &str| torch::is_named(path) || ["core::", "alloc::", "std::"].iter().any(|own| path.starts_with(own));
    let foreign = |path: &str| path.contains("::") && !known(path);
    if paths().any(|path| path == "dyn" || foreign(path)) { Holds::Perhaps } else { Holds::Never }
}

#[cfg(test)]
mod tests {
    use super::{Holds, holds, holds_none};
    use std::any::type_name;
    use std::collections::HashMap;
    use tch::nn::{self, Module};

    struct Mine;

    fn closure<F: Fn()>(_: &F) -> &'static str {
        type_name::<F>()
    }

    #[test]
    fn a_number_leaves_no_way_for_what_was_computed_from_tensors() {
        let none = [type_name::<()>(), type_name::<Result<(f64, Vec<f32>), Box<dyn std::error::Error>>>(), type_name::<Option<bool>>()];
        none.into_iter().for_each(|name| assert!(holds_none(name), "{name}"));
        let some = [
            type_name::<tch::Tensor>(),
            type_name::<Result<Vec<(f64, tch::Tensor)>, ()>>(),
            type_name::<Result<nn::Optimizer, tch::TchError>>(),
            type_name::<Mine>(),
            type_name::<Box<dyn Fn()>>(),
        ];
        some.into_iter().for_each(|name| assert!(!holds_none(name), "{name}"));
    }

    #[test]
    fn the_name_of_a_type_says_what_it_may_hold() {
        let surely = [
            type_name::<nn::Sequential>(),
            type_name::<nn::FuncT<'_>>(),
            type_name::<nn::LSTM>(),
            type_name::<dyn Module>(),
            type_name::<Option<Box<dyn nn::ModuleT>>>(),
            type_name::<tch::CModule>(),
            type_name::<(&tch::Tensor, f64)>(),
            type_name::<Vec<&nn::Linear>>(),
        ];
        surely.into_iter().for_each(|name| assert_eq!(holds(name), Holds::Surely, "{name}"));
        let perhaps = [type_name::<Mine>(), type_name::<Vec<Mine>>(), type_name::<dyn Fn(f64)>(), closure(&|| ())];
        perhaps.into_iter().for_each(|name| assert_eq!(holds(name), Holds::Perhaps, "{name}"));
        let never = [
            type_name::<f64>(),
            type_name::<str>(),
            type_name::<HashMap<String, Vec<&str>>>(),
            type_name::<fn(&Mine)>(),
            type_name::<tch::Kind>(),
            type_name::<nn::Optimizer>(),
            type_name::<nn::LinearConfig>(),
            type_name::<nn::Init>(),
        ];
        never.into_iter().for_each(|name| assert_eq!(holds(name), Holds::Never, "{name}"));
    }
}
