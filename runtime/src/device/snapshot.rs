//! Copies of what an attempt may change: `#[safe_mps_op(snapshot)]`.

use super::argument::Arguments;
use super::migrate::{SeenMut, Visitor, VisitorMut};
use super::torch::{self, Device, TchError, Tensor};

/// The copies of one call.
pub(crate) struct Snapshot {
    tensors: Vec<Copied>,
    /// The handles in the places of `&mut` arguments.
    places: Vec<Tensor>,
}

struct Copied {
    handle: Tensor,
    version: Option<i64>,
    value: Tensor,
    gradient: Option<Tensor>,
    trained: bool,
}

impl Snapshot {
    /// Copies every tensor that the arguments show, so many at most, on the device where it is.
    ///
    /// # Errors
    ///
    /// A copy failed.
    pub(crate) fn new<A: Arguments>(arguments: &mut A, most: usize) -> Result<Self, TchError> {
        let mut tensors: Vec<Copied> = Vec::with_capacity(most);
        let mut failed = None;
        arguments.visit(&mut Visitor::new(&mut |_, seen| {
            let Some((tensor, _)) = seen.tensor().filter(|(tensor, _)| torch::is_defined(tensor)) else { return };
            let known = |copied: &Copied| torch::identity(&copied.handle) == torch::identity(tensor);
            if failed.is_some() || tensors.iter().any(known) {
                return;
            }
            match Copied::new(tensor) {
                Ok(copied) => tensors.push(copied),
                Err(error) => failed = Some(error),
            }
        }));
        if let Some(error) = failed {
            return Err(error);
        }
        let mut places = Vec::new();
        arguments.visit_mut(&mut VisitorMut::new(&mut |seen| {
            if let SeenMut::Tensor(tensor) = seen {
                places.push(tensor.shallow_clone());
            }
        }));
        Ok(Self { tensors, places })
    }

    /// Puts everything back as it was.
    ///
    /// # Errors
    ///
    /// A copy failed on the device; what was changed is then partly put back.
    pub(crate) fn restore<A: Arguments>(&self, arguments: &mut A) -> Result<(), TchError> {
        self.put_handles_back(arguments);
        torch::without_gradients(|| self.tensors.iter().try_for_each(Copied::restore))?;
        self.restore_gradients()
    }

    fn put_handles_back<A: Arguments>(&self, arguments: &mut A) {
        let mut places = self.places.iter();
        arguments.visit_mut(&mut VisitorMut::new(&mut |seen| {
            if let (SeenMut::Tensor(tensor), Some(before)) = (seen, places.next())
                && torch::identity(tensor) != torch::identity(before)
            {
                *tensor = before.shallow_clone();
            }
        }));
    }

    fn restore_gradients(&self) -> Result<(), TchError> {
        let trained = || self.tensors.iter().filter(|copied| copied.trained);
        let surplus: Vec<Tensor> = trained()
            .filter(|copied| copied.gradient.is_none() && copied.handle.grad().defined())
            .map(|copied| copied.handle.shallow_clone())
            .collect();
        if !surplus.is_empty() {
            torch::clear_gradients(&surplus)?;
        }
        trained().try_for_each(|copied| match &copied.gradient {
            Some(before) if copied.handle.grad().defined() => torch::overwrite(&copied.handle.grad(), before),
            Some(before) => torch::give_gradient(&copied.handle, before),
            None => Ok(()),
        })
    }
}

impl Copied {
    fn new(tensor: &Tensor) -> Result<Self, TchError> {
        let (version, value) = (torch::version(tensor), torch::duplicate(tensor)?);
        let trained = torch::is_trained_leaf(tensor);
        let gradient = if trained { torch::gradient_of(tensor) } else { None };
        let gradient = gradient.map(|gradient| torch::duplicate(&gradient)).transpose()?;
        Ok(Self { handle: tensor.shallow_clone(), version, value, gradient, trained })
    }

    /// Writes the value back where it changed. Writing what did not change would disturb graphs that wait for it.
    fn restore(&self) -> Result<(), TchError> {
        if self.handle.size() != self.value.size() {
            return self.handle.shallow_clone().f_set_data(&torch::duplicate(&self.value)?);
        }
        let counted = torch::version(&self.handle) != self.version;
        if counted || self.differs_uncounted()? {
            return torch::overwrite(&self.handle, &self.value);
        }
        Ok(())
    }

    /// Running statistics are lists of numbers that need no gradient; they are compared on the CPU, which can.
    fn differs_uncounted(&self) -> Result<bool, TchError> {
        if self.trained || self.handle.dim() != 1 || !self.handle.is_floating_point() {
            return Ok(false);
        }
        let (now, before) = (torch::to_device(&self.handle, Device::Cpu)?, torch::to_device(&self.value, Device::Cpu)?);
        Ok(!torch::same_values(&now, &before)?)
    }
}
