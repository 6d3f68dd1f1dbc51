//! Convolutions: they own a private list, so they cannot be copied as other layers are, and are made anew from what they say of themselves.

use std::mem::MaybeUninit;
use std::ptr;

use tch::nn::{Conv, ConvConfigND, PaddingMode};

use super::{Device, Tensor, VarStore};
use crate::device::migrate::{Moves, Rebuild};

impl<const N: usize> Rebuild for Conv<[i64; N]> {
    fn rebuild(&self, moves: &mut Moves<'_>) -> Self {
        let (ws, bs) = (self.ws.rebuild(moves), self.bs.rebuild(moves));
        let mut conv = empty_conv(&configuration(self));
        conv.ws = ws;
        conv.bs = bs;
        conv
    }
}

/// The private configuration of a convolution as its `Debug` prints it, without the tensors: printing one on a device may fail.
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
    use tch::nn::{self, Module};

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
            let rebuilt = Moves::again(&conv);
            assert_eq!(rebuilt.forward(&input), conv.forward(&input));
        }
    }
}
