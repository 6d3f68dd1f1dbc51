//! Errors that hold others, and panics.

use std::error::Error;
use std::fmt;

use super::super::{Class, of_error, of_panic};
use super::{FRAMES, UNSUPPORTED};

/// An error that passes everything on to the one that it holds, as `#[error(transparent)]` does.
#[derive(Debug)]
struct Transparent(Box<dyn Error + Send + Sync>);

impl fmt::Display for Transparent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Error for Transparent {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}

/// An error with a text of its own.
#[derive(Debug)]
struct Step(Torch);

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the step failed")
    }
}

impl Error for Step {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.0)
    }
}

/// An error that shows nothing of what it holds.
#[derive(Debug)]
#[allow(dead_code, reason = "read by Debug")]
struct Silent(Torch);

impl fmt::Display for Silent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("something failed")
    }
}

impl Error for Silent {}

/// Shows itself as tch's own error does.
#[derive(Debug, Clone)]
struct Torch(#[allow(dead_code, reason = "read by Debug")] String);

impl fmt::Display for Torch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Internal torch error: {}", self.0)
    }
}

impl Error for Torch {}

fn torch() -> Torch {
    Torch(format!("{UNSUPPORTED}{FRAMES}"))
}

#[test]
fn a_fault_is_found_anywhere_in_the_chain() {
    let deep = anyhow::Error::new(Step(torch())).context("epoch 3").context("training");
    let errors: [Box<dyn Error>; 6] = [
        Box::new(torch()),
        Box::new(Step(torch())),
        Box::new(Transparent(Box::new(torch()))),
        Box::new(Transparent(Box::new(Step(torch())))),
        Box::new(Silent(torch())),
        deep.into(),
    ];
    for error in errors {
        let fault = of_error(&*error).unwrap_or_else(|| panic!("not recognised: {error:?}"));
        assert_eq!(fault.operator.as_deref(), Some("aten::ormqr"));
    }
}

#[test]
fn an_error_that_is_no_torch_error_is_none_whatever_it_says() {
    let error = std::io::Error::other(UNSUPPORTED);
    assert_eq!(of_error(&error), None);
    assert_eq!(of_error(&Step(Torch("mat1 and mat2 shapes cannot be multiplied (2x3 and 4x5)".into()))), None);
}

#[test]
fn a_panic_is_a_fault_only_with_a_torch_error_inside() {
    let payload = |message: &str| -> Option<Class> { of_panic(&message.to_owned()).map(|fault| fault.class) };
    assert_eq!(payload(&format!("called `Result::unwrap()` on an `Err` value: Torch({:?})", torch().0)), Some(Class::UnsupportedOp));
    assert_eq!(payload(&format!("{}", torch())), Some(Class::UnsupportedOp));
    assert_eq!(payload(UNSUPPORTED), None);
    assert_eq!(payload("called `Result::unwrap()` on an `Err` value: Torch(\"The size of tensor a (3) must match\")"), None);
    assert_eq!(of_panic(&"rope() is unsupported on MPS").map(|fault| fault.class), None);
    assert_eq!(of_panic(&7u32), None);
}
