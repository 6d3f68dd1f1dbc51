//! Tensors on the simulated device against the same on the CPU, bit for bit.

#![cfg(target_os = "linux")]

mod common;

use common::{numbers, same_bits};
use tch::{Device, IndexOp, Kind, Tensor};

/// One computation, here and there.
fn check(name: &str, compute: impl Fn(Device) -> Tensor) {
    sim_mps::load().unwrap();
    let (device, host) = (compute(Device::Mps), compute(Device::Cpu));
    assert_eq!(device.device(), Device::Mps, "{name}");
    assert_eq!((device.size(), device.stride(), device.storage_offset()), (host.size(), host.stride(), host.storage_offset()), "{name}");
    assert!(same_bits(&device, &host), "{name}: {:?}\n{:?}", device.to_device(Device::Cpu), host);
}

#[test]
fn a_tensor_says_that_it_is_on_mps() {
    sim_mps::load().unwrap();
    let a = Tensor::from_slice(&[1f32, 2.0]).to_device(Device::Mps);
    assert_eq!(a.device(), Device::Mps);
    assert_eq!(Vec::<f32>::try_from(a.to_device(Device::Cpu)).unwrap(), [1.0, 2.0]);
}

#[test]
fn arithmetic_equals_the_cpus() {
    let a = |d: Device| numbers(&[33, 17]).to_device(d);
    check("add", |d| a(d) + a(d) * 2.5);
    check("divide", |d| a(d) / (a(d).abs() + 1));
    check("matmul", |d| a(d).matmul(&a(d).transpose(0, 1)));
    check("sum", |d| a(d).sum(Kind::Float));
    check("sum of a transposed axis", |d| a(d).transpose(0, 1).sum_dim_intlist([0i64].as_slice(), true, Kind::Float));
    check("mean and std", |d| (a(d) - a(d).mean(Kind::Float)) / a(d).std(true));
    check("softmax", |d| a(d).softmax(-1, Kind::Float));
    check("cumsum", |d| a(d).cumsum(0, Kind::Float));
    check("exp, log, tanh", |d| (a(d).exp() + 1).log().tanh());
    check("where", |d| a(d).where_self(&a(d).gt(0), &a(d).neg()));
    check("masked fill", |d| a(d).masked_fill(&a(d).lt(0), 0.5));
    check("gather", |d| a(d).gather(1, &Tensor::from_slice(&[3i64, 1]).view([2, 1]).to_device(d), false));
    check("index", |d| a(d).i((&Tensor::from_slice(&[5i64, 0, 7]).to_device(d), ..)));
    check("index from the host", |d| a(d).index(&[Some(Tensor::from_slice(&[5i64, 0, 7]))]));
    check("sort", |d| a(d).sort(0, true).0);
    check("argmax", |d| a(d).argmax(1, false));
    check("top k", |d| a(d).topk(3, 1, true, true).0);
    check("cat", |d| Tensor::cat(&[a(d), a(d)], 1));
    check("stack", |d| Tensor::stack(&[a(d), a(d)], 0));
    check("nonzero", |d| a(d).gt(0.5).nonzero());
    check("masked select", |d| a(d).masked_select(&a(d).gt(0)));
    check("norm", |d| a(d).norm());
    check("clamp", |d| a(d).clamp(-0.5, 0.5));
    check("einsum", |d| Tensor::einsum("ij,kj->ik", &[a(d), a(d)], None::<i64>));
    check("half", |d| a(d).to_kind(Kind::Half) * 2);
    check("integers", |d| (a(d) * 100).to_kind(Kind::Int64).remainder(7));
    check("inverse", |d| (a(d).narrow(0, 0, 17) + Tensor::eye(17, (Kind::Float, d)) * 20).inverse());
}

