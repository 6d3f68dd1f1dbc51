//! Reading this process's own memory so that an address which is not mapped, or no longer, is an answer and not a fault.

use std::cell::RefCell;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::OnceLock;

/// How memory is read here; found out once.
pub(super) enum Way {
    /// `process_vm_readv`, which is always allowed on the own process unless a filter forbids the call itself.
    Call,
    /// `/proc/self/mem`, where such a filter stands.
    File(File),
    /// Not at all.
    Closed,
}

/// The way that works in this process.
pub(super) fn way() -> &'static Way {
    static WAY: OnceLock<Way> = OnceLock::new();
    WAY.get_or_init(|| {
        let probe = 0x5ca1_ab1e_u64;
        let address = &raw const probe as u64;
        let mut read = [0; 8];
        if by_call(address, &mut read) == 8 {
            return Way::Call;
        }
        match File::open("/proc/self/mem") {
            Ok(file) if by_file(&file, address, &mut read) == 8 => Way::File(file),
            _ => Way::Closed,
        }
    })
}

/// Copies memory from `address` on; how many bytes could be read, from the first on.
pub(super) fn read(address: u64, into: &mut [u8]) -> usize {
    match way() {
        Way::Call => by_call(address, into),
        Way::File(file) => by_file(file, address, into),
        Way::Closed => 0,
    }
}

fn by_call(address: u64, into: &mut [u8]) -> usize {
    let local = libc::iovec { iov_base: into.as_mut_ptr().cast(), iov_len: into.len() };
    let remote = libc::iovec { iov_base: address as *mut libc::c_void, iov_len: into.len() };
    // SAFETY: `local` is a buffer of ours that is borrowed for the call; the kernel checks `remote` and reads it only.
    let read = unsafe { libc::process_vm_readv(libc::getpid(), &raw const local, 1, &raw const remote, 1, 0) };
    usize::try_from(read).unwrap_or(0)
}

fn by_file(file: &File, address: u64, into: &mut [u8]) -> usize {
    file.read_at(into, address).unwrap_or(0)
}

const PAGE: usize = 4096;
const PAGES: usize = 128;

/// The pages read last: unwinding looks at the same few again and again.
pub(super) struct Pages(RefCell<Kept>);

struct Kept {
    /// The page number plus one; 0 where the place is empty.
    numbers: [u64; PAGES],
    bytes: Vec<u8>,
}

impl Pages {
    pub(super) fn new() -> Self {
        Self(RefCell::new(Kept { numbers: [0; PAGES], bytes: vec![0; PAGES * PAGE] }))
    }

    /// Forgets what was read: the memory may have changed.
    pub(super) fn forget(&self) {
        if let Ok(mut kept) = self.0.try_borrow_mut() {
            kept.numbers = [0; PAGES];
        }
    }

    /// Fills `into` from `address` on; `None` where not all of it is mapped.
    pub(super) fn read(&self, address: u64, into: &mut [u8]) -> Option<()> {
        let mut kept = self.0.try_borrow_mut().ok()?;
        let mut done = 0;
        while done < into.len() {
            let at = address.checked_add(done as u64)?;
            let page = kept.page(at / PAGE as u64)?;
            let start = (at % PAGE as u64) as usize;
            let length = (PAGE - start).min(into.len() - done);
            into[done..done + length].copy_from_slice(&page[start..start + length]);
            done += length;
        }
        Some(())
    }

    /// The eight bytes at `address`.
    pub(super) fn word(&self, address: u64) -> Option<u64> {
        let mut bytes = [0; 8];
        self.read(address, &mut bytes)?;
        Some(u64::from_le_bytes(bytes))
    }
}

impl Kept {
    fn page(&mut self, number: u64) -> Option<&[u8]> {
        let place = (number % PAGES as u64) as usize;
        let page = &mut self.bytes[place * PAGE..(place + 1) * PAGE];
        if self.numbers[place] != number + 1 {
            self.numbers[place] = 0;
            if read(number * PAGE as u64, page) != PAGE {
                return None;
            }
            self.numbers[place] = number + 1;
        }
        Some(page)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_and_a_hole_is_an_answer() {
        let words = [7_u64; 2000];
        let (address, pages) = (words.as_ptr() as u64, Pages::new());
        assert_eq!(pages.word(address + 8 * 1999), Some(7));
        assert_eq!(pages.word(0), None);
        assert_eq!(pages.word(u64::MAX - 3), None);
        assert_eq!(read(8, &mut [0; 16]), 0);
    }

    #[test]
    fn both_ways_read_the_same() {
        let word = 0x1234_5678_u64;
        let (mut by_the_call, mut by_the_file) = ([0; 8], [0; 8]);
        assert_eq!(by_call(&raw const word as u64, &mut by_the_call), 8);
        assert_eq!(by_file(&File::open("/proc/self/mem").unwrap(), &raw const word as u64, &mut by_the_file), 8);
        assert_eq!((by_the_call, by_the_file), (word.to_le_bytes(), word.to_le_bytes()));
    }

    #[test]
    fn a_copy_that_runs_into_a_hole_has_what_was_before_it() {
        // SAFETY: two fresh pages, the second one given back at once; nobody else knows them.
        let page = unsafe {
            let pages = libc::mmap(std::ptr::null_mut(), 2 * PAGE, libc::PROT_READ, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1, 0);
            libc::munmap(pages.byte_add(PAGE), PAGE);
            pages
        };
        assert_eq!(read(page as u64 + 100, &mut [1; 2 * PAGE]), PAGE - 100);
        // SAFETY: the page from above.
        unsafe { libc::munmap(page, PAGE) };
    }
}
