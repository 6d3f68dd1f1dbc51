//! Results that borrow, and arguments that can only be borrowed.

use super::*;

#[derive(Migrate)]
struct Layers {
    rows: Vec<Tensor>,
    name: String,
}

impl Layers {
    fn new() -> Self {
        Layers { rows: vec![on_mps(&[1.0]), on_mps(&[2.0])], name: "layers".to_owned() }
    }

    #[safe_mps_op]
    fn best(&self, scores: &Tensor) -> Option<&Tensor> {
        self.rows.get(scores.abs().argmax(0, false).int64_value(&[]) as usize)
    }

    #[safe_mps_op]
    fn best_mut(&mut self, scores: &Tensor) -> Result<&mut Tensor, TchError> {
        let at = scores.f_abs()?.f_argmax(0, false)?.f_int64_value(&[])?;
        Ok(&mut self.rows[at as usize])
    }

    #[safe_mps_op]
    async fn best_later(&self, scores: &Tensor) -> Result<&Tensor, TchError> {
        yield_now().await;
        Ok(&self.rows[scores.f_abs()?.f_argmax(0, false)?.f_int64_value(&[])? as usize])
    }

    #[safe_mps_op]
    fn named<'a>(&self, scores: &Tensor, names: &'a [String]) -> &'a str {
        assert_eq!(self.name, "layers");
        &names[scores.abs().argmax(0, false).int64_value(&[]) as usize]
    }
}

#[safe_mps_op]
fn itself<'a>(x: &'a Tensor, _y: &Tensor) -> &'a Tensor {
    let _ = x.abs();
    x
}

#[safe_mps_op(snapshot)]
fn larger<'a>(x: Option<&'a Tensor>, rows: &'a [&'a Tensor], scale: &mut Tensor) -> Result<&'a Tensor, TchError> {
    let _ = scale.f_add_scalar_(1.0)?;
    let _ = scale.f_abs()?;
    Ok(x.unwrap_or(rows[0]))
}

#[tokio::test]
async fn a_result_that_borrows_is_handed_out_as_it_is() {
    let Ok(_orders) = Orders::take() else { return };
    let (mut layers, scores) = (Layers::new(), on_mps(&[1.0, -5.0]));
    let second = layers.rows[1].data_ptr();
    assert_eq!(layers.best(&scores).unwrap().data_ptr(), second);
    assert_eq!(layers.best_later(&scores).await.unwrap().data_ptr(), second);
    *layers.best_mut(&scores).unwrap() += 1.0;
    assert_eq!(values(&layers.rows[1]), [3.0]);
    assert!(std::ptr::eq(itself(&scores, &layers.rows[0]), &scores));
    let mut scale = on_mps(&[1.0]);
    assert!(std::ptr::eq(larger(None, &[&scores], &mut scale).unwrap(), &scores));
    assert_eq!(values(&scale), [2.0]);
}

#[tokio::test]
async fn a_result_that_borrows_from_tensors_cannot_come_from_the_cpu_and_the_fault_says_so() {
    let Some(orders) = without_abs() else { return };
    let (mut layers, scores) = (Layers::new(), on_mps(&[1.0, -5.0]));
    let refused = |text: &str, argument: &str| {
        assert!(text.contains("The operator 'aten::abs"), "{text}");
        assert!(
            text.contains(&format!("the result borrows from `{argument}`, and cannot borrow from a copy: return an owned value")),
            "{text}"
        );
    };
    for _ in 0..5 {
        refused(&layers.best_mut(&scores).unwrap_err().to_string(), "self");
        refused(&layers.best_later(&scores).await.unwrap_err().to_string(), "self");
    }
    let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| values(itself(&scores, &layers.rows[0])))).unwrap_err();
    refused(panic.downcast_ref::<String>().unwrap(), "x");
    let mut scale = on_mps(&[1.0]);
    refused(&larger(Some(&scores), &[], &mut scale).unwrap_err().to_string(), "x");
    assert_eq!(values(&scale), [1.0], "with `snapshot` everything is as before");
    orders.reset();
    assert_eq!(values(layers.best_mut(&scores).unwrap()), [2.0], "no call was sent to the CPU");
}

#[test]
fn a_result_that_borrows_from_what_is_not_on_the_device_comes_from_the_cpu() {
    let Some(_orders) = without_abs() else { return };
    let scores = on_mps(&[1.0, -5.0]);
    let names = ["a".to_owned(), "b".to_owned()];
    assert_eq!(Layers::new().named(&scores, &names), "b");
    let on_cpu = Layers { rows: vec![Tensor::from_slice(&[1.0f32]), Tensor::from_slice(&[2.0f32])], name: String::new() };
    assert!(std::ptr::eq(on_cpu.best(&scores).unwrap(), &on_cpu.rows[1]));
}

struct Opaque(u32);

#[safe_mps_op]
fn counted(x: &Tensor, by_reference: &Opaque, exclusive: &mut Opaque) -> Tensor {
    exclusive.0 += by_reference.0;
    x.abs().sqrt()
}

#[test]
fn what_has_no_clone_is_passed_by_reference() {
    let Some(_orders) = without_abs() else { return };
    let mut calls = Opaque(0);
    is_from_the_cpu(&counted(&on_mps(&INPUT), &Opaque(1), &mut calls));
    assert_eq!(calls.0, 2);
}
