//! Where tensors lie in memory.

use super::raw;
use super::{Device, Kind, Tensor};

/// Where a strided tensor lies in its storage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    pub(crate) device: Device,
    pub(crate) kind: Kind,
    /// The address of the storage's first element: equal roots, one storage.
    pub(crate) root: usize,
    /// In elements.
    pub(crate) offset: i64,
    pub(crate) size: Vec<i64>,
    pub(crate) stride: Vec<i64>,
}

impl Layout {
    /// `None` for tensors without a plain storage: undefined, empty, sparse, quantized, mkldnn, conjugated and negated ones.
    pub(crate) fn of(tensor: &Tensor) -> Option<Self> {
        if !tensor.defined() || tensor.is_sparse() || tensor.is_mkldnn() {
            return None;
        }
        let kind = tensor.f_kind().ok()?;
        if matches!(kind, Kind::QInt8 | Kind::QUInt8 | Kind::QInt32) || tensor.is_conj() || tensor.is_neg() {
            return None;
        }
        let address = raw::data_address(tensor)?;
        let offset = tensor.storage_offset();
        let root = address.wrapping_sub(usize::try_from(offset).ok()?.wrapping_mul(kind.elt_size_in_bytes()));
        Some(Self { device: tensor.device(), kind, root, offset, size: tensor.size(), stride: tensor.stride() })
    }

    /// One past the last element that the tensor can reach, from the storage's first element.
    pub(crate) fn end(&self) -> i64 {
        self.offset + 1 + self.size.iter().zip(&self.stride).map(|(size, stride)| (size - 1) * stride).sum::<i64>()
    }

    /// Whether this is the same view as `other`, of a storage that begins `start` elements later.
    pub(crate) fn is_shifted(&self, other: &Self, start: i64) -> bool {
        self.offset == other.offset + start && self.size == other.size && self.stride == other.stride && self.kind == other.kind
    }

    /// How many elements the tensor shows.
    pub(crate) fn elements(&self) -> i64 {
        self.size.iter().product()
    }
}
