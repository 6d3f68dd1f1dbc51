//! Tensors of every kind in a fallback on the simulated device: what the body gets, and what is left behind.
#![cfg(not(feature = "disable-decorators"))]

use std::collections::{BTreeMap, HashMap};

use backstop::{Migrate, safe_mps_op};
use sim_mps::Orders;
use tch::{Device, Kind, TchError, Tensor};

fn on_mps(values: &[f32]) -> Tensor {
    Tensor::from_slice(values).to_device(Device::Mps)
}

fn values(tensor: &Tensor) -> Vec<f32> {
    Vec::try_from(tensor.to_device(Device::Cpu).reshape([-1])).unwrap()
}

/// Fails where `x` is on the device, and nowhere else: what is beside it is looked at in the attempt on the CPU.
fn fail_on_device(x: &Tensor) -> Result<(), TchError> {
    x.f_ceil().map(drop)
}

#[safe_mps_op]
fn beside(x: &Tensor, others: &[Tensor], seen: &mut Vec<(bool, Vec<i64>, Device)>) -> Result<Vec<Tensor>, TchError> {
    fail_on_device(x)?;
    seen.extend(others.iter().filter(|other| other.defined()).map(|other| (other.is_sparse(), other.size(), other.device())));
    Ok(others.iter().map(Tensor::shallow_clone).collect())
}

#[test]
fn undefined_empty_sparse_and_quantized_tensors_survive_beside_one_that_moves() {
    let Ok(orders) = Orders::take() else { return };
    orders.unimplemented("aten::ceil").unwrap();
    let cpu = (Kind::Float, Device::Cpu);
    let sparse = Tensor::eye(3, cpu).to_sparse(None::<tch::Layout>, None::<i64>, None::<i64>);
    let quantized = Tensor::ones([2, 2], cpu).quantize_per_tensor(0.5, 1, Kind::QUInt8);
    let empty = Tensor::zeros([0, 4], (Kind::Float, Device::Mps));
    let others = [Tensor::new(), empty, sparse, quantized];
    let mut seen = Vec::new();
    let same = beside(&on_mps(&[0.5]), &others, &mut seen).unwrap();
    assert_eq!(seen, [(false, vec![0, 4], Device::Cpu), (true, vec![3, 3], Device::Cpu), (false, vec![2, 2], Device::Cpu)]);
    assert!(!same[0].defined());
    assert_eq!((same[1].size(), same[1].device()), (vec![0, 4], Device::Mps), "what came from the device goes back");
    assert!(same[2].is_sparse() && same[2].device() == Device::Cpu, "what was on the CPU stays there");
    assert_eq!(same[3].f_kind().unwrap(), Kind::QUInt8);
    assert_eq!(values(&same[3].dequantize()), [1.0; 4]);
}

#[safe_mps_op]
fn strided(wide: &Tensor, column: &Tensor, shapes: &mut Vec<(Vec<i64>, Vec<i64>)>) -> Result<Tensor, TchError> {
    fail_on_device(column)?;
    shapes.extend([wide, column].map(|tensor| (tensor.size(), tensor.stride())));
    wide.f_add(column)
}

#[test]
fn expanded_and_strided_tensors_keep_their_strides_and_are_not_blown_up() {
    let Ok(orders) = Orders::take() else { return };
    orders.unimplemented("aten::ceil").unwrap();
    let row = on_mps(&[1.0, 2.0, 3.0]);
    let wide = row.expand([100_000, 3], false);
    let table = Tensor::arange(12, (Kind::Float, Device::Cpu)).reshape([4, 3]).to_device(Device::Mps);
    let column = table.select(0, 1);
    let mut shapes = Vec::new();
    let sum = strided(&wide, &column, &mut shapes).unwrap();
    assert_eq!(shapes, [(vec![100_000, 3], vec![0, 1]), (vec![3], vec![1])]);
    assert_eq!(values(&sum.select(0, 99_999)), [4.0, 6.0, 8.0]);
    assert!(sim_mps::counts().from_device <= 4, "one copy each: {:?}", sim_mps::counts());
}

#[safe_mps_op]
fn written(x: &mut Tensor, y: &Tensor) -> Result<(Tensor, Tensor, Tensor), TchError> {
    fail_on_device(y)?;
    let same = x.f_add_(y)?;
    let view = x.f_narrow(0, 1, 1)?;
    Ok((same, view, y.f_mul_scalar(2.0)?))
}

#[test]
fn outputs_that_alias_a_written_input_come_back_as_that_input() {
    let Ok(orders) = Orders::take() else { return };
    orders.unimplemented("aten::ceil").unwrap();
    let (mut x, y) = (on_mps(&[1.0, 2.0]), on_mps(&[10.0, 20.0]));
    let before = x.shallow_clone();
    let (same, mut view, fresh) = written(&mut x, &y).unwrap();
    assert_eq!((x.data_ptr(), same.data_ptr()), (before.data_ptr(), before.data_ptr()));
    assert_eq!((values(&before), values(&fresh)), (vec![11.0, 22.0], vec![20.0, 40.0]));
    let _ = view.fill_(-1.0);
    assert_eq!(values(&before), [11.0, -1.0], "a view of the input is one of the input on the device");
}

