//! The outermost layer: another function, called with the same arguments and the error when everything else has failed.

use crate::event::Event;
use crate::observe;
use crate::site::Site;

/// The value of the guarded call, or what `fallback` makes of its error.
///
/// # Cancellation
/// Dropping the future drops the fallback where it stands.
pub async fn or_else<R, E, P, G, A, M>(site: &'static Site, outcome: Result<R, E>, fallback: P, arguments: G) -> R
where
    G: FnOnce(E) -> A,
    P: Fallback<A, R, M>,
{
    match outcome {
        Ok(returned) => returned,
        Err(error) => {
            observe::event(&Event::FellBack { site });
            fallback.call(arguments(error)).await
        }
    }
}

/// A function that takes the arguments `A` and gives `R`, now or `async`: `M` says which.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot stand in for this function",
    label = "this must take `{A}` and return `{R}`, or be `async` and do so",
    note = "a fallback is called with the function's own arguments (`self` first) and then its error"
)]
pub trait Fallback<A, R, M> {
    /// Calls it.
    fn call(self, arguments: A) -> impl Future<Output = R>;
}

/// An ordinary function.
#[derive(Debug)]
pub struct Now;

/// An `async` function, whose future is `F`.
#[derive(Debug)]
pub struct Later<F>(F);

macro_rules! fallback {
    ($($argument:ident)*) => {
        #[expect(non_snake_case, reason = "a type parameter and its value share the name")]
        impl<P, R, $($argument),*> Fallback<($($argument,)*), R, Now> for P
        where
            P: FnOnce($($argument),*) -> R,
        {
            fn call(self, ($($argument,)*): ($($argument,)*)) -> impl Future<Output = R> {
                std::future::ready(self($($argument),*))
            }
        }

        #[expect(non_snake_case, reason = "a type parameter and its value share the name")]
        impl<P, R, F, $($argument),*> Fallback<($($argument,)*), R, Later<F>> for P
        where
            P: FnOnce($($argument),*) -> F,
            F: Future<Output = R>,
        {
            fn call(self, ($($argument,)*): ($($argument,)*)) -> impl Future<Output = R> {
                self($($argument),*)
            }
        }
    };
}

fallback!(A);
fallback!(A B);
fallback!(A B C);
fallback!(A B C D);
fallback!(A B C D E);
fallback!(A B C D E G);
fallback!(A B C D E G H);
fallback!(A B C D E G H I);
fallback!(A B C D E G H I J);
fallback!(A B C D E G H I J K);
fallback!(A B C D E G H I J K L);
fallback!(A B C D E G H I J K L N);
fallback!(A B C D E G H I J K L N O);
