//! The labelled set, the forms a text comes in, the chains it hides in, and texts of no form at all.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;

use proptest::prelude::*;
use serde::Deserialize;

use super::{Backend, Class, Fault, of_error, of_panic, text};

#[derive(Deserialize)]
pub(super) struct Row {
    pub(super) text: String,
    backend: String,
    class: String,
    retry_on_cpu: bool,
    certainty: String,
}

pub(super) fn rows() -> Vec<Row> {
    let set = include_str!("../../../tests/data/device_errors.jsonl");
    set.lines().map(|line| serde_json::from_str(line).expect("a row of the set")).collect()
}

/// What the row asks for: `None` where the CPU could not help because it is no accelerator's fault.
fn expected(row: &Row) -> Option<(&str, &str, bool)> {
    let class = match row.class.as_str() {
        "not_device" | "warning_text" | "cpu_out_of_memory" | "device_reported_user_error" | "process_abort" => return None,
        "sticky_context" => "poisoned",
        class => class,
    };
    (row.backend != "cpu").then_some((row.backend.as_str(), class, row.retry_on_cpu))
}

fn found(text: &str) -> Option<(&'static str, &'static str, bool)> {
    super::text(text).map(|fault| (backend(&fault), fault.class.as_str(), fault.retry))
}

pub(super) fn backend(fault: &Fault) -> &'static str {
    match fault.backend {
        Backend::Mps => "mps",
        Backend::Cuda => "cuda",
        Backend::Other => "other",
    }
}

#[test]
fn every_clear_row_of_the_set_is_right() {
    let wrong: Vec<String> = rows()
        .iter()
        .filter(|row| row.certainty == "clear" && found(&row.text) != expected(row))
        .map(|row| format!("{:?} instead of {:?}: {:.200}", found(&row.text), expected(row), row.text))
        .collect();
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

/// Rows of the whole set, process-ending ones apart: they never reach Rust.
#[derive(Default, Clone, Copy)]
struct Tally {
    rows: u32,
    given: u32,
    right: u32,
}

fn tallies() -> BTreeMap<&'static str, Tally> {
    let mut table: BTreeMap<&str, Tally> = Class::ALL.iter().map(|class| (class.as_str(), Tally::default())).collect();
    for row in rows().iter().filter(|row| row.certainty != "uncatchable") {
        let (wanted, given) = (expected(row).map(|row| row.1), found(&row.text).map(|found| found.1));
        for class in Class::ALL.map(Class::as_str) {
            let tally = table.get_mut(class).expect("every class has a line");
            tally.rows += u32::from(wanted == Some(class));
            tally.given += u32::from(given == Some(class));
            tally.right += u32::from(wanted == Some(class) && given == wanted);
        }
    }
    table
}

fn ratio(part: u32, whole: u32) -> String {
    if whole == 0 { "–".to_owned() } else { format!("{:.3}", f64::from(part) / f64::from(whole)) }
}

fn table() -> String {
    let tallies = tallies();
    let line = |name: &str, tally: Tally| {
        format!("| `{name}` | {} | {} | {} |\n", tally.rows, ratio(tally.right, tally.given), ratio(tally.right, tally.rows))
    };
    let mut table = "| class | rows | precision | recall |\n|---|---|---|---|\n".to_owned();
    let mut all = Tally::default();
    for class in Class::ALL {
        let tally = tallies[class.as_str()];
        all = Tally { rows: all.rows + tally.rows, given: all.given + tally.given, right: all.right + tally.right };
        table += &line(class.as_str(), tally);
    }
    let sum = format!("| all | {} | {} | {} |\n", all.rows, ratio(all.right, all.given), ratio(all.right, all.rows));
    table + &sum
}

#[test]
fn the_reference_page_shows_the_table_of_precision_and_recall() {
    let table = table();
    println!("{table}");
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/src/reference/device-errors.md");
    let page = std::fs::read_to_string(page).expect("the reference page");
    assert!(page.contains(&table), "docs/src/reference/device-errors.md holds another table than this one:\n{table}");
}

#[test]
fn precision_and_recall_stay_above_the_floor() {
    let all = tallies().into_values().fold(Tally::default(), |sum, tally| Tally {
        rows: sum.rows + tally.rows,
        given: sum.given + tally.given,
        right: sum.right + tally.right,
    });
    assert!(f64::from(all.right) / f64::from(all.given) >= 0.98, "precision {} of {}", all.right, all.given);
    assert!(f64::from(all.right) / f64::from(all.rows) >= 0.98, "recall {} of {}", all.right, all.rows);
}

const UNSUPPORTED: &str =
    "The operator 'aten::ormqr' is not currently implemented for the MPS device. If you want this op to be \"considered\"";
pub(super) const FRAMES: &str = "\nException raised from mps_error_fallback at /Users/runner/aten/src/ATen/mps/MPSFallback.mm:37 (most recent call first):\nframe \
                      #0: c10::Error::Error + 0x9d (0x7f in /home/user/mps-lab/libc10.so)";

