//! The outermost layer: another function, called with the same arguments and the error when everything else has failed.

use std::future::{Ready, ready};
use std::marker::PhantomData;

use crate::event::Event;
use crate::observe;
use crate::site::Site;

/// The value that a guarded call has given, or the error for its fallback and the type that this must return.
///
/// # Errors
/// The call's error.
pub fn settle<R, E>(site: &'static Site, outcome: Result<R, E>) -> Result<R, (E, Like<R>)> {
    outcome.map_err(|error| {
        observe::event(&Event::FellBack { site });
        (error, PhantomData)
    })
}

/// The return type of a function, without a value.
pub type Like<R> = PhantomData<fn() -> R>;

/// Calls the fallback, which stands last so that the compiler knows what it must fit before it looks at it.
pub fn fall_back<R, A, P, M>(_returned: Like<R>, arguments: A, fallback: P) -> P::Future
where
    P: Fallback<A, R, M>,
{
    fallback.call(arguments)
}

/// A function that takes the arguments `A` and gives `R`, now or `async`: `M` says which.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot stand in for this function",
    label = "this must take `{A}` and return `{R}`, or be `async` and do so",
    note = "a fallback is called with the function's own arguments (`self` first) and then its error"
)]
pub trait Fallback<A, R, M> {
    /// Its result.
    type Future: Future<Output = R>;

    /// Calls it.
    fn call(self, arguments: A) -> Self::Future;
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
            type Future = Ready<R>;

            fn call(self, ($($argument,)*): ($($argument,)*)) -> Ready<R> {
                ready(self($($argument),*))
            }
        }

        #[expect(non_snake_case, reason = "a type parameter and its value share the name")]
        impl<P, R, F, $($argument),*> Fallback<($($argument,)*), R, Later<F>> for P
        where
            P: FnOnce($($argument),*) -> F,
            F: Future<Output = R>,
        {
            type Future = F;

            fn call(self, ($($argument,)*): ($($argument,)*)) -> F {
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
