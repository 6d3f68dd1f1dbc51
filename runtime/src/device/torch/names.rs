//! The names of tch's types, for values of which nothing else can be known.

/// Whether the path is one of tch's.
pub(crate) fn is_named(path: &str) -> bool {
    path.starts_with("tch::")
}

/// A tensor, or what has some: the types of `tch::nn` but for settings and optimizers.
pub(crate) fn is_named_for_tensors(path: &str) -> bool {
    let name = path.rsplit("::").next().unwrap_or(path);
    let settings = path.contains("::init::") || ["Config", "ConfigND", "Optimizer", "PaddingMode"].iter().any(|end| name.ends_with(end));
    let by_name = matches!(name, "Tensor" | "CModule" | "TrainableCModule" | "IValue" | "Dataset" | "Iter2" | "TextData" | "TextDataIter");
    is_named(path) && (by_name || path.starts_with("tch::nn::") && !settings)
}

/// Whether the name of a type has an optimizer in it.
pub(crate) fn names_an_optimizer(ty: &str) -> bool {
    ty.contains("Optimizer")
}
