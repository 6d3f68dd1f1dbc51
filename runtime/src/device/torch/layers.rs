//! The layers of `tch::nn`: their parameters are public, their configuration is not, so a rebuilt layer is a copy of the
//! old one with new tensors.
//!
//! Recurrent layers, `Sequential` and `Func` do not show their parameters: pass the `VarStore` or the single layers instead.

use std::mem::MaybeUninit;
use std::ptr;

use tch::nn::{
    BatchNorm, BatchNormConfig, Conv, ConvTransposeConfigND, ConvTransposeND, Embedding, EmbeddingConfig, GroupNorm, GroupNormConfig,
    LayerNorm, LayerNormConfig, Linear,
};

use super::Tensor;
use crate::device::migrate::{Migrate, Moves, Rebuild, Visitor, VisitorMut};

/// What the layers own. Buffers change without being counted.
macro_rules! shown {
    ($([$($generic:tt)*] $layer:ty { $($field:ident)+ } buffers { $($buffer:ident)* })*) => {$(
        impl $($generic)* Migrate for $layer {
            fn visit(&self, visitor: &mut Visitor<'_>) {
                $(visitor.buffer(&self.$buffer);)*
                $(self.$field.visit(visitor);)+
            }

            fn visit_mut(&mut self, visitor: &mut VisitorMut<'_>) {
                $(self.$buffer.visit_mut(visitor);)*
                $(self.$field.visit_mut(visitor);)+
            }
        }
    )*};
}

shown! {
    [] Linear { ws bs } buffers {}
    [] Embedding { ws } buffers {}
    [] BatchNorm { ws bs } buffers { running_mean running_var }
    [] LayerNorm { ws bs normalized_shape } buffers {}
    [] GroupNorm { ws bs } buffers {}
    [<const N: usize>] Conv<[i64; N]> { ws bs } buffers {}
    [<const N: usize>] ConvTransposeND<[i64; N]> { ws bs } buffers {}
}

/// Layers with all that they own, and a tuple of all that they hold: the rest is `Copy`.
macro_rules! copied {
    ($([$($generic:tt)*] $layer:ty { $($field:ident)+ } $held:ty;)*) => {$(
        impl $($generic)* Rebuild for $layer {
            fn rebuild(&self, moves: &mut Moves<'_>) -> Self {
                const { assert!(size_of::<Self>() == size_of::<$held>(), "tch has changed this layer: read it again") }
                $(let $field = self.$field.rebuild(moves);)+
                // SAFETY: these fields are all that the layer owns; the others are `Copy`.
                unsafe { replica(self, |copy| { $((&raw mut (*copy).$field).write($field);)+ }) }
            }
        }
    )*};
}

type Given = Option<Tensor>;

copied! {
    [] Linear { ws bs } (Tensor, Given);
    [] Embedding { ws } (Tensor, EmbeddingConfig);
    [] BatchNorm { running_mean running_var ws bs } (Tensor, Tensor, Given, Given, BatchNormConfig, usize);
    [] LayerNorm { ws bs normalized_shape } (Given, Given, Vec<i64>, LayerNormConfig);
    [] GroupNorm { ws bs } (Given, Given, i64, i64, GroupNormConfig);
    [<const N: usize>] ConvTransposeND<[i64; N]> { ws bs } (Tensor, Given, ConvTransposeConfigND<[i64; N]>);
}

/// Copies a layer and overwrites some of the copy's fields.
///
/// # Safety
///
/// Every field that owns something must be overwritten by `overwrite` with a value of its own, and must not be read there.
unsafe fn replica<T>(layer: &T, overwrite: impl FnOnce(*mut T)) -> T {
    let mut copy = MaybeUninit::<T>::uninit();
    // SAFETY: both point to a whole `T`; the caller gives the copy its own owned fields before it counts as initialised.
    unsafe {
        ptr::copy_nonoverlapping(layer, copy.as_mut_ptr(), 1);
        overwrite(copy.as_mut_ptr());
        copy.assume_init()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Device;
    use tch::nn::{self, Module, ModuleT, VarStore};

    #[test]
    fn rebuilt_normalisations_compute_the_same_and_share_nothing_they_own() {
        let store = VarStore::new(Device::Cpu);
        let batch = nn::batch_norm1d(store.root() / "b", 4, nn::BatchNormConfig { eps: 0.25, ..Default::default() });
        let layer = nn::layer_norm(store.root() / "l", vec![4], nn::LayerNormConfig { eps: 0.5, ..Default::default() });
        let group = nn::group_norm(store.root() / "g", 2, 4, nn::GroupNormConfig { eps: 0.125, ..Default::default() });
        let input = Tensor::randn([3, 4], (tch::Kind::Float, Device::Cpu));
        assert_eq!(Moves::again(&batch).forward_t(&input, false), batch.forward_t(&input, false));
        assert_eq!(Moves::again(&layer).forward(&input), layer.forward(&input));
        assert_eq!(Moves::again(&group).forward(&input), group.forward(&input));
        let embedding = nn::embedding(store.root() / "e", 5, 3, nn::EmbeddingConfig::default());
        let index = Tensor::from_slice(&[0_i64, 4]);
        assert_eq!(Moves::again(&embedding).forward(&index), embedding.forward(&index));
    }
}
