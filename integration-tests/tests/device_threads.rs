//! Four threads with a shared network while faults fly: every call gives the CPU's numbers or is refused, and every update is done once.
#![cfg(not(feature = "disable-decorators"))]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use backstop::{Migrate, safe_mps_op};
use sim_mps::{Orders, text};
use tch::nn::{self, Module, VarStore};
use tch::{Device, Kind, TchError, Tensor};

const THREADS: usize = 4;

/// Calls of each thread; `BACKSTOP_SWEEP=whole` makes more.
fn rounds() -> usize {
    if std::env::var("BACKSTOP_SWEEP").is_ok_and(|sweep| sweep == "whole") { 200 } else { 25 }
}

#[derive(Migrate)]
struct Net {
    first: nn::Linear,
    last: nn::Linear,
}

impl Net {
    fn new(device: Device) -> Self {
        tch::manual_seed(17);
        let mut store = VarStore::new(Device::Cpu);
        let root = store.root();
        let net = Net { first: nn::linear(&root / "a", 3, 5, Default::default()), last: nn::linear(&root / "b", 5, 1, Default::default()) };
        store.set_device(device);
        net
    }

    fn parameters(&self) -> Vec<Tensor> {
        let layers = [&self.first, &self.last];
        layers.into_iter().flat_map(|layer| [Some(&layer.ws), layer.bs.as_ref()]).flatten().map(Tensor::shallow_clone).collect()
    }

    /// The same parameters, for another thread.
    fn handles(&self) -> Self {
        let again = |of: &nn::Linear| nn::Linear { ws: of.ws.shallow_clone(), bs: of.bs.as_ref().map(Tensor::shallow_clone) };
        Net { first: again(&self.first), last: again(&self.last) }
    }
}

fn input(device: Device) -> Tensor {
    Tensor::arange(12, (Kind::Float, Device::Cpu)).reshape([4, 3]).sin().to_device(device)
}

fn bits(tensor: &Tensor) -> Vec<u32> {
    let values: Vec<f32> = Vec::try_from(tensor.detach().to_device(Device::Cpu).reshape([-1])).unwrap();
    values.into_iter().map(f32::to_bits).collect()
}

/// The loss, and its gradients by the parameters, which are not accumulated: other threads use the same.
#[safe_mps_op]
fn gradients(net: &Net, x: &Tensor) -> Result<Vec<Tensor>, TchError> {
    let loss = net.last.forward(&net.first.forward(x).f_tanh()?).f_square()?.f_mean(Kind::Float)?;
    let mut all = Tensor::f_run_backward(&[&loss], &net.parameters(), false, false)?;
    all.push(loss.f_detach()?);
    Ok(all)
}

/// One whole update, in place: half of it is done when a fault strikes in the middle.
#[safe_mps_op(snapshot)]
fn update(net: &Net, x: &Tensor) -> Result<(), TchError> {
    let loss = net.last.forward(&net.first.forward(x).f_tanh()?).f_square()?.f_mean(Kind::Float)?;
    let gradients = Tensor::f_run_backward(&[&loss], &net.parameters(), false, false)?;
    let _guard = tch::no_grad_guard();
    for (parameter, gradient) in net.parameters().iter_mut().zip(&gradients) {
        let _ = parameter.f_sub_(&gradient.f_mul_scalar(0.1)?)?;
    }
    Ok(())
}

#[derive(Default)]
struct Tally {
    survived: AtomicU64,
    refused: AtomicU64,
    wrong: AtomicU64,
}

impl Tally {
    fn count(&self, which: &AtomicU64) {
        which.fetch_add(1, Ordering::Relaxed);
    }

    /// The line that `cargo xtask sweep` adds up: of faults, while this counts calls. A call ends by one fault at most.
    fn tell(&self, injected: u64) {
        let [calls, refused, wrong] = [&self.survived, &self.refused, &self.wrong].map(|count| count.load(Ordering::Relaxed));
        let survived = injected - refused;
        println!("injected {}, survived {}, refused {}, wrong {}", injected, survived, refused, wrong);
        assert_eq!(wrong, 0);
        assert!(survived > 0 && calls > refused, "injected {injected}, refused {refused} of {}", calls + refused);
    }
}

/// The value of a call; nothing where it was refused, by an error or by a panic of tch's plain methods.
fn attempt<T>(call: impl FnOnce() -> Result<T, TchError>) -> Option<T> {
    catch_unwind(AssertUnwindSafe(call)).ok()?.ok()
}

/// Functions that failed before go to the device again, where faults strike.
fn always_on_the_device() -> backstop::Backstop {
    let policies = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/policies/always_try_the_device.toml");
    backstop::Builder::new().policies(policies).install().unwrap()
}

/// Faults strike often enough to meet every kind of place, and seldom enough for calls to survive.
const EVERY: u64 = 61;

#[test]
fn four_threads_that_read_a_network_get_the_cpus_numbers_while_faults_fly() {
    let Ok(orders) = Orders::take() else { return };
    let _backstop = always_on_the_device();
    let expected: Vec<Vec<u32>> = gradients(&Net::new(Device::Cpu), &input(Device::Cpu)).unwrap().iter().map(bits).collect();
    let (net, x, tally) = (Net::new(Device::Mps), input(Device::Mps), Tally::default());
    orders.fail_every(EVERY, &text::out_of_memory());
    let results: Vec<_> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..THREADS)
            .map(|_| {
                let (net, x) = (net.handles(), x.shallow_clone());
                scope.spawn(move || (0..rounds()).map(|_| attempt(|| gradients(&net, &x))).collect::<Vec<_>>())
            })
            .collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    let injected = sim_mps::counts().raised;
    orders.reset();
    for result in &results {
        let Some(tensors) = result else {
            tally.count(&tally.refused);
            continue;
        };
        tally.count(&tally.survived);
        if tensors.iter().map(bits).collect::<Vec<_>>() != expected {
            tally.count(&tally.wrong);
        }
    }
    tally.tell(injected);
}

#[test]
fn four_threads_that_update_a_network_in_turn_do_each_update_once_while_faults_fly() {
    let Ok(orders) = Orders::take() else { return };
    let _backstop = always_on_the_device();
    let (net, x, tally) = (Net::new(Device::Mps), input(Device::Mps), Tally::default());
    let turn = Mutex::new(());
    orders.fail_every(EVERY, &text::backend_internal());
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            let (net, x, turn, tally) = (net.handles(), x.shallow_clone(), &turn, &tally);
            scope.spawn(move || {
                for _ in 0..rounds() {
                    let _turn = turn.lock().unwrap();
                    tally.count(if attempt(|| update(&net, &x)).is_some() { &tally.survived } else { &tally.refused });
                }
            });
        }
    });
    let injected = sim_mps::counts().raised;
    orders.reset();
    // All threads make the same update, so their order does not matter: as many as survived, on the CPU.
    let on_cpu = Net::new(Device::Cpu);
    (0..tally.survived.load(Ordering::Relaxed)).for_each(|_| update(&on_cpu, &input(Device::Cpu)).unwrap());
    let states = [&net, &on_cpu].map(|net| net.parameters().iter().map(bits).collect::<Vec<_>>());
    if states[0] != states[1] {
        tally.count(&tally.wrong);
    }
    tally.tell(injected);
}
