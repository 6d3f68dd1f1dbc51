//! The callers of code that the unwind tables do not know, or not enough of: by frame pointers, by what a function's first instructions did,
//! and at last by looking for return addresses.

use gimli::X86_64;

use super::code;
use super::unwind::{Caller, Place, Step};
use crate::incident::Trust;

/// Words that are searched for a return address where nothing else is known.
const SCANNED: u64 = 512;

impl Place<'_> {
    /// The frame pointer of a function that has set one up, from where its stack pointer stands.
    ///
    /// procfs does not tell `rbp`. The first instructions of the function say how far below it the stack pointer stays; the return address
    /// that is found with it must follow a call.
    pub(super) fn frame_pointer(&self, start: u64, code: u64) -> Option<u64> {
        let top = self.registers.get(X86_64::RSP)?;
        let pointer = top.checked_add(code::frame_below(self.stack.pages, start, code)?)?;
        self.returns_to(pointer.checked_add(8)?).map(|_| pointer)
    }

    /// The return address that lies at `address`, if one does.
    fn returns_to(&self, address: u64) -> Option<u64> {
        let code = self.stack.word(address)?;
        let is_code = code > 1 && self.maps.find(code - 1).is_some();
        (is_code && code::follows_call(self.stack.pages, code)).then_some(code)
    }

    /// The caller of code that the tables do not know, or not enough of; `start` is where its function begins, if they know that.
    pub(super) fn without_tables(&self, returns: bool, start: Option<u64>) -> Option<Step> {
        let top = self.registers.get(X86_64::RSP)?;
        // A function that has pushed nothing yet, or never does.
        if !returns && let Some(code) = self.returns_to(top) {
            return Some(self.caller(code, top + 8, self.registers.get(X86_64::RBP), Trust::Scan));
        }
        self.by_frame_pointer(top).or_else(|| self.by_scan(top, start))
    }

    fn by_frame_pointer(&self, top: u64) -> Option<Step> {
        let pointer = self.registers.get(X86_64::RBP).filter(|pointer| *pointer >= top && pointer % 8 == 0)?;
        let code = self.returns_to(pointer.checked_add(8)?)?;
        Some(self.caller(code, pointer + 16, self.stack.word(pointer), Trust::FramePointer))
    }

    /// A call of the very function is better than any call: returned ones leave their addresses behind.
    fn by_scan(&self, top: u64, start: Option<u64>) -> Option<Step> {
        let words = (0..SCANNED).map_while(|index| top.checked_add(8 * index));
        let mut calls = words.filter_map(|address| Some((address, self.returns_to(address)?)));
        let first = calls.next()?;
        let calls_it = |(_, code): &(u64, u64)| start.is_some() && code::called(self.stack.pages, *code) == start;
        let (address, code) = if calls_it(&first) { first } else { calls.find(calls_it).unwrap_or(first) };
        Some(self.caller(code, address + 8, self.registers.get(X86_64::RBP), Trust::Scan))
    }

    fn caller(&self, code: u64, top: u64, pointer: Option<u64>, trust: Trust) -> Step {
        let mut caller = *self.registers;
        caller.set(X86_64::RA, Some(code));
        caller.set(X86_64::RSP, Some(top));
        caller.set(X86_64::RBP, pointer.filter(|pointer| *pointer >= top));
        Ok(Caller { registers: caller, trust, returns: true })
    }
}
