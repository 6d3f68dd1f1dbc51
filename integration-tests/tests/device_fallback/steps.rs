//! Optimizers that step while the body runs on the CPU: they change the device's parameters, which the copies do not follow.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use backstop::{Migrate, safe_mps_op};
use sim_mps::Orders;
use tch::nn::{self, Module, Optimizer, OptimizerConfig, VarStore};
use tch::{Device, Kind, TchError, Tensor};

use super::values;

struct Learner {
    store: VarStore,
    net: nn::Linear,
    optimizer: Optimizer,
    x: Tensor,
}

impl Learner {
    fn new(device: Device) -> Self {
        Self::with(device, nn::AdamW::default())
    }

    fn with(device: Device, config: impl OptimizerConfig) -> Self {
        tch::manual_seed(21);
        let mut store = VarStore::new(Device::Cpu);
        let net = nn::linear(store.root() / "a", 3, 2, Default::default());
        store.set_device(device);
        let optimizer = config.build(&store, 0.1).unwrap();
        Learner { store, net, optimizer, x: Tensor::ones([4, 3], (Kind::Float, device)) }
    }

    fn weights(&self) -> Vec<Vec<f32>> {
        self.store.trainable_variables().iter().map(values).collect()
    }
}

/// The text that a call fails with, by an error or by a panic of tch's plain methods.
fn failure<T>(call: impl FnOnce() -> Result<T, TchError>) -> String {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(result) => result.err().expect("a refusal").to_string(),
        Err(panic) => panic.downcast_ref::<String>().expect("a text").clone(),
    }
}

#[safe_mps_op(snapshot)]
fn twice(net: &nn::Linear, optimizer: &mut Optimizer, x: &Tensor) -> Result<f64, TchError> {
    let _ = x.f_abs()?;
    for _ in 0..2 {
        optimizer.backward_step(&net.forward(x).square().mean(Kind::Float));
    }
    Ok(1.0)
}

#[test]
fn a_second_step_is_refused_before_it_uses_a_gradient_of_old_weights() {
    let Ok(orders) = Orders::take() else { return };
    let mut learner = Learner::new(Device::Mps);
    let before = learner.weights();
    orders.unimplemented("aten::abs").unwrap();
    let text = failure(|| twice(&learner.net, &mut learner.optimizer, &learner.x));
    assert!(text.contains("The operator 'aten::abs"), "{text}");
    assert!(text.contains("an optimizer has stepped on the device, and the copies on the CPU do not follow it"), "{text}");
    assert_eq!(learner.weights(), before);
}

#[test]
fn a_second_step_that_counts_no_change_is_refused_where_it_has_used_a_gradient_of_old_weights() {
    let Ok(orders) = Orders::take() else { return };
    let mut learner = Learner::with(Device::Mps, sgd(0.0));
    let before = learner.weights();
    orders.unimplemented("aten::abs").unwrap();
    let text = failure(|| twice(&learner.net, &mut learner.optimizer, &learner.x));
    assert!(text.contains("gradients were computed again, after a step perhaps"), "{text}");
    assert!(text.contains("an optimizer has stepped on the device, and the copies on the CPU do not follow it"), "{text}");
    assert_eq!(learner.weights(), before);
}

#[safe_mps_op]
fn two_learners(net: &nn::Linear, head: &nn::Linear, optimizers: &mut [Optimizer; 2], x: &Tensor) -> Result<(), TchError> {
    let _ = x.f_abs()?;
    for (net, optimizer) in [net, head].into_iter().zip(optimizers) {
        optimizer.backward_step(&net.forward(x).square().mean(Kind::Float));
    }
    Ok(())
}

#[test]
fn one_step_each_of_two_networks_that_counts_no_change_is_that_of_the_cpu() {
    let Ok(orders) = Orders::take() else { return };
    let [cpu, device] = [Device::Cpu, Device::Mps].map(|device| {
        orders.unimplemented("aten::abs").unwrap();
        let (one, other) = (Learner::with(device, sgd(0.0)), Learner::with(device, sgd(0.9)));
        let weights = [&one, &other].map(|learner| learner.store.trainable_variables());
        two_learners(&one.net, &other.net, &mut [one.optimizer, other.optimizer], &one.x).unwrap();
        orders.reset();
        weights.map(|weights| weights.iter().map(values).collect::<Vec<_>>())
    });
    assert_eq!(device, cpu);
}