#[test]
fn layers_equal_the_cpus() {
    let image = |d: Device| numbers(&[2, 3, 12, 12]).to_device(d);
    let kernel = |d: Device| numbers(&[5, 3, 3, 3]).to_device(d);
    let (wide, narrow) = (|d: Device| numbers(&[8, 6]).to_device(d), |d: Device| numbers(&[4, 6]).to_device(d));
    check("linear", |d| wide(d).linear(&narrow(d), Some(numbers(&[4]).to_device(d))));
    check("conv2d", |d| image(d).conv2d(&kernel(d), Some(numbers(&[5]).to_device(d)), 1, 1, 1, 1));
    check("conv1d", |d| numbers(&[2, 3, 20]).to_device(d).conv1d(&numbers(&[4, 3, 5]).to_device(d), None::<Tensor>, 2, 0, 1, 1));
    check("conv transpose", |d| image(d).conv_transpose2d(&numbers(&[3, 4, 3, 3]).to_device(d), None::<Tensor>, 2, 1, 1, 1, 1));
    check("max pool", |d| image(d).max_pool2d(2, 2, 0, 1, false));
    check("average pool", |d| image(d).adaptive_avg_pool2d([3, 3]));
    check("layer norm", |d| wide(d).layer_norm([6], Some(numbers(&[6]).to_device(d)), None::<Tensor>, 1e-5, false));
    check("group norm", |d| image(d).group_norm(3, None::<Tensor>, None::<Tensor>, 1e-5, false));
    check("embedding", |d| Tensor::embedding(&wide(d), &Tensor::from_slice(&[1i64, 7, 7, 0]).to_device(d), -1, false, false));
    check("gelu", |d| wide(d).gelu("none"));
    check("cross entropy", |d| {
        let target = Tensor::from_slice(&[0i64, 1, 2, 3, 4, 5, 0, 1]).to_device(d);
        wide(d).cross_entropy_loss(&target, None::<Tensor>, tch::Reduction::Mean, -100, 0.0)
    });
    check("interpolate", |d| image(d).upsample_bilinear2d([24, 24], false, None, None));
}

#[test]
fn batch_norm_writes_its_running_statistics() {
    let norm = |d: Device| {
        let (mean, variance) = (Tensor::zeros([6], (Kind::Float, d)), Tensor::ones([6], (Kind::Float, d)));
        let input = numbers(&[8, 6]).to_device(d);
        let out = input.batch_norm(None::<&Tensor>, None::<&Tensor>, Some(&mean), Some(&variance), true, 0.1, 1e-5, false);
        Tensor::cat(&[out.view([-1]), mean, variance], 0)
    };
    check("batch norm", norm);
    assert_ne!(norm(Device::Mps).narrow(0, 48, 6).abs().sum(Kind::Float).double_value(&[]), 0.0);
}

#[test]
fn views_share_memory_and_keep_strides_and_offsets() {
    let a = |d: Device| numbers(&[4, 6]).to_device(d);
    check("view", |d| a(d).view([3, 8]));
    check("view with one size left open", |d| a(d).view([2, -1, 3]));
    check("transpose", |d| a(d).transpose(0, 1));
    check("narrow", |d| a(d).narrow(1, 2, 3));
    check("step", |d| a(d).slice(1, 1, 6, 2));
    check("expand", |d| a(d).i(0).expand([5, 6], false));
    check("as_strided", |d| a(d).as_strided([3, 2], [5, 2], 1));
    check("unfold", |d| a(d).unfold(1, 3, 1));
    check("diagonal", |d| a(d).diagonal(0, 0, 1));
    check("channels last", |d| numbers(&[2, 3, 4, 4]).to_device(d).permute([0, 2, 3, 1]).contiguous().permute([0, 3, 1, 2]));

    let base = a(Device::Mps);
    let mut view = base.view([3, 8]).narrow(0, 1, 1);
    let version = base.internal_version();
    let _ = view.fill_(7.0);
    assert_eq!(base.i(1).narrow(0, 2, 4).sum(Kind::Float).double_value(&[]), 28.0, "writing through a view is seen in its base");
    assert_eq!(base.internal_version(), version + 1);
    assert_eq!(view.data_ptr(), base.data_ptr().wrapping_byte_add(8 * 4));
}

