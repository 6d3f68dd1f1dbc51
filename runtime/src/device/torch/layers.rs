//! The layers of `tch::nn`: their parameters are public, their configuration is not, so a rebuilt layer is a copy of the
//! old one with new tensors.
//!
//! Recurrent layers, `Sequential` and `Func` do not show their parameters: pass the `VarStore` or the single layers instead.

use std::mem::MaybeUninit;
use std::ptr;

use tch::nn::{BatchNorm, Conv, ConvConfigND, ConvTransposeND, Embedding, GroupNorm, LayerNorm, Linear, PaddingMode};

use super::{Device, Tensor, VarStore};
use crate::device::migrate::{Migrate, Moves, Rebuild, Visitor, VisitorMut};

impl Migrate for Linear {
    fn visit(&self, visitor: &mut Visitor<'_>) {
        self.ws.visit(visitor);
        self.bs.visit(visitor);
    }

    fn visit_mut(&mut self, visitor: &mut VisitorMut<'_>) {
        self.ws.visit_mut(visitor);
        self.bs.visit_mut(visitor);
    }
}

impl Rebuild for Linear {
    fn rebuild(&self, moves: &mut Moves<'_>) -> Self {
        Linear { ws: self.ws.rebuild(moves), bs: self.bs.rebuild(moves) }
    }
}

impl Migrate for BatchNorm {
    fn visit(&self, visitor: &mut Visitor<'_>) {
        visitor.buffer(&self.running_mean);
        visitor.buffer(&self.running_var);
        self.ws.visit(visitor);
        self.bs.visit(visitor);
    }

    fn visit_mut(&mut self, visitor: &mut VisitorMut<'_>) {
        self.running_mean.visit_mut(visitor);
        self.running_var.visit_mut(visitor);
        self.ws.visit_mut(visitor);
        self.bs.visit_mut(visitor);
    }
}

impl Rebuild for BatchNorm {
    fn rebuild(&self, moves: &mut Moves<'_>) -> Self {
        let (running_mean, running_var) = (self.running_mean.rebuild(moves), self.running_var.rebuild(moves));
        let (ws, bs) = (self.ws.rebuild(moves), self.bs.rebuild(moves));
        // SAFETY: besides the four overwritten fields the layer holds a `Copy` configuration and a number.
        unsafe {
            replica(self, |copy| {
                (&raw mut (*copy).running_mean).write(running_mean);
                (&raw mut (*copy).running_var).write(running_var);
                (&raw mut (*copy).ws).write(ws);
                (&raw mut (*copy).bs).write(bs);
            })
        }
    }
}

impl Migrate for LayerNorm {
    fn visit(&self, visitor: &mut Visitor<'_>) {
        self.ws.visit(visitor);
        self.bs.visit(visitor);
    }

    fn visit_mut(&mut self, visitor: &mut VisitorMut<'_>) {
        self.ws.visit_mut(visitor);
        self.bs.visit_mut(visitor);
    }
}

impl Rebuild for LayerNorm {
    fn rebuild(&self, moves: &mut Moves<'_>) -> Self {
        let (ws, bs, shape) = (self.ws.rebuild(moves), self.bs.rebuild(moves), self.normalized_shape.clone());
        // SAFETY: besides the three overwritten fields the layer holds a `Copy` configuration.
        unsafe {
            replica(self, |copy| {
                (&raw mut (*copy).ws).write(ws);
                (&raw mut (*copy).bs).write(bs);
                (&raw mut (*copy).normalized_shape).write(shape);
            })
        }
    }
}

impl Migrate for Embedding {
    fn visit(&self, visitor: &mut Visitor<'_>) {
        self.ws.visit(visitor);
    }

    fn visit_mut(&mut self, visitor: &mut VisitorMut<'_>) {
        self.ws.visit_mut(visitor);
    }
}

impl Rebuild for Embedding {
    fn rebuild(&self, moves: &mut Moves<'_>) -> Self {
        let ws = self.ws.rebuild(moves);
        // SAFETY: besides the overwritten field the layer holds a `Copy` configuration.
        unsafe { replica(self, |copy| (&raw mut (*copy).ws).write(ws)) }
    }
}

/// Layers whose fields are `ws`, `bs` and values that are `Copy`.
macro_rules! weighted {
    ($([$($generic:tt)*] $layer:ty;)*) => {$(
        impl $($generic)* Migrate for $layer {
            fn visit(&self, visitor: &mut Visitor<'_>) {
                self.ws.visit(visitor);
                self.bs.visit(visitor);
            }

            fn visit_mut(&mut self, visitor: &mut VisitorMut<'_>) {
                self.ws.visit_mut(visitor);
                self.bs.visit_mut(visitor);
            }
        }

        impl $($generic)* Rebuild for $layer {
            fn rebuild(&self, moves: &mut Moves<'_>) -> Self {
                let (ws, bs) = (self.ws.rebuild(moves), self.bs.rebuild(moves));
                // SAFETY: besides the two overwritten fields the layer holds only values that are `Copy`.
                unsafe {
                    replica(self, |copy| {
                        (&raw mut (*copy).ws).write(ws);
                        (&raw mut (*copy).bs).write(bs);
                    })
                }
            }
        }
    )*};
}