#[safe_mps_op]
fn head_only(trunk: &nn::Linear, head: &nn::Linear, optimizer: &mut Optimizer, x: &Tensor) -> Result<(), TchError> {
    let _ = x.f_abs()?;
    for _ in 0..2 {
        let loss = head.forward(x).square().mean(Kind::Float) + trunk.forward(x).square().mean(Kind::Float);
        optimizer.backward_step(&loss);
    }
    Ok(())
}

#[test]
fn a_second_step_that_counts_no_change_is_refused_beside_parameters_that_nobody_clears() {
    let Ok(orders) = Orders::take() else { return };
    let (trunk, mut head) = (Learner::new(Device::Mps), Learner::with(Device::Mps, sgd(0.0)));
    orders.unimplemented("aten::abs").unwrap();
    let text = failure(|| head_only(&trunk.net, &head.net, &mut head.optimizer, &head.x));
    assert!(text.contains("gradients were computed again, after a step perhaps"), "{text}");
}

#[safe_mps_op]
fn once(net: &nn::Linear, optimizer: &mut Optimizer, x: &Tensor, parts: i64) -> Result<f64, TchError> {
    let _ = x.f_abs()?;
    optimizer.zero_grad();
    let loss = || net.forward(x).square().mean(Kind::Float);
    (0..parts).for_each(|_| loss().backward());
    optimizer.step();
    Ok(1.0)
}

#[test]
fn one_step_on_gradients_of_several_losses_is_that_of_the_cpu() {
    let Ok(orders) = Orders::take() else { return };
    let [cpu, device] = [Device::Cpu, Device::Mps].map(|device| {
        orders.unimplemented("aten::abs").unwrap();
        let mut learner = Learner::new(device);
        once(&learner.net, &mut learner.optimizer, &learner.x, 3).unwrap();
        learner.weights()
    });
    assert_eq!(device, cpu);
}

#[safe_mps_op]
fn accumulated(nets: &[nn::Linear], optimizer: &mut Optimizer, x: &Tensor) -> Result<f64, TchError> {
    let _ = x.f_abs()?;
    optimizer.zero_grad();
    let loss = || nets.iter().fold(x.shallow_clone(), |x, net| net.forward(&x)).square().mean(Kind::Float);
    (0..2).for_each(|_| loss().backward());
    optimizer.step();
    Ok(1.0)
}

#[test]
fn gradients_of_an_earlier_step_are_not_taken_for_those_of_this_one() {
    let Ok(orders) = Orders::take() else { return };
    let [cpu, device] = [Device::Cpu, Device::Mps].map(|device| {
        tch::manual_seed(3);
        let mut store = VarStore::new(Device::Cpu);
        let nets: Vec<nn::Linear> = (0..3).map(|number| nn::linear(store.root() / number, 3, 3, Default::default())).collect();
        store.set_device(device);
        let (mut optimizer, x) = (sgd(0.0).build(&store, 0.001).unwrap(), Tensor::ones([4, 3], (Kind::Float, device)));
        for _ in 0..20 {
            orders.unimplemented("aten::abs").unwrap();
            accumulated(&nets, &mut optimizer, &x).unwrap();
            orders.reset();
        }
        nets.iter().map(|net| values(&net.ws)).collect::<Vec<_>>()
    });
    assert_eq!(device, cpu);
}

#[safe_mps_op(snapshot)]
fn looked_at_again(net: &nn::Linear, optimizer: &mut Optimizer, x: &Tensor) -> Result<f64, TchError> {
    let _ = x.f_abs()?;
    optimizer.backward_step(&net.forward(x).square().mean(Kind::Float));
    net.forward(x).f_mean(Kind::Float)?.f_double_value(&[])
}

#[test]
fn a_look_at_the_network_after_the_step_is_refused_where_it_would_see_old_weights() {
    let Ok(orders) = Orders::take() else { return };
    let mut learner = Learner::new(Device::Mps);
    let before = learner.weights();
    orders.unimplemented("aten::abs").unwrap();
    let text = failure(|| looked_at_again(&learner.net, &mut learner.optimizer, &learner.x));
    assert!(text.contains("an optimizer has stepped on the device, and the copies on the CPU do not follow it"), "{text}");
    assert!(text.contains("the weights are as before the call"), "{text}");
    assert_eq!(learner.weights(), before);
}

