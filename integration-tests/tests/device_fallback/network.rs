//! A network under training: gradients and steps of an optimizer.

use std::cell::RefCell;
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

/// As in tch's own example of a linear model.
#[safe_mps_op(snapshot)]
fn stepped_by_hand(w: &mut Tensor, b: &mut Tensor, x: &Tensor) -> Result<f64, TchError> {
    let loss = w.f_mul(&x.f_abs()?)?.f_add(b)?.f_square()?.f_sum(Kind::Float)?;
    w.zero_grad();
    b.zero_grad();
    loss.f_backward()?;
    tch::no_grad(|| {
        *w += w.grad() * -0.1;
        *b += b.grad() * -0.1;
    });
    loss.f_double_value(&[])
}

#[test]
fn steps_by_hand_are_those_of_the_cpu_gradients_included() {
    let Ok(orders) = Orders::take() else { return };
    let run = |device: Device, faulty: bool| {
        orders.reset();
        let leaf = || Tensor::ones([2], (Kind::Float, device)).set_requires_grad(true);
        let (mut w, mut b, x) = (leaf(), leaf(), Tensor::ones([2], (Kind::Float, device)) * -0.5);
        let (same, mut losses) = (w.shallow_clone(), Vec::new());
        for step in 0..3 {
            if faulty && step != 1 {
                orders.unimplemented("aten::abs").unwrap();
            }
            losses.push(stepped_by_hand(&mut w, &mut b, &x).unwrap());
            orders.reset();
        }
        assert!(w.is_leaf() && w.device() == device && w.data_ptr() == same.data_ptr());
        (losses, [&w, &b, &w.grad(), &b.grad()].map(values))
    };
    assert_eq!(run(Device::Mps, true), run(Device::Cpu, false));
}

fn fit(store: &VarStore, x: &Tensor, by_sgd: bool) -> Result<f64, TchError> {
    let _ = x.f_abs()?;
    let (adam, sgd) = (nn::Adam::default().build(store, 0.1)?, nn::Sgd::default().build(store, 0.1)?);
    let mut optimizer = if by_sgd { sgd } else { adam };
    let variables = store.variables();
    let layer = |x: &Tensor, name: &str| x.f_linear(&variables[&format!("{name}.weight")], Some(&variables[&format!("{name}.bias")]));
    let loss = || layer(&layer(x, "a")?, "b")?.f_mul(&variables["scale"])?.f_square()?.f_mean(Kind::Float);
    for _ in 0..3 {
        optimizer.backward_step(&loss()?);
    }
    loss()?.f_double_value(&[])
}

#[safe_mps_op]
fn fitted(store: &VarStore, x: &Tensor, by_sgd: bool) -> Result<f64, TchError> {
    fit(store, x, by_sgd)
}

#[safe_mps_op]
fn fitted_exclusively(store: &mut VarStore, x: &Tensor, by_sgd: bool) -> Result<f64, TchError> {
    fit(store, x, by_sgd)
}

#[test]
fn an_optimizer_that_the_body_makes_trains_on_the_cpu_as_there() {
    let Ok(orders) = Orders::take() else { return };
    for (by_sgd, exclusively) in [(true, true), (true, false), (false, true), (false, false)] {
        let [cpu, device] = [Device::Cpu, Device::Mps].map(|device| {
            orders.reset();
            tch::manual_seed(4);
            let mut store = VarStore::new(Device::Cpu);
            let (first, _second) =
                (nn::linear(store.root() / "a", 3, 2, Default::default()), nn::linear(store.root() / "b", 2, 2, Default::default()));
            let _ = store.root().ones_no_train("scale", &[2]);
            store.set_device(device);
            let x = Tensor::ones([4, 3], (Kind::Float, device));
            // More than once: gradients of the call before are there then.
            let fitted = |_| {
                orders.unimplemented("aten::abs").unwrap();
                let loss = if exclusively { fitted_exclusively(&mut store, &x, by_sgd) } else { fitted(&store, &x, by_sgd) };
                orders.reset();
                (loss.unwrap(), values(&first.ws), values(&first.ws.grad()))
            };
            (0..20).map(fitted).collect::<Vec<_>>()
        });
        assert_eq!(device, cpu);
    }
}

