//! All rows, each with what it needs.

use std::hint::black_box;

use sim_mps::Orders;
use tch::nn::{self, VarStore};
use tch::{Device, Kind, Tensor};

use crate::functions::{
    Module, bare, by_hand, copies, empty, empty_with_snapshot, failing, guarded, moved, straight, three_copies, with_copies, with_snapshot,
};
use crate::row::{Goal, Row};

/// Shows them one after the other.
pub fn rows(orders: &Orders, each: &mut dyn FnMut(&Row<'_>)) {
    success(each);
    on_the_cpu(orders, each);
    migration(each);
}

fn square(side: i64, device: Device) -> Tensor {
    Tensor::rand([side, side], (Kind::Float, Device::Cpu)).to_device(device)
}

fn success(each: &mut dyn FnMut(&Row<'_>)) {
    let on = |device| (square(64, device), square(64, device), square(64, device));
    let ((a, b, c), (x, y, z)) = (on(Device::Mps), on(Device::Cpu));
    let nothing = || _ = black_box(black_box((&a, &b, &c)));
    let mut row = |name, what, against, calls, goal, base: &dyn Fn(), with: &dyn Fn()| {
        each(&Row { name, what, against, calls, base, with, part_of: None, goal });
    };
    let few = Goal { nanos: Some(150.0), percent: None };
    let goal = Goal { nanos: Some(150.0), percent: Some(3.0) };
    row("empty-cpu", "three tensors on the CPU, an empty body", "nothing", 5000, few, &nothing, &|| _ = black_box(empty(&x, &y, &z)));
    row("empty-device", "three tensors on the device, an empty body", "nothing", 5000, few, &nothing, &|| _ = black_box(empty(&a, &b, &c)));
    let (by_hand, copying) = (|| _ = black_box(three_copies(&a, &b, &c)), || _ = black_box(empty_with_snapshot(&a, &b, &c)));
    row("empty-snapshot", "the same with `snapshot`", "three copies", 500, few, &by_hand, &copying);
    row("cpu", "three tensors on the CPU, 64×64", "the bare call", 500, goal, &|| _ = black_box(bare(&x, &y, &z)), &|| {
        _ = black_box(guarded(&x, &y, &z));
    });
    row("device", "three tensors on the device, 64×64", "the bare call", 500, goal, &|| _ = black_box(bare(&a, &b, &c)), &|| {
        _ = black_box(guarded(&a, &b, &c));
    });
    let (by_hand, guarded) = (|| _ = black_box(with_copies(&a, &b, &c)), || _ = black_box(with_snapshot(&a, &b, &c)));
    row("snapshot", "the same with `snapshot`", "the bare call and three copies", 500, goal, &by_hand, &guarded);
}

fn on_the_cpu(orders: &Orders, each: &mut dyn FnMut(&Row<'_>)) {
    let (a, b) = (square(256, Device::Mps), square(256, Device::Mps));
    let (x, y) = (a.to_device(Device::Cpu), b.to_device(Device::Cpu));
    let plain = || _ = black_box(x.f_matmul(&y));
    let routed = || _ = black_box(straight(&a, &b));
    each(&Row {
        name: "routed",
        what: "routed to the CPU, 256×256, copies apart",
        against: "the same copies by hand; parts of the plain call on the CPU",
        calls: 20,
        base: &|| _ = black_box(by_hand(&a, &b)),
        with: &routed,
        part_of: Some(&plain),
        goal: Goal { nanos: None, percent: Some(5.0) },
    });
    let row = |name, what, against, base, with| Row { name, what, against, calls: 20, base, with, part_of: None, goal: Goal::default() };
    each(&row("routed-copies", "routed to the CPU, 256×256, with its copies", "the plain call on the CPU", &plain, &routed));
    orders.unimplemented("aten::mm").expect("an operator of that name");
    let fails = || _ = black_box(failing(&a, &b));
    each(&row("failing", "failing on the device in each call, 256×256", "routed to the CPU", &routed, &fails));
    orders.reset();
}

fn migration(each: &mut dyn FnMut(&Row<'_>)) {
    let mut store = VarStore::new(Device::Cpu);
    let layers = (0..25).map(|at| nn::linear(store.root() / at, 1000, 1000, nn::LinearConfig::default())).collect();
    store.set_device(Device::Mps);
    let module = Module { layers };
    each(&Row {
        name: "module",
        what: "a module of 100 MB to the CPU",
        against: "the bare copies",
        calls: 1,
        base: &|| _ = black_box(copies(&module)),
        with: &|| _ = black_box(moved(&module)),
        part_of: None,
        goal: Goal { nanos: None, percent: Some(10.0) },
    });
}