#[safe_mps_op]
fn begun_outside(net: &nn::Linear, optimizer: &mut Optimizer, x: &Tensor, loss: &Tensor, steps: i64) -> Result<(), TchError> {
    let _ = x.f_abs()?;
    let own = || net.forward(x).square().mean(Kind::Float);
    optimizer.backward_step(&(loss + own()));
    (1..steps).for_each(|_| optimizer.backward_step(&own()));
    Ok(())
}

#[test]
fn a_graph_that_was_begun_on_the_device_is_of_use_in_one_step_and_no_more() {
    let Ok(orders) = Orders::take() else { return };
    let run = |device: Device, steps: i64| {
        orders.reset();
        let mut learner = Learner::new(device);
        let loss = learner.net.forward(&learner.x).abs().mean(Kind::Float);
        orders.unimplemented("aten::abs").unwrap();
        let ended = catch_unwind(AssertUnwindSafe(|| begun_outside(&learner.net, &mut learner.optimizer, &learner.x, &loss, steps)));
        (ended.is_ok_and(|ended| ended.is_ok()), learner.weights())
    };
    assert_eq!(run(Device::Mps, 1), run(Device::Cpu, 1));
    assert!(!run(Device::Mps, 2).0);
}

/// As in a target network that follows slowly.
#[safe_mps_op]
fn decayed(net: &nn::Linear, _optimizer: &mut Optimizer, x: &Tensor) -> Result<(), TchError> {
    let _ = x.f_abs()?;
    let _guard = tch::no_grad_guard();
    net.ws.shallow_clone().f_mul_scalar_(0.5).map(drop)
}

#[test]
fn weights_that_only_the_body_writes_are_written_back_beside_an_optimizer() {
    let Ok(orders) = Orders::take() else { return };
    let mut learner = Learner::new(Device::Mps);
    let before = values(&learner.net.ws);
    orders.unimplemented("aten::abs").unwrap();
    decayed(&learner.net, &mut learner.optimizer, &learner.x).unwrap();
    assert_eq!(values(&learner.net.ws), before.iter().map(|weight| weight * 0.5).collect::<Vec<_>>());
}

/// As in a critic whose weights are clipped after each step.
#[safe_mps_op(snapshot)]
fn clipped(net: &nn::Linear, optimizer: &mut Optimizer, x: &Tensor) -> Result<f64, TchError> {
    let _ = x.f_abs()?;
    optimizer.backward_step(&net.forward(x).square().mean(Kind::Float));
    let _guard = tch::no_grad_guard();
    let _ = net.ws.shallow_clone().f_clamp_(-0.1, 0.1)?;
    Ok(1.0)
}

#[test]
fn weights_that_are_written_after_the_step_do_not_undo_it_silently() {
    let Ok(orders) = Orders::take() else { return };
    let mut learner = Learner::new(Device::Mps);
    let before = learner.weights();
    orders.unimplemented("aten::abs").unwrap();
    let text = failure(|| clipped(&learner.net, &mut learner.optimizer, &learner.x));
    assert!(text.contains("a tensor was changed on the device and on the CPU; an optimizer has stepped on the device"), "{text}");
    assert_eq!(learner.weights(), before);
}

/// Shows nothing of what it holds.
struct Trainer(Optimizer);

#[safe_mps_op(snapshot)]
fn by_a_trainer(net: &nn::Linear, trainer: &mut Trainer, x: &Tensor, steps: i64) -> Result<(), TchError> {
    let _ = x.f_abs()?;
    (0..steps).for_each(|_| trainer.0.backward_step(&net.forward(x).square().mean(Kind::Float)));
    Ok(())
}

#[test]
fn steps_of_an_optimizer_that_is_hidden_are_refused_where_there_may_be_more_than_one() {
    let Ok(orders) = Orders::take() else { return };
    let counted = "a parameter was changed on the device more than once, which AdamW does in one step: pass the optimizer itself";
    let uncounted = "gradients were computed again, after a step perhaps; an optimizer has stepped on the device";
    for (by_sgd, refusal) in [(false, counted), (true, uncounted)] {
        let run = |device: Device, steps: i64| {
            orders.reset();
            let learner = || if by_sgd { Learner::with(device, sgd(0.9)) } else { Learner::with(device, nn::Adam::default()) };
            let Learner { store, net, optimizer, x } = learner();
            orders.unimplemented("aten::abs").unwrap();
            let ended = catch_unwind(AssertUnwindSafe(|| by_a_trainer(&net, &mut Trainer(optimizer), &x, steps)));
            (ended.unwrap().map_err(|error| error.to_string()), store.trainable_variables().iter().map(values).collect::<Vec<_>>())
        };
        let (on_cpu, once, twice) = (run(Device::Cpu, 1), run(Device::Mps, 1), run(Device::Mps, 2));
        assert!(on_cpu.0.is_ok() && once.0.is_ok() && once.1 == on_cpu.1);
        let text = twice.0.unwrap_err();
        assert!(text.contains(refusal), "{text}");
        assert_eq!(twice.1, run(Device::Cpu, 0).1, "the weights are as before");
    }
}

