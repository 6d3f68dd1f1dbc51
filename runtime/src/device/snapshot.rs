//! Copies of what an attempt may change: `#[safe_mps_op(snapshot)]`.

use std::collections::HashSet;

use smallvec::SmallVec;

use super::argument::{Arguments, each_place};
use super::migrate::{Visitor, place};
use super::survey::Note;
use super::torch::{self, TchError, Tensor};

/// The copies of one call.
pub(crate) struct Snapshot {
    /// One for each note, in their order; `None` where an earlier one has the same tensor, and for undefined tensors.
    values: Copies,
    /// The places of `&mut` arguments, with the handles in them.
    places: Vec<(usize, Tensor)>,
}

const FEW: usize = 32;

type Copies = SmallVec<[Option<Copied>; 4]>;

struct Copied {
    value: Tensor,
    gradient: Option<Tensor>,
}

impl Snapshot {
    /// Copies every tensor that the arguments show, on the device where it is.
    ///
    /// # Errors
    ///
    /// A copy failed.
    pub(crate) fn new<A: Arguments>(arguments: &mut A, notes: &[Note]) -> Result<Self, TchError> {
        let values = copies(arguments, notes)?;
        let mut places = Vec::new();
        each_place(arguments, |tensor| places.push((place(tensor), tensor.shallow_clone())));
        Ok(Self { values, places })
    }

    /// The value for the note of this number, unless an earlier one has it.
    pub(crate) fn value(&self, at: usize) -> Option<&Tensor> {
        Some(&self.values.get(at)?.as_ref()?.value)
    }

    /// Puts everything back as it was.
    ///
    /// # Errors
    ///
    /// A copy failed on the device, or the arguments hold other tensors than before, where no handle can be put back: more of them, or
    /// fewer. All else is put back all the same.
    pub(crate) fn restore<A: Arguments>(&self, arguments: &mut A, notes: &[Note]) -> Result<(), TchError> {
        self.put_handles_back(arguments);
        let (handles, same) = handles(arguments, notes);
        let copies = || notes.iter().zip(&handles).zip(&self.values).filter(|((note, handle), _)| note.is_of(handle));
        let copies = || copies().filter_map(|((note, handle), copied)| Some((note, handle, copied.as_ref()?)));
        copies().for_each(|(note, handle, _)| note.track_again(handle));
        let values = torch::without_gradients(|| all(copies().map(|(note, handle, copied)| copied.restore(note, handle))));
        let surplus = copies().filter(|(_, handle, copied)| copied.has_surplus_gradient(handle));
        let surplus: Vec<Tensor> = surplus.map(|(_, handle, _)| handle.shallow_clone()).collect();
        let cleared = if surplus.is_empty() { Ok(()) } else { torch::clear_gradients(&surplus) };
        let gradients = all(copies().map(|(_, handle, copied)| copied.restore_gradient(handle)));
        values.and(cleared).and(gradients)?;
        if same { Ok(()) } else { Err(torch::error("an argument holds other tensors than before".to_owned())) }
    }

    /// Only where all places are those of before: in a list that grew or shrank, a handle would come into another's place.
    fn put_handles_back<A: Arguments>(&self, arguments: &mut A) {
        let mut now = Vec::with_capacity(self.places.len());
        each_place(arguments, |tensor| now.push(place(tensor)));
        if !self.places.iter().map(|(place, _)| *place).eq(now) {
            return;
        }
        let mut places = self.places.iter();
        each_place(arguments, |tensor| {
            if let Some((_, before)) = places.next()
                && torch::identity(tensor) != torch::identity(before)
            {
                *tensor = before.shallow_clone();
            }
        });
    }
}

/// Does everything, and gives the first error.
fn all(done: impl Iterator<Item = Result<(), TchError>>) -> Result<(), TchError> {
    done.fold(Ok(()), Result::and)
}

