//! Names of functions from the symbol tables of the program and its libraries: what is there also without debug information.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::elf::{Elf, half, u32_at, word};

/// Names that are remembered; then all are forgotten.
const REMEMBERED: usize = 4096;

/// The names found so far, by file and address in it.
#[derive(Default)]
pub(super) struct Names(HashMap<PathBuf, HashMap<u64, Option<String>>>);

impl Names {
    /// Looks all addresses of one file up that are not known yet.
    pub(super) fn learn(&mut self, path: &Path, addresses: impl Iterator<Item = u64>) {
        if self.0.values().map(HashMap::len).sum::<usize>() > REMEMBERED {
            self.0.clear();
        }
        let known = self.0.entry(path.to_owned()).or_default();
        let mut unknown: Vec<u64> = addresses.filter(|address| !known.contains_key(address)).collect();
        if unknown.is_empty() {
            return;
        }
        unknown.sort_unstable();
        unknown.dedup();
        let found = look_up(path, &unknown);
        known.extend(unknown.into_iter().zip(found));
    }

    pub(super) fn of(&self, path: &Path, address: u64) -> Option<&str> {
        self.0.get(path)?.get(&address)?.as_deref()
    }
}

/// The file of a mapping: one that was replaced is still there as the running program.
pub(super) fn file(path: &str) -> PathBuf {
    match path.strip_suffix(" (deleted)") {
        Some(gone) if std::env::current_exe().is_ok_and(|own| own.to_string_lossy().starts_with(gone)) => "/proc/self/exe".into(),
        _ => path.into(),
    }
}

/// The best symbol for one address so far.
#[derive(Clone, Copy, Default)]
struct Best {
    value: u64,
    name: u32,
    table: usize,
    holds: bool,
}

/// The names of some addresses, which are sorted, in one pass through the symbols.
fn look_up(path: &Path, addresses: &[u64]) -> Vec<Option<String>> {
    let Some(elf) = Elf::open(path) else { return vec![None; addresses.len()] };
    let mut best: Vec<Option<Best>> = vec![None; addresses.len()];
    let tables: Vec<_> = [".symtab", ".dynsym"].iter().filter_map(|name| elf.section(name)).collect();
    for (index, table) in tables.iter().enumerate() {
        elf.entries::<24>(table, |symbol| consider(symbol, index, addresses, &mut best));
    }
    let named = |best: &Option<Best>| {
        let best = best.as_ref()?;
        let name = elf.text(elf.linked(tables.get(best.table)?)?, u64::from(best.name))?;
        (!name.is_empty()).then(|| readable(&name))
    };
    best.iter().map(named).collect()
}

fn consider(symbol: &[u8], table: usize, addresses: &[u64], best: &mut [Option<Best>]) {
    const FUNCTIONS: [u8; 2] = [2, 10];
    const NO_TYPE: u8 = 0;
    let (Some(name), Some(kind), Some(section)) = (u32_at(symbol, 0), symbol.get(4).map(|info| info & 0xf), half(symbol, 6)) else {
        return;
    };
    let (Some(value), Some(size)) = (word(symbol, 8), word(symbol, 16)) else { return };
    if section == 0 || value == 0 || name == 0 || !(FUNCTIONS.contains(&kind) || kind == NO_TYPE) {
        return;
    }
    // A label of hand-written code has no size: it reaches as far as the next symbol, or two pages.
    let (end, sized) = if size > 0 { (value.saturating_add(size), true) } else { (value.saturating_add(8192), false) };
    let first = addresses.partition_point(|address| *address < value);
    for (address, best) in addresses.iter().zip(best.iter_mut()).skip(first) {
        if *address >= end {
            break;
        }
        let better = best.is_none_or(|best| (sized, value) > (best.holds, best.value));
        if better {
            *best = Some(Best { value, name, table, holds: sized });
        }
    }
}

/// The name as a person writes it.
pub(super) fn readable(symbol: &str) -> String {
    match rustc_demangle::try_demangle(symbol) {
        Ok(name) => format!("{name:#}"),
        Err(_) => of_cpp(symbol).unwrap_or_else(|| symbol.to_owned()),
    }
}

/// The nested name at the head of a C++ symbol, without arguments: `_ZN2at6native6matmulERKNS_6TensorE` is `at::native::matmul`.
fn of_cpp(symbol: &str) -> Option<String> {
    let rest = symbol.strip_prefix("_Z")?;
    let mut rest = rest.strip_prefix('N').unwrap_or(rest).trim_start_matches(['K', 'V', 'r', 'L']);
    if let Some(of_std) = rest.strip_prefix("St") {
        return Some(format!("std::{}", of_cpp(&format!("_ZN{of_std}"))?));
    }
    let mut parts = Vec::new();
    while let Some(digits) = rest.find(|c: char| !c.is_ascii_digit()).filter(|digits| *digits > 0) {
        let length: usize = rest[..digits].parse().ok()?;
        parts.push(rest.get(digits..digits.checked_add(length)?)?);
        rest = rest[digits + length..].trim_start_matches('L');
    }
    (!parts.is_empty()).then(|| parts.join("::").replace("_GLOBAL__N_1", "(anonymous)"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_of_this_program_is_named() {
        let exe = std::env::current_exe().unwrap();
        let here = a_function_of_this_program_is_named as fn() as usize as u64;
        let (mut maps, pages) = (super::super::maps::Maps::new(), super::super::memory::Pages::new());
        maps.refresh();
        let bias = super::super::maps::headers(&pages, maps.find(here).unwrap().base).unwrap().bias;
        let mut names = Names::default();
        names.learn(&exe, [here - bias + 1, 1].into_iter());
        assert!(names.of(&exe, here - bias + 1).unwrap().ends_with("a_function_of_this_program_is_named"));
        assert_eq!(names.of(&exe, 1), None);
    }

    #[test]
    fn names_of_rust_and_cpp_are_made_readable() {
        assert_eq!(readable("_ZN3std6thread5sleep17h0123456789abcdefE"), "std::thread::sleep");
        assert_eq!(readable("_ZN2at6native6matmulERKNS_6TensorES3_"), "at::native::matmul");
        assert_eq!(readable("_ZN2at6native12_GLOBAL__N_14gemmIfEEvT_"), "at::native::(anonymous)::gemm");
        assert_eq!(readable("_ZNKSt6vectorIiSaIiEE4sizeEv"), "std::vector");
        assert_eq!(readable("_Z3runi"), "run");
        assert_eq!(readable("mkl_blas_avx512_sgemm"), "mkl_blas_avx512_sgemm");
        assert_eq!(readable("_Z99999999999999999999x"), "_Z99999999999999999999x");
    }

    #[test]
    fn a_file_that_is_gone_names_nothing() {
        let mut names = Names::default();
        names.learn(Path::new("/nowhere"), [1, 2].into_iter());
        assert_eq!(names.of(Path::new("/nowhere"), 1), None);
    }
}
