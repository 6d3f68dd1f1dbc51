//! The sweep: the k-th operator on the device fails, for every k and every retryable class. What is left must be, bit for bit, what
//! a run on the CPU leaves, or what was there before the call.
//!
//! Among the tests every seventh k is taken; `BACKSTOP_SWEEP=whole` takes all.
#![cfg(not(feature = "disable-decorators"))]

use std::marker::PhantomData;

use backstop::{Migrate, safe_mps_op};
use sim_mps::{Orders, text};
use tch::nn::{self, Module, ModuleT, OptimizerConfig, VarStore};
use tch::{Device, Kind, Reduction, TchError, Tensor};

/// Everything that a call may change, and what it returned.
type State = Vec<Vec<f32>>;

/// One world: a function and all that it works on.
trait World {
    fn new(device: Device) -> Self;
    /// Makes the call; the outputs, or nothing where it was refused.
    fn call(&mut self) -> Option<Vec<Tensor>>;
    fn tensors(&self) -> Vec<Tensor>;
}

fn values(tensor: &Tensor) -> Vec<f32> {
    if !tensor.defined() {
        return Vec::new();
    }
    Vec::try_from(tensor.detach().to_device(Device::Cpu).reshape([-1])).unwrap()
}

fn state(world: &impl World) -> State {
    let tensors = world.tensors();
    let gradients = tensors.iter().filter(|tensor| tensor.requires_grad()).map(|tensor| values(&tensor.grad()));
    tensors.iter().map(values).chain(gradients).collect()
}

fn bits(state: &State) -> Vec<Vec<u32>> {
    state.iter().map(|values| values.iter().map(|value| value.to_bits()).collect()).collect()
}

#[derive(Default, Debug, PartialEq)]
struct Tally {
    injected: u64,
    survived: u64,
    refused: u64,
    wrong: u64,
}

fn sweep<W: World>(orders: &Orders) -> Tally {
    let mut on_cpu = W::new(Device::Cpu);
    let outputs = on_cpu.call().expect("nothing fails on the CPU");
    let (expected, expected_outputs) = (state(&on_cpu), outputs.iter().map(values).collect::<State>());

    orders.reset();
    let mut counted = W::new(Device::Mps);
    let before = sim_mps::counts().dispatched;
    counted.call().expect("nothing fails without an order");
    let operators = sim_mps::counts().dispatched - before;

    let whole = std::env::var("BACKSTOP_SWEEP").is_ok_and(|sweep| sweep == "whole");
    let mut tally = Tally::default();
    for (at, (class, text)) in (0..).zip(text::retryable()) {
        for k in (1..=operators).filter(|k| whole || (k + at) % 7 == 0) {
            orders.reset();
            let mut world = W::new(Device::Mps);
            let untouched = state(&world);
            orders.fail_at(k, &text);
            let raised = sim_mps::counts().raised;
            let called = world.call();
            let struck = sim_mps::counts().raised > raised;
            orders.reset();
            assert!(struck, "{class} at {k} of {operators} never struck");
            tally.injected += 1;
            let right = match &called {
                Some(outputs) => {
                    tally.survived += 1;
                    let outputs: State = outputs.iter().map(values).collect();
                    bits(&state(&world)) == bits(&expected) && bits(&outputs) == bits(&expected_outputs)
                }
                None => {
                    tally.refused += 1;
                    bits(&state(&world)) == bits(&untouched)
                }
            };
            if !right {
                tally.wrong += 1;
                eprintln!("wrong: {class} at operator {k} of {operators}, {}", if called.is_some() { "survived" } else { "refused" });
            }
        }
    }
    tally
}

/// A call that may panic or fail by a device fault that was refused.
fn attempt<T>(call: impl FnOnce() -> Result<T, TchError>) -> Option<T> {
    match std::panic::catch_unwind(std::panic::AssertUnwindSafe(call)) {
        Ok(Ok(returned)) => Some(returned),
        Ok(Err(error)) => refused(&error.to_string()),
        Err(panic) => refused(panic.downcast_ref::<String>().expect("tch panics with a text")),
    }
}

