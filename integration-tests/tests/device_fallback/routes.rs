//! Functions that keep failing, and are sent to the CPU.

use backstop::safe_mps_op;
use sim_mps::Orders;
use tch::nn::{self, Module, VarStore};
use tch::{Device, Kind, TchError, Tensor};

use super::{on_mps, values};

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
fn on_its_own_device(x: &Tensor) -> Result<Tensor, TchError> {
    x.f_to_device(Device::Mps)?.f_abs()
}

#[safe_mps_op]
fn with_its_own_tensor(x: &Tensor) -> Result<Tensor, TchError> {
    x.f_abs()?.f_add(&Tensor::f_ones([2, 2], (Kind::Float, Device::Mps))?)
}

#[test]
fn a_body_that_chooses_the_device_itself_is_told_so() {
    let Ok(orders) = Orders::take() else { return };
    let x = Tensor::ones([2, 2], (Kind::Float, Device::Mps));
    orders.unimplemented("aten::abs").unwrap();
    for failed in [on_its_own_device(&x), with_its_own_tensor(&x)] {
        let text = failed.unwrap_err().to_string();
        assert!(text.contains("take the `Device` as an argument"), "{text}");
    }
}
