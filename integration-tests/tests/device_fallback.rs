//! `#[safe_mps_op]` on the simulated device: what falls back, what does not, and what is left behind.
#![cfg(not(feature = "disable-decorators"))]

use backstop::{Migrate, safe_mps_op};
use sim_mps::{Orders, text};
use tch::nn::{self, Module, OptimizerConfig, VarStore};
use tch::{Device, Kind, TchError, Tensor};

fn on_mps(values: &[f32]) -> Tensor {
    Tensor::from_slice(values).to_device(Device::Mps)
}

fn values(tensor: &Tensor) -> Vec<f32> {
    Vec::try_from(tensor.to_device(Device::Cpu).reshape([-1])).unwrap()
}

#[safe_mps_op]
fn doubled(x: &Tensor) -> Result<Tensor, TchError> {
    x.f_abs()?.f_mul_scalar(2.0)
}

#[test]
fn a_missing_operator_is_computed_on_the_cpu_and_comes_back_to_the_device() {
    let Ok(orders) = Orders::take() else { return };
    let x = on_mps(&[1.0, -2.0]);
    orders.unimplemented("aten::abs").unwrap();
    let y = doubled(&x).unwrap();
    assert_eq!(y.device(), Device::Mps);
    assert_eq!(values(&y), [2.0, 4.0]);
    assert_eq!(sim_mps::counts().raised, 1);
}

#[safe_mps_op]
fn panicking(x: &Tensor, factor: f64) -> Tensor {
    x.abs() * factor
}

#[test]
fn a_panic_of_tchs_plain_methods_falls_back_too() {
    let Ok(orders) = Orders::take() else { return };
    let x = on_mps(&[1.0, -2.0]);
    orders.unimplemented("aten::abs").unwrap();
    assert_eq!(values(&panicking(&x, 3.0)), [3.0, 6.0]);
}

#[test]
fn without_a_fault_the_function_runs_once_and_copies_nothing() {
    let Ok(_orders) = Orders::take() else { return };
    let x = on_mps(&[1.0, -2.0]);
    let before = sim_mps::counts().dispatched;
    let bare = x.f_abs().and_then(|x| x.f_mul_scalar(2.0)).unwrap();
    let cost = sim_mps::counts().dispatched - before;
    let y = doubled(&x).unwrap();
    assert_eq!(sim_mps::counts().dispatched, before + 2 * cost);
    assert_eq!((values(&y), y.device()), (values(&bare), Device::Mps));
}

#[safe_mps_op]
fn multiplied(a: &Tensor, b: &Tensor) -> Result<Tensor, TchError> {
    a.f_mm(b)
}

#[test]
fn an_error_of_the_program_passes_through_untouched() {
    let Ok(_orders) = Orders::take() else { return };
    let (a, b) = (Tensor::ones([2, 3], (Kind::Float, Device::Mps)), Tensor::ones([2, 3], (Kind::Float, Device::Mps)));
    let guarded = multiplied(&a, &b).unwrap_err().to_string();
    assert!(guarded.contains("shapes cannot be multiplied"), "{guarded}");
    assert!(!guarded.contains("backstop"), "{guarded}");
}

#[safe_mps_op(snapshot)]
fn accumulated(total: &mut Tensor, x: &Tensor) -> Result<(), TchError> {
    let _ = total.f_add_(x)?;
    let _ = total.f_add_(&x.f_abs()?)?;
    Ok(())
}

#[safe_mps_op]
fn accumulated_without(total: &mut Tensor, x: &Tensor) -> Result<(), TchError> {
    let _ = total.f_add_(x)?;
    let _ = total.f_add_(&x.f_abs()?)?;
    Ok(())
}

#[test]
fn a_half_done_update_is_rolled_back_and_done_once() {
    let Ok(orders) = Orders::take() else { return };
    let (mut total, x) = (on_mps(&[10.0]), on_mps(&[-1.0]));
    let same = total.shallow_clone();
    orders.unimplemented("aten::abs").unwrap();
    accumulated(&mut total, &x).unwrap();
    assert_eq!(values(&total), [10.0]);
    assert_eq!(values(&same), [10.0]);
    assert_eq!(total.device(), Device::Mps);
    assert_eq!(total.data_ptr(), same.data_ptr());
}

#[test]
fn a_half_done_update_without_snapshot_is_not_tried_again() {
    let Ok(orders) = Orders::take() else { return };
    let (mut total, x) = (on_mps(&[10.0]), on_mps(&[-1.0]));
    orders.unimplemented("aten::abs").unwrap();
    let error = accumulated_without(&mut total, &x).unwrap_err().to_string();
    assert!(error.contains("The operator 'aten::abs"), "{error}");
    assert!(error.contains("`total` was changed in place: write `#[safe_mps_op(snapshot)]`"), "{error}");
    assert_eq!(values(&total), [9.0]);
}

