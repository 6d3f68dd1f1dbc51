//! A3C: its arithmetic against references, and that it learns.

use fastrand::Rng;
use tch::nn::OptimizerConfig;
use tch::{Device, Kind, Tensor, nn};
use trading::data_preprocessing::numbers;
use trading::feature_engineering::{FEATURES, MarketStates};
use trading::rl_agents::a3c::{
    Adam, Agent, Environment, Experience, Hyper, Parameters, Rollout, Worker, policy, policy_update, sample, value, value_update,
};

const INPUTS: i64 = 5;

fn rollout(rows: i64, rng: &mut Rng) -> Rollout {
    let mut draw = |count: i64| Tensor::from_slice(&(0..count).map(|_| rng.f32() - 0.5).collect::<Vec<_>>());
    let states = draw(rows * INPUTS).reshape([rows, INPUTS]);
    let returns = draw(rows);
    let chosen = Tensor::from_slice(&(0..rows).map(|_| rng.i64(0..3)).collect::<Vec<_>>());
    Rollout { states, actions: chosen.one_hot(3).to_kind(Kind::Float), returns }
}

/// The loss by the paper's formula, row by row, in plain Rust.
fn slow_policy_loss(weights: &Parameters, at: &Rollout, advantage: &[f32], bonus: f64) -> f64 {
    let probabilities = numbers(&policy(weights, &at.states).unwrap()).unwrap();
    let actions = numbers(&at.actions).unwrap();
    let rows = advantage.len();
    let mut loss = 0.0;
    for row in 0..rows {
        for action in 0..3 {
            let p = f64::from(probabilities[row * 3 + action]);
            let taken = f64::from(actions[row * 3 + action]);
            loss += -taken * p.ln() * f64::from(advantage[row]) + bonus * p * p.ln();
        }
    }
    #[expect(clippy::cast_precision_loss, reason = "a few rows")]
    let rows = rows as f64;
    loss / rows
}

/// `weights` with one number of one tensor moved.
fn moved(weights: &Parameters, tensor: usize, at: i64, by: f64) -> Parameters {
    let copy = weights.share();
    let layers = [&copy.trunk, &copy.policy, &copy.value];
    let source = layers[tensor / 2];
    let changed = if tensor.is_multiple_of(2) { source.weight.copy() } else { source.bias.copy() };
    let _ = changed.view(-1).narrow(0, at, 1).g_add_scalar_(by);
    let mut copy = copy;
    let layer = [&mut copy.trunk, &mut copy.policy, &mut copy.value].into_iter().nth(tensor / 2).unwrap();
    if tensor.is_multiple_of(2) {
        layer.weight = changed
    } else {
        layer.bias = changed
    }
    copy
}

#[test]
fn the_policys_gradient_agrees_with_differences_of_the_papers_loss() {
    let mut rng = Rng::with_seed(1);
    let weights = Parameters::initial(INPUTS, &mut rng).unwrap();
    let at = rollout(12, &mut rng);
    let values = numbers(&value(&weights, &at.states).unwrap()).unwrap();
    let advantage: Vec<f32> = numbers(&at.returns).unwrap().iter().zip(values).map(|(gain, value)| gain - value).collect();
    let gradient = policy_update(&weights, &at, 0.05).unwrap();
    for (tensor, index) in [(0, 3), (0, 77), (1, 5), (2, 40), (3, 1)] {
        let step = 1e-2;
        let up = slow_policy_loss(&moved(&weights, tensor, index, step), &at, &advantage, 0.05);
        let down = slow_policy_loss(&moved(&weights, tensor, index, -step), &at, &advantage, 0.05);
        let found = gradient.tensors()[tensor].view(-1).double_value(&[index]);
        assert!((found - (up - down) / (2.0 * step)).abs() < 2e-4, "tensor {tensor} at {index}: {found} and {up} {down}");
    }
    assert_eq!(gradient.value.weight.abs().sum(Kind::Float).double_value(&[]), 0.0);
}

#[test]
fn the_critics_gradient_agrees_with_differences_of_the_squared_error() {
    let mut rng = Rng::with_seed(2);
    let weights = Parameters::initial(INPUTS, &mut rng).unwrap();
    let at = rollout(12, &mut rng);
    let loss = |weights: &Parameters| -> f64 {
        let error = &at.returns - value(weights, &at.states).unwrap();
        0.5 * f64::try_from(error.square().mean(Kind::Float)).unwrap()
    };
    let gradient = value_update(&weights, &at, 0.5).unwrap();
    for (tensor, index) in [(0, 3), (1, 5), (4, 20), (5, 0)] {
        let step = 1e-2;
        let wanted = (loss(&moved(&weights, tensor, index, step)) - loss(&moved(&weights, tensor, index, -step))) / (2.0 * step);
        let found = gradient.tensors()[tensor].view(-1).double_value(&[index]);
        assert!((found - wanted).abs() < 2e-4, "tensor {tensor} at {index}: {found}, not {wanted}");
    }
    assert_eq!(gradient.policy.bias.abs().sum(Kind::Float).double_value(&[]), 0.0);
}

