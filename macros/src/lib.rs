//! The attributes of [`backstop`](https://docs.rs/backstop), which re-exports them: add that crate, not this one.

mod borrows;
mod features;
mod function;
mod migrate;
mod parameters;
mod receiver;
#[cfg(test)]
#[macro_use]
mod recorded;
mod recover;
mod safe_mps_op;
mod settings;
mod shape;
mod site;
mod timeout_async;
mod versions;

use proc_macro::TokenStream;

use features::Features;

/// Guards an async function: it ends within its limit, or says why it did not.
///
/// Stands on `async fn` (free, method, trait method with a body), and on functions that return `impl Future` or
/// `Pin<Box<dyn Future>>` (as `#[async_trait]` makes them). The function's type, its `Send`-ness and the thread that runs it stay as they
/// are.
///
/// ```
/// use backstop::{TimeoutError, timeout_async};
///
/// #[timeout_async(secs = 30, retry = 2, fallback = cached)]
/// async fn fetch(symbol: &str) -> std::io::Result<f64> {
///     if symbol.is_empty() {
///         return Err(std::io::ErrorKind::InvalidInput.into());
///     }
///     Ok(101.5)
/// }
///
/// async fn cached(_symbol: &str, error: std::io::Error) -> std::io::Result<f64> {
///     if error.get_ref().is_some_and(|error| error.is::<TimeoutError>()) { Ok(100.0) } else { Err(error) }
/// }
///
/// # futures::executor::block_on(async {
/// assert_eq!(fetch("AAPL").await?, 101.5);
/// # std::io::Result::Ok(()) }).unwrap();
/// ```
///
/// | argument | meaning |
/// |---|---|
/// | none | the policy decides; without one 30 s |
/// | `secs = 300`, `secs = 0.5`, `secs = LIMIT`, `millis = 250` | the limit of one attempt: a literal or a const expression (a number or a `Duration`), greater than zero |
/// | `idle_secs = 60`, `idle_millis = 500` | the longest silence between two beats |
/// | `grace_secs = 5` | at the limit `backstop::cancelled()` fires inside the body, which is dropped only after the grace |
/// | `name = "api.fetch"` | the name in policies, metrics and reports; otherwise `module::path::function` |
/// | `retry`, `retry = 3` | may be called again (3 retries are 4 attempts); by-value arguments are cloned for each attempt |
/// | `fallback = path` | called when everything else has failed, with the function's own arguments (by-value ones are cloned before) and then the error: the `E` of its `Result`, or a `TimeoutError`. May be `async` or not |
/// | `on_timeout = path` | `fn(TimeoutError) -> the return type`, where that type is no `Result` or its error has no `From<TimeoutError>` |
/// | `isolate` | the body runs as a task of its own (`Send + 'static`), so that the caller is released even while the body blocks its thread |
/// | `crate = path` | where `backstop` is, if it was renamed or re-exported |
///
/// # Order
///
/// With `#[safe_mps_op]` on the same function the guard is outside and the device fallback inside, in either order of writing.
/// In a trait, a method without a body has nothing to guard: annotate its `impl`s.
///
/// # Cancellation
///
/// At its limit the body is dropped at the `.await` where it stands, as with `tokio::time::timeout`. A caller that drops the future
/// cancels the call: the body is dropped too, and neither `retry` nor `fallback` follows. With `retry` or `fallback` on a function that
/// returns a future, its body first runs when that future is awaited.
///
/// # Errors
///
/// A timeout becomes the function's own error by `From<TimeoutError>`, or its value by `on_timeout`. Where both `on_timeout` and
/// `fallback` are given, what `on_timeout` makes counts as if the body had returned it: an `Err` goes to the fallback.
///
/// # Features
///
/// With `disable-decorators` the function comes out token for token as it was written, and mistakes in the arguments are still reported.
/// A fallback that nothing else calls is then unused.
#[proc_macro_attribute]
pub fn timeout_async(arguments: TokenStream, item: TokenStream) -> TokenStream {
    timeout_async::timeout_async(arguments.into(), item.into(), Features::on().disabled).into()
}

/// Runs a tensor function once more on the CPU when the device fails it.
///
/// Stands on functions and methods: ordinary ones, `async` ones, and those that return `impl Future` or `Pin<Box<dyn Future>>` (as
/// `#[async_trait]` makes them), whose body then runs when the future is awaited. A device fault is an operator, a dtype, a size or an amount of memory that the
/// accelerator does not have, as libtorch reports it by `Err(TchError)` or by panic; any other error passes through untouched.
///
/// ```ignore
/// use backstop::safe_mps_op;
/// use tch::{TchError, Tensor};
///
/// #[safe_mps_op]
/// fn volatility(prices: &Tensor, window: i64) -> Result<Tensor, TchError> {
///     prices.f_unfold(0, window, 1)?.f_std_dim(Some(&[1_i64][..]), true, false)
/// }
/// ```
///
/// | argument | meaning |
/// |---|---|
/// | `name = "agent.loss"` | the name in policies, metrics and reports; otherwise `module::path::function` |
/// | `result = "origin"` | after a fallback, tensors of the result go back to the device that they came from (the default); they stay on the CPU where the device refuses them |
/// | `result = "cpu"` | they stay on the CPU |
/// | `snapshot` | all tensors among the arguments are copied before the first attempt, so that a half-done update is rolled back |
/// | `crate = path` | where `backstop` is, if it was renamed or re-exported |
///
/// # Arguments
///
/// What has `Migrate` is moved: tensors, references to them, the usual containers, stores and layers of tch, and structs by
/// `#[derive(Migrate)]`. A reference to anything else is passed as it is; a value of anything else is cloned.
///
/// A result that borrows from tensors among the arguments, as in `fn(&self) -> &Tensor`, cannot borrow from copies: such a function
/// runs on the device only, and its device faults come back with a sentence that says so.
///
/// # Panics
///
/// Where the body does. After a failed second attempt, or where a second attempt would be wrong, with the first text and the
/// reason after it.
#[proc_macro_attribute]
pub fn safe_mps_op(arguments: TokenStream, item: TokenStream) -> TokenStream {
    safe_mps_op::safe_mps_op(arguments.into(), item.into(), Features::on()).into()
}

/// Says where the tensors of a type are, so that `#[safe_mps_op]` can move it.
///
/// Fields that have `Migrate` are moved, all others are cloned. A field that can be neither is marked `#[migrate(skip)]`; the type can
/// then be lent by `&mut` only.
///
/// ```ignore
/// #[derive(backstop::Migrate)]
/// struct Agent {
///     store: tch::nn::VarStore,
///     policy: tch::nn::Linear,
///     #[migrate(skip)]
///     optimizer: tch::nn::Optimizer,
///     steps: u64,
/// }
/// ```
///
/// `#[migrate(crate = path)]` on the type says where `backstop` is, if it was renamed or re-exported.
#[proc_macro_derive(Migrate, attributes(migrate))]
pub fn migrate(input: TokenStream) -> TokenStream {
    migrate::derive(input.into()).into()
}
