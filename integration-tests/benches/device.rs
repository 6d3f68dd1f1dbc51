//! What `#[safe_mps_op]` costs, beside the bare call in the same run: `cargo xtask bench device`.
//!
//! Each round measures every variant once, in turn; a figure is the median over the rounds. The device is simulated: its operators run
//! on the CPU, behind a dispatcher. Only the ratios are worth quoting: the absolute times are this machine's, now.

use std::hint::black_box;
use std::time::Instant;

use backstop::{Migrate, safe_mps_op};
use sim_mps::Orders;
use tch::nn::{self, VarStore};
use tch::{Device, Kind, TchError, Tensor};

const ROUNDS: usize = 31;

type Product = Result<Tensor, TchError>;

fn bare(a: &Tensor, b: &Tensor, _c: &Tensor) -> Product {
    a.f_matmul(b)
}

#[safe_mps_op]
fn guarded(a: &Tensor, b: &Tensor, _c: &Tensor) -> Product {
    a.f_matmul(b)
}

#[safe_mps_op(snapshot)]
fn with_snapshot(a: &Tensor, b: &Tensor, _c: &Tensor) -> Product {
    a.f_matmul(b)
}

/// Does nothing, so that nothing hides what is around it.
#[safe_mps_op]
fn empty(_a: &Tensor, _b: &Tensor, _c: &Tensor) -> Result<(), TchError> {
    Ok(())
}

/// Always on the CPU, by the policy beside this file.
#[safe_mps_op]
fn straight(a: &Tensor, b: &Tensor) -> Product {
    a.f_matmul(b)
}

/// What [`straight`] does, by hand.
fn by_hand(a: &Tensor, b: &Tensor) -> Product {
    let (a, b) = (a.f_to_device(Device::Cpu)?, b.f_to_device(Device::Cpu)?);
    a.f_matmul(&b)?.f_to_device(Device::Mps)
}

/// Never sent straight to the CPU, so that each call fails on the device first.
#[safe_mps_op]
fn failing(a: &Tensor, b: &Tensor) -> Product {
    a.f_matmul(b)
}

#[derive(Migrate)]
struct Module {
    layers: Vec<nn::Linear>,
}

/// Always on the CPU, by the policy beside this file; moves its argument and does nothing.
#[safe_mps_op]
fn moved(module: &Module) -> Result<usize, TchError> {
    Ok(module.layers.len())
}

/// What [`moved`] does, by hand: all copies live until the end.
fn copies(module: &Module) -> Result<Vec<Tensor>, TchError> {
    let tensors = module.layers.iter().flat_map(|layer| std::iter::once(&layer.ws).chain(&layer.bs));
    tensors.map(|tensor| tensor.f_to_device_(Device::Cpu, Kind::Float, false, true)).collect()
}

/// The median time of one call of each variant, in nanoseconds.
fn measure<const N: usize>(calls: u32, variants: [&dyn Fn(); N]) -> [f64; N] {
    let mut times = [const { Vec::new() }; N];
    variants.iter().for_each(|variant| variant());
    for _ in 0..ROUNDS {
        for (times, variant) in times.iter_mut().zip(variants) {
            let begin = Instant::now();
            (0..calls).for_each(|_| variant());
            times.push(begin.elapsed().as_secs_f64() * 1e9 / f64::from(calls));
        }
    }
    times.map(median)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn square(side: i64, device: Device) -> Tensor {
    Tensor::rand([side, side], (Kind::Float, Device::Cpu)).to_device(device)
}

fn row(what: &str, against: &str, base: f64, time: f64) {
    println!("| {what} | {against} | {base:.0} | {time:.0} | {:+.0} | {:+.1} % |", time - base, (time / base - 1.0) * 100.0);
}

fn success() {
    let on = |device| (square(64, device), square(64, device), square(64, device));
    let ((a, b, c), (x, y, z)) = (on(Device::Mps), on(Device::Cpu));
    let three_copies =
        || [&a, &b, &c].into_iter().for_each(|tensor| _ = black_box(tensor.f_to_device_(Device::Mps, Kind::Float, false, true)));
    let nothing = || _ = black_box(black_box((&a, &b, &c)));
    let [bare_empty, empty_on_cpu, empty_on_device] =
        measure(20_000, [&nothing, &|| _ = black_box(empty(&x, &y, &z)), &|| _ = black_box(empty(&a, &b, &c))]);
    row("three tensors on the CPU, an empty body", "nothing", bare_empty, empty_on_cpu);
    row("three tensors on the device, an empty body", "nothing", bare_empty, empty_on_device);
    let [on_cpu, guarded_on_cpu, on_device, guarded_on_device, copies, snapshot] = measure(
        2000,
        [
            &|| _ = black_box(bare(&x, &y, &z)),
            &|| _ = black_box(guarded(&x, &y, &z)),
            &|| _ = black_box(bare(&a, &b, &c)),
            &|| _ = black_box(guarded(&a, &b, &c)),
            &three_copies,
            &|| _ = black_box(with_snapshot(&a, &b, &c)),
        ],
    );
    row("three tensors on the CPU, 64×64", "bare call", on_cpu, guarded_on_cpu);
    row("three tensors on the device, 64×64", "bare call", on_device, guarded_on_device);
    row("the same with `snapshot`", "bare call and three copies", on_device + copies, snapshot);
}

fn on_the_cpu(orders: &Orders) {
    let (a, b) = (square(256, Device::Mps), square(256, Device::Mps));
    let (x, y) = (a.to_device(Device::Cpu), b.to_device(Device::Cpu));
    let [plain, hand, routed] =
        measure(50, [&|| _ = black_box(x.f_matmul(&y)), &|| _ = black_box(by_hand(&a, &b)), &|| _ = black_box(straight(&a, &b))]);
    row("routed to the CPU, 256×256", "plain call on the CPU", plain, routed);
    row("the same", "the same copies by hand", hand, routed);
    row("the same, copies apart", "plain call on the CPU", plain, plain + routed - hand);
    orders.unimplemented("aten::mm").expect("an operator of that name");
    let [fails] = measure(20, [&|| _ = black_box(failing(&a, &b))]);
    orders.reset();
    row("failing in each call, 256×256", "routed to the CPU", routed, fails);
}

fn migration() {
    let mut store = VarStore::new(Device::Cpu);
    let layers = (0..25).map(|at| nn::linear(store.root() / at, 1000, 1000, nn::LinearConfig::default())).collect();
    store.set_device(Device::Mps);
    let module = Module { layers };
    let [bare, all] = measure(1, [&|| _ = black_box(copies(&module)), &|| _ = black_box(moved(&module))]);
    row("a module of 100 MB to the CPU", "bare copies", bare, all);
}

fn main() {
    let Ok(orders) = Orders::take() else {
        println!("skipped: the simulated device exists on Linux only");
        return;
    };
    tch::set_num_threads(1);
    let policies = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/device.toml");
    let _backstop = backstop::Builder::new().policies(policies).install().expect("the policies beside this file");
    println!("median of {ROUNDS} rounds; times in ns a call");
    println!("| call | against | ns | ns | more | more |\n|---|---|---|---|---|---|");
    success();
    on_the_cpu(&orders);
    migration();
}
