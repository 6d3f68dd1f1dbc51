//! What a text names: an operator, a dtype, a size.

const DTYPES: &[&str] = &[
    "float",
    "floats",
    "float16",
    "float32",
    "float64",
    "floating",
    "double",
    "half",
    "bfloat16",
    "bf16",
    "fp16",
    "fp32",
    "int",
    "int8",
    "int16",
    "int32",
    "int64",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "integer",
    "integers",
    "integral",
    "long",
    "short",
    "byte",
    "char",
    "bool",
    "boolean",
    "complex",
    "complex32",
    "complex64",
    "complex128",
    "complexhalf",
    "complexfloat",
    "complexdouble",
    "i64",
];

const ABOUT_DTYPES: &[&str] = &["dtype", "dtypes", "input type", "data type", "scalar type", "types"];

const ABOUT_SIZES: &[&str] = &[
    "INT_MAX",
    "2**32",
    "2^32",
    "65536",
    "32-bit",
    "4Gb",
    "4GB",
    "larger than",
    "too large",
    "too many elements",
    "dimensions <=",
    "16 dimensions",
    "16-dim",
    "dims larger",
    "greater than 16",
    "more than 16 dim",
];

/// The words of a text, underscores dividing too: `square_i64` names a dtype.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty())
}

fn is_dtype(word: &str) -> bool {
    DTYPES.iter().any(|dtype| dtype.eq_ignore_ascii_case(word))
}

pub(super) fn speaks_of_dtypes(sentence: &str) -> bool {
    words(sentence).any(is_dtype) || ABOUT_DTYPES.iter().any(|phrase| sentence.contains(phrase))
}

pub(super) fn speaks_of_sizes(sentence: &str) -> bool {
    ABOUT_SIZES.iter().any(|phrase| sentence.contains(phrase))
}

/// Whether `word` stands alone in the text, not inside a longer word.
pub(super) fn has_word(text: &str, word: &str) -> bool {
    words(text).any(|found| found == word)
}

/// `aten::name.overload`, the kernel of `"name" not implemented for`, or the function of `name(): …`.
pub(super) fn operator(head: &str) -> Option<String> {
    let quoted = || head.split('\'').nth(1).filter(|name| name.contains("::"));
    let kernel = || head.strip_prefix('"').and_then(|rest| rest.split_once("\" not implemented for")).map(|(name, _)| name);
    let function = || head.split_once("():").map(|(name, _)| name).filter(|name| is_path(name));
    quoted().or_else(kernel).or_else(function).map(str::to_owned)
}

fn is_path(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "._".contains(c))
}

/// The dtype in quotes after `for` or `type`, or the first word that is one.
pub(super) fn dtype(head: &str) -> Option<String> {
    const OPENINGS: [(&str, char); 4] =
        [("not implemented for '", '\''), ("scalar type '", '\''), ("Trying to convert ", ' '), ("Undefined type ", ' ')];
    let told = OPENINGS.iter().find_map(|(opening, end)| head.split_once(opening)?.1.split(*end).next());
    told.or_else(|| words(head).find(|word| is_dtype(word))).map(str::to_owned)
}

/// The size asked for: `19.45 GB`, `[70000, 70000]`, `72250,72250`.
pub(super) fn sizes(head: &str) -> Option<String> {
    const OPENINGS: [(&str, &[&str]); 4] = [
        ("Invalid buffer size: ", &["\n"]),
        ("Tried to allocate ", &[" on ", ". ", " (", "\n"]),
        ("iterator of shape ", &["\n"]),
        ("supported by the MPS backend: ", &[", needs", "\n"]),
    ];
    let (rest, ends) = OPENINGS.iter().find_map(|(opening, ends)| Some((head.split_once(opening)?.1, ends)))?;
    let end = ends.iter().filter_map(|end| rest.find(end)).min().unwrap_or(rest.len());
    let size = rest[..end].trim_end_matches(['.', ' ']);
    (!size.is_empty()).then(|| size.to_owned())
}