#[safe_mps_op(snapshot)]
fn remembered(history: &mut Vec<Tensor>, x: &Tensor) -> Result<(), TchError> {
    history.push(x.shallow_clone());
    x.f_abs().map(drop)
}

#[test]
fn a_list_that_grew_cannot_be_rolled_back_and_is_not_filled_twice() {
    let Ok(orders) = Orders::take() else { return };
    let (mut history, x) = (vec![on_mps(&[10.0])], on_mps(&[-1.0]));
    orders.unimplemented("aten::abs").unwrap();
    let error = remembered(&mut history, &x).unwrap_err().to_string();
    assert!(error.contains("could not be rolled back: an argument holds other tensors than before"), "{error}");
    assert_eq!(history.len(), 2);
}

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
fn aliased(base: &mut Tensor, view: &Tensor) -> Result<Tensor, TchError> {
    let _ = base.f_add_scalar_(1.0)?;
    view.f_abs()
}

#[test]
fn aliases_stay_aliases_on_the_cpu() {
    let Ok(orders) = Orders::take() else { return };
    let mut base = on_mps(&[-1.0, -2.0, -3.0, -4.0]);
    let view = base.slice(0, 1, 4, 2);
    orders.fail_at(1, &text::unsupported_operator("aten::add.out"));
    let seen = aliased(&mut base, &view).unwrap();
    assert_eq!(values(&seen), [1.0, 3.0], "the view sees what was written through its base");
    assert_eq!(values(&base), [0.0, -1.0, -2.0, -3.0]);
}

#[safe_mps_op]
fn returned(x: &mut Tensor) -> Result<Tensor, TchError> {
    x.f_abs_()
}

#[test]
fn an_output_that_is_an_argument_comes_back_as_that_argument() {
    let Ok(orders) = Orders::take() else { return };
    let mut x = on_mps(&[-1.0]);
    orders.fail_at(1, &text::out_of_memory());
    let y = returned(&mut x).unwrap();
    assert_eq!(y.device(), Device::Mps);
    assert_eq!(y.data_ptr(), x.data_ptr());
    assert_eq!(values(&x), [1.0]);
}

#[safe_mps_op]
fn in_double(x: &Tensor) -> Tensor {
    x.to_kind(Kind::Double) + 1.0
}

#[test]
fn what_the_device_does_not_take_stays_on_the_cpu() {
    let Ok(_orders) = Orders::take() else { return };
    let y = in_double(&on_mps(&[1.0]));
    assert_eq!((y.device(), y.kind()), (Device::Cpu, Kind::Double));
}

#[safe_mps_op(result = "cpu")]
fn left_on_the_cpu(x: &Tensor) -> Result<(Tensor, f64), TchError> {
    Ok((x.f_abs()?, 1.0))
}

#[test]
fn results_stay_on_the_cpu_where_the_attribute_says_so() {
    let Ok(orders) = Orders::take() else { return };
    orders.unimplemented("aten::abs").unwrap();
    assert_eq!(left_on_the_cpu(&on_mps(&[1.0])).unwrap().0.device(), Device::Cpu);
}

#[safe_mps_op]
fn fails_on_both(x: &Tensor) -> Result<Tensor, TchError> {
    let _ = x.f_abs()?;
    x.f_view([3, 3])
}

#[test]
fn when_the_cpu_fails_too_the_error_says_both() {
    let Ok(orders) = Orders::take() else { return };
    orders.unimplemented("aten::abs").unwrap();
    let error = fails_on_both(&on_mps(&[1.0])).unwrap_err().to_string();
    let (first, second) = (error.find("The operator 'aten::abs").unwrap(), error.find("failed on the CPU too").unwrap());
    assert!(first < second, "{error}");
    assert!(error[second..].contains("invalid for input of size 1"), "{error}");
}

#[safe_mps_op]
fn outer(x: &Tensor) -> Result<Tensor, TchError> {
    doubled(x)?.f_abs()
}

