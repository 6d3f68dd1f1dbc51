//! The sections of an ELF file on disk, read piece by piece: the symbols of a large library need not fit into memory.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// A 64-bit little-endian ELF file.
pub(super) struct Elf {
    file: File,
    sections: Vec<Section>,
}

/// A section as its header describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Section {
    name: String,
    kind: u32,
    flags: u64,
    offset: u64,
    pub(super) size: u64,
    link: usize,
}

/// More sections than any linker makes are no ELF file that is worth reading.
const SECTIONS: u64 = 4096;
const COMPRESSED: u64 = 0x800;

impl Elf {
    pub(super) fn open(path: &Path) -> Option<Self> {
        let file = File::open(path).ok()?;
        let mut header = [0; 64];
        file.read_exact_at(&mut header, 0).ok()?;
        if !header.starts_with(b"\x7fELF\x02\x01") {
            return None;
        }
        let (table, size, count, names) = (word(&header, 40)?, half(&header, 58)?, half(&header, 60)?, half(&header, 62)?);
        if size < 64 || count > SECTIONS {
            return None;
        }
        let mut bytes = vec![0; usize::try_from(size * count).ok()?];
        file.read_exact_at(&mut bytes, table).ok()?;
        let headers: Vec<&[u8]> = bytes.chunks_exact(usize::try_from(size).ok()?).collect();
        let strings = Section::parse(headers.get(usize::try_from(names).ok()?)?)?.1;
        let mut elf = Self { file, sections: Vec::with_capacity(headers.len()) };
        for header in headers {
            let (name, section) = Section::parse(header)?;
            let name = elf.text(&strings, u64::from(name)).unwrap_or_default();
            elf.sections.push(Section { name, ..section });
        }
        Some(elf)
    }

    pub(super) fn section(&self, name: &str) -> Option<&Section> {
        self.sections.iter().find(|section| section.name == name)
    }

    /// The section that another one refers to: the names of a symbol table.
    pub(super) fn linked(&self, section: &Section) -> Option<&Section> {
        self.sections.get(section.link)
    }

    /// The whole section; `None` of one that is compressed, has no content, or is larger than `limit`.
    pub(super) fn content(&self, section: &Section, limit: u64) -> Option<Vec<u8>> {
        const NO_BITS: u32 = 8;
        if section.flags & COMPRESSED != 0 || section.kind == NO_BITS || section.size > limit {
            return None;
        }
        let mut bytes = vec![0; usize::try_from(section.size).ok()?];
        self.file.read_exact_at(&mut bytes, section.offset).ok()?;
        Some(bytes)
    }

    /// Hands the entries of a table, `N` bytes each, to `each`.
    pub(super) fn entries<const N: usize>(&self, section: &Section, mut each: impl FnMut(&[u8; N])) {
        let mut chunk = vec![0; N * 4096];
        let mut at = 0;
        while at < section.size {
            let length = chunk.len().min(usize::try_from(section.size - at).unwrap_or(usize::MAX));
            if self.file.read_exact_at(&mut chunk[..length], section.offset + at).is_err() {
                return;
            }
            chunk[..length].as_chunks().0.iter().for_each(&mut each);
            at += length as u64;
        }
    }

    /// The string at `offset` of a section of strings, up to 4096 bytes.
    pub(super) fn text(&self, section: &Section, offset: u64) -> Option<String> {
        let mut bytes = [0; 4096];
        let limit = usize::try_from(section.size.checked_sub(offset)?).unwrap_or(usize::MAX).min(bytes.len());
        let mut length = 0;
        while length < limit && !bytes[..length].contains(&0) {
            let end = (length + 256).min(limit);
            match self.file.read_at(&mut bytes[length..end], section.offset.checked_add(offset)? + length as u64) {
                Ok(read) if read > 0 => length += read,
                _ => break,
            }
        }
        let end = bytes[..length].iter().position(|byte| *byte == 0).unwrap_or(length);
        Some(String::from_utf8_lossy(&bytes[..end]).into_owned())
    }
}

impl Section {
    /// A header, and where the name stands among the names.
    fn parse(header: &[u8]) -> Option<(u32, Self)> {
        let (kind, link) = (u32_at(header, 4)?, u32_at(header, 40)? as usize);
        let (flags, offset, size) = (word(header, 8)?, word(header, 24)?, word(header, 32)?);
        offset.checked_add(size)?;
        Some((u32_at(header, 0)?, Self { name: String::new(), kind, flags, offset, size, link }))
    }
}

pub(super) fn word(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

pub(super) fn half(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_program_has_symbols_and_their_names() {
        let elf = Elf::open(&std::env::current_exe().unwrap()).unwrap();
        let symbols = elf.section(".symtab").unwrap();
        let names = elf.linked(symbols).unwrap();
        let mut named = 0;
        elf.entries::<24>(symbols, |symbol| {
            if named < 10 && u32_at(symbol, 0) != Some(0) {
                named += usize::from(!elf.text(names, u64::from(u32_at(symbol, 0).unwrap())).unwrap().is_empty());
            }
        });
        assert_eq!(named, 10);
        assert!(elf.content(symbols, 10).is_none(), "larger than the limit");
    }

    #[test]
    fn what_is_no_elf_file_is_refused() {
        assert!(Elf::open(Path::new("/proc/self/status")).is_none());
        assert!(Elf::open(Path::new("/nowhere")).is_none());
    }
}
