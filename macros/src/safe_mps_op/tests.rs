//! What is generated, reviewed like source.

use quote::quote;

use super::safe_mps_op;
use crate::features::Features;

const WITH_TCH: Features = Features { disabled: false, tch: true };

records! {
    |arguments, item| safe_mps_op(arguments, item, WITH_TCH);

    plain: (name = "agent.loss", snapshot)
    pub fn loss(net: &mut Net, batch: &Tensor, factor: f64) -> Result<Tensor, TchError> {
        net.forward(batch)?.f_mul_scalar(factor)
    }

    an_async_function: ()
    async fn train(&mut self, (states, mut rewards): (Tensor, Tensor)) -> Result<f64, TrainError> {
        self.step(states, rewards).await
    }

    a_boxed_future: ()
    fn boxed<'life0, 'async_trait>(&'life0 self, x: Tensor) -> Pin<Box<dyn Future<Output = Tensor> + Send + 'async_trait>>
    where
        'life0: 'async_trait,
    {
        Box::pin(async move { self.run(x).await })
    }

    a_future: ()
    fn later(x: Tensor) -> impl Future<Output = Result<Tensor, TchError>> + Send {
        async move { x.f_abs() }
    }

    a_result_that_borrows: (result = "cpu")
    fn largest<'a>(rows: &'a [Tensor], scores: &Tensor, log: &'a mut Vec<String>) -> Option<&'a Tensor> {
        rows.get(scores.argmax(0, false).int64_value(&[]) as usize)
    }
}

#[test]
fn without_the_feature_the_message_says_which() {
    let item = quote! { fn loss(x: &Tensor) -> Tensor { x.abs() } };
    let left = safe_mps_op(quote!(), item.clone(), Features { disabled: false, tch: false }).to_string();
    assert!(left.starts_with(&item.to_string()), "{left}");
    assert!(left.contains("needs the feature `tch`"), "{left}");
    let off = safe_mps_op(quote!(), item.clone(), Features { disabled: true, tch: false });
    assert_eq!(off.to_string(), item.to_string(), "switched off it needs no feature");
}