#[safe_mps_op]
fn stepped_by_a_trainer(net: &nn::Linear, trainer: &mut Trainer, x: &Tensor) -> Result<Tensor, TchError> {
    trainer.0.step();
    net.forward(x).f_abs()
}

#[test]
fn a_step_of_an_optimizer_that_is_hidden_and_counts_no_change_is_not_taken_again() {
    let Ok(orders) = Orders::take() else { return };
    let [mut stepped, faulty] = [(); 2].map(|()| {
        let learner = Learner::with(Device::Mps, sgd(0.0));
        learner.net.forward(&learner.x).sum(Kind::Float).backward();
        learner
    });
    stepped.optimizer.step();
    orders.unimplemented("aten::abs").unwrap();
    let Learner { store, net, optimizer, x } = faulty;
    let text = stepped_by_a_trainer(&net, &mut Trainer(optimizer), &x).unwrap_err().to_string();
    assert!(text.contains("an optimizer may have stepped before the fault"), "{text}");
    assert_eq!(store.trainable_variables().iter().map(values).collect::<Vec<_>>(), stepped.weights(), "once");
}

#[safe_mps_op]
fn sampled(net: &nn::Linear, rng: &mut fastrand::Rng, x: &Tensor) -> Result<Tensor, TchError> {
    let y = net.forward(x).f_abs()?;
    y.f_mul_scalar(rng.f64())?.f_mean(Kind::Float)
}

#[test]
fn losses_of_the_device_and_of_a_fallback_go_into_one_step() {
    let Ok(orders) = Orders::take() else { return };
    let run = |device: Device| {
        orders.reset();
        let (mut learner, mut rng) = (Learner::new(device), fastrand::Rng::with_seed(4));
        let mut loss = || sampled(&learner.net, &mut rng, &learner.x).unwrap();
        let first = loss();
        orders.unimplemented("aten::abs").unwrap();
        let second = loss();
        orders.reset();
        learner.optimizer.backward_step(&(first + second));
        learner.weights()
    };
    assert_eq!(run(Device::Mps), run(Device::Cpu));
}

#[safe_mps_op]
fn stepped_first(net: &nn::Linear, optimizer: &mut Optimizer, x: &Tensor) -> Result<f64, TchError> {
    optimizer.step();
    net.forward(x).f_abs()?.f_mean(Kind::Float)?.f_double_value(&[])
}

#[safe_mps_op(snapshot)]
fn stepped_first_with_copies(net: &nn::Linear, optimizer: &mut Optimizer, x: &Tensor) -> Result<f64, TchError> {
    optimizer.step();
    net.forward(x).f_abs()?.f_mean(Kind::Float)?.f_double_value(&[])
}

fn sgd(momentum: f64) -> nn::Sgd {
    nn::Sgd { momentum, ..nn::Sgd::default() }
}

#[test]
fn a_step_that_counts_no_change_is_not_taken_again() {
    let Ok(orders) = Orders::take() else { return };
    for momentum in [0.0, 0.9] {
        let [mut stepped, mut faulty, mut copied] = [(); 3].map(|()| {
            let mut learner = Learner::with(Device::Mps, sgd(momentum));
            learner.optimizer.backward_step(&learner.net.forward(&learner.x).square().mean(Kind::Float));
            learner
        });
        let before = copied.weights();
        stepped.optimizer.step();
        orders.unimplemented("aten::abs").unwrap();
        let text = failure(|| stepped_first(&faulty.net, &mut faulty.optimizer, &faulty.x));
        assert!(text.contains("an optimizer may have stepped before the fault"), "{text}");
        assert_eq!(faulty.weights(), stepped.weights(), "once");
        let text = failure(|| stepped_first_with_copies(&copied.net, &mut copied.optimizer, &copied.x));
        assert!(text.contains("an optimizer may have stepped before the fault") && text.contains("the weights are as before"), "{text}");
        assert_eq!(copied.weights(), before);
        orders.reset();
    }
}

