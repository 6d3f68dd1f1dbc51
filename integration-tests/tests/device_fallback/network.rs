//! A network under training: gradients and steps of an optimizer.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use backstop::{Migrate, safe_mps_op};
use sim_mps::{Orders, text};
use tch::nn::{self, Module, OptimizerConfig, VarStore};
use tch::{Device, Kind, TchError, Tensor};

use super::values;

#[derive(Debug, Migrate)]
struct Net {
    first: nn::Linear,
    second: nn::Linear,
    name: String,
}

impl Net {
    fn new(store: &VarStore) -> Self {
        let root = store.root();
        let (first, second) = (nn::linear(&root / "a", 3, 4, Default::default()), nn::linear(&root / "b", 4, 1, Default::default()));
        Net { first, second, name: "net".to_owned() }
    }

    #[safe_mps_op]
    fn loss(&self, x: &Tensor) -> Tensor {
        assert_eq!(self.name, "net");
        self.second.forward(&self.first.forward(x).relu()).square().mean(Kind::Float)
    }
}

#[test]
fn gradients_of_a_fallback_reach_the_parameters_on_the_device() {
    let Ok(orders) = Orders::take() else { return };
    tch::manual_seed(7);
    let store = VarStore::new(Device::Mps);
    let net = Net::new(&store);
    let x = Tensor::ones([2, 3], (Kind::Float, Device::Mps));
    let expected = net.loss(&x);
    expected.backward();
    let gradient = |net: &Net| (values(&net.first.ws.grad().view([-1])), values(&net.second.bs.as_ref().unwrap().grad().view([-1])));
    let without = gradient(&net);
    let mut optimizer = nn::Sgd::default().build(&store, 0.1).unwrap();
    optimizer.zero_grad();

    orders.unimplemented("aten::relu").unwrap();
    let loss = net.loss(&x);
    assert_eq!(loss.device(), Device::Mps);
    assert_eq!(values(&loss), values(&expected));
    orders.reset();
    loss.backward();
    assert_eq!(net.first.ws.grad().device(), Device::Mps);
    assert_eq!(gradient(&net), without);
    assert!(net.first.ws.is_leaf());
}

#[safe_mps_op]
fn step(net: &Net, optimizer: &mut nn::Optimizer, x: &Tensor) {
    let loss = net.second.forward(&net.first.forward(x)).square().mean(Kind::Float);
    optimizer.backward_step(&loss);
}

#[test]
fn a_training_step_whose_forward_fails_is_done_once_with_the_optimizer_on_the_device() {
    let Ok(orders) = Orders::take() else { return };
    let train = |device: Device, fault: bool| {
        tch::manual_seed(3);
        let mut store = VarStore::new(Device::Cpu);
        let net = Net::new(&store);
        store.set_device(device);
        let mut optimizer = nn::Adam::default().build(&store, 0.1).unwrap();
        let x = Tensor::ones([2, 3], (Kind::Float, device));
        step(&net, &mut optimizer, &x);
        if fault {
            orders.fail_at(3, &text::out_of_memory());
        }
        step(&net, &mut optimizer, &x);
        step(&net, &mut optimizer, &x);
        assert_eq!(net.first.ws.device(), device);
        (values(&net.first.ws.view([-1])), values(&net.second.ws.view([-1])))
    };
    let on_cpu = train(Device::Cpu, false);
    let before = sim_mps::counts().raised;
    assert_eq!(train(Device::Mps, true), on_cpu);
    assert_eq!(sim_mps::counts().raised, before + 1);
}

/// One of its own: after a fault a function goes straight to the CPU for a while.
#[safe_mps_op]
fn unlucky_step(net: &Net, optimizer: &mut nn::Optimizer, x: &Tensor) {
    let loss = net.second.forward(&net.first.forward(x)).square().mean(Kind::Float);
    optimizer.backward_step(&loss);
}

#[test]
fn a_failure_in_the_optimizers_step_is_never_tried_again() {
    let Ok(orders) = Orders::take() else { return };
    tch::manual_seed(3);
    let store = VarStore::new(Device::Mps);
    let net = Net::new(&store);
    let mut optimizer = nn::Adam::default().build(&store, 0.1).unwrap();
    let x = Tensor::ones([2, 3], (Kind::Float, Device::Mps));
    unlucky_step(&net, &mut optimizer, &x);
    orders.unimplemented("aten::addcdiv_").ok();
    orders.unimplemented("aten::addcdiv").ok();
    let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| unlucky_step(&net, &mut optimizer, &x))).unwrap_err();
    let text = panic.downcast_ref::<String>().unwrap();
    assert!(text.contains("aten::addcdiv") && text.contains("the optimizer's step was under way"), "{text}");
}

#[safe_mps_op]
fn shared_loss(net: &Net, x: &Tensor) -> Tensor {
    net.second.forward(&net.first.forward(x).tanh()).square().mean(Kind::Float)
}

#[test]
fn threads_that_share_parameters_fall_back_without_disturbing_each_other() {
    let Ok(orders) = Orders::take() else { return };
    tch::manual_seed(9);
    let store = VarStore::new(Device::Mps);
    let net = Net::new(&store);
    let x = Tensor::ones([4, 3], (Kind::Float, Device::Mps));
    let expected = values(&shared_loss(&net, &x));
    let handles = || Net {
        first: nn::Linear { ws: net.first.ws.shallow_clone(), bs: net.first.bs.as_ref().map(Tensor::shallow_clone) },
        second: nn::Linear { ws: net.second.ws.shallow_clone(), bs: net.second.bs.as_ref().map(Tensor::shallow_clone) },
        name: net.name.clone(),
    };
    orders.unimplemented("aten::tanh").unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            let (net, x, expected) = (handles(), x.shallow_clone(), &expected);
            scope.spawn(move || (0..10).for_each(|_| assert_eq!(&values(&shared_loss(&net, &x)), expected)));
        }
    });
    assert_eq!(net.first.ws.device(), Device::Mps);
}

