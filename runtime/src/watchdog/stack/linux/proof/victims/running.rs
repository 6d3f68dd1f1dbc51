//! Threads that run: in code of their own, in the heap, in the loader, in the kernel's page.

use std::ffi::{c_int, c_void};
use std::hint::black_box;
use std::ptr::null_mut;

use super::ready;

#[inline(never)]
pub(super) fn spinning() {
    ready();
    let mut number = 1_u64;
    loop {
        number = black_box(number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1));
    }
}

#[inline(never)]
pub(super) fn allocating() {
    ready();
    let mut kept: Vec<Vec<u8>> = (0..64).map(|_| Vec::new()).collect();
    let mut size = 1_usize;
    loop {
        size = (size * 7 + 11) % 100_003;
        kept[size % 64] = black_box(Vec::with_capacity(size));
    }
}

#[inline(never)]
pub(super) fn mapping() {
    ready();
    loop {
        // SAFETY: fresh pages that nobody else knows.
        unsafe {
            let pages = libc::mmap(null_mut(), 1 << 22, libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1, 0);
            pages.cast::<u8>().write_volatile(1);
            libc::munmap(pages, 1 << 22);
        }
    }
}

#[inline(never)]
pub(super) fn copying() {
    ready();
    let from = vec![1_u8; 1 << 20];
    let mut into = vec![0_u8; 1 << 20];
    loop {
        black_box(&mut into).copy_from_slice(black_box(&from));
    }
}

#[inline(never)]
pub(super) fn asking_the_time() {
    ready();
    loop {
        black_box(std::time::Instant::now());
    }
}

#[inline(never)]
pub(super) fn loading() {
    ready();
    loop {
        // SAFETY: a library of the system without effects of its own.
        unsafe {
            let library = libc::dlopen(c"libresolv.so.2".as_ptr(), libc::RTLD_NOW);
            assert!(!library.is_null());
            libc::dlclose(library);
        }
    }
}

#[inline(never)]
pub(super) fn iterating() {
    extern "C" fn each(_: *mut libc::dl_phdr_info, _: usize, _: *mut c_void) -> c_int {
        black_box(0)
    }
    ready();
    loop {
        // SAFETY: the function looks at nothing.
        unsafe { libc::dl_iterate_phdr(Some(each), null_mut()) };
    }
}

#[inline(never)]
pub(super) fn holding_the_loader() {
    extern "C" fn stuck(_: *mut libc::dl_phdr_info, _: usize, _: *mut c_void) -> c_int {
        spinning();
        0
    }
    // SAFETY: the function looks at nothing.
    unsafe { libc::dl_iterate_phdr(Some(stuck), null_mut()) };
    black_box(());
}

#[inline(never)]
pub(super) fn tracing() {
    ready();
    loop {
        drop(black_box(std::backtrace::Backtrace::force_capture()));
    }
}
