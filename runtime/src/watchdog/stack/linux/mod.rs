//! How a stack is captured on Linux.
//!
//! Looking never stops a thread for longer than it takes to copy its stack, and takes no lock that the thread may hold:
//!
//! 1. `sampler`: a thread of our own is asked about a thread (`procfs` lists them, and says what each does);
//! 2. `capture`: one that is asleep is read from outside (`procfs` has its stack pointer, `memory` copies the stack); one that runs is sent
//!    a signal, whose handler copies registers and stack and nothing else (`signal`, `handler`);
//! 3. `unwind`: the callers are found in the copy, by the unwind tables in memory (`cfi`, `maps`, `rules`), and without tables by frame
//!    pointers and call instructions (`guess`, `code`); all of that without the heap, into a `shot`;
//! 4. `tell`: another thread of ours looks up names (`names`), then lines (`lines`), each from the files (`elf`), and tells the report.

mod answers;
mod capture;
mod cfi;
mod code;
mod elf;
mod guess;
mod handler;
mod lines;
mod maps;
mod memory;
mod names;
mod procfs;
#[cfg(test)]
mod proof;
mod rules;
mod sampler;
mod shot;
mod signal;
mod syscalls;
mod tell;
mod unwind;

pub(super) use sampler::{request, start};