fn copies<A: Arguments>(arguments: &A, notes: &[Note]) -> Result<Copies, TchError> {
    let (mut copies, mut failed) = (Copies::new(), None);
    // A few are looked through faster than a table is made.
    let mut table = (notes.len() > FEW).then(HashSet::new);
    arguments.visit(&mut Visitor::new(&mut |_, seen| {
        let (Some((tensor, _)), None) = (seen.tensor(), &failed) else { return };
        let (before, of) = notes.split_at(copies.len().min(notes.len()));
        let is_first = match &mut table {
            Some(table) => table.insert(torch::identity(tensor)),
            None => !before.iter().any(|note| note.is_of(tensor)),
        };
        if !is_first || !torch::is_defined(tensor) {
            copies.push(None);
            return;
        }
        match Copied::of(tensor, of.first()).map(Some) {
            Ok(copied) => copies.push(copied),
            Err(error) => failed = Some(error),
        }
    }));
    failed.map_or(Ok(copies), Err)
}

/// Every tensor that the arguments show, in order, and whether these are the ones that were noted, where they stood.
fn handles<A: Arguments>(arguments: &A, notes: &[Note]) -> (Vec<Tensor>, bool) {
    let (mut handles, mut same) = (Vec::with_capacity(notes.len()), true);
    arguments.visit(&mut Visitor::new(&mut |whose, seen| {
        let Some((tensor, _)) = seen.tensor() else { return };
        same &= notes.get(handles.len()).is_some_and(|note| note.stands(tensor, whose));
        handles.push(tensor.shallow_clone());
    }));
    same &= handles.len() == notes.len();
    (handles, same)
}

impl Copied {
    fn of(tensor: &Tensor, note: Option<&Note>) -> Result<Self, TchError> {
        let gradient = if note.is_none_or(Note::is_trained) { torch::gradient_of(tensor) } else { None };
        let gradient = gradient.map(|gradient| torch::duplicate(&gradient)).transpose()?;
        Ok(Self { value: torch::duplicate(tensor)?, gradient })
    }

    /// Writes the value back where it changed. Writing what did not change would disturb graphs that wait for it.
    fn restore(&self, note: &Note, handle: &Tensor) -> Result<(), TchError> {
        if handle.size() != self.value.size() {
            return handle.shallow_clone().f_set_data(&torch::duplicate(&self.value)?);
        }
        if note.is_written(handle) || torch::has_changed(handle, &self.value).unwrap_or(false) {
            return torch::put_back(handle, &self.value);
        }
        Ok(())
    }

    fn has_surplus_gradient(&self, handle: &Tensor) -> bool {
        self.gradient.is_none() && torch::gradient_of(handle).is_some()
    }

    fn restore_gradient(&self, handle: &Tensor) -> Result<(), TchError> {
        match (&self.gradient, torch::gradient_of(handle)) {
            (Some(before), Some(now)) => torch::put_back(&now, before),
            (Some(before), None) => torch::give_gradient(handle, before),
            (None, _) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Device, Kind};

    const FLOAT: (Kind, Device) = (Kind::Float, Device::Cpu);

    #[test]
    fn a_copy_has_the_values_the_shape_and_the_form_and_shares_nothing() {
        let base = Tensor::arange(12, FLOAT).reshape([3, 4]);
        let sparse = base.to_sparse(None::<tch::Layout>, None::<i64>, None::<i64>);
        let complex = Tensor::ones([2], (Kind::ComplexFloat, Device::Cpu)).conj();
        let quantized = base.quantize_per_tensor(0.5, 3, Kind::QUInt8);
        let leaf = Tensor::ones([2], FLOAT).set_requires_grad(true);
        let all = [&base, &base.transpose(0, 1), &base.select(1, 2), &Tensor::zeros([0, 3], FLOAT), &Tensor::from(7_i64), &complex, &leaf];
        for tensor in all {
            let copy = torch::duplicate(tensor).unwrap();
            assert_eq!((copy.size(), copy.kind(), copy.requires_grad()), (tensor.size(), tensor.kind(), false));
            assert!(copy.f_equal(tensor).unwrap() && copy.is_leaf());
            assert!(copy.numel() == 0 || copy.data_ptr() != tensor.data_ptr());
        }
        let (sparse_copy, quantized_copy) = (torch::duplicate(&sparse).unwrap(), torch::duplicate(&quantized).unwrap());
        assert!(sparse_copy.is_sparse() && sparse_copy.to_dense(None::<Kind>, false) == base);
        assert_eq!((quantized_copy.kind(), quantized_copy.dequantize()), (Kind::QUInt8, quantized.dequantize()));
    }
}
