//! What the standard library does not offer for a program that was started.

use std::os::fd::AsRawFd;
use std::process::Child;

/// Makes this end of a pipe answer at once; the other end stays as it is. Whether that went well.
pub(super) fn never_waits(pipe: &impl AsRawFd) -> bool {
    let file = pipe.as_raw_fd();
    // SAFETY: two plain system calls on a file that `pipe` keeps open; no memory is handed over.
    unsafe { libc::fcntl(file, libc::F_SETFL, libc::fcntl(file, libc::F_GETFL) | libc::O_NONBLOCK) == 0 }
}

/// Kills a program that nobody has waited for, and all of its group, which is named after it.
pub(super) fn kill_group(leader: &Child) {
    if let Ok(group) = libc::pid_t::try_from(leader.id()) {
        // SAFETY: a plain system call; until somebody waits for the program its number is nobody else's.
        unsafe { libc::kill(-group, libc::SIGKILL) };
    }
}
