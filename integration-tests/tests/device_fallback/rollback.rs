//! What the body had changed before the fault: put back and done once, or refused.

use backstop::{Migrate, safe_mps_op};
use sim_mps::Orders;
use tch::{Device, Kind, TchError, Tensor};

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

/// The list stands before the weights.
#[derive(Debug, Migrate)]
struct Agent {
    replay: Vec<Tensor>,
    weights: Tensor,
    bias: Tensor,
}

impl Agent {
    fn new() -> Self {
        Agent { replay: vec![on_mps(&[1.0]), on_mps(&[2.0])], weights: on_mps(&[3.0]), bias: on_mps(&[4.0]) }
    }

    fn assert_parameters_in_place(&self) {
        assert_eq!((values(&self.weights), values(&self.bias)), (vec![3.0], vec![4.0]));
        assert_eq!((self.weights.device(), self.bias.device()), (Device::Mps, Device::Mps));
    }

    #[safe_mps_op(snapshot)]
    fn forget(&mut self, x: &Tensor) -> Result<(), TchError> {
        self.replay.pop();
        x.f_abs().map(drop)
    }

    #[safe_mps_op]
    fn remember(&mut self, x: &Tensor) -> Result<Tensor, TchError> {
        let y = x.f_abs()?;
        self.replay.push(y.shallow_clone());
        // Fails on the CPU too.
        y.f_matmul(&Tensor::zeros([7, 7], (Kind::Float, Device::Cpu)))
    }
}

#[test]
fn parameters_behind_a_list_that_shrank_or_grew_stay_in_their_places() {
    let Ok(orders) = Orders::take() else { return };
    let (mut agent, x) = (Agent::new(), on_mps(&[-1.0]));
    orders.unimplemented("aten::abs").unwrap();
    agent.forget(&x).unwrap_err();
    agent.assert_parameters_in_place();
    let mut agent = Agent::new();
    let error = agent.remember(&x).unwrap_err().to_string();
    assert!(error.contains("failed on the CPU too"), "{error}");
    agent.assert_parameters_in_place();
}

#[safe_mps_op]
fn next(todo: &mut Vec<Tensor>, done: &mut Vec<Tensor>) -> Result<Tensor, TchError> {
    let x = todo.pop().unwrap();
    done.push(x.shallow_clone());
    x.f_abs()
}

#[test]
fn a_tensor_that_went_from_one_list_to_the_next_is_not_taken_twice() {
    let Ok(orders) = Orders::take() else { return };
    let (mut todo, mut done) = (vec![on_mps(&[-1.0]), on_mps(&[-2.0])], Vec::new());
    orders.unimplemented("aten::abs").unwrap();
    let error = next(&mut todo, &mut done).unwrap_err().to_string();
    assert!(error.contains("holds another tensor"), "{error}");
    assert_eq!((todo.len(), done.len()), (1, 1));
}

#[safe_mps_op(snapshot)]
fn normed(x: &Tensor, mean: &Tensor, var: &Tensor) -> Result<Tensor, TchError> {
    x.f_batch_norm(None::<&Tensor>, None::<&Tensor>, Some(mean), Some(var), true, 0.5, 1e-5, false)?.f_abs()
}

#[test]
fn statistics_in_plain_tensors_are_put_back_although_nobody_counts_them() {
    let Ok(orders) = Orders::take() else { return };
    let x = on_mps(&[1.0, 2.0, 3.0, 4.0]).reshape([2, 2]);
    let (mean, var) = (on_mps(&[0.0, 0.0]), on_mps(&[1.0, 1.0]));
    orders.unimplemented("aten::abs").unwrap();
    let _ = normed(&x, &mean, &var).unwrap();
    assert_eq!(values(&mean), [1.0, 1.5], "moved half of the way, once");
}

#[safe_mps_op(snapshot)]
fn seen_wide(row: &mut Tensor, wide: &Tensor, x: &Tensor) -> Result<Tensor, TchError> {
    let _ = row.f_add_(x)?;
    wide.f_sum(Kind::Float)?.f_add(&x.f_abs()?)
}

#[test]
fn an_expanded_view_of_what_was_written_is_rolled_back_with_it() {
    let Ok(orders) = Orders::take() else { return };
    let (mut row, x) = (on_mps(&[1.0]), on_mps(&[-3.0]));
    let wide = row.expand([100, 1], false);
    orders.unimplemented("aten::abs").unwrap();
    assert_eq!(values(&seen_wide(&mut row, &wide, &x).unwrap()), [-197.0]);
    assert_eq!(values(&row), [-2.0]);
}

#[safe_mps_op]
fn two_written(one: &mut Tensor, other: &mut Tensor, x: &Tensor) -> Result<(), TchError> {
    let _ = x.f_abs()?;
    let _ = one.f_add_(x)?;
    let _ = other.f_add_(x)?;
    Ok(())
}

#[test]
fn wherever_the_way_home_is_cut_off_all_is_written_or_nothing() {
    let Ok(orders) = Orders::take() else { return };
    let mut refused = 0;
    for k in 1..40 {
        let (mut one, mut other, x) = (on_mps(&[1.0]), on_mps(&[2.0]), on_mps(&[3.0]));
        orders.unimplemented("aten::abs").unwrap();
        orders.fail_at(k, &sim_mps::text::backend_internal());
        let expected = match two_written(&mut one, &mut other, &x) {
            Ok(()) => (vec![4.0], vec![5.0]),
            Err(_) => (vec![1.0], vec![2.0]),
        };
        orders.reset();
        refused += usize::from(expected.0 == [1.0]);
        assert_eq!((values(&one), values(&other)), expected, "cut off at operator {k}");
    }
    assert!(refused > 3, "{refused}");
}

/// Running statistics in plain tensors.
#[derive(Migrate)]
struct Norm {
    scale: Tensor,
    mean: Tensor,
    variance: Tensor,
}

impl Norm {
    fn of(&self, x: &Tensor) -> Result<Tensor, TchError> {
        x.f_batch_norm(Some(&self.scale), None::<&Tensor>, Some(&self.mean), Some(&self.variance), true, 0.1, 1e-5, false)
    }
}

#[safe_mps_op]
fn normalised_first(norm: &Norm, x: &Tensor) -> Result<Tensor, TchError> {
    norm.of(x)?.f_abs()
}

#[safe_mps_op(snapshot)]
fn normalised_first_with_copies(norm: &Norm, x: &Tensor) -> Result<Tensor, TchError> {
    norm.of(x)?.f_abs()
}

#[test]
fn statistics_in_plain_tensors_are_never_updated_twice() {
    let Ok(orders) = Orders::take() else { return };
    let on_mps = |value: f64| Tensor::full([2], value, (Kind::Float, Device::Mps));
    let norm = Norm { scale: on_mps(1.0).set_requires_grad(true), mean: on_mps(0.0), variance: on_mps(1.0) };
    let x = Tensor::full([4, 2], 10.0, (Kind::Float, Device::Mps));
    orders.unimplemented("aten::abs").unwrap();
    let text = normalised_first(&norm, &x).unwrap_err().to_string();
    assert!(text.contains("a tensor is changed without being counted") && text.contains("write `#[safe_mps_op(snapshot)]`"), "{text}");
    assert_eq!(values(&norm.mean), [1.0, 1.0], "once");
    let _ = normalised_first_with_copies(&norm, &x).unwrap();
    assert_eq!(values(&norm.mean), [1.9, 1.9], "once more");
}
