//! Texts of the MPS backend and of Metal below it.

use super::head::Head;
use super::words::{speaks_of_dtypes, speaks_of_sizes};
use super::{Backend, Class, Verdict};

/// Texts with an opening of their own.
const OPENINGS: &[(&str, Class)] = &[
    ("MPS backend out of memory (MPS allocated:", Class::OutOfMemory),
    ("Failed to allocate memory on MPS", Class::OutOfMemory),
    ("Insufficient Memory (00000008:kIOGPUCommandBufferCallbackErrorOutOfMemory", Class::OutOfMemory),
    ("Invalid buffer size: ", Class::SizeLimit),
    ("kernel data offsets can't be computed using 32-bit iterator", Class::SizeLimit),
    ("MPSGaph does not support tensor dims", Class::SizeLimit),
    ("MPSGraph does not support tensor dims", Class::SizeLimit),
    ("MPS supports tensors with dimensions <=", Class::SizeLimit),
    ("histogramdd(): Tensor is larger than", Class::SizeLimit),
    ("nonzero is not supported for tensors with more than INT_MAX elements, file a support request", Class::SizeLimit),
    ("The MPS backend is supported on ", Class::BackendUnavailable),
    ("PyTorch code is not compiled with MPS enabled", Class::BackendUnavailable),
    ("PyTorch is not compiled with MPS enabled", Class::BackendUnavailable),
    ("MPS backend is not available", Class::BackendUnavailable),
    ("MPS backend is only supported on ", Class::BackendUnavailable),
    ("Cannot get device of pointer on MPS without", Class::BackendUnavailable),
    ("Cannot convert a MPS Tensor to float64", Class::UnsupportedDtype),
    ("Cannot convert a float64 Tensor to MPS", Class::UnsupportedDtype),
    ("MPS doesn't know how to do ", Class::UnsupportedDtype),
    ("linalg.solve.triangular(); Only float is supported", Class::UnsupportedDtype),
    ("Expected supportedFloating", Class::UnsupportedDtype),
    ("linalg_inv: not supported for complex types yet", Class::UnsupportedDtype),
    ("index_fill_(): Complex types are yet not supported", Class::UnsupportedDtype),
    ("scatter_reduce(amin/amax) on int64 currently", Class::UnsupportedConfig),
    ("Adaptive pool MPS:", Class::UnsupportedConfig),
    ("Current limit allows up to 16 indices to be used in MPS", Class::UnsupportedConfig),
    ("Placeholder buffer size (", Class::BackendInternal),
    ("Placeholder tensor is empty!", Class::BackendInternal),
    ("Unaligned blit request", Class::BackendInternal),
    ("Can't find metal library section", Class::KernelBuild),
];

/// Texts that say that the work was done all the same.
const WARNINGS: &[&str] = &["will fall back", "alling back", "casting ", "Casting ", "may impact performance", "performance implications"];

pub(super) fn rule(head: &Head) -> Option<Verdict> {
    let class = opening(head).or_else(|| template(head)).or_else(|| limitation(head))?;
    Some(Verdict::Fault(Backend::Mps, class))
}

fn opening(head: &Head) -> Option<Class> {
    OPENINGS.iter().find(|(opening, _)| head.starts(opening)).map(|(_, class)| *class)
}

fn template(head: &Head) -> Option<Class> {
    let all = |parts: &[&str]| head.starts(parts[0]) && parts[1..].iter().all(|part| head.contains(part));
    if all(&["The operator '", "' is not current", "implemented for the MPS device"]) {
        Some(Class::UnsupportedOp)
    } else if all(&["Trying to convert ", " to the MPS backend but it does not have support"])
        || all(&["Unsupported scalar type '", "on MPS"])
    {
        Some(Class::UnsupportedDtype)
    } else if head.starts("Failed to ")
        && head.contains_any(&["metal library", "Metal library", "metallib", "pipeline state", "function state"])
    {
        Some(Class::KernelBuild)
    } else if all(&["Cannot execute ", "without MPS backend"]) {
        Some(Class::BackendUnavailable)
    } else if head.line_after("Undefined type ").is_some_and(|name| !name.contains(' ')) {
        Some(Class::UnsupportedDtype)
    } else if head.contains_any(&["2**32 elements", "exceeds Metal max", "exceeds metal max"]) {
        // Only this backend counts its elements so.
        Some(Class::SizeLimit)
    } else if head.contains("MPS kernel failed") {
        Some(Class::BackendInternal)
    } else if head.starts("\"") && head.between("\"", "\" not implemented for '").is_some_and(|name| name.contains("mps")) {
        Some(Class::UnsupportedDtype)
    } else {
        None
    }
}

