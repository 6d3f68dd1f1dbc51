//! Makes libtorch from the published wheels: fetch, unpack, try to load, put in place.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use super::libtorch::{self, Libtorch};
use super::pip::Pip;
use super::platform::Platform;
use super::python::Python;
use super::{VERSION, by_hand, cache, disk};
use crate::problem::{Done, Problem};
use crate::progress::Bar;

const UNPACK: &str = include_str!("unpack.py");

/// Loads the library and all it is linked with: a wheel too few, or one for another machine, shows here and not in a link error.
const LOAD: &str = "import ctypes, sys; ctypes.CDLL(sys.argv[1])";

/// Makes the copy, unless another run does so meanwhile.
pub fn once() -> Done<Libtorch> {
    locked(|cache, platform| match Libtorch::at(&cache::copy(cache, platform).join("torch")) {
        Ok(made_meanwhile) => Ok(made_meanwhile),
        Err(_) => make(cache, platform),
    })
}

/// Makes the copy, even where one is there.
pub fn again() -> Done<Libtorch> {
    locked(make)
}

/// One run at a time: the second waits for the first. The lock ends with the process that holds it.
fn locked(work: impl FnOnce(&Path, &Platform) -> Done<Libtorch>) -> Done<Libtorch> {
    let platform = Platform::here()?;
    let cache = cache::folder()?;
    fs::create_dir_all(&cache).map_err(|error| Problem::file("create", &cache, &error))?;
    let path = cache.join("setup.lock");
    let lock = File::create(&path).map_err(|error| Problem::file("create", &path, &error))?;
    if lock.try_lock().is_err() {
        println!("another set-up is at work in {}; waiting for it", cache.display());
        lock.lock().map_err(|error| Problem::file("lock", &path, &error))?;
    }
    work(&cache, platform)
}

fn make(cache: &Path, platform: &Platform) -> Done<Libtorch> {
    disk::check(cache)?;
    println!("making libtorch {VERSION} for {} in {}", platform.name(), cache.display());
    let work = cache.join("unfinished");
    remove(&work)?;
    let made = fetch_and_unpack(&work, platform).and_then(|unpacked| put_in_place(&unpacked, &cache::copy(cache, platform)));
    remove(&work)?;
    made
}

/// The whole folder appears in one step, so that no other run ever sees half of it.
fn put_in_place(unpacked: &Path, copy: &Path) -> Done<Libtorch> {
    remove(copy)?;
    fs::rename(unpacked, copy).map_err(|error| Problem::file("create", copy, &error))?;
    Libtorch::at(&copy.join("torch")).map_err(|reason| by_hand(format!("the wheels hold no libtorch: {reason}")))
}

fn fetch_and_unpack(work: &Path, platform: &Platform) -> Done<PathBuf> {
    let python = Python::find()?;
    let (wheels, unpacked) = (work.join("wheels"), work.join("unpacked"));
    fs::create_dir_all(&wheels).map_err(|error| Problem::file("create", &wheels, &error))?;
    let requirements = work.join("requirements.txt");
    fs::write(&requirements, platform.requirements()).map_err(|error| Problem::file("write", &requirements, &error))?;
    Pip::find(&python, work)?.download(platform, &requirements, &wheels)?;
    unpack(&python, &wheels, &unpacked)?;
    let torch = unpacked.join("torch");
    fs::write(torch.join("build-version"), VERSION).map_err(|error| Problem::file("write", &torch, &error))?;
    try_to_load(&python, &torch.join(libtorch::main_library()))?;
    Ok(unpacked)
}

/// Unpacks what C++ programs need; the program prints one percentage a line.
fn unpack(python: &Python, wheels: &Path, target: &Path) -> Done {
    let mut child = python
        .command()
        .args(["-c", UNPACK])
        .args([wheels, target])
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| Problem::new(format!("cannot start Python: {error}")))?;
    let mut bar = Bar::new("unpacking");
    if let Some(stdout) = child.stdout.take() {
        let percentages = BufReader::new(stdout).lines().map_while(Result::ok).filter_map(|line| line.parse().ok());
        percentages.for_each(|percent| bar.show(percent));
    }
    match child.wait() {
        Ok(status) if status.success() => Ok(()),
        _ => Err(by_hand("the wheels could not be unpacked; Python's own words are above")),
    }
}

fn try_to_load(python: &Python, library: &Path) -> Done {
    let output = python.command().args(["-c", LOAD]).arg(library).output();
    let output = output.map_err(|error| Problem::new(format!("cannot start Python: {error}")))?;
    if output.status.success() {
        return Ok(());
    }
    let words = String::from_utf8_lossy(&output.stderr);
    let reason = words.lines().last().unwrap_or("no reason given").to_owned();
    Err(by_hand(format!("the libtorch that was made does not load here: {reason}")))
}

fn remove(folder: &Path) -> Done {
    match fs::remove_dir_all(folder) {
        Err(error) if folder.exists() => Err(Problem::file("remove", folder, &error)),
        _ => Ok(()),
    }
}
