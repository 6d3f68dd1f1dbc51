//! What the body makes during a fallback: parameters in stores, leaves and stores in results, and what it shares.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use backstop::{Migrate, safe_mps_op};
use sim_mps::Orders;
use tch::nn::{self, Module, Optimizer, OptimizerConfig, VarStore};
use tch::{Device, Kind, TchError, Tensor};

use super::{on_mps, values};

fn names(store: &VarStore) -> Vec<(String, Device, bool, bool)> {
    let named = store.variables().into_iter();
    let mut names: Vec<_> = named.map(|(name, tensor)| (name, tensor.device(), tensor.is_leaf(), tensor.requires_grad())).collect();
    names.sort_by(|one, other| one.0.cmp(&other.0));
    names
}

fn is_parameter(tensor: &Tensor, device: Device) -> bool {
    tensor.device() == device && tensor.is_leaf() && tensor.requires_grad()
}

#[safe_mps_op]
fn widened(store: &mut VarStore, x: &Tensor) -> Result<nn::Linear, TchError> {
    let _ = x.f_abs()?;
    Ok(nn::linear(store.root() / "b", 2, 2, Default::default()))
}

#[safe_mps_op]
fn normalised(store: &VarStore, x: &Tensor) -> Result<nn::BatchNorm, TchError> {
    let _ = x.f_abs()?;
    Ok(nn::batch_norm1d(store.root().set_group(1) / "n", 2, Default::default()))
}

#[test]
fn variables_that_are_made_in_a_lent_store_are_in_it_afterwards() {
    let Ok(orders) = Orders::take() else { return };
    let [on_cpu, on_device] = [Device::Cpu, Device::Mps].map(|device| {
        orders.reset();
        tch::manual_seed(2);
        let mut store = VarStore::new(device);
        let first = nn::linear(store.root() / "a", 2, 2, Default::default());
        let mut optimizer = nn::Adam::default().build(&store, 0.1).unwrap();
        let x = Tensor::ones([3, 2], (Kind::Float, device));
        orders.unimplemented("aten::abs").unwrap();
        let second = widened(&mut store, &x).unwrap();
        let normal = normalised(&store, &x).unwrap();
        orders.reset();
        assert!(is_parameter(&second.ws, device) && is_parameter(normal.ws.as_ref().unwrap(), device));
        assert_eq!(normal.running_mean.data_ptr(), store.variables()["n.running_mean"].data_ptr());
        // The random numbers of the device are others.
        let _ = tch::no_grad(|| [&first.ws, &second.ws].map(|weights| weights.shallow_clone().fill_(0.5)));
        optimizer.backward_step(&second.forward(&first.forward(&x)).square().mean(Kind::Float));
        let shown = names(&store).into_iter().map(|(name, at, leaf, grad)| (name, at == device, leaf, grad)).collect::<Vec<_>>();
        (shown, store.trainable_variables().len(), values(&second.ws), values(&first.ws))
    });
    assert_eq!(on_device, on_cpu);
    assert_ne!(on_device.2, [0.5; 4], "the optimizer knows the new parameters");
}

#[derive(Migrate)]
struct Counting {
    weights: Tensor,
    calls: Cell<u32>,
}

impl Counting {
    #[safe_mps_op]
    fn scaled(self: Rc<Self>, x: &Tensor) -> Result<Tensor, TchError> {
        self.calls.set(self.calls.get() + 1);
        x.f_mul(&self.weights)
    }
}

#[safe_mps_op]
fn is_alone(only: Rc<Counting>, x: &Tensor) -> Result<bool, TchError> {
    let _ = x.f_abs()?;
    Ok(Rc::try_unwrap(only).is_ok())
}

#[safe_mps_op]
fn grown(store: VarStore, x: &Tensor) -> Result<nn::Linear, TchError> {
    let _ = x.f_abs()?;
    Ok(nn::linear(store.root() / "b", 2, 2, Default::default()))
}

#[test]
fn what_is_given_by_value_and_shared_with_the_caller_stays_shared_where_nothing_fails() {
    let Ok(_orders) = Orders::take() else { return };
    let counting = || Rc::new(Counting { weights: on_mps(&[2.0]), calls: Cell::new(0) });
    let (shared, x) = (counting(), on_mps(&[3.0]));
    assert_eq!(values(&Rc::clone(&shared).scaled(&x).unwrap()), [6.0]);
    assert_eq!(shared.calls.get(), 1);
    assert!(is_alone(counting(), &x).unwrap() && !is_alone(Rc::clone(&shared), &x).unwrap());
    let store = VarStore::new(Device::Mps);
    let mut handle = VarStore::new(Device::Mps);
    handle.variables_ = Arc::clone(&store.variables_);
    grown(handle, &x).unwrap();
    assert_eq!(store.trainable_variables().len(), 2, "an optimizer that was built with it knows the new parameters");
}

#[safe_mps_op]
fn leaf(x: &Tensor) -> Result<Tensor, TchError> {
    Ok(x.f_abs()?.set_requires_grad(true))
}