/// The many refusals of single kernels: a sentence that names MPS, or a version of macOS, as what does not support something.
fn limitation(head: &Head) -> Option<Class> {
    if head.contains_any(WARNINGS) {
        return None;
    }
    let refuses = |sentence: &&str| names_mps_as_the_limit(sentence) || asks_for_macos(sentence);
    head.as_str().split(['\n', ';']).flat_map(|line| line.split(". ")).find(refuses).map(class_of)
}

/// What the sentence is about. Three-dimensional convolutions are refused as such, in whatever precision.
fn class_of(sentence: &str) -> Class {
    if speaks_of_sizes(sentence) {
        Class::SizeLimit
    } else if speaks_of_dtypes(sentence) && !sentence.contains("Conv") && !sentence.contains("3D") {
        Class::UnsupportedDtype
    } else {
        Class::UnsupportedConfig
    }
}

const REFUSALS: &[&str] = &[
    "not supported",
    "unsupported",
    "Unsupported",
    "does not support",
    "doesn't support",
    "do not support",
    "don't support",
    "no support",
    "not implemented",
    "Not implemented",
    "only implemented",
    "only available",
    "handles only",
    "Only up to",
    "not currently",
    "not yet",
    "only supports",
    "only support ",
    "supports only",
    "currently supports",
    "are supported",
    "works only",
    "only works",
    "doesn't allow",
    "does not allow",
    "not allowed",
    "cannot be used",
    "larger than",
];

fn names_mps_as_the_limit(sentence: &str) -> bool {
    let refuses = REFUSALS.iter().any(|phrase| sentence.contains(phrase));
    refuses && (is_at_mps(sentence) || is_subject(sentence) || is_kernel(sentence))
}

/// `… on MPS`, `… by the MPS backend`.
fn is_at_mps(sentence: &str) -> bool {
    const PLACES: [&str; 7] = ["on", "by", "for", "with", "in", "at", "to"];
    // "only supported on MPS" asks for MPS.
    let wanted =
        ["only supported on MPS", "only available on MPS", "only implemented for MPS"].iter().any(|phrase| sentence.contains(phrase));
    let words: Vec<&str> = sentence.split_whitespace().map(|word| word.trim_end_matches(['.', ',', '!', ':'])).collect();
    let named = |at: usize| matches!(words[at], "MPS" | "mps");
    let placed = |at: usize| match words[..at] {
        [.., place, "the"] | [.., place] => PLACES.contains(&place),
        [] => false,
    };
    !wanted && (0..words.len()).any(|at| named(at) && placed(at))
}

/// `MPS does not support …`, `MPS device doesn't allow …`, `MPS: unsupported …`: the word stands before the refusal, not in "MPS is not supported by …".
fn is_subject(sentence: &str) -> bool {
    const SUBJECTS: [&str; 4] = ["MPS backend ", "MPS device ", "MPS framework ", "MPS "];
    if sentence.starts_with("MPS: ") {
        return true;
    }
    const VERBS: [&str; 10] =
        ["does not ", "doesn't ", "do not ", "don't ", "only ", "currently ", "cannot ", "can't ", "supports only", "has no support"];
    let starts = sentence.match_indices("MPS ").filter(|(at, _)| !sentence[..*at].ends_with(|c: char| c.is_alphanumeric() || c == '_'));
    starts.map(|(at, _)| &sentence[at..]).any(|rest| {
        SUBJECTS
            .iter()
            .filter_map(|subject| rest.strip_prefix(subject))
            .any(|predicate| VERBS.iter().any(|verb| predicate.starts_with(verb)))
    })
}

/// `name_mps not implemented for …`, `name_mps: … is not supported`, `mps_name: unsupported …`.
fn is_kernel(sentence: &str) -> bool {
    let first = sentence.split_whitespace().next().unwrap_or_default();
    if first.contains('_') && first.split(['_', ':', '(']).any(|part| part == "mps") {
        return true;
    }
    const VERBS: [&str; 7] = [" not implemented", " is not ", " does not support", " doesn't support", " only supports", "(): ", ": "];
    let after = sentence.match_indices("_mps").map(|(at, name)| &sentence[at + name.len()..]);
    let unsuffixed = |rest: &str| {
        ["", "_", "_out", "_out_mps"]
            .iter()
            .any(|suffix| rest.strip_prefix(suffix).is_some_and(|rest| VERBS.iter().any(|verb| rest.starts_with(verb))))
    };
    after.into_iter().any(unsuffixed)
}

/// `requires macOS 15 or newer`: the backend on this system lacks it.
fn asks_for_macos(sentence: &str) -> bool {
    let named = ["macOS", "MacOS"].iter().any(|name| sentence.contains(name));
    named
        && ["requires", "or newer", "or later", "or above", "onwards", "starting from", "only supported"]
            .iter()
            .any(|phrase| sentence.contains(phrase))
}
