//! Aliases, and where results go.

use backstop::safe_mps_op;
use sim_mps::{Orders, text};
use tch::{Device, Kind, TchError, Tensor};

use super::{on_mps, values};

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
fn bits(x: &Tensor) -> Result<Tensor, TchError> {
    let _ = x.f_abs()?;
    x.f_view_dtype(Kind::Int)
}

#[test]
fn a_view_of_another_dtype_comes_home_with_that_dtype() {
    let Ok(orders) = Orders::take() else { return };
    let x = on_mps(&[1.0, -2.0]);
    orders.unimplemented("aten::abs").unwrap();
    let bits = bits(&x).unwrap();
    assert_eq!((bits.kind(), bits.device()), (Kind::Int, Device::Mps));
    assert_eq!(Vec::<i32>::try_from(bits.to_device(Device::Cpu)).unwrap(), [0x3f80_0000, 0xc000_0000_u32.cast_signed()]);
}

#[safe_mps_op]
fn gathered(buffer: &mut Tensor, x: &Tensor) -> Result<(), TchError> {
    *buffer = Tensor::f_cat(&[&*buffer, &x.f_abs()?.f_to_device(Device::Cpu)?], 0)?;
    Ok(())
}

#[test]
fn what_was_on_the_cpu_in_a_lent_place_is_there_afterwards() {
    let Ok(orders) = Orders::take() else { return };
    let (mut buffer, x) = (Tensor::from_slice(&[5.0_f32]), on_mps(&[-1.0]));
    orders.unimplemented("aten::abs").unwrap();
    gathered(&mut buffer, &x).unwrap();
    assert_eq!((values(&buffer), buffer.device()), (vec![5.0, 1.0], Device::Cpu));
}

#[safe_mps_op]
fn grown(buffer: &mut Tensor, x: &Tensor) -> Result<Tensor, TchError> {
    let y = x.f_abs()?;
    let _ = buffer.f_resize_([100_000])?;
    y.f_add_scalar(1.0)
}

#[test]
fn a_result_in_memory_that_an_argument_gave_up_is_not_that_argument() {
    let Ok(orders) = Orders::take() else { return };
    for size in (8..512).step_by(8) {
        orders.reset();
        let mut buffer = Tensor::zeros([size], (Kind::Float, Device::Mps));
        let x = Tensor::full([size], -2.0, (Kind::Float, Device::Mps));
        orders.unimplemented("aten::abs").unwrap();
        let result = grown(&mut buffer, &x).unwrap();
        assert_eq!(values(&result), vec![3.0; size as usize]);
        assert_eq!(buffer.size(), [100_000]);
    }
}

#[safe_mps_op]
fn with_a_row(x: &Tensor, last: &mut Tensor) -> Result<(Tensor, Tensor, Tensor), TchError> {
    let all = x.f_abs()?.f_reshape([2, 2])?;
    *last = all.f_select(0, 1)?;
    Ok((all.shallow_clone(), all.f_select(0, 0)?, all))
}

#[test]
fn results_that_share_memory_with_each_other_and_with_what_was_lent_share_it_at_home() {
    let Ok(orders) = Orders::take() else { return };
    let (x, mut last) = (on_mps(&[-1.0, -2.0, -3.0, -4.0]), on_mps(&[0.0]));
    orders.unimplemented("aten::abs").unwrap();
    let (all, mut first, same) = with_a_row(&x, &mut last).unwrap();
    orders.reset();
    assert_eq!((all.device(), first.device(), last.device()), (Device::Mps, Device::Mps, Device::Mps));
    let _ = (first.fill_(7.0), last.fill_(8.0));
    assert_eq!((values(&all), values(&same)), (vec![7.0, 7.0, 8.0, 8.0], vec![7.0, 7.0, 8.0, 8.0]));
}

#[safe_mps_op]
fn recorded(w: &Tensor, x: &Tensor) -> Result<Tensor, TchError> {
    tch::with_grad(|| w.f_mul(&x.f_abs()?)?.f_sum(Kind::Float))
}

#[test]
fn what_a_body_records_in_a_call_that_records_nothing_reaches_the_parameters_too() {
    let Ok(orders) = Orders::take() else { return };
    let w = on_mps(&[1.0, 2.0]).set_requires_grad(true);
    orders.unimplemented("aten::abs").unwrap();
    let loss = tch::no_grad(|| recorded(&w, &on_mps(&[-3.0, 4.0]))).unwrap();
    orders.reset();
    assert_eq!(loss.device(), Device::Mps);
    loss.backward();
    assert_eq!(values(&w.grad()), [3.0, 4.0]);
}

#[safe_mps_op]
fn looked_at(x: &Tensor) -> Result<f64, TchError> {
    x.f_abs()?.f_nan_to_num(0.0, None::<f64>, None::<f64>)?.f_sum(Kind::Float)?.f_double_value(&[])
}

#[test]
fn a_series_with_gaps_that_is_only_read_is_not_written() {
    let Ok(orders) = Orders::take() else { return };
    let (w, x) = (on_mps(&[1.0, 2.0]).set_requires_grad(true), on_mps(&[f32::NAN, -3.0]));
    let begun = (&w * &x).sum(Kind::Float);
    orders.unimplemented("aten::abs").unwrap();
    assert_eq!(looked_at(&x).unwrap(), 3.0);
    orders.reset();
    begun.backward();
    assert_eq!(values(&w.grad())[1], -3.0);
}
