//! From registers and a copy of the stack to the chain of callers, after the thread runs on.
//!
//! Each frame says how much it can be trusted: the compiler's own tables know (`rules`); a frame pointer knows where there are no tables, and
//! a value on the stack that follows a call is a guess (`guess`).

use gimli::{CfaRule, Register, RegisterRule, UnwindContext, X86_64};

use super::cfi::{Entry, Fixed};
use super::maps::Maps;
use super::memory::Pages;
use super::rules::Applied;
use crate::incident::Trust;

/// Registers that are followed: the sixteen of x86_64 and the return address.
pub(super) const REGISTERS: usize = 17;
/// Frames that are followed at most.
const DEEPEST: usize = 4096;

/// The registers of a frame; `None` where the value is not known.
#[derive(Clone, Copy, Debug)]
pub(super) struct Registers(pub(super) [Option<u64>; REGISTERS]);

impl Registers {
    /// What procfs tells of a thread in a system call.
    pub(super) fn at(stack: u64, code: u64) -> Self {
        let mut registers = Self([None; REGISTERS]);
        registers.set(X86_64::RSP, Some(stack));
        registers.set(X86_64::RA, Some(code));
        registers
    }

    pub(super) fn stack(&self) -> Option<u64> {
        self.get(X86_64::RSP)
    }

    pub(super) fn get(&self, register: Register) -> Option<u64> {
        *self.0.get(usize::from(register.0))?
    }

    pub(super) fn set(&mut self, register: Register, value: Option<u64>) {
        if let Some(place) = self.0.get_mut(usize::from(register.0)) {
            *place = value;
        }
    }
}

/// The stack of a thread: what was copied while it stood still; beyond the copy, what is there now.
#[derive(Clone, Copy)]
pub(super) struct Stack<'a> {
    pub(super) start: u64,
    pub(super) copy: &'a [u8],
    pub(super) pages: &'a Pages,
}

impl Stack<'_> {
    pub(super) fn word(&self, address: u64) -> Option<u64> {
        let inside = address.checked_sub(self.start).and_then(|at| usize::try_from(at).ok());
        match inside.and_then(|at| self.copy.get(at..at.checked_add(8)?)) {
            Some(bytes) => Some(u64::from_le_bytes(bytes.try_into().ok()?)),
            None => self.pages.word(address),
        }
    }
}

/// One frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// The address of the code: the next instruction of the thread, or where the call inside it returns to.
    pub(super) code: u64,
    /// Whether `code` is a return address, so that the call stands before it.
    pub(super) returns: bool,
    pub(super) stack: u64,
    pub(super) trust: Trust,
}

/// How a chain of frames ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Where the thread began.
    Root,
    /// Further callers could not be found.
    Lost,
    /// There are more than are followed.
    TooDeep,
}

/// The frame of a caller.
pub(super) struct Caller {
    pub(super) registers: Registers,
    pub(super) trust: Trust,
    /// Whether it made a call, as all do but code that a signal interrupted.
    pub(super) returns: bool,
}

/// What one step gives: a caller, or the end.
pub(super) type Step = Result<Caller, End>;

/// Room for unwinding, set aside beforehand.
pub(super) struct Unwinder {
    context: Box<UnwindContext<usize, Fixed>>,
}

impl Unwinder {
    pub(super) fn new() -> Self {
        Self { context: Box::new(UnwindContext::new_in()) }
    }

    /// Hands each frame to `frame`, the innermost first.
    pub(super) fn unwind(&mut self, maps: &Maps, stack: &Stack<'_>, mut registers: Registers, mut frame: impl FnMut(Found)) -> End {
        let (mut trust, mut returns) = (Trust::Context, false);
        for _ in 0..DEEPEST {
            let (Some(code), Some(top)) = (registers.get(X86_64::RA), registers.get(X86_64::RSP)) else { return End::Lost };
            if code == 0 {
                return End::Root;
            }
            frame(Found { code, returns, stack: top, trust });
            match self.step(maps, stack, &registers, returns) {
                Ok(caller) => Caller { registers, trust, returns } = caller,
                Err(end) => return end,
            }
        }
        End::TooDeep
    }

    fn step(&mut self, maps: &Maps, stack: &Stack<'_>, registers: &Registers, returns: bool) -> Step {
        let place = Place { maps, stack, registers };
        let Some(code) = registers.get(X86_64::RA).map(|code| if returns { code - 1 } else { code }) else { return Err(End::Lost) };
        let entry = maps.find(code).and_then(|region| Entry::find(stack.pages, region, code));
        let step = entry.as_ref().and_then(|entry| self.by_tables(&place, entry, code));
        step.or_else(|| place.without_tables(returns, entry.map(|entry| entry.start()))).unwrap_or(Err(End::Lost))
    }

    fn by_tables(&mut self, place: &Place<'_>, entry: &Entry<'_>, code: u64) -> Option<Step> {
        let rules = entry.rules(&mut self.context, code)?;
        if matches!(rules.register(X86_64::RA), Some(RegisterRule::Undefined)) {
            return Some(Err(End::Root));
        }
        let mut registers = *place.registers;
        let needs_pointer = matches!(rules.cfa(), CfaRule::RegisterAndOffset { register: X86_64::RBP, .. });
        let trust = if needs_pointer && registers.get(X86_64::RBP).is_none() {
            registers.set(X86_64::RBP, Some(place.frame_pointer(entry.start(), code)?));
            Trust::Prologue
        } else {
            Trust::Tables
        };
        let applied = Applied { place, entry, registers: &registers, rules };
        place.accept(applied.caller(applied.frame()?), trust, entry.is_signal_frame())
    }
}

/// One frame, and what its caller is looked for in.
pub(super) struct Place<'a> {
    pub(super) maps: &'a Maps,
    pub(super) stack: &'a Stack<'a>,
    pub(super) registers: &'a Registers,
}

impl Place<'_> {
    /// A caller as the tables have it, if it can be one: callers lie further up, and are code.
    fn accept(&self, caller: Registers, trust: Trust, is_signal_frame: bool) -> Option<Step> {
        let (code, top) = (caller.get(X86_64::RA)?, caller.get(X86_64::RSP)?);
        if code == 0 {
            return Some(Err(End::Root));
        }
        let goes_up = is_signal_frame || Some(top) > self.registers.get(X86_64::RSP);
        (goes_up && self.maps.find(code - 1).is_some()).then_some(Ok(Caller { registers: caller, trust, returns: !is_signal_frame }))
    }
}
