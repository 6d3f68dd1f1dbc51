//! `.libtorch` in the repository: the one path that cargo's configuration, torch-sys and the built programs know.

use std::fs;
use std::io;
use std::path::Path;

use super::libtorch::Libtorch;
use crate::problem::{Done, Problem};
use crate::workspace;

/// What the link points at now, if that is the right libtorch.
pub fn current() -> Option<Libtorch> {
    Libtorch::at(&workspace::root().join(workspace::LINK)).ok()
}

/// Makes `link` point at `libtorch`; a link that does already is left alone.
pub fn point_at(libtorch: &Libtorch, link: &Path) -> Done {
    let same = fs::read_link(link).is_ok_and(|target| target == libtorch.folder());
    if same || libtorch.folder() == link {
        return Ok(());
    }
    match fs::symlink_metadata(link) {
        Ok(found) if !found.is_symlink() => {
            return Err(Problem::new(format!("{} is not a link, so it is left alone", link.display()))
                .help("move it elsewhere and name it: LIBTORCH=/path/to/it cargo xtask setup"));
        }
        Ok(_) => fs::remove_file(link).map_err(|error| Problem::file("replace", link, &error))?,
        Err(_) => {}
    }
    symlink(libtorch.folder(), link).map_err(|error| Problem::file("link", link, &error))
}

#[cfg(unix)]
fn symlink(target: &Path, link: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(target, link)
}

#[cfg(windows)]
fn symlink(target: &Path, link: &Path) -> io::Result<()> {
    std::os::windows::fs::symlink_dir(target, link)
}

#[cfg(all(test, unix))]
mod tests {
    use std::fs;

    use super::super::libtorch::{Libtorch, tests::imitation, tests::scratch};
    use super::point_at;

    fn libtorch(folder: &std::path::Path) -> Libtorch {
        imitation(folder);
        Libtorch::of_any_version(folder).expect("the imitation is complete")
    }

    #[test]
    fn a_link_to_another_libtorch_is_replaced() {
        let folder = scratch("replaced");
        let (first, second, link) = (folder.join("first"), folder.join("second"), folder.join("link"));
        point_at(&libtorch(&first), &link).expect("linked");
        point_at(&libtorch(&second), &link).expect("linked again");
        assert_eq!(fs::read_link(&link).expect("it is a link"), second);
    }

    #[test]
    fn a_dangling_link_is_replaced() {
        let folder = scratch("dangling");
        let (gone, there, link) = (folder.join("gone"), folder.join("there"), folder.join("link"));
        std::os::unix::fs::symlink(&gone, &link).expect("linked");
        point_at(&libtorch(&there), &link).expect("linked again");
        assert_eq!(fs::read_link(&link).expect("it is a link"), there);
    }

    #[test]
    fn a_folder_in_the_place_of_the_link_is_left_alone() {
        let folder = scratch("folder");
        let (there, link) = (folder.join("there"), folder.join("link"));
        fs::create_dir(&link).expect("made");
        let problem = point_at(&libtorch(&there), &link).expect_err("it is a folder").to_string();
        assert!(problem.contains("is not a link"), "{problem}");
        assert!(link.is_dir());
    }
}
