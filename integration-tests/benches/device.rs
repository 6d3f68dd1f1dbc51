//! What `#[safe_mps_op]` costs, beside the bare call in the same run: `cargo xtask bench device`.
//!
//! Each round measures both sides of a row in turn; a figure is the median over the rounds, "more" the median of the rounds' differences.
//! Instructions are counted by valgrind, which runs this program once more. The device is simulated: its operators run on the CPU, behind a
//! dispatcher. Of the times only the ratios are worth quoting: they are this machine's, now.

#[path = "device/counts.rs"]
mod counts;

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

/// One line of the table: what a call costs beside another.
struct Row<'r> {
    what: &'r str,
    against: &'r str,
    /// In one round.
    calls: u32,
    base: &'r dyn Fn(),
    with: &'r dyn Fn(),
}

impl Row<'_> {
    /// The medians of a bare call and of the difference, in nanoseconds.
    fn time(&self) -> (f64, f64) {
        let time = |call: &dyn Fn()| {
            let begin = Instant::now();
            (0..self.calls).for_each(|_| call());
            begin.elapsed().as_secs_f64() * 1e9 / f64::from(self.calls)
        };
        let round = || (time(self.base), time(self.with));
        round(); // warms up
        let rounds: Vec<(f64, f64)> = (0..ROUNDS).map(|_| round()).collect();
        let median = |of: fn(&(f64, f64)) -> f64| median(rounds.iter().map(of).collect());
        (median(|(base, _)| *base), median(|(base, with)| with - base))
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn square(side: i64, device: Device) -> Tensor {
    Tensor::rand([side, side], (Kind::Float, Device::Cpu)).to_device(device)
}

fn success(each: &mut dyn FnMut(&Row<'_>)) {
    let on = |device| (square(64, device), square(64, device), square(64, device));
    let ((a, b, c), (x, y, z)) = (on(Device::Mps), on(Device::Cpu));
    let nothing = || _ = black_box(black_box((&a, &b, &c)));
    let copied_by_hand = || {
        let copies = [&a, &b, &c].map(|tensor| tensor.f_to_device_(Device::Mps, Kind::Float, false, true));
        _ = black_box(bare(&a, &b, &c));
        drop(black_box(copies));
    };
    let mut row = |what, against, calls, base: &dyn Fn(), with: &dyn Fn()| each(&Row { what, against, calls, base, with });
    row("three tensors on the CPU, an empty body", "nothing", 20_000, &nothing, &|| _ = black_box(empty(&x, &y, &z)));
    row("three tensors on the device, an empty body", "nothing", 20_000, &nothing, &|| _ = black_box(empty(&a, &b, &c)));
    row("three tensors on the CPU, 64×64", "bare call", 2000, &|| _ = black_box(bare(&x, &y, &z)), &|| _ = black_box(guarded(&x, &y, &z)));
    row("three tensors on the device, 64×64", "bare call", 2000, &|| _ = black_box(bare(&a, &b, &c)), &|| {
        _ = black_box(guarded(&a, &b, &c))
    });
    row("the same with `snapshot`", "bare call and three copies", 2000, &copied_by_hand, &|| _ = black_box(with_snapshot(&a, &b, &c)));
}

fn on_the_cpu(orders: &Orders, each: &mut dyn FnMut(&Row<'_>)) {
    let (a, b) = (square(256, Device::Mps), square(256, Device::Mps));
    let (x, y) = (a.to_device(Device::Cpu), b.to_device(Device::Cpu));
    let plain = || _ = black_box(x.f_matmul(&y));
    let routed = || _ = black_box(straight(&a, &b));
    each(&Row { what: "routed to the CPU, 256×256", against: "plain call on the CPU", calls: 50, base: &plain, with: &routed });
    each(&Row { what: "the same", against: "the same copies by hand", calls: 50, base: &|| _ = black_box(by_hand(&a, &b)), with: &routed });
    orders.unimplemented("aten::mm").expect("an operator of that name");
    let fails = || _ = black_box(failing(&a, &b));
    each(&Row { what: "failing in each call, 256×256", against: "routed to the CPU", calls: 20, base: &routed, with: &fails });
    orders.reset();
}

fn migration(each: &mut dyn FnMut(&Row<'_>)) {
    let mut store = VarStore::new(Device::Cpu);
    let layers = (0..25).map(|at| nn::linear(store.root() / at, 1000, 1000, nn::LinearConfig::default())).collect();
    store.set_device(Device::Mps);
    let module = Module { layers };
    let (bare, all) = (|| _ = black_box(copies(&module)), || _ = black_box(moved(&module)));
    each(&Row { what: "a module of 100 MB to the CPU", against: "bare copies", calls: 1, base: &bare, with: &all });
}

fn rows(orders: &Orders, each: &mut dyn FnMut(&Row<'_>)) {
    success(each);
    on_the_cpu(orders, each);
    migration(each);
}

fn main() {
    let Ok(orders) = Orders::take() else {
        println!("skipped: the simulated device exists on Linux only");
        return;
    };
    tch::set_num_threads(1);
    let policies = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/device.toml");
    let _backstop = backstop::Builder::new().policies(policies).install().expect("the policies beside this file");
    if counts::is_child() {
        return rows(&orders, &mut |row| counts::count(row));
    }
    let mut counted = counts::all().unwrap_or_else(|problem| {
        println!("no instruction counts: {problem}");
        Vec::new()
    });
    counted.reverse();
    println!("median of {ROUNDS} rounds; times in ns a call; more: ns, part of the bare call, instructions");
    println!("| call | against | bare | more | more | instructions |\n|---|---|---|---|---|---|");
    rows(&orders, &mut |row| {
        let (base, more) = row.time();
        let counted = counted.pop().map_or_else(|| "–".to_owned(), |(base, with)| format!("{base} + {}", with as i64 - base as i64));
        println!("| {} | {} | {base:.0} | {more:+.0} | {:+.1} % | {counted} |", row.what, row.against, more / base * 100.0);
    });
}
