//! What code is mapped where: `/proc/self/maps`, read into memory that was set aside beforehand.

use std::fs::File;
use std::io::Read;

use super::memory::Pages;

/// Executable mappings that are kept; a process with PyTorch has about two hundred.
const REGIONS: usize = 1024;
/// For their paths.
const NAMES: usize = 64 * 1024;
/// A line of the file is shorter: the longest path is 4096 bytes.
const LINE: usize = 8 * 1024;

/// A piece of memory that may be executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Region {
    pub(super) start: u64,
    pub(super) end: u64,
    /// Where the file that it comes from begins in memory; 0 of code without a file.
    pub(super) base: u64,
    name: (usize, usize),
}

/// All executable mappings of this process.
pub(super) struct Maps {
    regions: Vec<Region>,
    names: Vec<u8>,
    buffer: Vec<u8>,
}

impl Maps {
    pub(super) fn new() -> Self {
        Self { regions: Vec::with_capacity(REGIONS), names: Vec::with_capacity(NAMES), buffer: vec![0; 2 * LINE] }
    }

    /// Reads the mappings anew.
    pub(super) fn refresh(&mut self) {
        self.regions.clear();
        self.names.clear();
        if let Ok(mut file) = File::open("/proc/self/maps") {
            self.read(&mut file);
        }
    }

    fn read(&mut self, file: &mut impl Read) {
        let mut buffer = std::mem::take(&mut self.buffer);
        let (mut base, mut used) = (Base::default(), 0);
        loop {
            let read = match file.read(&mut buffer[used..]) {
                Ok(read) => read,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(_) => 0,
            };
            if read == 0 {
                break;
            }
            used += read;
            let whole = buffer[..used].iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
            for line in buffer[..whole].split(|byte| *byte == b'\n') {
                if let Some(mapping) = Mapping::parse(line) {
                    self.keep(&mapping, &mut base);
                }
            }
            buffer.copy_within(whole..used, 0);
            used -= whole;
            // A line longer than any path: what follows cannot be understood.
            if used == buffer.len() {
                break;
            }
        }
        self.buffer = buffer;
    }

    fn keep(&mut self, mapping: &Mapping<'_>, base: &mut Base) {
        base.see(mapping);
        let fits = self.regions.len() < REGIONS && self.names.len() + mapping.name.len() <= NAMES;
        if !mapping.executable || !fits {
            return;
        }
        let name = match self.regions.last().map(|last| last.name) {
            Some((start, end)) if self.names.get(start..end) == Some(mapping.name) => (start, end),
            _ => {
                self.names.extend_from_slice(mapping.name);
                (self.names.len() - mapping.name.len(), self.names.len())
            }
        };
        self.regions.push(Region { start: mapping.start, end: mapping.end, base: base.of(mapping), name });
    }

    /// The mapping that holds the code at `address`.
    pub(super) fn find(&self, address: u64) -> Option<&Region> {
        let after = self.regions.partition_point(|region| region.start <= address);
        self.regions.get(after.checked_sub(1)?).filter(|region| address < region.end)
    }

    /// The path of a mapping's file, `[vdso]`, or nothing.
    pub(super) fn name(&self, region: &Region) -> &[u8] {
        self.names.get(region.name.0..region.name.1).unwrap_or_default()
    }
}

/// One line.
#[derive(Debug, PartialEq, Eq)]
struct Mapping<'a> {
    start: u64,
    end: u64,
    executable: bool,
    offset: u64,
    /// Device and inode; the inode 0 is no file.
    device: &'a [u8],
    inode: u64,
    name: &'a [u8],
}

impl<'a> Mapping<'a> {
    /// `7f00-7f10 r-xp 00001000 08:01 123   /usr/lib/libc.so.6`
    fn parse(line: &'a [u8]) -> Option<Self> {
        let (range, rest) = word(line)?;
        let (permissions, rest) = word(rest)?;
        let (offset, rest) = word(rest)?;
        let (device, rest) = word(rest)?;
        let (inode, name) = word(rest)?;
        let dash = range.iter().position(|byte| *byte == b'-')?;
        Some(Self {
            start: hex(&range[..dash])?,
            end: hex(&range[dash + 1..])?,
            executable: permissions.get(2) == Some(&b'x'),
            offset: hex(offset)?,
            device,
            inode: std::str::from_utf8(inode).ok()?.parse().ok()?,
            name: name.trim_ascii_start(),
        })
    }
}

/// Where the file whose mappings are being read begins.
#[derive(Default)]
struct Base {
    device: [u8; 16],
    inode: u64,
    start: u64,
}