weighted! {
    [] GroupNorm;
    [<const N: usize>] ConvTransposeND<[i64; N]>;
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

impl<const N: usize> Migrate for Conv<[i64; N]> {
    fn visit(&self, visitor: &mut Visitor<'_>) {
        self.ws.visit(visitor);
        self.bs.visit(visitor);
    }

    fn visit_mut(&mut self, visitor: &mut VisitorMut<'_>) {
        self.ws.visit_mut(visitor);
        self.bs.visit_mut(visitor);
    }
}

impl<const N: usize> Rebuild for Conv<[i64; N]> {
    fn rebuild(&self, moves: &mut Moves<'_>) -> Self {
        let (ws, bs) = (self.ws.rebuild(moves), self.bs.rebuild(moves));
        let mut conv = empty_conv(&configuration(self));
        conv.ws = ws;
        conv.bs = bs;
        conv
    }
}

/// The private configuration of a convolution as its `Debug` prints it. The layer also owns a private list, so it cannot be
/// copied as the others are; and tensors are left out of the print, since printing one on a device may fail.
fn configuration<const N: usize>(conv: &Conv<[i64; N]>) -> String {
    let mut shown = MaybeUninit::<Conv<[i64; N]>>::uninit();
    // SAFETY: the copy is only printed, with its tensors replaced, and only the undefined tensor put there is
    // dropped, so that nothing is freed twice.
    unsafe {
        ptr::copy_nonoverlapping(conv, shown.as_mut_ptr(), 1);
        (&raw mut (*shown.as_mut_ptr()).ws).write(Tensor::new());
        (&raw mut (*shown.as_mut_ptr()).bs).write(None);
        let text = format!("{:?}", shown.assume_init_ref());
        (&raw mut (*shown.as_mut_ptr()).ws).drop_in_place();
        text
    }
}

/// A convolution without weights that is configured as the text says.
fn empty_conv<const N: usize>(text: &str) -> Conv<[i64; N]> {
    let field = |name: &str| text.rsplit_once(&format!(" {name}: ")).map_or("", |(_, rest)| rest);
    let numbers = |name: &str| {
        let list = field(name).trim_start_matches('[').split(']').next().unwrap_or("");
        let mut axes = [0; N];
        axes.iter_mut().zip(list.split(", ")).for_each(|(axis, number)| *axis = number.parse().unwrap_or(0));
        axes
    };
    let config = ConvConfigND {
        stride: numbers("stride"),
        padding: numbers("padding"),
        dilation: numbers("dilation"),
        groups: field("groups").split(',').next().and_then(|groups| groups.parse().ok()).unwrap_or(1),
        bias: false,
        ws_init: tch::nn::Init::Const(0.0),
        bs_init: tch::nn::Init::Const(0.0),
        padding_mode: padding_mode(field("padding_mode")),
    };
    let store = VarStore::new(Device::Cpu);
    tch::nn::conv(store.root(), 0, 0, [0; N], config)
}

fn padding_mode(text: &str) -> PaddingMode {
    match text.split(' ').next() {
        Some("Reflect") => PaddingMode::Reflect,
        Some("Replicate") => PaddingMode::Replicate,
        Some("Circular") => PaddingMode::Circular,
        _ => PaddingMode::Zeros,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::nn::{self, Module, ModuleT};

    fn unmoved<T: Rebuild>(value: &T) -> T {
        value.rebuild(&mut Moves::new(None, &mut |tensor| tensor.shallow_clone()))
    }

    #[test]
    fn a_rebuilt_convolution_computes_the_same() {
        for padding_mode in [PaddingMode::Zeros, PaddingMode::Reflect, PaddingMode::Circular] {
            let store = VarStore::new(Device::Cpu);
            let config = ConvConfigND {
                stride: [2, 1],
                padding: [1, 2],
                dilation: [1, 2],
                groups: 2,
                bias: true,
                padding_mode,
                ws_init: nn::Init::Randn { mean: 0.0, stdev: 1.0 },
                bs_init: nn::Init::Const(0.5),
            };
            let conv = nn::conv(store.root(), 4, 6, [3, 3], config);
            let input = Tensor::randn([2, 4, 9, 9], (tch::Kind::Float, Device::Cpu));
            assert_eq!(unmoved(&conv).forward(&input), conv.forward(&input));
        }
    }

    #[test]
    fn rebuilt_normalisations_compute_the_same_and_share_nothing_they_own() {
        let store = VarStore::new(Device::Cpu);
        let batch = nn::batch_norm1d(store.root() / "b", 4, nn::BatchNormConfig { eps: 0.25, ..Default::default() });
        let layer = nn::layer_norm(store.root() / "l", vec![4], nn::LayerNormConfig { eps: 0.5, ..Default::default() });
        let group = nn::group_norm(store.root() / "g", 2, 4, nn::GroupNormConfig { eps: 0.125, ..Default::default() });
        let input = Tensor::randn([3, 4], (tch::Kind::Float, Device::Cpu));
        assert_eq!(unmoved(&batch).forward_t(&input, false), batch.forward_t(&input, false));
        assert_eq!(unmoved(&layer).forward(&input), layer.forward(&input));
        assert_eq!(unmoved(&group).forward(&input), group.forward(&input));
        let embedding = nn::embedding(store.root() / "e", 5, 3, nn::EmbeddingConfig::default());
        let index = Tensor::from_slice(&[0_i64, 4]);
        assert_eq!(unmoved(&embedding).forward(&index), embedding.forward(&index));
    }
}
