//! `#[safe_mps_op]` where an argument hides its tensors: they cannot move, and the fault says which argument it is and what to pass instead.
#![cfg(not(feature = "disable-decorators"))]

use std::cell::RefCell;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::{Arc, Mutex};

use backstop::safe_mps_op;
use sim_mps::Orders;
use tch::nn::{self, Module, VarStore};
use tch::{Device, Kind, TchError, Tensor};

fn on_mps(values: &[f32]) -> Tensor {
    Tensor::from_slice(values).to_device(Device::Mps)
}

fn sequence(store: &VarStore) -> nn::Sequential {
    nn::seq().add(nn::linear(store.root(), 2, 2, nn::LinearConfig::default()))
}

fn panic_of<R>(body: impl FnOnce() -> R) -> String {
    let panic = catch_unwind(AssertUnwindSafe(body)).err().expect("a panic");
    panic.downcast_ref::<String>().expect("a text").clone()
}

const FAULT: &str = "The operator 'aten::abs";

fn names(text: &str, argument: &str) {
    assert!(text.contains(FAULT), "{text}");
    assert!(text.contains(&format!("was not tried again on the CPU: {argument}")), "{text}");
    assert!(text.contains("pass the layers themselves, a struct of them with `#[derive(backstop::Migrate)]`, or the `VarStore`"), "{text}");
}

fn input() -> Tensor {
    Tensor::ones([1, 2], (Kind::Float, Device::Mps))
}

#[safe_mps_op]
fn alone(net: &nn::Sequential) -> Result<Tensor, TchError> {
    net.forward(&input()).f_abs()
}

#[safe_mps_op]
fn behind_an_object(net: &dyn Module, times: usize) -> Tensor {
    (0..times).fold(input(), |x, _| net.forward(&x).abs())
}

#[safe_mps_op]
fn behind_a_closure<F: Fn() -> Tensor>(make: &F, name: &str) -> Tensor {
    assert_eq!(name, "made");
    make().abs()
}

#[safe_mps_op]
async fn later(net: Arc<Mutex<nn::Sequential>>) -> Result<Tensor, TchError> {
    tokio::task::yield_now().await;
    net.lock().unwrap().forward(&input()).f_abs()
}

#[tokio::test]
async fn a_fault_of_a_module_that_hides_its_tensors_names_the_argument() {
    let Ok(orders) = Orders::take() else { return };
    let store = VarStore::new(Device::Mps);
    let net = sequence(&store);
    orders.unimplemented("aten::abs").unwrap();
    names(&alone(&net).unwrap_err().to_string(), "`net` (`tch::nn::sequential::Sequential`) hides its tensors");
    names(&panic_of(|| behind_an_object(&net, 1)), "`net` (`dyn tch::nn::module::Module`) hides its tensors");
    names(&panic_of(|| behind_a_closure(&input, "made")), "`make` (");
    let text = later(Arc::new(Mutex::new(net))).await.unwrap_err().to_string();
    names(&text, "`net` (`alloc::sync::Arc<std::sync::poison::mutex::Mutex<tch::nn::sequential::Sequential>>`) hides");
    assert_eq!(sim_mps::counts().raised, 4, "each failed once, and nothing was tried on the CPU");
}

struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, text: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(text);
        Ok(text.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// What is logged meanwhile.
fn logged<R>(work: impl FnOnce() -> R) -> (R, String) {
    let written = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&written);
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || Log(Arc::clone(&log))).finish();
    let returned = tracing::subscriber::with_default(subscriber, work);
    let text = String::from_utf8(written.lock().unwrap().clone()).unwrap();
    (returned, text)
}

#[safe_mps_op]
fn tagged(x: &Tensor) -> Result<(Tensor, &'static str), TchError> {
    Ok((x.f_abs()?, "abs"))
}

#[test]
fn a_result_that_hides_its_tensors_stays_on_the_cpu_and_that_is_said() {
    let Ok(orders) = Orders::take() else { return };
    let x = Tensor::from_slice(&[-1.0_f32]).to_device(Device::Mps);
    orders.unimplemented("aten::abs").unwrap();
    let (tagged, text) = logged(|| tagged(&x).unwrap());
    assert_eq!((f64::try_from(&tagged.0).unwrap(), tagged.0.device()), (1.0, Device::Cpu));
    assert!(text.contains("part of the result stays on the CPU function=\"device_hidden::tagged\""), "{text}");
    assert!(text.contains("does not show its tensors: derive `backstop::Migrate` for it"), "{text}");
}

