//! Training on the simulated device: autograd, optimizers, layers with state; bit for bit the CPU's.

#![cfg(target_os = "linux")]

mod common;

use common::{numbers, same_bits};
use tch::nn::{self, Module, ModuleT, OptimizerConfig};
use tch::{Device, Kind, Tensor};

/// Fills every variable with numbers that do not depend on the device.
fn fill(vs: &nn::VarStore) {
    tch::no_grad(|| {
        for (name, mut variable) in vs.variables() {
            let shift = name.bytes().map(i64::from).sum::<i64>() as f64;
            variable.copy_(&((numbers(&variable.size()) + shift).sin() * 0.3));
        }
    });
}

/// All variables by name.
fn state(vs: &nn::VarStore) -> Vec<(String, Tensor)> {
    let mut all: Vec<_> = vs.variables().into_iter().map(|(name, variable)| (name, variable.detach().to_device(Device::Cpu))).collect();
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all
}

fn assert_same(device: &[(String, Tensor)], host: &[(String, Tensor)]) {
    assert_eq!(device.len(), host.len());
    for ((name, a), (_, b)) in device.iter().zip(host) {
        assert!(same_bits(a, b), "{name} differs: {a:?} {b:?}");
    }
}

fn perceptron(device: Device) -> Vec<(String, Tensor)> {
    let vs = nn::VarStore::new(device);
    let net = nn::seq_t()
        .add(nn::linear(vs.root() / "first", 8, 16, nn::LinearConfig::default()))
        .add(nn::batch_norm1d(vs.root() / "norm", 16, nn::BatchNormConfig::default()))
        .add_fn(|x| x.tanh())
        .add(nn::linear(vs.root() / "second", 16, 3, nn::LinearConfig::default()));
    fill(&vs);
    let mut adam = nn::Adam::default().build(&vs, 1e-2).unwrap();
    let input = numbers(&[32, 8]).to_device(device);
    let target = Tensor::arange(32, (Kind::Int64, Device::Cpu)).remainder(3).to_device(device);
    for _ in 0..5 {
        let loss = net.forward_t(&input, true).cross_entropy_for_logits(&target);
        adam.backward_step_clip(&loss, 1.0);
    }
    state(&vs)
}

#[test]
fn adam_and_batch_norm_train_to_the_cpus_weights() {
    let _undisturbed = sim_mps::Orders::take().unwrap();
    let (device, host) = (perceptron(Device::Mps), perceptron(Device::Cpu));
    assert_same(&device, &host);
    let mean = &device.iter().find(|(name, _)| name.ends_with("running_mean")).unwrap().1;
    assert_ne!(mean.abs().sum(Kind::Float).double_value(&[]), 0.0);
}

fn convolutional(device: Device) -> Vec<(String, Tensor)> {
    let vs = nn::VarStore::new(device);
    let conv = nn::conv2d(vs.root() / "conv", 2, 4, 3, nn::ConvConfig { padding: 1, ..Default::default() });
    let words = nn::embedding(vs.root() / "words", 10, 4, nn::EmbeddingConfig::default());
    let norm = nn::layer_norm(vs.root() / "norm", vec![4], nn::LayerNormConfig::default());
    fill(&vs);
    let mut sgd = nn::Sgd { momentum: 0.9, ..nn::Sgd::default() }.build(&vs, 1e-2).unwrap();
    let image = numbers(&[3, 2, 6, 6]).to_device(device);
    let text = Tensor::from_slice(&[1i64, 5, 5]).to_device(device);
    for _ in 0..3 {
        let seen = conv.forward(&image).relu().max_pool2d(2, 2, 0, 1, false).mean_dim([2i64, 3].as_slice(), false, Kind::Float);
        let read = norm.forward(&(seen + words.forward(&text)));
        sgd.backward_step(&read.square().mean(Kind::Float));
    }
    state(&vs)
}

#[test]
fn convolution_embedding_and_layer_norm_train_to_the_cpus_weights() {
    let _undisturbed = sim_mps::Orders::take().unwrap();
    assert_same(&convolutional(Device::Mps), &convolutional(Device::Cpu));
}

#[test]
fn recurrent_layers_agree_with_the_cpus_but_for_rounding() {
    let _undisturbed = sim_mps::Orders::take().unwrap();
    // libtorch multiplies all steps at once, or takes oneDNN's LSTM, where it sees the CPU, before the dispatcher is asked.
    let close = |run: &dyn Fn(Device) -> Tensor| run(Device::Mps).to_device(Device::Cpu).allclose(&run(Device::Cpu), 1e-5, 1e-6, false);
    assert!(close(&|device| {
        let vs = nn::VarStore::new(device);
        let gates = nn::lstm(vs.root(), 4, 5, nn::RNNConfig::default());
        fill(&vs);
        nn::RNN::seq(&gates, &numbers(&[2, 3, 4]).to_device(device)).0
    }));
    assert!(close(&|device| {
        let vs = nn::VarStore::new(device);
        let gates = nn::gru(vs.root(), 4, 5, nn::RNNConfig::default());
        fill(&vs);
        nn::RNN::seq(&gates, &numbers(&[2, 3, 4]).to_device(device)).0
    }));
}

#[test]
fn gradients_cross_devices_and_reach_the_leaf() {
    let _undisturbed = sim_mps::Orders::take().unwrap();
    let leaf = Tensor::from_slice(&[1f32, 2.0]).to_device(Device::Mps).set_requires_grad(true);
    let moved = leaf.to_device(Device::Cpu);
    assert!(!moved.is_leaf());
    (moved.square().to_device(Device::Mps) * 3).sum(Kind::Float).backward();
    assert_eq!(leaf.grad().device(), Device::Mps);
    assert!(same_bits(&leaf.grad(), &Tensor::from_slice(&[6f32, 12.0])));
}

#[test]
fn an_error_in_backward_reaches_the_caller() {
    let orders = sim_mps::Orders::take().unwrap();
    let leaf = Tensor::from_slice(&[1f32, 2.0]).to_device(Device::Mps).set_requires_grad(true);
    let loss = leaf.cumsum(0, Kind::Float).square().sum(Kind::Float);
    orders.unimplemented("aten::flip").unwrap();
    let error = loss.f_backward().unwrap_err().to_string();
    assert!(error.contains("The operator 'aten::flip' is not currently implemented for the MPS device"), "{error}");
}

#[test]
fn four_threads_compute_while_faults_fly() {
    let orders = sim_mps::Orders::take().unwrap();
    let shared = numbers(&[16, 16]);
    let expected = shared.matmul(&shared).relu();
    orders.fail_every(7, &sim_mps::text::out_of_memory());
    let results: Vec<(usize, usize)> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let (mine, expected) = (shared.shallow_clone(), expected.shallow_clone());
                scope.spawn(move || {
                    let attempts = (0..20).map(|_| {
                        let device = mine.f_to_device(Device::Mps)?;
                        device.f_matmul(&device)?.f_relu()?.f_to_device(Device::Cpu)
                    });
                    let good: Vec<Tensor> = attempts.filter_map(Result::ok).collect();
                    assert!(good.iter().all(|result| same_bits(result, &expected)));
                    (good.len(), 20 - good.len())
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let (good, failed) = results.into_iter().fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    assert!(good > 0 && failed > 0, "{good} good, {failed} failed");
    assert_eq!(failed as u64, sim_mps::counts().raised);
}