impl Base {
    fn see(&mut self, mapping: &Mapping<'_>) {
        // The last beginning counts: who reads a library has its file mapped once more.
        if mapping.inode != 0 && mapping.offset == 0 {
            let length = mapping.device.len().min(16);
            *self = Self { device: [0; 16], inode: mapping.inode, start: mapping.start };
            self.device[..length].copy_from_slice(&mapping.device[..length]);
        }
    }

    fn is(&self, mapping: &Mapping<'_>) -> bool {
        self.inode == mapping.inode && self.device.starts_with(mapping.device)
    }

    fn of(&self, mapping: &Mapping<'_>) -> u64 {
        match mapping.inode {
            0 if mapping.name == b"[vdso]" => mapping.start,
            0 => 0,
            _ if self.is(mapping) => self.start,
            _ => 0,
        }
    }
}

fn word(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = text.iter().position(|byte| *byte == b' ').unwrap_or(text.len());
    (end > 0).then(|| (&text[..end], text.get(end + 1..).unwrap_or_default()))
}

fn hex(text: &[u8]) -> Option<u64> {
    u64::from_str_radix(std::str::from_utf8(text).ok()?, 16).ok()
}

/// What the headers of a mapped ELF file say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Headers {
    /// What to take from an address to get the one in the file.
    pub(super) bias: u64,
    /// Where `.eh_frame_hdr` lies in memory; 0 without one.
    pub(super) unwinding: u64,
}

/// Reads the headers of the file that begins at `base`.
pub(super) fn headers(pages: &Pages, base: u64) -> Option<Headers> {
    const LOAD: u32 = 1;
    const EH_FRAME: u32 = 0x6474_e550;
    let mut header = [0; 64];
    pages.read(base, &mut header)?;
    if !header.starts_with(b"\x7fELF\x02\x01") {
        return None;
    }
    let (table, size, count) = (word_at(&header, 32)?, half_at(&header, 54)?, half_at(&header, 56)?);
    let (mut first, mut unwinding) = (None, None);
    for index in 0..count {
        let mut entry = [0; 56];
        pages.read(base.wrapping_add(table).wrapping_add(index * size), &mut entry)?;
        let kind = u32::from_le_bytes([entry[0], entry[1], entry[2], entry[3]]);
        let address = word_at(&entry, 16)?;
        if kind == LOAD && first.is_none() {
            first = Some(address & !4095);
        } else if kind == EH_FRAME {
            unwinding = Some(address);
        }
    }
    let bias = base.wrapping_sub(first?);
    Some(Headers { bias, unwinding: unwinding.map_or(0, |address| bias.wrapping_add(address)) })
}

fn word_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

fn half_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAPS: &[u8] = b"\
        1000-2000 r--p 00000000 08:01 5                          /a path/program\n\
        2000-4000 r-xp 00001000 08:01 5                          /a path/program\n\
        4000-5000 rw-p 00003000 08:01 5                          /a path/program\n\
        8000-9000 r-xp 00000000 00:00 0 \n\
        9000-a000 r--p 00000000 08:01 6                          /lib/x.so (deleted)\n\
        a000-b000 r--p 00000000 08:01 6                          /lib/x.so (deleted)\n\
        b000-c000 r-xp 00001000 08:01 6                          /lib/x.so (deleted)\n\
        e000-f000 r-xp 00000000 00:00 0                          [vdso]\n";

    /// Gives a few bytes at a time.
    struct Dripping<'a>(&'a [u8]);

    impl Read for Dripping<'_> {
        fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
            let length = self.0.len().min(7).min(into.len());
            into[..length].copy_from_slice(&self.0[..length]);
            self.0 = &self.0[length..];
            Ok(length)
        }
    }

    #[test]
    fn code_is_found_with_the_start_of_its_file() {
        let mut maps = Maps::new();
        maps.read(&mut Dripping(MAPS));
        let find = |address| maps.find(address).map(|region| (region.base, String::from_utf8_lossy(maps.name(region)).into_owned()));
        assert_eq!(find(0x1fff), None);
        assert_eq!(find(0x2000), Some((0x1000, "/a path/program".to_owned())));
        assert_eq!(find(0x4000), None);
        assert_eq!(find(0x8800), Some((0, String::new())));
        assert_eq!(find(0xbfff), Some((0xa000, "/lib/x.so (deleted)".to_owned())));
        assert_eq!(find(0xe001), Some((0xe000, "[vdso]".to_owned())));
        assert_eq!(find(u64::MAX), None);
    }

    #[test]
    fn this_program_is_mapped_and_has_unwind_tables() {
        let (mut maps, pages) = (Maps::new(), Pages::new());
        maps.refresh();
        let here = this_program_is_mapped_and_has_unwind_tables as fn() as usize as u64;
        let region = maps.find(here).unwrap();
        let headers = headers(&pages, region.base).unwrap();
        assert!(headers.unwinding > region.base);
        assert!(headers.bias <= region.base);
    }
}
