//! What is generated, reviewed like source, and what is left alone.

use proc_macro2::TokenStream;
use quote::quote;

use super::timeout_async;

records! {
    |arguments, item| timeout_async(arguments, item, false);

    plain: (secs = 30)
    pub async fn fetch(&self, symbol: &str) -> Result<Quote, ApiError> {
        self.get(symbol).await
    }

    retry_and_fallback: (secs = LIMIT, idle_millis = 500, retry = 3, fallback = Self::cached)
    async fn send(&mut self, mut order: Order, (price, _): (f64, u32), venue: &Venue) -> Result<Receipt, ApiError> {
        order.price = price;
        self.post(order, venue).await
    }

    retry_by_value: (retry)
    async fn close(self: Arc<Self>, #[cfg(unix)] path: PathBuf) -> io::Result<()> {
        self.finish(path).await
    }

    on_timeout: (millis = 250, on_timeout = give_up, name = "api.count")
    async fn count<'a, E: Error>(text: &'a str) -> Result<impl Iterator<Item = &'a str>, E> {
        Ok(text.split(','))
    }

    isolate: (isolate, grace_secs = 5)
    async fn train(shared: Arc<Net>) {
        shared.run()
    }

    impl_future: (secs = 0.5)
    fn later(n: u32) -> impl Future<Output = io::Result<u32>> + Send {
        async move { Ok(n) }
    }

    boxed: (secs = 1, fallback = instead)
    fn boxed<'a>(&'a self, text: String) -> Pin<Box<dyn Future<Output = io::Result<u32>> + Send + 'a>> {
        Box::pin(async move { Ok(text.len()) })
    }

    tokio_main: (secs = 60)
    fn main() -> io::Result<()> {
        let body = async { run().await };
        let body = { body };
        return Builder::new_multi_thread().block_on(body);
    }

    below_the_device_attribute: (secs = 30)
    #[doc = "Trains."]
    #[backstop::safe_mps_op(snapshot)]
    #[inline]
    async fn train(batch: Tensor) -> Result<Tensor, TrainError> {
        step(batch)
    }

    renamed: (secs = 1, crate = crate::guard)
    async fn fetch() -> io::Result<()> {
        Ok(())
    }
}

/// Functions of every shape, to be left alone when the attributes are switched off.
fn corpus() -> Vec<TokenStream> {
    vec![
        quote! { async fn free() -> io::Result<()> { Ok(()) } },
        quote! { pub(crate) async fn generic<'a, T: Clone, const N: usize>(x: &'a [T; N]) -> Result<&'a T, E> where T: Send { x.first().ok_or(E) } },
        quote! { #[inline] #[doc = "Documented."] pub async unsafe fn raw(self: Pin<&mut Self>, _: u32) -> io::Result<()> { #![allow(unused)] 'a: loop { break 'a Ok(()) } } },
        quote! { default async fn specialised((a, mut b): (u32, u32), #[cfg(unix)] c: u32) -> io::Result<u32> { b += a; Ok(b) } },
        quote! { fn later() -> impl Future<Output = io::Result<u32>> { async { Ok(1) } } },
        quote! { fn boxed(&self) -> Pin<Box<dyn Future<Output = io::Result<u32>> + Send + '_>> { Box::pin(async { Ok(1) }) } },
        quote! { fn main() { let body = async { run().await }; Runtime::new().block_on(body) } },
        quote! { #[safe_mps_op] async fn both(x: Tensor) -> Result<Tensor, TchError> { x.f_neg() } },
        quote! { async fn half_typed(&self) -> io::Result<()> { self. } },
    ]
}

#[test]
fn a_disabled_attribute_leaves_every_token_as_it_was() {
    for item in corpus() {
        let left = timeout_async(quote!(secs = 30, name = "a", crate = guard), item.clone(), true);
        assert_eq!(left.to_string(), item.to_string());
    }
}

#[test]
fn a_disabled_attribute_still_reports_mistakes() {
    for item in corpus() {
        let left = timeout_async(quote!(seconds = 30), item.clone(), true).to_string();
        assert!(left.starts_with(&item.to_string()), "the function stays: {left}");
        assert!(left.contains("did you mean `secs = 30`?"), "{left}");
    }
    let left = timeout_async(
        quote!(),
        quote!(
            fn plain() {}
        ),
        true,
    )
    .to_string();
    assert!(left.contains("write `async fn`"), "{left}");
}

#[test]
fn after_a_mistake_the_function_is_as_written() {
    for item in corpus() {
        let left = timeout_async(quote!(secs = 0), item.clone(), false).to_string();
        assert!(left.starts_with(&item.to_string()), "{left}");
        assert_eq!(left.matches("compile_error").count(), 1, "{left}");
    }
}

#[test]
fn a_half_typed_body_is_guarded_all_the_same() {
    let expanded = timeout_async(quote!(), quote! { async fn half(&self) -> io::Result<()> { self. } }, false).to_string();
    assert!(expanded.contains("__BACKSTOP_SITE"), "{expanded}");
    assert!(!expanded.contains("compile_error"), "{expanded}");
}

#[test]
fn the_guard_waits_below_a_conditional_device_attribute() {
    let item = quote! { #[cfg_attr(feature = "tch", safe_mps_op)] async fn train() -> io::Result<()> { Ok(()) } };
    let expanded = timeout_async(quote!(secs = 3), item, false).to_string();
    let expected = quote! {
        #[cfg_attr(feature = "tch", safe_mps_op)]
        #[::backstop::timeout_async(secs = 3)]
        async fn train() -> io::Result<()> { Ok(()) }
    };
    assert_eq!(expanded, expected.to_string());
}