fn refused<T>(text: &str) -> Option<T> {
    let why = text.rsplit_once("backstop: ").map_or(text, |(_, why)| why);
    eprintln!("refused: {why}");
    None
}

/// A function that failed before would go straight to the CPU, where no order strikes.
fn always_on_the_device() -> backstop::Backstop {
    let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("sweep.toml");
    let policy = "[defaults]\ndevice = { sticky_after = 4294967295, retry_device_after = \"1us\" }\n";
    std::fs::write(&path, policy).unwrap();
    backstop::Builder::new().policies(&path).install().unwrap()
}

fn run<W: World>() {
    let Ok(orders) = Orders::take() else { return };
    let _backstop = always_on_the_device();
    let tally = sweep::<W>(&orders);
    println!("injected {}, survived {}, refused {}, wrong {}", tally.injected, tally.survived, tally.refused, tally.wrong);
    assert_eq!(tally.wrong, 0, "{tally:?}");
    assert!(tally.survived > 0, "{tally:?}");
}

/// The update of an actor-critic: one loss of a shared network, its gradients, and a step outside of the guarded function.
#[derive(Migrate)]
struct ActorCritic {
    body: nn::Linear,
    policy: nn::Linear,
    value: nn::Linear,
}

struct A3c {
    store: VarStore,
    net: ActorCritic,
    states: Tensor,
    actions: Tensor,
    returns: Tensor,
}

#[safe_mps_op(snapshot)]
fn gradients(net: &ActorCritic, states: &Tensor, actions: &Tensor, returns: &Tensor) -> Result<Tensor, TchError> {
    let hidden = net.body.forward(states).f_tanh()?;
    let log = net.policy.forward(&hidden).f_log_softmax(-1, Kind::Float)?;
    let advantage = returns.f_sub(&net.value.forward(&hidden).f_squeeze_dim(-1)?)?;
    let chosen = log.f_gather(1, &actions.f_unsqueeze(1)?, false)?.f_squeeze_dim(-1)?;
    let policy = chosen.f_mul(&advantage.f_detach()?)?.f_mean(Kind::Float)?.f_neg()?;
    let entropy = log.f_exp()?.f_mul(&log)?.f_sum(Kind::Float)?;
    let loss = policy.f_add(&advantage.f_square()?.f_mean(Kind::Float)?)?.f_add(&entropy.f_mul_scalar(0.01)?)?;
    loss.f_backward()?;
    loss.f_detach()
}

impl World for A3c {
    fn new(device: Device) -> Self {
        tch::manual_seed(11);
        let mut store = VarStore::new(Device::Cpu);
        let root = store.root();
        let layer = |name: &str, from, to| nn::linear(&root / name, from, to, nn::LinearConfig::default());
        let net = ActorCritic { body: layer("body", 4, 6), policy: layer("policy", 6, 3), value: layer("value", 6, 1) };
        store.set_device(device);
        let states = Tensor::arange(20, (Kind::Float, Device::Cpu)).reshape([5, 4]).sin().to_device(device);
        let actions = Tensor::from_slice(&[0_i64, 1, 2, 1, 0]).to_device(device);
        let returns = Tensor::from_slice(&[0.5_f32, -0.5, 1.0, 0.0, 0.25]).to_device(device);
        Self { store, net, states, actions, returns }
    }

    fn call(&mut self) -> Option<Vec<Tensor>> {
        attempt(|| gradients(&self.net, &self.states, &self.actions, &self.returns)).map(|loss| vec![loss])
    }

    fn tensors(&self) -> Vec<Tensor> {
        self.store.trainable_variables()
    }
}

#[test]
fn the_gradients_of_an_actor_critic_are_those_of_the_cpu_or_as_before() {
    run::<A3c>();
}

