//! No text makes it panic, or run long.

use proptest::prelude::*;

use super::super::{of_panic, text};

/// Pieces of real texts in any order: more likely than noise to reach the rules.
fn shuffled() -> impl Strategy<Value = String> {
    let pieces = prop::sample::select(vec![
        "Torch(\"",
        "\\",
        "\\u{",
        "\\u{1f600}",
        "\"",
        "Internal torch error: ",
        "MPS",
        " on MPS",
        "MPS ",
        "_mps",
        "The operator '",
        "'",
        " ",
        ". ",
        "\n",
        "é",
        "\nframe #0:",
        "\nException raised from ",
        "Could not run '",
        "' with arguments from the '",
        "' backend",
        "Input type (",
        ") and weight type (",
        "MPSFloatType",
        "torch.",
        "CUDA error: ",
        "Expected a '",
        "INTERNAL ASSERT FAILED at \"",
        "Tried to allocate ",
        ": ",
        "not implemented for '",
        "Invalid buffer size: ",
        "Tensor for ",
        "same device",
        "cuda:0",
        "\u{301}",
    ]);
    prop::collection::vec(pieces, 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(noise in any::<String>(), shuffled in shuffled()) {
        for form in [noise.clone(), shuffled.clone(), format!("Torch({shuffled:?})"), format!("Torch(\"{noise}"), format!("x: {shuffled}")] {
            let _ = text(&form);
            let _ = of_panic(&form);
        }
    }

    #[test]
    fn a_text_and_its_debugged_form_read_the_same(shuffled in shuffled()) {
        prop_assume!(!shuffled.contains("Torch(") && !shuffled.contains("Internal torch error"));
        prop_assert_eq!(of_panic(&format!("Torch({shuffled:?})")), of_panic(&format!("Internal torch error: {shuffled}")));
    }
}

#[test]
fn a_long_text_is_read_in_an_instant() {
    let started = std::time::Instant::now();
    for piece in ["MPS ", "Torch(", "_mps", " on MPS. ", "\\", "\n", "x: ", "' "] {
        for opening in ["", "Torch(\"", "Internal torch error: ", "Could not run '"] {
            let _ = text(&format!("{opening}{}", piece.repeat(4_000_000 / piece.len())));
        }
    }
    assert!(started.elapsed() < std::time::Duration::from_secs(20), "{:?}", started.elapsed());
}
