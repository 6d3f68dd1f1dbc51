//! The folder outside `target/` where the copy of libtorch is kept for later runs.

use std::env;
use std::path::{Path, PathBuf};

use super::VERSION;
use super::libtorch::Libtorch;
use super::platform::Platform;
use crate::problem::{Done, Problem};

/// `$XDG_CACHE_HOME/backstop`, else the system's usual place for caches.
pub fn folder() -> Done<PathBuf> {
    let xdg = env::var_os("XDG_CACHE_HOME").map(PathBuf::from).filter(|folder| folder.is_absolute());
    let home = env::var_os("HOME").map(PathBuf::from);
    under(xdg, home, cfg!(target_os = "macos")).ok_or_else(|| {
        Problem::new("there is no place to keep libtorch: neither XDG_CACHE_HOME nor HOME is set")
            .help("XDG_CACHE_HOME=/path cargo xtask setup")
    })
}

fn under(xdg: Option<PathBuf>, home: Option<PathBuf>, mac: bool) -> Option<PathBuf> {
    let usual = if mac { "Library/Caches" } else { ".cache" };
    Some(xdg.or_else(|| Some(home?.join(usual)))?.join("backstop"))
}

/// Where the copy for this platform lies: the whole folder appears in one step, when everything in it has been checked.
pub fn copy(cache: &Path, platform: &Platform) -> PathBuf {
    cache.join(format!("libtorch-{VERSION}-{}", platform.name()))
}

/// The copy that an earlier run made.
pub fn made_before() -> Done<Option<Libtorch>> {
    let Ok(platform) = Platform::here() else { return Ok(None) };
    Ok(Libtorch::at(&copy(&folder()?, platform).join("torch")).ok())
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::under;

    #[test]
    fn the_cache_lies_where_the_system_keeps_caches() {
        let home = || Some(PathBuf::from("/home/ada"));
        assert_eq!(under(None, home(), false).as_deref(), Some(Path::new("/home/ada/.cache/backstop")));
        assert_eq!(under(None, home(), true).as_deref(), Some(Path::new("/home/ada/Library/Caches/backstop")));
        assert_eq!(under(Some("/big".into()), home(), true).as_deref(), Some(Path::new("/big/backstop")));
        assert_eq!(under(None, None, false), None);
    }
}
