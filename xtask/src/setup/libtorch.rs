//! A folder that holds libtorch: what must be in it, and which version it is.

use std::fs;
use std::path::{Path, PathBuf};

use super::VERSION;

/// A folder with the headers and libraries of libtorch in the version that tch needs.
#[derive(Debug)]
pub struct Libtorch(PathBuf);

impl Libtorch {
    /// The libtorch in `folder`, or the reason why it is none.
    pub fn at(folder: &Path) -> Result<Self, String> {
        for part in parts() {
            if !folder.join(&part).exists() {
                return Err(format!("{} has no {part}", folder.display()));
            }
        }
        match version(folder) {
            Some(version) if version == VERSION => Ok(Self(folder.to_path_buf())),
            Some(version) => Err(format!("{} is version {version}, tch needs {VERSION}", folder.display())),
            None => Err(format!("{} does not say its version (no build-version, no version.py)", folder.display())),
        }
    }

    /// The same, whatever version it is.
    pub fn of_any_version(folder: &Path) -> Result<Self, String> {
        match parts().into_iter().find(|part| !folder.join(part).exists()) {
            Some(part) => Err(format!("{} has no {part}", folder.display())),
            None => Ok(Self(folder.to_path_buf())),
        }
    }

    /// Where it is.
    pub fn folder(&self) -> &Path {
        &self.0
    }
}

/// The file that holds nearly all of libtorch.
pub fn main_library() -> String {
    format!("lib/{}torch_cpu{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX)
}

fn parts() -> [String; 2] {
    ["include/torch/csrc/api/include/torch/torch.h".to_owned(), main_library()]
}

/// `2.13.0` of `2.13.0+cpu`: from the file of the C++ archives, else from the file of the Python package.
fn version(folder: &Path) -> Option<String> {
    let archive = fs::read_to_string(folder.join("build-version")).ok();
    let full = archive.or_else(|| python_version(&fs::read_to_string(folder.join("version.py")).ok()?))?;
    let number = full.trim().split('+').next().unwrap_or_default();
    (!number.is_empty()).then(|| number.to_owned())
}

fn python_version(file: &str) -> Option<String> {
    let line = file.lines().find_map(|line| line.strip_prefix("__version__ = "))?;
    Some(line.trim().trim_matches(['\'', '"']).to_owned())
}

#[cfg(test)]
pub mod tests {
    use std::fs;
    use std::path::{Path, PathBuf};

    use super::{Libtorch, main_library};

    /// A new folder of this test alone.
    pub fn scratch(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("backstop-xtask-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).expect("the temporary folder can be written");
        folder
    }

    /// A folder that looks like libtorch.
    pub fn imitation(folder: &Path) {
        let header = folder.join("include/torch/csrc/api/include/torch");
        fs::create_dir_all(&header).expect("made");
        fs::write(header.join("torch.h"), "").expect("written");
        fs::create_dir_all(folder.join("lib")).expect("made");
        fs::write(folder.join(main_library()), "").expect("written");
    }

    #[test]
    fn an_archive_of_the_right_version_is_libtorch() {
        let folder = scratch("archive");
        imitation(&folder);
        fs::write(folder.join("build-version"), "2.13.0+cpu\n").expect("written");
        assert_eq!(Libtorch::at(&folder).expect("it is libtorch").folder(), folder);
    }

    #[test]
    fn a_python_package_says_its_version_in_version_py() {
        let folder = scratch("package");
        imitation(&folder);
        fs::write(folder.join("version.py"), "from typing import Optional\n__version__ = '2.12.1+cu130'\ndebug = False\n")
            .expect("written");
        let reason = Libtorch::at(&folder).expect_err("it is an older one");
        assert!(reason.contains("is version 2.12.1, tch needs 2.13.0"), "{reason}");
    }

    #[test]
    fn a_folder_without_headers_is_no_libtorch() {
        let folder = scratch("headers");
        imitation(&folder);
        fs::remove_dir_all(folder.join("include")).expect("removed");
        let reason = Libtorch::at(&folder).expect_err("the headers are missing");
        assert!(reason.contains("has no include/torch"), "{reason}");
    }

    #[test]
    fn a_folder_that_hides_its_version_is_taken_only_on_demand() {
        let folder = scratch("unknown");
        imitation(&folder);
        let reason = Libtorch::at(&folder).expect_err("the version is unknown");
        assert!(reason.contains("does not say its version"), "{reason}");
        assert!(Libtorch::of_any_version(&folder).is_ok());
    }
}