#[test]
fn in_place_operators_write_where_they_were_told() {
    check("add_", |d| {
        let mut a = numbers(&[4, 6]).to_device(d);
        let mut column = a.narrow(1, 2, 1);
        let _ = column.g_add_(&column.shallow_clone());
        let _ = a.g_mul_scalar_(3.0).relu_();
        a
    });
    check("index_put_", |d| {
        let mut a = numbers(&[4, 6]).to_device(d);
        let _ = a.index_put_(&[Some(Tensor::from_slice(&[1i64, 1, 3]).to_device(d))], &Tensor::ones([3, 6], (Kind::Float, d)), true);
        a
    });
    check("copy_ with another kind and broadcasting", |d| {
        let mut a = Tensor::zeros([4, 6], (Kind::Float, d));
        a.copy_(&numbers(&[6]).to_kind(Kind::Double));
        a
    });
    check("resize_ to more", |d| {
        let mut a = numbers(&[4]).to_device(d);
        let _ = a.resize_([2, 4]).narrow(0, 1, 1).fill_(1.0);
        a
    });
    check("set_ from another tensor", |d| {
        let a = numbers(&[4]).to_device(d);
        let _ = a.set_source_tensor(&numbers(&[2, 3]).to_device(d).narrow(1, 1, 2));
        a
    });
    check("out", |d| numbers(&[3]).to_device(d).abs_out(&Tensor::empty([0], (Kind::Float, d))));
}

#[test]
fn a_resized_tensor_still_shares_memory_with_its_views() {
    sim_mps::load().unwrap();
    let mut base = Tensor::zeros([2], (Kind::Float, Device::Mps));
    let mut twin = base.shallow_clone();
    let view = base.narrow(0, 0, 1);
    let _ = base.resize_([1000]).fill_(5.0);
    assert_eq!(view.double_value(&[0]), 5.0);
    let _ = twin.fill_(6.0);
    assert_eq!(view.double_value(&[0]), 6.0);
}

#[test]
fn a_write_back_keeps_object_device_and_leaf() {
    sim_mps::load().unwrap();
    let mut leaf = Tensor::zeros([3], (Kind::Float, Device::Mps)).set_requires_grad(true);
    tch::no_grad(|| leaf.copy_(&Tensor::from_slice(&[1f32, 2.0, 3.0])));
    assert!(leaf.is_leaf() && leaf.requires_grad());
    assert_eq!(leaf.device(), Device::Mps);
    assert!(same_bits(&leaf, &Tensor::from_slice(&[1f32, 2.0, 3.0])));
}

#[test]
fn a_seed_gives_the_cpus_numbers_from_a_stream_of_the_devices_own() {
    sim_mps::load().unwrap();
    let _one_at_a_time = sim_mps::Orders::take().unwrap();
    let draw =
        |d: Device| Tensor::cat(&[Tensor::randn([50], (Kind::Float, d)), Tensor::ones([50], (Kind::Float, d)).dropout(0.5, true)], 0);
    tch::manual_seed(7);
    let (first, second) = (draw(Device::Mps), draw(Device::Mps));
    assert!(!same_bits(&first, &second));
    let host = draw(Device::Cpu);
    assert!(same_bits(&first, &host), "drawing on the device left the CPU's stream where it was");
    tch::manual_seed(7);
    assert!(same_bits(&draw(Device::Mps), &first));
    let chances = numbers(&[10]).abs();
    tch::manual_seed(8);
    let picked = chances.to_device(Device::Mps).multinomial(5, false);
    assert!(same_bits(&picked, &chances.multinomial(5, false)));
}

#[test]
fn sparse_tensors_are_refused_as_on_the_device() {
    sim_mps::load().unwrap();
    let error = Tensor::eye(3, (Kind::Float, Device::Mps)).f_to_sparse(None::<tch::Layout>, None::<i64>, 0);
    let error = error.unwrap_err().to_string();
    assert!(error.contains("with arguments from the 'SparseMPS' backend"), "{error}");
}
