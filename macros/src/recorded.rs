//! Tests that record what is generated, prettified.

/// One test for each function: an attribute's arguments in parentheses, and the function that it stands on.
macro_rules! records {
    (|$arguments:ident, $item:ident| $expand:expr; $($name:ident: ($($argument:tt)*) $function:item)*) => {$(
        #[test]
        fn $name() {
            let ($arguments, $item) = (quote::quote!($($argument)*), quote::quote!($function));
            let file = syn::parse2($expand).expect("an expansion is valid Rust");
            insta::assert_snapshot!(prettyplease::unparse(&file));
        }
    )*};
}
