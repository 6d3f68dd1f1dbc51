//! What the kernel says about one thread of this process, read without the heap.

use std::fmt;
use std::fs::File;
use std::io::Read;

use crate::text::Text;

/// Reads the file at `path` into `buffer`, as far as it fits.
pub(super) fn file<'a>(path: fmt::Arguments<'_>, buffer: &'a mut [u8]) -> Option<&'a [u8]> {
    // Opening a short path and reading take no memory from the heap.
    let mut file = File::open(Text::<64>::of(path).as_str()).ok()?;
    let mut length = 0;
    while length < buffer.len() {
        match file.read(&mut buffer[length..]) {
            Ok(0) => break,
            Ok(read) => length += read,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(_) => return None,
        }
    }
    Some(&buffer[..length])
}

/// The system call a thread is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Call {
    /// It runs, or the kernel does not say.
    Running,
    /// It is asleep: in the system call of this number, or with -1 elsewhere in the kernel (a page fault).
    Asleep { number: i64, stack: u64, code: u64 },
}

/// `/proc/self/task/TID/syscall`, as the kernel writes it.
pub(super) fn call(tid: i32) -> Option<Call> {
    let mut buffer = [0; 256];
    parse_call(file(format_args!("/proc/self/task/{tid}/syscall"), &mut buffer)?)
}

/// `7 0x1 0x2 0x3 0x4 0x5 0x6 SP PC`, `-1 SP PC` or `running`.
fn parse_call(line: &[u8]) -> Option<Call> {
    let line = std::str::from_utf8(line).ok()?.trim_end();
    if line == "running" {
        return Some(Call::Running);
    }
    let number = line.split(' ').next()?.parse().ok()?;
    let mut from_the_end = line.rsplit(' ').map(|word| u64::from_str_radix(word.strip_prefix("0x")?, 16).ok());
    let code = from_the_end.next()??;
    Some(Call::Asleep { number, stack: from_the_end.next()??, code })
}

/// The state of a thread by its letter: `R`, `S`, `D`, `T`, `t`, `Z`, `X`, `I`.
pub(super) fn state(tid: i32) -> Option<u8> {
    let mut buffer = [0; 512];
    parse_state(file(format_args!("/proc/self/task/{tid}/stat"), &mut buffer)?)
}

/// Behind the thread's name in brackets, which may hold spaces and brackets.
fn parse_state(line: &[u8]) -> Option<u8> {
    let name = line.iter().rposition(|byte| *byte == b')')?;
    line.get(name + 2).copied()
}

/// Where in the kernel a thread waits; empty where it does not, or the kernel does not tell.
pub(super) fn wchan(tid: i32) -> Text<48> {
    let mut buffer = [0; 48];
    match file(format_args!("/proc/self/task/{tid}/wchan"), &mut buffer) {
        Some(b"0") | None => Text::EMPTY,
        Some(name) => Text::from_bytes(name),
    }
}

/// The thread's name as the kernel has it: 15 bytes.
pub(super) fn name(tid: i32) -> Text<16> {
    let mut buffer = [0; 16];
    file(format_args!("/proc/self/task/{tid}/comm"), &mut buffer).map_or(Text::EMPTY, |name| Text::from_bytes(name.trim_ascii_end()))
}

/// Whether the thread blocks `signal`; `None` where the kernel does not say.
pub(super) fn blocks(tid: i32, signal: i32) -> Option<bool> {
    let mut buffer = [0; 4096];
    let status = file(format_args!("/proc/self/task/{tid}/status"), &mut buffer)?;
    let line = status.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(b"SigBlk:\t"))?;
    let mask = u64::from_str_radix(std::str::from_utf8(line).ok()?, 16).ok()?;
    Some(mask >> (signal - 1) & 1 == 1)
}

/// Calls `each` with every thread of this process.
pub(super) fn threads(mut each: impl FnMut(i32)) {
    let Ok(folder) = File::open("/proc/self/task") else { return };
    let mut buffer = [0_u64; 512];
    loop {
        use std::os::fd::AsRawFd;
        // SAFETY: the kernel writes whole entries into the buffer, which is aligned for them, and says how many bytes they are.
        let read = unsafe { libc::syscall(libc::SYS_getdents64, folder.as_raw_fd(), buffer.as_mut_ptr(), size_of_val(&buffer)) };
        let Some(length) = usize::try_from(read).ok().filter(|length| *length > 0) else { return };
        // SAFETY: so many bytes were written just now, and any bytes are bytes.
        let entries = unsafe { std::slice::from_raw_parts(buffer.as_ptr().cast::<u8>(), length) };
        numbers(entries).for_each(&mut each);
    }
}

/// The names in a list of directory entries that are numbers: 8 bytes inode, 8 bytes offset, 2 bytes length, 1 byte type, the name.
fn numbers(mut entries: &[u8]) -> impl Iterator<Item = i32> {
    std::iter::from_fn(move || {
        let length = usize::from(u16::from_le_bytes([*entries.get(16)?, *entries.get(17)?]));
        let (entry, rest) = entries.split_at_checked(length.max(19))?;
        entries = rest;
        let name = entry[19..].split(|byte| *byte == 0).next()?;
        Some(std::str::from_utf8(name).ok().and_then(|name| name.parse().ok()))
    })
    .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_system_call_is_read_as_the_kernel_writes_it() {
        let line = b"202 0x7f 0x80 0x2 0x0 0x0 0xffffffff 0x7ffd5a0 0x7f7e12\n";
        assert_eq!(parse_call(line), Some(Call::Asleep { number: 202, stack: 0x7ff_d5a0, code: 0x7f_7e12 }));
        assert_eq!(parse_call(b"-1 0x10 0x20\n"), Some(Call::Asleep { number: -1, stack: 0x10, code: 0x20 }));
        assert_eq!(parse_call(b"running\n"), Some(Call::Running));
        assert_eq!(parse_call(b""), None);
        assert_eq!(parse_call(b"12"), None);
    }

    #[test]
    fn a_thread_may_be_called_anything() {
        assert_eq!(parse_state(b"42 (a ) b (c)) S 1 42 42 0"), Some(b'S'));
        assert_eq!(parse_state(b"42 (cut"), None);
        assert_eq!(parse_state(b"42 (cut) "), None);
    }

    #[test]
    fn this_thread_is_among_those_of_the_process_and_runs() {
        // SAFETY: a plain question.
        let tid = unsafe { libc::gettid() };
        let mut found = false;
        threads(|thread| found |= thread == tid);
        assert!(found);
        assert_eq!(state(tid), Some(b'R'));
        // It is in the very call that asks.
        assert!(matches!(call(tid), Some(Call::Asleep { number: libc::SYS_read, .. })));
        assert_eq!(blocks(tid, libc::SIGUSR2), Some(false));
    }
}