#[test]
fn adam_steps_as_libtorchs_own() {
    let mut rng = Rng::with_seed(3);
    let mut weights = Parameters::initial(INPUTS, &mut rng).unwrap();
    let mut adam = Adam::new(&weights).unwrap();
    let store = nn::VarStore::new(Device::Cpu);
    let theirs: Vec<Tensor> = weights.tensors().iter().enumerate().map(|(i, t)| store.root().var_copy(&format!("v{i}"), t)).collect();
    let mut optimizer = nn::Adam::default().build(&store, 0.01).unwrap();
    for _ in 0..20 {
        let gradients = value_update(&weights, &rollout(8, &mut rng), 0.5).unwrap();
        optimizer.zero_grad();
        let loss: Tensor = theirs.iter().zip(gradients.tensors()).map(|(w, g)| (w * g).sum(Kind::Float)).sum();
        loss.backward();
        optimizer.step();
        (weights, adam) = adam.step(&weights, &gradients, 0.01).unwrap();
    }
    assert_eq!(adam.steps(), 20);
    for (ours, theirs) in weights.tensors().iter().zip(&theirs) {
        let difference = f64::try_from((*ours - theirs).abs().max()).unwrap();
        assert!(difference < 1e-5, "{difference}");
    }
}

#[test]
fn n_step_returns_discount_backwards_from_what_comes_after() {
    let mut experience = Experience::default();
    for step in 0..3_u8 {
        experience.acted(Tensor::from_slice(&[[f32::from(step)], [10.0]].concat()).unsqueeze(1), vec![0, 2]);
        experience.rewarded(vec![1.0, f32::from(step)]);
    }
    let rollout = experience.finish(&[8.0, 0.0], 0.5).unwrap();
    // First symbol: 1 + 0.5 · 8 = 5, 1 + 2.5, 1 + 1.75; second: 2, 1 + 1, 0 + 1.
    assert_eq!(numbers(&rollout.returns).unwrap(), [2.75, 1.0, 3.5, 2.0, 5.0, 2.0]);
    assert_eq!(rollout.states.size(), [6, 1]);
    assert_eq!(numbers(&rollout.actions.narrow(0, 0, 2)).unwrap(), [1.0, 0.0, 0.0, 0.0, 0.0, 1.0]);
}

#[test]
fn a_step_whose_reward_is_open_is_not_learnt_from() {
    let mut experience = Experience::default();
    experience.rewarded(vec![9.0]);
    assert!(experience.is_empty(), "a reward without a step before it counts for nothing");
    experience.acted(Tensor::from_slice(&[1.0_f32]).unsqueeze(1), vec![1]);
    experience.rewarded(vec![2.0]);
    experience.acted(Tensor::from_slice(&[5.0_f32]).unsqueeze(1), vec![1]);
    let rollout = experience.finish(&[0.0], 0.5).unwrap();
    assert_eq!((rollout.states.size()[0], numbers(&rollout.returns).unwrap()), (1, vec![2.0]));
}

#[test]
fn rewards_are_percent_gained_less_the_cost_of_trading() {
    let returns = Tensor::from_slice(&[0.0_f32, 0.01, -0.02]).unsqueeze(1);
    let mut past = Environment::new(Tensor::zeros([3, 1, FEATURES], (Kind::Float, Device::Cpu)), &returns).unwrap();
    let first = past.act(&[2]);
    assert!((first[0] - (1.0 - 0.05)).abs() < 1e-5, "{first:?}");
    let second = past.act(&[1]);
    assert!((second[0] - (-1.0 - 0.025)).abs() < 1e-5, "{second:?}");
    assert!(past.ended());
}

#[test]
fn actions_are_drawn_as_often_as_their_probability_says() {
    let mut rng = Rng::with_seed(4);
    let probabilities = Tensor::from_slice(&[0.2_f32, 0.5, 0.3]).repeat([3000, 1]);
    let mut counts = [0; 3];
    for action in sample(&probabilities, &mut rng).unwrap() {
        counts[action] += 1;
    }
    assert!((500..700).contains(&counts[0]) && (1400..1600).contains(&counts[1]) && (800..1000).contains(&counts[2]), "{counts:?}");
}

/// A market in which the first symbol always rises and the second always falls.
fn clear_market() -> MarketStates {
    let bars = 64_i64;
    let mut states = Tensor::zeros([bars, 2, FEATURES], (Kind::Float, Device::Cpu));
    let _ = states.select(1, 0).select(1, 0).fill_(1.0);
    let _ = states.select(1, 1).select(1, 0).fill_(-1.0);
    let returns = Tensor::from_slice(&[0.01_f32, -0.01]).repeat([bars, 1]);
    states = states.contiguous();
    MarketStates { states, returns }
}

#[test]
fn an_agent_learns_to_hold_what_rises_and_leave_what_falls() {
    tch::set_num_threads(1);
    let past = clear_market();
    let mut agent = Agent::new(5, Hyper::default()).unwrap();
    let mut workers = [11, 12].map(|seed| Worker::new(&agent, &past, Device::Cpu, seed).unwrap());
    for _ in 0..200 {
        for worker in &mut workers {
            agent = worker.turn(&agent).unwrap();
        }
    }
    let state = Environment::new(past.states, &past.returns).unwrap().state().unwrap();
    let chances = numbers(&policy(agent.weights(), &state).unwrap()).unwrap();
    assert_eq!(agent.steps(), 400);
    assert!(chances[2] > 0.8 && chances[3] > 0.8, "{chances:?}");
}

#[test]
fn learning_leaves_the_agent_before_it_untouched() {
    let agent = Agent::new(5, Hyper::default()).unwrap();
    let before = agent.weights().checksum().unwrap();
    let mut worker = Worker::new(&agent, &clear_market(), Device::Cpu, 1).unwrap();
    let after = worker.turn(&agent).unwrap();
    assert_eq!(agent.weights().checksum().unwrap(), before);
    assert_ne!(after.weights().checksum().unwrap(), before);
}
