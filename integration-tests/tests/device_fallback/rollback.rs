//! What the body had changed before the fault: put back and done once, or refused.

use backstop::safe_mps_op;
use sim_mps::Orders;
use tch::{Device, TchError, Tensor};

use super::{on_mps, values};

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