#[test]
fn one_fault_reads_the_same_in_every_form() {
    let bare = text(UNSUPPORTED).expect("a fault");
    assert_eq!((bare.backend, bare.class, bare.retry), (Backend::Mps, Class::UnsupportedOp, true));
    assert_eq!(bare.operator.as_deref(), Some("aten::ormqr"));
    assert_eq!(bare.reason, UNSUPPORTED);
    let full = format!("{UNSUPPORTED}{FRAMES}");
    let forms = [
        full.clone(),
        format!("Internal torch error: {full}"),
        format!("layer.0: {full}"),
        format!("called `Result::unwrap()` on an `Err` value: Torch({full:?})"),
        format!("the policy net: Torch({full:?})"),
        format!("step failed: Err(Device(Torch({full:?})))"),
        format!("{:#?}", Wrapped::Torch(full.clone())),
    ];
    for form in forms {
        let mut fault = text(&form).unwrap_or_else(|| panic!("not recognised: {form}"));
        fault.reason = fault.reason.trim_start_matches("layer.0: ").to_owned();
        assert_eq!(
            fault.trace,
            "Exception raised from mps_error_fallback at /Users/runner/aten/src/ATen/mps/MPSFallback.mm:37 (most recent call first):\nframe #0: c10::Error::Error"
        );
        fault.trace.clear();
        assert_eq!(fault, bare, "{form}");
    }
}

#[derive(Debug)]
enum Wrapped {
    #[allow(dead_code, reason = "read by Debug")]
    Torch(String),
}

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