thread_local! {
    static CACHE: RefCell<Vec<Rc<Tensor>>> = const { RefCell::new(Vec::new()) };
}

#[safe_mps_op]
fn cached(x: &Tensor) -> Result<Rc<Tensor>, TchError> {
    let y = Rc::new(x.f_abs()?);
    CACHE.with_borrow_mut(|cache| cache.push(Rc::clone(&y)));
    Ok(y)
}

#[test]
fn what_is_held_elsewhere_stays_on_the_cpu_and_that_is_said() {
    let Ok(orders) = Orders::take() else { return };
    orders.unimplemented("aten::abs").unwrap();
    let (y, text) = logged(|| cached(&on_mps(&[-2.0])).unwrap());
    assert_eq!((f64::try_from(&*y).unwrap(), y.device()), (2.0, Device::Cpu));
    assert!(text.contains("part of the result stays on the CPU function=\"device_hidden::cached\""), "{text}");
    assert!(text.contains("behind an `Arc` or `Rc` that is held elsewhere, too"), "{text}");
}

#[test]
fn the_log_names_the_argument_too() {
    let Ok(orders) = Orders::take() else { return };
    let net = sequence(&VarStore::new(Device::Mps));
    orders.unimplemented("aten::abs").unwrap();
    let (_, text) = logged(|| alone(&net));
    assert!(text.contains("ERROR backstop::device: device fault: handed to the caller"), "{text}");
    assert!(text.contains("function=\"device_hidden::alone\" device=\"mps\" class=\"unsupported_op\""), "{text}");
    assert!(text.contains("why=\"`net` (`tch::nn::sequential::Sequential`) hides its tensors"), "{text}");
}

#[safe_mps_op]
fn on_the_cpu(net: &nn::Sequential, x: &Tensor) -> Result<Tensor, TchError> {
    net.forward(x).f_view([7])
}

#[test]
fn an_error_of_the_program_is_left_alone() {
    let Ok(_orders) = Orders::take() else { return };
    let net = sequence(&VarStore::new(Device::Cpu));
    let text = on_the_cpu(&net, &Tensor::ones([1, 2], (Kind::Float, Device::Cpu))).unwrap_err().to_string();
    assert!(text.contains("invalid for input of size 2") && !text.contains("backstop"), "{text}");
    #[safe_mps_op]
    fn mistaken(net: &nn::Sequential) {
        panic!("{net:?} has no head");
    }
    assert!(panic_of(|| mistaken(&net)).ends_with("has no head"));
}

#[safe_mps_op]
fn with_input(net: &nn::Sequential, x: &Tensor, total: &mut Tensor) -> Result<Tensor, TchError> {
    let y = net.forward(x);
    let _ = total.f_add_scalar_(1.0)?;
    y.f_abs()
}

#[test]
fn a_route_to_the_cpu_is_forgotten_where_hidden_tensors_were_left_on_the_device() {
    let Ok(orders) = Orders::take() else { return };
    let (net, x, mut total) = (sequence(&VarStore::new(Device::Mps)), input(), on_mps(&[0.0]));
    orders.unimplemented("aten::abs").unwrap();
    for _ in 0..3 {
        let text = with_input(&net, &x, &mut total).unwrap_err().to_string();
        assert!(text.contains(FAULT) && text.contains("`total` was changed in place"), "{text}");
    }
    let misrouted = panic_of(|| with_input(&net, &x, &mut total));
    assert!(
        misrouted.contains("was sent to the CPU, and could not run there: `net` (`tch::nn::sequential::Sequential`) hides"),
        "{misrouted}"
    );
    assert_eq!(f64::try_from(total.to_device(Device::Cpu)).unwrap(), 3.0, "the call on the CPU has left nothing behind");
    orders.reset();
    assert_eq!(with_input(&net, &x, &mut total).unwrap().device(), Device::Mps);
}