/// A supervised step with batch normalisation, whose running statistics change without a trace, and an optimizer inside the function.
#[derive(Migrate)]
struct Classifier {
    store: VarStore,
    first: nn::Linear,
    normal: nn::BatchNorm,
    last: nn::Linear,
}

struct Supervised<C> {
    net: Classifier,
    optimizer: nn::Optimizer,
    x: Tensor,
    y: Tensor,
    config: PhantomData<C>,
}

trait Config {
    fn optimizer(store: &VarStore) -> nn::Optimizer;
}

impl Config for nn::Adam {
    fn optimizer(store: &VarStore) -> nn::Optimizer {
        nn::Adam::default().build(store, 0.05).unwrap()
    }
}

/// Its steps change the weights without counting that.
impl Config for nn::Sgd {
    fn optimizer(store: &VarStore) -> nn::Optimizer {
        nn::Sgd { momentum: 0.9, wd: 0.01, ..nn::Sgd::default() }.build(store, 0.05).unwrap()
    }
}

#[safe_mps_op(snapshot)]
fn train(net: &Classifier, optimizer: &mut nn::Optimizer, x: &Tensor, y: &Tensor) -> Result<Tensor, TchError> {
    let hidden = net.normal.forward_t(&net.first.forward(x), true).f_relu()?;
    let loss = net.last.forward(&hidden).f_mse_loss(y, Reduction::Mean)?;
    optimizer.backward_step(&loss);
    loss.f_detach()
}

impl<C: Config> World for Supervised<C> {
    fn new(device: Device) -> Self {
        tch::manual_seed(5);
        let mut store = VarStore::new(Device::Cpu);
        let (first, last) = {
            let root = store.root();
            (nn::linear(&root / "a", 3, 4, Default::default()), nn::linear(&root / "b", 4, 1, Default::default()))
        };
        let normal = nn::batch_norm1d(store.root() / "n", 4, Default::default());
        store.set_device(device);
        let optimizer = C::optimizer(&store);
        let x = Tensor::arange(18, (Kind::Float, Device::Cpu)).reshape([6, 3]).cos().to_device(device);
        let y = Tensor::arange(6, (Kind::Float, Device::Cpu)).reshape([6, 1]).to_device(device);
        Self { net: Classifier { store, first, normal, last }, optimizer, x, y, config: PhantomData }
    }

    fn call(&mut self) -> Option<Vec<Tensor>> {
        let Self { net, optimizer, x, y, .. } = self;
        attempt(|| train(net, optimizer, x, y)).map(|loss| vec![loss])
    }

    fn tensors(&self) -> Vec<Tensor> {
        let mut named: Vec<_> = self.net.store.variables().into_iter().collect();
        named.sort_by(|(one, _), (other, _)| one.cmp(other));
        named.into_iter().map(|(_, tensor)| tensor).collect()
    }
}

#[test]
fn a_training_step_with_batch_norm_and_adam_is_done_once_or_not_at_all() {
    run::<Supervised<nn::Adam>>();
}

#[test]
fn a_training_step_with_batch_norm_and_sgd_is_done_once_or_not_at_all() {
    run::<Supervised<nn::Sgd>>();
}

/// A step by hand, on parameters that are lent by `&mut` and have gradients of an earlier one.
struct ByHand {
    w: Tensor,
    b: Tensor,
    x: Tensor,
}

#[safe_mps_op(snapshot)]
fn step_by_hand(w: &mut Tensor, b: &mut Tensor, x: &Tensor) -> Result<f64, TchError> {
    let loss = x.f_matmul(w)?.f_add(b)?.f_tanh()?.f_square()?.f_mean(Kind::Float)?;
    for parameter in [&mut *w, &mut *b] {
        let _ = parameter.f_grad()?.f_detach_()?.f_zero_()?;
    }
    loss.f_backward()?;
    for parameter in [w, b] {
        tch::no_grad(|| parameter.f_sub_(&parameter.f_grad()?.f_mul_scalar(0.1)?).map(drop))?;
    }
    loss.f_double_value(&[])
}