/// Assembled from templates of PyTorch's sources, none of them a row of the set.
#[test]
fn texts_of_the_same_templates_are_recognised() {
    let mps = [
        ("avg_pool3d is only supported on MPS for MacOS_13_2 or newer", Class::UnsupportedConfig),
        ("avg_pool3d: Dilation > 1 not supported in MPS backend", Class::UnsupportedConfig),
        ("only strided tensors are supported on MPS", Class::UnsupportedConfig),
        ("LSTM with projections is not currently supported with MPS.", Class::UnsupportedConfig),
        ("lu_factor(): MPS doesn't allow pivot == False.", Class::UnsupportedConfig),
        ("ConvTranspose 3D with BF16 or FP16 types is not supported on MPS", Class::UnsupportedConfig),
        ("softmax not implemented on MPS for Half", Class::UnsupportedDtype),
        ("float64 is not supported on MPS", Class::UnsupportedDtype),
        ("log_softmax for bool is not supported for MPS", Class::UnsupportedDtype),
        ("MPS does not support cumsum op with int64 input. Support has been added in macOS 13.3", Class::UnsupportedDtype),
        ("MPS: The cumprod op with int64 input is supported natively starting from macOS 13.2", Class::UnsupportedDtype),
        ("MPS supports tensors with dimensions <= 16, but got 17.", Class::SizeLimit),
        ("The MPS backend is supported on macOS 14.0+. Current OS version can be queried using `sw_vers`", Class::BackendUnavailable),
        ("Cannot execute emptyCache() without MPS backend.", Class::BackendUnavailable),
        ("Conv3D is only supported on MPS for MacOS_13_2 or newer", Class::UnsupportedConfig),
        ("_compute_linear_combination: unsupported dtype ComplexDouble on MPS, expected float", Class::UnsupportedDtype),
        ("Expected supportedFloatingType(scalar_type) to be true, but got false.", Class::UnsupportedDtype),
        ("MPS: unsupported padding mode", Class::UnsupportedConfig),
        ("masked_fill not supported for tensors of more than 2**32 elements", Class::SizeLimit),
        ("isin_Tensor_Tensor_out only works on floating types on MPS for pre MacOS_14_0. Received dtype: Long", Class::UnsupportedDtype),
        ("Trying to convert Float8_e4m3fn to the MPS backend but it does not have support for that dtype.", Class::UnsupportedDtype),
        ("\"arange_mps\" not implemented for 'Double'", Class::UnsupportedDtype),
        ("nextafter_mps_out is not yet implemented for MPS backend", Class::UnsupportedConfig),
        ("_scaled_dot_product_attention_math_for_mps: dropout_p != 0.0 is not supported", Class::UnsupportedConfig),
        ("Failed to create function state object for: add_dense", Class::KernelBuild),
        ("Expected x.is_mps() to be true, but got false.", Class::DeviceMismatch),
    ];
    let cuda = [
        ("CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`", Class::OutOfMemory),
        ("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR", Class::LibraryError),
        ("CUDA error: the MPS client has been terminated by the server\nCUDA kernel errors", Class::Poisoned),
        ("CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported", Class::OutOfMemory),
        ("CUDA error: operation would make the legacy stream depend on a capturing blocking stream", Class::StreamCapture),
        ("NCCL error in: ../torch/csrc/distributed/c10d/ProcessGroupNCCL.cpp:1275, unhandled cuda error", Class::Collective),
        ("torch.cat(): all input tensors must be on the same device. Received cuda:0 and cpu", Class::DeviceMismatch),
        (
            "nonzero is not supported for tensors with more than INT_MAX elements, See https://github.com/pytorch/pytorch/issues/51871",
            Class::SizeLimit,
        ),
        ("Allocation on device 0 would exceed allowed memory. (out of memory)\nCurrently allocated", Class::OutOfMemory),
        ("cuDNN Frontend error: [cudnn_frontend] Error: No execution plans support the graph.", Class::UnsupportedConfig),
        ("Capture must end on the same stream it began on.", Class::StreamCapture),
        (
            "Tensor for argument #2 'mat1' is on CPU, but expected it to be on GPU (while checking arguments for addmm)",
            Class::DeviceMismatch,
        ),
        (
            "The following operation failed in the TorchScript interpreter.\nTraceback of TorchScript (most recent call last):\n  File \"on MPS\"\nRuntimeError: CUDA error: an illegal memory access was encountered",
            Class::Poisoned,
        ),
    ];
    let classes = |set: &[(&'static str, Class)], backend| -> Vec<String> {
        let right = |text: &str, class| super::text(text).is_some_and(|fault| (fault.backend, fault.class) == (backend, class));
        set.iter().filter(|(text, class)| !right(text, *class)).map(|(text, _)| format!("{:?}: {text}", super::text(text))).collect()
    };
    let wrong = [classes(&mps, Backend::Mps), classes(&cuda, Backend::Cuda)].concat();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn texts_that_only_look_like_faults_are_none() {
    let innocent = [
        "MPS is not supported by this model",
        "not implemented: rope() on MPS",
        "assertion `left == right` failed: unsupported on MPS",
        "compiling a shader is only supported on MPS",
        "The operator 'aten::nonzero' is not currently supported on the MPS backend and will fall back to run on the CPU.",
        "MPS: no support for int64 min/max ops, casting it to int32",
        "reply: CUDA out of memory is listed as a known error code",
        "bernoulli_mps_ expects p to be in [0, 1], but got p=1.5",
        "Input type (CUDAFloatType) and weight type (CUDAHalfType) should be the same",
        "A INTERNAL ASSERT FAILED at \"../aten/src/ATen/native/Resize.cpp\":12, please report a bug to PyTorch.",
        "Could not run 'aten::cumsum' with arguments from the 'SparseCPU' backend. [CPU, CUDA, MPS, AutogradMPS]",
        "Expected tensor for argument #1 'indices' to have one of the following scalar types: Long, Int; but got MPSFloatType instead",
        "open file failed because of errno 2 on fopen, file path: /data/unsupported on MPS/model_mps.pt",
        "",
    ];
    for text in innocent {
        assert_eq!(super::text(text), None, "{text}");
    }
}

#[test]
fn frames_and_paths_never_decide() {
    for head in ["mat1 and mat2 shapes cannot be multiplied (2x3 and 4x5)", "index 7 is out of bounds for dimension 0 with size 5"] {
        assert_eq!(text(&format!("{head}{FRAMES}")), None);
        assert_eq!(text(&format!("{head}\nframe #0: softmax is not supported on MPS")), None);
    }
}

#[test]
fn what_the_text_names_is_read_off() {
    let of = |head: &str| text(head).expect("a fault");
    assert_eq!(of("Invalid buffer size: 19.45 GB").sizes.as_deref(), Some("19.45 GB"));
    let full = "MPS backend out of memory (MPS allocated: 8 GB, other allocations: 1 MB, max allowed: 9.07 GB). Tried to allocate 6.25 MB on private pool.";
    assert_eq!(of(full).sizes.as_deref(), Some("6.25 MB"));
    assert_eq!(of("CUDA out of memory. Tried to allocate 22.00 MiB. GPU 0 has").sizes.as_deref(), Some("22.00 MiB"));
    let half = of("\"erfinv_cuda\" not implemented for 'BFloat16'");
    assert_eq!((half.operator.as_deref(), half.dtype.as_deref()), (Some("erfinv_cuda"), Some("BFloat16")));
    assert_eq!(
        of("Trying to convert ComplexFloat to the MPS backend but it does not have support for that dtype.").dtype.as_deref(),
        Some("ComplexFloat")
    );
    let factor = of("linalg.lu_factor(): MPS doesn't support complex types.");
    assert_eq!((factor.operator.as_deref(), factor.dtype.as_deref()), (Some("linalg.lu_factor"), Some("complex")));
    assert!(of(&format!("Invalid buffer size: {}", "9".repeat(10_000))).reason.chars().count() <= 301);
}

#[test]
fn only_hopeless_classes_are_not_retried() {
    let hopeless: Vec<Class> = Class::ALL.into_iter().filter(|class| !class.retry()).collect();
    assert_eq!(hopeless, [Class::Poisoned, Class::Collective, Class::StreamCapture]);
}

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