#[test]
fn inside_a_fallback_annotated_functions_run_plainly() {
    let Ok(orders) = Orders::take() else { return };
    let x = on_mps(&[1.0, -2.0]);
    orders.unimplemented("aten::abs").unwrap();
    assert_eq!(values(&outer(&x).unwrap()), [2.0, 4.0]);
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

#[test]
fn the_grad_mode_is_as_before_after_a_caught_panic() {
    #[safe_mps_op]
    fn in_no_grad(x: &Tensor) -> Tensor {
        tch::no_grad(|| x.abs())
    }
    let Ok(orders) = Orders::take() else { return };
    let x = on_mps(&[1.0]);
    orders.unimplemented("aten::abs").unwrap();
    let _ = in_no_grad(&x);
    let w = Tensor::ones([1], (Kind::Float, Device::Cpu)).set_requires_grad(true);
    assert!((&w * 2.0).requires_grad());
}

#[safe_mps_op]
fn stubborn(x: &Tensor) -> Result<Tensor, TchError> {
    x.f_exp()
}

#[test]
fn a_function_that_keeps_failing_goes_straight_to_the_cpu() {
    let Ok(orders) = Orders::take() else { return };
    let x = on_mps(&[0.0]);
    orders.unimplemented("aten::exp").unwrap();
    for _ in 0..5 {
        let y = stubborn(&x).unwrap();
        assert_eq!((values(&y), y.device()), (vec![1.0], Device::Mps));
    }
    assert_eq!(sim_mps::counts().raised, 3, "the default policy tries the device three times");
    let large = Tensor::zeros([4096], (Kind::Float, Device::Mps));
    let _ = stubborn(&large).unwrap();
    assert_eq!(sim_mps::counts().raised, 4, "other sizes are another matter");
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

#[backstop::timeout_async(secs = 5, name = "device.named_by_the_guard")]
#[safe_mps_op]
async fn named_by_the_guard(x: &Tensor) -> Result<Tensor, Box<dyn std::error::Error + Send + Sync>> {
    Ok(x.f_abs()?)
}

#[safe_mps_op(name = "device.named_by_the_fallback")]
#[backstop::timeout_async(secs = 5)]
async fn named_by_the_fallback(x: &Tensor) -> Result<Tensor, Box<dyn std::error::Error + Send + Sync>> {
    Ok(x.f_abs()?)
}

#[tokio::test]
async fn a_name_in_one_attribute_is_the_name_of_both() {
    let x = Tensor::from_slice(&[-1.0f32]);
    assert_eq!(values(&named_by_the_guard(&x).await.unwrap()), [1.0]);
    assert_eq!(values(&named_by_the_fallback(&x).await.unwrap()), [1.0]);
    let sites = |name| backstop::sites().iter().filter(|site| site.name() == name).count();
    assert_eq!((sites("device.named_by_the_guard"), sites("device.named_by_the_fallback")), (2, 2));
}

macro_rules! with_block {
    ($name:ident($($argument:ident: $type:ty),*) -> $returned:ty $body:block) => {
        #[safe_mps_op]
        fn $name($($argument: $type),*) -> $returned $body
    };
}

with_block!(made_of_a_block(returned: &mut Tensor, arguments: &str) -> Result<i64, TchError> {
    *returned = returned.f_abs()?;
    Ok(returned.numel() as i64 + arguments.len() as i64)
});

#[test]
fn a_function_made_by_a_macro_falls_back() {
    let Ok(orders) = Orders::take() else { return };
    let mut x = on_mps(&[1.0, -2.0]);
    orders.unimplemented("aten::abs").unwrap();
    assert_eq!(made_of_a_block(&mut x, "abc").unwrap(), 5);
    assert_eq!(values(&x), [1.0, 2.0]);
}

#[safe_mps_op]
fn through_a_sequence(net: &nn::Sequential, x: &Tensor) -> Result<Tensor, TchError> {
    net.forward(x).f_abs()
}

#[test]
fn a_function_that_fails_on_the_cpu_too_is_not_sent_there() {
    let Ok(orders) = Orders::take() else { return };
    let vs = VarStore::new(Device::Mps);
    let net = nn::seq().add(nn::linear(vs.root(), 2, 2, nn::LinearConfig::default()));
    let x = on_mps(&[1.0, 2.0]).reshape([1, 2]);
    orders.unimplemented("aten::abs").unwrap();
    for _ in 0..5 {
        let error = through_a_sequence(&net, &x).unwrap_err().to_string();
        assert!(error.contains("The operator 'aten::abs.out' is not currently implemented"), "{error}");
        assert!(error.contains("failed on the CPU too"), "{error}");
        assert!(error.contains("; `net` (`tch::nn::sequential::Sequential`) hides its tensors"), "{error}");
    }
    orders.reset();
    assert_eq!(through_a_sequence(&net, &x).unwrap().device(), Device::Mps);
}

#[safe_mps_op]
fn conditional(x: &Tensor, #[cfg(any())] gone: u8, #[cfg(not(any()))] factor: f64) -> Result<Tensor, TchError> {
    x.f_mul_scalar(factor)
}

#[test]
fn a_parameter_may_be_conditional() {
    let orders = Orders::take().unwrap();
    let x = on_mps(&[1.0, 2.0]);
    orders.unimplemented("aten::mul").unwrap();
    assert_eq!(values(&conditional(&x, 2.0).unwrap()), [2.0, 4.0]);
}