impl World for ByHand {
    fn new(device: Device) -> Self {
        let parameter = |shape: &[i64]| Tensor::full(shape, 0.5, (Kind::Float, Device::Cpu)).to_device(device).set_requires_grad(true);
        let x = Tensor::arange(8, (Kind::Float, Device::Cpu)).reshape([4, 2]).cos().to_device(device);
        let (w, b) = (parameter(&[2, 1]), parameter(&[1]));
        (x.matmul(&w) + &b).sum(Kind::Float).backward();
        Self { w, b, x }
    }

    fn call(&mut self) -> Option<Vec<Tensor>> {
        attempt(|| step_by_hand(&mut self.w, &mut self.b, &self.x)).map(|loss| vec![Tensor::from(loss)])
    }

    fn tensors(&self) -> Vec<Tensor> {
        vec![self.w.shallow_clone(), self.b.shallow_clone()]
    }
}

#[test]
fn a_step_by_hand_is_taken_once_or_not_at_all() {
    run::<ByHand>();
}

/// Features of a price series: nothing is changed, so everything survives.
struct Features {
    prices: Tensor,
}

#[safe_mps_op]
fn features(prices: &Tensor, window: i64) -> Result<(Tensor, Tensor), TchError> {
    let length = prices.size()[0];
    let returns = prices.f_narrow(0, 1, length - 1)?.f_div(&prices.f_narrow(0, 0, length - 1)?)?.f_log()?;
    let windows = returns.f_unfold(0, window, 1)?;
    let mean = windows.f_mean_dim(&[1_i64][..], true, Kind::Float)?;
    let spread = windows.f_sub(&mean)?.f_square()?.f_mean_dim(&[1_i64][..], false, Kind::Float)?.f_sqrt()?;
    Ok((returns, spread))
}

impl World for Features {
    fn new(device: Device) -> Self {
        let prices = Tensor::arange(30, (Kind::Float, Device::Cpu)).sin().f_add_scalar(10.0).unwrap().to_device(device);
        Self { prices }
    }

    fn call(&mut self) -> Option<Vec<Tensor>> {
        attempt(|| features(&self.prices, 5)).map(|(returns, spread)| vec![returns, spread])
    }

    fn tensors(&self) -> Vec<Tensor> {
        vec![self.prices.shallow_clone()]
    }
}

#[test]
fn features_are_those_of_the_cpu() {
    run::<Features>();
}

/// An accumulator that is written in place, through a view of it, and replaced.
struct Accumulator {
    total: Tensor,
    row: Tensor,
    x: Tensor,
}

#[safe_mps_op(snapshot)]
fn accumulate(total: &mut Tensor, row: &mut Tensor, x: &Tensor) -> Result<(), TchError> {
    let _ = total.f_add_(x)?;
    let _ = row.f_mul_(&x.f_select(0, 0)?)?;
    let _ = total.f_add_(&x.f_exp()?)?;
    Ok(())
}

impl World for Accumulator {
    fn new(device: Device) -> Self {
        let total = Tensor::arange(6, (Kind::Float, Device::Cpu)).reshape([2, 3]).to_device(device);
        let row = total.select(0, 1);
        let x = Tensor::arange(6, (Kind::Float, Device::Cpu)).reshape([2, 3]).sin().to_device(device);
        Self { total, row, x }
    }

    fn call(&mut self) -> Option<Vec<Tensor>> {
        attempt(|| accumulate(&mut self.total, &mut self.row, &self.x)).map(|()| Vec::new())
    }

    fn tensors(&self) -> Vec<Tensor> {
        vec![self.total.shallow_clone(), self.row.shallow_clone(), self.x.shallow_clone()]
    }
}

#[test]
fn an_accumulator_is_added_to_once_or_not_at_all() {
    run::<Accumulator>();
}
