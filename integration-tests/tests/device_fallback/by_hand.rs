//! A body that trains by hand, or makes its own optimizer, or leaves a graph behind.

use std::cell::RefCell;

use backstop::{Migrate, safe_mps_op};
use sim_mps::Orders;
use tch::nn::{self, Module, OptimizerConfig, VarStore};
use tch::{Device, Kind, TchError, Tensor};

use super::values;

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

/// As a map of what the network looks at.
#[safe_mps_op(snapshot)]
fn looked_for(net: &nn::Linear, store: &mut VarStore, x: &Tensor) -> Result<f64, TchError> {
    let x = x.set_requires_grad(true);
    store.unfreeze();
    let loss = net.forward(&x).f_abs()?.f_sum(Kind::Float)?;
    loss.f_backward()?;
    loss.f_double_value(&[])
}

#[test]
fn what_the_body_has_need_gradients_needs_them_afterwards_and_has_them() {
    let Ok(orders) = Orders::take() else { return };
    let [cpu, device] = [Device::Cpu, Device::Mps].map(|device| {
        orders.reset();
        tch::manual_seed(4);
        let mut store = VarStore::new(Device::Cpu);
        let net = nn::linear(store.root() / "a", 3, 2, Default::default());
        store.set_device(device);
        store.freeze();
        let x = Tensor::ones([4, 3], (Kind::Float, device));
        orders.unimplemented("aten::abs").unwrap();
        let loss = looked_for(&net, &mut store, &x).unwrap();
        assert!(x.requires_grad() && net.ws.requires_grad() && x.grad().device() == device);
        (loss, [&x.grad(), &net.ws.grad()].map(values))
    });
    assert_eq!(device, cpu);
}