#[derive(Migrate)]
struct Batch<T: Migrate> {
    named: BTreeMap<String, Tensor>,
    pairs: Vec<(Tensor, Option<Box<Tensor>>)>,
    fixed: [T; 2],
    epoch: u32,
}

#[derive(Migrate)]
enum Input {
    Batched {
        batch: Batch<Tensor>,
        device: Device,
    },
    #[allow(dead_code, reason = "a variant without tensors, which the derive must take")]
    Empty,
}

type Outputs = (Vec<Tensor>, HashMap<String, (Tensor, i64)>);

#[safe_mps_op]
fn nested(inputs: &mut HashMap<u8, Input>) -> Result<Outputs, TchError> {
    let Some(Input::Batched { batch, device }) = inputs.get_mut(&7) else { unreachable!("it was put there") };
    let (first, second) = &mut batch.pairs[0];
    let second = second.as_mut().expect("it was put there");
    let _ = second.f_add_(&batch.named["a"])?;
    fail_on_device(first)?;
    batch.fixed[1] = batch.fixed[0].f_add(&Tensor::f_ones([1], (Kind::Float, *device))?)?;
    batch.epoch += 1;
    Ok((vec![first.f_neg()?], HashMap::from([("b".to_owned(), (batch.named["a"].f_mul_scalar(3.0)?, 4))])))
}

#[test]
fn tensors_in_nested_containers_and_derived_types_move_and_come_home() {
    let Ok(orders) = Orders::take() else { return };
    let a = on_mps(&[5.0]);
    let batch = Batch {
        named: BTreeMap::from([("a".to_owned(), a.shallow_clone())]),
        pairs: vec![(on_mps(&[1.0]), Some(Box::new(a.shallow_clone())))],
        fixed: [on_mps(&[1.0]), on_mps(&[1.0])],
        epoch: 0,
    };
    let mut inputs = HashMap::from([(7, Input::Batched { batch, device: Device::Mps })]);
    orders.fail_at(1, &sim_mps::text::out_of_memory());
    let (list, map) = nested(&mut inputs).unwrap();
    assert_eq!(sim_mps::counts().raised, 1);
    assert_eq!((values(&list[0]), list[0].device()), (vec![-1.0], Device::Mps));
    assert_eq!((values(&map["b"].0), map["b"].0.device(), map["b"].1), (vec![30.0], Device::Mps, 4), "the alias was seen");
    let Some(Input::Batched { batch, device }) = inputs.remove(&7) else { panic!("it is gone") };
    assert_eq!(device, Device::Mps);
    assert_eq!((values(&a), batch.named["a"].data_ptr()), (vec![10.0], a.data_ptr()), "written once, through the alias");
    assert_eq!((values(&batch.fixed[1]), batch.fixed[1].device()), (vec![2.0], Device::Mps));
    assert_eq!(batch.epoch, 1, "what is no tensor happens in both attempts, but the first one failed before");
}

#[safe_mps_op]
fn grown(x: &mut Tensor) -> Result<i64, TchError> {
    fail_on_device(x)?;
    let _ = x.f_resize_([4])?;
    x.f_fill_(3.0).map(|filled| filled.numel() as i64)
}

#[test]
fn a_tensor_that_is_resized_on_the_cpu_takes_its_new_memory_home() {
    let Ok(orders) = Orders::take() else { return };
    orders.unimplemented("aten::ceil").unwrap();
    let mut x = on_mps(&[1.0]);
    let same = x.shallow_clone();
    assert_eq!(grown(&mut x).unwrap(), 4);
    assert_eq!((values(&same), same.device()), (vec![3.0; 4], Device::Mps));
}

#[safe_mps_op]
fn leaves(w: &Tensor, x: &Tensor) -> Result<Tensor, TchError> {
    fail_on_device(x)?;
    assert!(w.requires_grad() && !w.is_leaf() && !x.requires_grad());
    w.f_mul(x)?.f_sum(Kind::Float)
}

#[test]
fn leaves_and_requires_grad_are_as_before_and_gradients_reach_the_original() {
    let Ok(orders) = Orders::take() else { return };
    orders.unimplemented("aten::ceil").unwrap();
    let (w, x) = (on_mps(&[1.0, 2.0]).set_requires_grad(true), on_mps(&[3.0, 4.0]));
    let loss = leaves(&w, &x).unwrap();
    loss.backward();
    assert_eq!((values(&w.grad()), w.grad().device()), (vec![3.0, 4.0], Device::Mps));
    assert!(w.is_leaf() && w.requires_grad() && x.is_leaf() && !x.requires_grad());
}
