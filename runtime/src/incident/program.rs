//! Which program this is: what one needs to find the source and the symbols of a report.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::OnceLock;

/// The program that an incident happened in.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Program {
    /// The file name of the executable.
    pub name: String,
    /// The process id.
    pub pid: u32,
    /// The name of the host.
    pub host: Option<String>,
    /// The linker's build id in hexadecimal, where the executable has one.
    pub build_id: Option<String>,
    /// The version of this library.
    pub backstop: &'static str,
    /// The compiler that built it.
    pub rustc: &'static str,
    /// The release of the operating system's kernel.
    pub kernel: Option<String>,
    /// Operating system and architecture.
    pub platform: &'static str,
    /// Whether debug assertions are on.
    pub debug: bool,
}

impl Program {
    /// Which of the running copies of the program it is: host and process.
    #[cfg(feature = "webhook")]
    pub(crate) fn instance(&self) -> String {
        format!("{}:{}", self.host.as_deref().unwrap_or("localhost"), self.pid)
    }
}

/// This program; read once.
pub(super) fn program() -> Program {
    static PROGRAM: OnceLock<Program> = OnceLock::new();
    PROGRAM.get_or_init(read).clone()
}

fn read() -> Program {
    let path = std::env::current_exe().ok();
    let name = path.as_deref().and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned());
    Program {
        name: name.unwrap_or_else(|| "unknown".to_owned()),
        pid: std::process::id(),
        build_id: path.as_deref().and_then(build_id_of),
        host: kernel("hostname"),
        backstop: env!("CARGO_PKG_VERSION"),
        rustc: env!("BACKSTOP_RUSTC"),
        kernel: kernel("osrelease"),
        platform: platform(),
        debug: cfg!(debug_assertions),
    }
}

/// What Linux says about itself; elsewhere nothing.
fn kernel(what: &str) -> Option<String> {
    let text = std::fs::read_to_string(Path::new("/proc/sys/kernel").join(what)).ok()?;
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

fn platform() -> &'static str {
    static PLATFORM: OnceLock<String> = OnceLock::new();
    PLATFORM.get_or_init(|| format!("{} {}", std::env::consts::OS, std::env::consts::ARCH))
}

fn build_id_of(path: &Path) -> Option<String> {
    // Linkers put the notes right behind the headers.
    let mut start = Vec::new();
    File::open(path).ok()?.take(64 * 1024).read_to_end(&mut start).ok()?;
    build_id(&start)
}

/// The build id of a 64-bit little-endian ELF file, from its first bytes.
fn build_id(elf: &[u8]) -> Option<String> {
    const PT_NOTE: u32 = 4;
    if !elf.starts_with(b"\x7fELF\x02\x01") {
        return None;
    }
    let (headers, size, count) = (word(elf, 32)?, half(elf, 54)?, half(elf, 56)?);
    (0..count).find_map(|index| {
        let header = elf.get(headers.checked_add(index.checked_mul(size)?)?..)?;
        let notes = (u32_at(header, 0)? == PT_NOTE).then(|| span(elf, word(header, 8)?, word(header, 32)?))??;
        note(notes)
    })
}

/// The description of the first `NT_GNU_BUILD_ID` note.
fn note(mut notes: &[u8]) -> Option<String> {
    const NT_GNU_BUILD_ID: u32 = 3;
    loop {
        let (name, description) = (usize::try_from(u32_at(notes, 0)?).ok()?, usize::try_from(u32_at(notes, 4)?).ok()?);
        let body = 12_usize.checked_add(name.checked_next_multiple_of(4)?)?;
        let found = span(notes, body, description)?;
        if u32_at(notes, 8)? == NT_GNU_BUILD_ID && span(notes, 12, name)? == b"GNU\0" {
            return Some(found.iter().map(|byte| format!("{byte:02x}")).collect());
        }
        notes = notes.get(body.checked_add(description.checked_next_multiple_of(4)?)?..)?;
    }
}

fn span(bytes: &[u8], start: usize, length: usize) -> Option<&[u8]> {
    bytes.get(start..start.checked_add(length)?)
}

fn word(bytes: &[u8], at: usize) -> Option<usize> {
    usize::try_from(u64::from_le_bytes(span(bytes, at, 8)?.try_into().ok()?)).ok()
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(span(bytes, at, 4)?.try_into().ok()?))
}

fn half(bytes: &[u8], at: usize) -> Option<usize> {
    Some(usize::from(u16::from_le_bytes(span(bytes, at, 2)?.try_into().ok()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An ELF file of one program header and two notes.
    fn elf() -> Vec<u8> {
        let mut elf = vec![0; 64 + 56];
        elf[..6].copy_from_slice(b"\x7fELF\x02\x01");
        elf[32] = 64;
        elf[54] = 56;
        elf[56] = 1;
        let notes: Vec<u8> =
            [&b"\x04\0\0\0\x02\0\0\0\x01\0\0\0GNU\0\xff\xff\0\0"[..], &b"\x04\0\0\0\x03\0\0\0\x03\0\0\0GNU\0\xab\x01\xef\0"[..]].concat();
        elf[64] = 4;
        elf[64 + 8] = 120;
        elf[64 + 32] = u8::try_from(notes.len()).unwrap();
        elf.extend(notes);
        elf
    }

    #[test]
    fn the_build_id_is_found_among_other_notes() {
        assert_eq!(build_id(&elf()).as_deref(), Some("ab01ef"));
    }

    #[test]
    fn a_cut_or_foreign_file_has_no_build_id() {
        let whole = elf();
        for length in 0..whole.len() - 1 {
            assert_eq!(build_id(&whole[..length]), None, "{length} bytes");
        }
        assert_eq!(build_id(b"MZ"), None);
    }
}