#[safe_mps_op]
fn leaf_with_gradient(x: &Tensor) -> Result<Tensor, TchError> {
    let leaf = x.f_abs()?.set_requires_grad(true);
    leaf.f_square()?.f_sum(Kind::Float)?.f_backward()?;
    Ok(leaf)
}

#[test]
fn a_leaf_in_the_result_comes_home_as_a_leaf_with_its_gradient() {
    let Ok(orders) = Orders::take() else { return };
    orders.unimplemented("aten::abs").unwrap();
    let (plain, used) = (leaf(&on_mps(&[-1.0])).unwrap(), leaf_with_gradient(&on_mps(&[-3.0])).unwrap());
    orders.reset();
    assert!(is_parameter(&plain, Device::Mps) && is_parameter(&used, Device::Mps));
    assert_eq!((values(&used.grad()), used.grad().device()), (vec![6.0], Device::Mps));
    (&plain * 4.0).backward();
    (&used * 4.0).backward();
    assert_eq!((values(&plain.grad()), values(&used.grad())), (vec![4.0], vec![10.0]));
}

/// A whole learner is made by the function.
#[derive(Migrate)]
struct Learner {
    net: nn::Linear,
    store: VarStore,
    device: Device,
    #[migrate(skip)]
    optimizer: Optimizer,
}

#[safe_mps_op]
fn learner(x: &Tensor, device: Device) -> Result<Learner, TchError> {
    let _ = x.f_abs()?;
    let store = VarStore::new(device);
    let net = nn::linear(store.root(), 2, 1, Default::default());
    let optimizer = nn::Adam::default().build(&store, 0.1)?;
    Ok(Learner { net, store, device, optimizer })
}

#[test]
fn a_store_in_the_result_comes_home_with_its_layers_and_its_optimizer() {
    let Ok(orders) = Orders::take() else { return };
    let x = on_mps(&[1.0, 2.0]).reshape([1, 2]);
    orders.unimplemented("aten::abs").unwrap();
    let Learner { net, store, device, mut optimizer } = learner(&x, Device::Mps).unwrap();
    orders.reset();
    assert_eq!((device, store.device()), (Device::Mps, Device::Mps));
    assert!(store.trainable_variables().iter().all(|variable| is_parameter(variable, Device::Mps)));
    let before = values(&net.ws);
    optimizer.backward_step(&net.forward(&x).square().mean(Kind::Float));
    assert_ne!(values(&net.ws), before);
    assert_eq!(values(&store.variables()["weight"]), values(&net.ws));
}

#[safe_mps_op]
fn leaf_and_loss(x: &Tensor) -> Result<(Tensor, Tensor), TchError> {
    let leaf = x.f_abs()?.set_requires_grad(true);
    let loss = leaf.f_square()?.f_sum(Kind::Float)?;
    Ok((leaf, loss))
}

#[test]
fn a_leaf_that_another_result_needs_stays_where_its_gradient_arrives() {
    let Ok(orders) = Orders::take() else { return };
    orders.unimplemented("aten::abs").unwrap();
    let (leaf, loss) = leaf_and_loss(&on_mps(&[-3.0])).unwrap();
    orders.reset();
    assert!(is_parameter(&leaf, Device::Cpu) && loss.device() == Device::Mps);
    loss.backward();
    assert_eq!(values(&leaf.grad()), [6.0]);
}

#[safe_mps_op]
fn loss_of_a_new_layer(store: &VarStore, x: &Tensor) -> Result<Tensor, TchError> {
    let x = x.f_abs()?;
    nn::linear(store.root() / "new", 2, 1, Default::default()).forward(&x).f_mean(Kind::Float)
}

#[test]
fn a_loss_whose_gradients_would_miss_the_variables_made_for_it_is_refused() {
    let Ok(orders) = Orders::take() else { return };
    let store = VarStore::new(Device::Mps);
    orders.unimplemented("aten::abs").unwrap();
    let text = loss_of_a_new_layer(&store, &on_mps(&[1.0, 2.0]).reshape([1, 2])).unwrap_err().to_string();
    assert!(text.contains("the result needs gradients of variables that the body made: make them before the call"), "{text}");
    assert!(store.is_empty());
}

#[safe_mps_op]
fn shared(net: &Rc<nn::Linear>, x: &Tensor) -> Result<(Rc<nn::Linear>, Tensor), TchError> {
    Ok((Rc::clone(net), x.f_abs()?))
}

#[test]
fn a_shared_argument_in_the_result_holds_the_tensors_of_the_device() {
    let Ok(orders) = Orders::take() else { return };
    let store = VarStore::new(Device::Mps);
    let net = Rc::new(nn::linear(store.root(), 2, 1, Default::default()));
    orders.unimplemented("aten::abs").unwrap();
    let (same, _) = shared(&net, &on_mps(&[1.0])).unwrap();
    orders.reset();
    assert!(is_parameter(&same.ws, Device::Mps));
    let _ = tch::no_grad(|| same.ws.shallow_clone().fill_(7.0));
    assert_eq!(values(&net.ws), [7.0, 7.0]);
}