#[safe_mps_op(snapshot)]
fn measured_step(net: &Net, optimizer: &mut nn::Optimizer, x: &Tensor) -> Result<f64, TchError> {
    let loss = net.second.forward(&net.first.forward(x)).square().mean(Kind::Float);
    optimizer.backward_step(&loss);
    loss.f_abs()?.f_double_value(&[])
}

#[derive(Debug, Migrate)]
struct Trainer {
    net: Net,
    #[migrate(skip)]
    optimizer: nn::Optimizer,
}

impl Trainer {
    #[safe_mps_op(snapshot)]
    fn step(&mut self, x: &Tensor) -> Result<f64, TchError> {
        let loss = self.net.second.forward(&self.net.first.forward(x)).square().mean(Kind::Float);
        self.optimizer.backward_step(&loss);
        loss.f_abs()?.f_double_value(&[])
    }
}

#[test]
fn a_step_that_was_taken_before_the_fault_is_never_taken_again() {
    let Ok(orders) = Orders::take() else { return };
    tch::manual_seed(7);
    let store = VarStore::new(Device::Mps);
    let (net, x) = (Net::new(&store), Tensor::ones([2, 3], (Kind::Float, Device::Mps)));
    let mut optimizer = nn::Adam::default().build(&store, 0.1).unwrap();
    let before = values(&net.first.ws);
    orders.unimplemented("aten::abs").unwrap();
    let error = measured_step(&net, &mut optimizer, &x).unwrap_err().to_string();
    assert!(error.contains("an optimizer may have stepped before the fault"), "{error}");
    assert!(error.contains("the weights are as before the call"), "{error}");
    assert_eq!(values(&net.first.ws), before);
    let error = Trainer { net, optimizer }.step(&x).unwrap_err().to_string();
    assert!(error.contains("an optimizer may have stepped before the fault"), "{error}");
}

#[safe_mps_op]
fn through_a_frozen_critic(store: &mut VarStore, net: &nn::Linear, x: &Tensor) -> Tensor {
    store.freeze();
    let loss = net.forward(x).abs().mean(Kind::Float);
    store.unfreeze();
    loss
}

#[safe_mps_op(snapshot)]
fn through_a_frozen_critic_with_copies(store: &mut VarStore, net: &nn::Linear, x: &Tensor) -> Tensor {
    store.freeze();
    let loss = net.forward(x).abs().mean(Kind::Float);
    store.unfreeze();
    loss
}

#[test]
fn a_fault_while_a_network_is_frozen_does_not_leave_it_frozen_unsaid() {
    let Ok(orders) = Orders::take() else { return };
    let mut store = VarStore::new(Device::Cpu);
    let net = nn::linear(store.root() / "a", 3, 2, Default::default());
    store.set_device(Device::Mps);
    let x = Tensor::ones([4, 3], (Kind::Float, Device::Mps));
    orders.unimplemented("aten::abs").unwrap();
    let panicked = catch_unwind(AssertUnwindSafe(|| through_a_frozen_critic(&mut store, &net, &x))).unwrap_err();
    let text = panicked.downcast_ref::<String>().unwrap();
    assert!(text.contains("has another `requires_grad`"), "{text}");
    store.unfreeze();
    orders.reset();
    orders.unimplemented("aten::abs").unwrap();
    let _ = through_a_frozen_critic_with_copies(&mut store, &net, &x);
    assert!(net.ws.requires_grad(), "it is trained on");
}

/// A network that others hold too.
#[derive(Migrate)]
struct Sharer {
    net: Rc<nn::Linear>,
}

#[safe_mps_op]
fn scored(sharer: &mut Sharer, x: &Tensor) -> Result<Tensor, TchError> {
    let x = x.f_abs()?;
    x.f_matmul(&sharer.net.ws.f_tr()?)
}

#[test]
fn what_is_lent_exclusively_and_shared_all_the_same_is_named() {
    let Ok(orders) = Orders::take() else { return };
    let store = VarStore::new(Device::Mps);
    let net = Rc::new(nn::linear(store.root() / "a", 3, 2, Default::default()));
    orders.unimplemented("aten::abs").unwrap();
    let x = Tensor::ones([4, 3], (Kind::Float, Device::Mps));
    let text = scored(&mut Sharer { net: Rc::clone(&net) }, &x).unwrap_err().to_string();
    assert!(text.contains("`sharer` holds tensors behind an `Rc` or `Arc` that is held elsewhere too"), "{text}");
}

#[safe_mps_op]
fn frozen_for_good(store: &mut VarStore, x: &Tensor) -> Result<(), TchError> {
    let _ = x.f_abs()?;
    store.freeze();
    Ok(())
}

#[test]
fn a_network_that_is_frozen_on_the_cpu_is_frozen() {
    let Ok(orders) = Orders::take() else { return };
    let mut store = VarStore::new(Device::Mps);
    let net = nn::linear(store.root() / "a", 3, 2, Default::default());
    orders.unimplemented("aten::abs").unwrap();
    frozen_for_good(&mut store, &net.ws.copy().detach()).unwrap();
    assert!(!net.ws.requires_grad());
}
