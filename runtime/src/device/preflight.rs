//! What ends the process on Apple's devices instead of failing, looked for before the body runs: `device = { preflight = true }`.

use super::argument::Arguments;
use super::classify::{Class, Fault};
use super::migrate::Visitor;
use super::torch::{self, Device, Kind, Tensor};

/// Metal's graphs have no tensors of more axes.
const MOST_AXES: usize = 16;

/// Metal's graphs count an axis in 32 bits.
const LONGEST_AXIS: i64 = i32::MAX as i64;

/// The first tensor that an operator of MPS is known to abort on; only MPS has such.
pub(super) fn check<A: Arguments>(arguments: &A, origin: Device, names: &[&str]) -> Option<Fault> {
    if origin != Device::Mps {
        return None;
    }
    let mut found = None;
    arguments.visit(&mut Visitor::new(&mut |whose, seen| {
        let Some((tensor, _)) = seen.tensor().filter(|(tensor, _)| tensor.defined()) else { return };
        if found.is_none() {
            let name = names.get(whose.argument as usize).unwrap_or(&"an argument");
            found = objection(tensor).map(|(class, what)| Fault::foreseen(class, format!("pre-flight check: `{name}` {what}")));
        }
    }));
    found
}

/// Tensors of one number may stay on the CPU: operators take them from there.
fn objection(tensor: &Tensor) -> Option<(Class, String)> {
    let (device, size) = (tensor.device(), tensor.size());
    if tensor.f_kind().is_ok_and(|kind| kind == Kind::Double) && !size.is_empty() {
        return Some((Class::UnsupportedDtype, "is of float64, which MPS does not have".to_owned()));
    }
    if device != Device::Mps && !size.is_empty() {
        return Some((Class::DeviceMismatch, format!("is on {}, other arguments are on mps", torch::label(device))));
    }
    if size.len() > MOST_AXES {
        return Some((Class::SizeLimit, format!("has {} axes, MPS takes {MOST_AXES}", size.len())));
    }
    let longest = size.into_iter().max().filter(|axis| *axis > LONGEST_AXIS)?;
    Some((Class::SizeLimit, format!("has an axis of {longest}, MPS takes {LONGEST_AXIS}")))
}
