//! Source files and lines, and the functions that were inlined, from the debug information of the program and its libraries.
//!
//! The second phase: it may take as long as the debug information is large, so nobody waits for it beyond a deadline.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use addr2line::Context;
use gimli::{DwarfSections, EndianSlice, LittleEndian, SectionId};

use super::elf::Elf;
use super::names::readable;

/// Debug information beyond this is not read.
const LARGEST: u64 = 512 * 1024 * 1024;
/// Addresses that are remembered; then all are forgotten.
const REMEMBERED: usize = 4096;

/// A place in the source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) function: Option<String>,
    pub(super) file: Option<String>,
    pub(super) line: Option<u32>,
}

/// The places found so far, by file and address in it; the innermost inlined function first, the real one last.
#[derive(Default)]
pub(super) struct Lines(HashMap<PathBuf, HashMap<u64, Vec<Place>>>);

impl Lines {
    /// Looks the addresses of one file up that are not known yet, until the deadline.
    pub(super) fn learn(&mut self, path: &Path, addresses: impl Iterator<Item = u64>, deadline: Instant) {
        if self.0.values().map(HashMap::len).sum::<usize>() > REMEMBERED {
            self.0.clear();
        }
        let known = self.0.entry(path.to_owned()).or_default();
        let unknown: Vec<u64> = addresses.filter(|address| !known.contains_key(address)).collect();
        if !unknown.is_empty() && Instant::now() < deadline {
            look_up(path, &unknown, deadline, known);
        }
    }

    pub(super) fn of(&self, path: &Path, address: u64) -> &[Place] {
        self.0.get(path).and_then(|known| known.get(&address)).map_or(&[], Vec::as_slice)
    }
}

fn look_up(path: &Path, addresses: &[u64], deadline: Instant, known: &mut HashMap<u64, Vec<Place>>) {
    let sections = sections(path);
    let context = sections.as_ref().and_then(|sections| {
        let dwarf = sections.borrow(|bytes| EndianSlice::new(bytes, LittleEndian));
        Context::from_dwarf(dwarf).ok()
    });
    for address in addresses {
        if Instant::now() >= deadline {
            return;
        }
        known.insert(*address, context.as_ref().map(|context| places(context, *address)).unwrap_or_default());
    }
}

/// What of the debug information is needed; `None` without any, and of too much.
fn sections(path: &Path) -> Option<DwarfSections<Vec<u8>>> {
    const NEEDED: [SectionId; 10] = [
        SectionId::DebugAbbrev,
        SectionId::DebugAddr,
        SectionId::DebugAranges,
        SectionId::DebugInfo,
        SectionId::DebugLine,
        SectionId::DebugLineStr,
        SectionId::DebugRanges,
        SectionId::DebugRngLists,
        SectionId::DebugStr,
        SectionId::DebugStrOffsets,
    ];
    let elf = Elf::open(path)?;
    elf.section(SectionId::DebugInfo.name())?;
    let size: u64 = NEEDED.iter().filter_map(|id| elf.section(id.name())).map(|section| section.size).sum();
    if size > LARGEST {
        return None;
    }
    let content = |id: SectionId| elf.section(id.name()).filter(|_| NEEDED.contains(&id)).and_then(|section| elf.content(section, LARGEST));
    DwarfSections::load(|id| Ok::<_, gimli::Error>(content(id).unwrap_or_default())).ok()
}

fn places(context: &Context<EndianSlice<'_, LittleEndian>>, address: u64) -> Vec<Place> {
    let mut places = Vec::new();
    let Ok(mut frames) = context.find_frames(address).skip_all_loads() else { return places };
    while let Ok(Some(frame)) = frames.next() {
        let function = frame.function.and_then(|function| Some(readable(&function.raw_name().ok()?)));
        let (file, line) = frame.location.map_or((None, None), |location| (location.file.map(short), location.line));
        places.push(Place { function, file, line });
    }
    places
}

/// Without where Rust was built, and where cargo keeps the sources of a crate.
fn short(file: &str) -> String {
    let after = |place: &str| file.split_once(place).and_then(|(_, rest)| rest.split_once('/')).map(|(_, rest)| rest);
    after("/rustc/").or_else(|| after("/registry/src/")).unwrap_or(file).to_owned()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn learnt(deadline: Instant) -> (Lines, PathBuf, u64) {
        let exe = std::env::current_exe().unwrap();
        let here = look_up as fn(&Path, &[u64], Instant, &mut HashMap<u64, Vec<Place>>) as usize as u64;
        let (mut maps, pages) = (super::super::maps::Maps::new(), super::super::memory::Pages::new());
        maps.refresh();
        let address = here - super::super::maps::headers(&pages, maps.find(here).unwrap().base).unwrap().bias;
        let mut lines = Lines::default();
        lines.learn(&exe, [address].into_iter(), deadline);
        (lines, exe, address)
    }

    #[test]
    #[cfg_attr(not(debug_assertions), ignore = "needs line tables")]
    fn a_line_of_this_file_is_found() {
        let (lines, exe, address) = learnt(Instant::now() + Duration::from_secs(60));
        let place = lines.of(&exe, address).last().unwrap();
        assert!(place.file.as_deref().unwrap().ends_with("watchdog/stack/linux/lines.rs"), "{place:?}");
        assert!(place.line.is_some());
    }

    #[test]
    fn past_its_deadline_nothing_is_read() {
        let (lines, exe, address) = learnt(Instant::now());
        assert_eq!(lines.of(&exe, address), []);
    }

    #[test]
    fn where_something_was_built_is_left_away() {
        assert_eq!(short("/rustc/0123abcd/library/std/src/thread.rs"), "library/std/src/thread.rs");
        assert_eq!(short("/home/me/.cargo/registry/src/index-0123abcd/tokio-1.54.1/src/lib.rs"), "tokio-1.54.1/src/lib.rs");
        assert_eq!(short("/home/me/src/main.rs"), "/home/me/src/main.rs");
    }
}