/// A parameter that becomes a part of its own graph.
#[safe_mps_op(snapshot)]
fn grown(w: &mut Tensor, x: &Tensor) -> Result<(), TchError> {
    *w = w.f_mul(&x.f_abs()?)?;
    Ok(())
}

#[safe_mps_op(snapshot)]
fn stepped_with_its_loss(w: &mut Tensor, x: &Tensor) -> Result<Tensor, TchError> {
    let loss = w.f_mul(&x.f_abs()?)?.f_sum(Kind::Float)?;
    loss.f_backward()?;
    tch::no_grad(|| w.f_sub_(&w.f_grad()?.f_mul_scalar(0.1)?).map(drop))?;
    Ok(loss)
}

#[test]
fn what_a_step_by_hand_cannot_do_on_copies_is_told_and_undone() {
    let Ok(orders) = Orders::take() else { return };
    let on_mps = || Tensor::ones([2], (Kind::Float, Device::Mps));
    let mut w = on_mps().set_requires_grad(true);
    orders.unimplemented("aten::abs").unwrap();
    let text = stepped_with_its_loss(&mut w, &on_mps()).unwrap_err().to_string();
    assert!(text.contains("a copy of a parameter shows no gradient"), "{text}");
    assert!(!w.grad().defined() && values(&w) == [1.0, 1.0], "as before the call");
    let text = grown(&mut w, &on_mps()).unwrap_err().to_string();
    assert!(text.contains("what stands in an argument was computed from parameters on the CPU"), "{text}");
    assert!(w.is_leaf() && w.device() == Device::Mps && values(&w) == [1.0, 1.0], "as before the call");
}

#[derive(Migrate)]
struct Agent {
    net: nn::Linear,
    scores: Vec<Tensor>,
}

/// As in a rollout whose scores are trained on when the episode is over.
#[safe_mps_op]
fn acted(agent: &mut Agent, last: &mut Tensor, tape: &RefCell<Vec<Tensor>>, x: &Tensor) -> i64 {
    let score = agent.net.forward(x).abs().sum(Kind::Float);
    *last = score.shallow_clone();
    tape.borrow_mut().push(score.shallow_clone());
    agent.scores.push(score);
    0
}

#[safe_mps_op]
fn taped(net: &mut nn::Linear, tape: &RefCell<Vec<Tensor>>, x: &Tensor) -> i64 {
    tape.borrow_mut().push(net.forward(x).abs().sum(Kind::Float));
    0
}

#[safe_mps_op]
fn kept_beside(net: &mut nn::Linear, last: &mut Tensor, x: &Tensor) -> i64 {
    *last = net.forward(x).abs().sum(Kind::Float);
    0
}

#[test]
fn a_graph_that_is_left_in_an_argument_sends_its_gradients_to_the_parameters() {
    let Ok(orders) = Orders::take() else { return };
    let store = VarStore::new(Device::Mps);
    let net = nn::linear(store.root() / "a", 3, 2, Default::default());
    let x = Tensor::ones([4, 3], (Kind::Float, Device::Mps));
    let (mut agent, mut last, tape) = (Agent { net, scores: Vec::new() }, x.shallow_clone(), RefCell::new(Vec::new()));
    let reaches = |graph: &Tensor| {
        let mut weights = store.variables()["a.weight"].shallow_clone();
        graph.backward();
        let reached = weights.grad().defined() && values(&weights.grad()).iter().any(|value| *value != 0.0);
        weights.zero_grad();
        reached
    };
    for _ in 0..2 {
        orders.unimplemented("aten::abs").unwrap();
        acted(&mut agent, &mut last, &tape, &x);
        orders.reset();
        assert!(reaches(agent.scores.last().unwrap()));
        orders.unimplemented("aten::abs").unwrap();
        taped(&mut agent.net, &tape, &x);
        kept_beside(&mut agent.net, &mut last, &x);
        orders.reset();
        assert!(reaches(tape.borrow().last().unwrap()) && reaches(&last));
    }
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