#[test]
fn a_step_on_the_cpu_that_counts_no_change_is_that_of_the_cpu_and_nothing_is_written_over_it() {
    let Ok(orders) = Orders::take() else { return };
    let [cpu, device] = [Device::Cpu, Device::Mps].map(|device| {
        orders.unimplemented("aten::abs").unwrap();
        let mut learner = Learner::with(device, sgd(0.9));
        once(&learner.net, &mut learner.optimizer, &learner.x, 3).unwrap();
        learner.weights()
    });
    assert_eq!(device, cpu);
    orders.reset();
    let mut learner = Learner::with(Device::Mps, sgd(0.0));
    orders.unimplemented("aten::abs").unwrap();
    let text = failure(|| clipped(&learner.net, &mut learner.optimizer, &learner.x));
    assert!(text.contains("changed on the device and on the CPU"), "{text}");
}

#[safe_mps_op(snapshot)]
fn stepped_and_failed(net: &nn::Linear, optimizer: &mut Optimizer, x: &Tensor) -> Result<f64, TchError> {
    let _ = x.f_abs()?;
    optimizer.backward_step(&net.forward(x).square().mean(Kind::Float));
    x.f_matmul(x)?.f_double_value(&[0, 0])
}

#[test]
fn a_step_on_the_cpu_that_counts_no_change_is_told_where_the_attempt_fails_after_it() {
    let Ok(orders) = Orders::take() else { return };
    let mut learner = Learner::with(Device::Mps, sgd(0.0));
    let before = learner.weights();
    orders.unimplemented("aten::abs").unwrap();
    let text = failure(|| stepped_and_failed(&learner.net, &mut learner.optimizer, &learner.x));
    assert!(text.contains("an optimizer has stepped on the device"), "{text}");
    assert_eq!(learner.weights(), before);
}

/// Shows its network, and shares what trains it.
#[derive(Migrate)]
struct Trained {
    net: nn::Linear,
    trainer: Rc<RefCell<Trainer>>,
}

#[safe_mps_op(snapshot)]
fn by_a_shared_trainer(trained: &Trained, x: &Tensor, before: bool) -> Result<(), TchError> {
    let step = || trained.trainer.borrow_mut().0.backward_step(&trained.net.forward(x).square().mean(Kind::Float));
    if before {
        step();
    }
    let _ = x.f_abs()?;
    (0..2).for_each(|_| step());
    Ok(())
}

#[test]
fn steps_of_an_optimizer_that_is_shared_behind_a_type_are_never_taken_twice() {
    let Ok(orders) = Orders::take() else { return };
    for by_sgd in [false, true] {
        let learner = || if by_sgd { Learner::with(Device::Mps, sgd(0.9)) } else { Learner::with(Device::Mps, nn::Adam::default()) };
        let Learner { store, net, optimizer, x } = learner();
        let trained = Trained { net, trainer: Rc::new(RefCell::new(Trainer(optimizer))) };
        let before = store.trainable_variables().iter().map(values).collect::<Vec<_>>();
        for (first, refusal) in
            [(true, "an optimizer may have stepped before the fault"), (false, "an optimizer has stepped on the device")]
        {
            orders.unimplemented("aten::abs").unwrap();
            let text = failure(|| by_a_shared_trainer(&trained, &x, first));
            orders.reset();
            assert!(text.contains(refusal), "{text}");
            assert_eq!(store.trainable_variables().iter().map(values).collect::<Vec<_>>(), before);
        }
    }
}

#[derive(Migrate)]
struct Sharing {
    net: nn::Linear,
    optimizer: Rc<RefCell<Optimizer>>,
}

#[safe_mps_op(snapshot)]
fn stepped_by_a_shared_one(learner: &Sharing, x: &Tensor) -> Result<f64, TchError> {
    learner.optimizer.borrow_mut().backward_step(&learner.net.forward(x).square().mean(Kind::Float));
    x.f_abs()?.f_mean(Kind::Float)?.f_double_value(&[])
}

#[test]
fn a_step_of_an_optimizer_in_a_field_that_is_cloned_is_not_taken_again() {
    let Ok(orders) = Orders::take() else { return };
    let Learner { net, optimizer, x, store } = Learner::new(Device::Mps);
    let learner = Sharing { net, optimizer: Rc::new(RefCell::new(optimizer)) };
    orders.unimplemented("aten::abs").unwrap();
    let text = failure(|| stepped_by_a_shared_one(&learner, &x));
    assert!(text.contains("an optimizer may have stepped before the fault"), "{text}");
    drop(store);
}
