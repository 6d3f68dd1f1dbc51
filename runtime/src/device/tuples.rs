//! Tuples of 1 to 12, for traits that tuples have.

/// Calls a macro for each, with the parts `(A 0) (B 1) …`.
macro_rules! each_tuple {
    ($then:ident) => {
        each_tuple!(@ $then [] (A 0) (B 1) (C 2) (D 3) (E 4) (F 5) (G 6) (H 7) (I 8) (J 9) (K 10) (L 11));
    };
    (@ $then:ident [$($done:tt)*] $next:tt $($rest:tt)*) => {
        $then! { $($done)* $next }
        each_tuple!(@ $then [$($done)* $next] $($rest)*);
    };
    (@ $then:ident [$($done:tt)*]) => {};
}

pub(super) use each_tuple;
