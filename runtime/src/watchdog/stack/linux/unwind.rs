//! From registers and a copy of the stack to the chain of callers, after the thread runs on.
//!
//! Each frame says how much it can be trusted: the compiler's own tables know; a frame pointer knows where there are no tables; a value on
//! the stack that follows a call is a guess.

use gimli::{CfaRule, Evaluation, EvaluationResult, EvaluationStorage, Piece, Register, RegisterRule, UnwindContext, Value, X86_64};

use super::cfi::{Entry, Fixed, Memory};
use super::code;
use super::maps::Maps;
use super::memory::Pages;
use crate::incident::Trust;

/// Registers that are followed: the sixteen of x86_64 and the return address.
pub(super) const REGISTERS: usize = 17;
/// Words that are searched for a return address where nothing else is known.
const SCANNED: u64 = 512;
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

    fn get(&self, register: Register) -> Option<u64> {
        *self.0.get(usize::from(register.0))?
    }

    fn set(&mut self, register: Register, value: Option<u64>) {
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
    fn word(&self, address: u64) -> Option<u64> {
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
struct Caller {
    registers: Registers,
    trust: Trust,
    /// Whether it made a call, as all do but code that a signal interrupted.
    returns: bool,
}

/// What one step gives: a caller, or the end.
type Step = Result<Caller, End>;

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
        let mut registers = *place.registers;
        let mut trust = Trust::Tables;
        let rules = entry.rules(&mut self.context, code)?;
        if matches!(rules.register(X86_64::RA), Some(RegisterRule::Undefined)) {
            return Some(Err(End::Root));
        }
        let frame = match rules.cfa() {
            CfaRule::RegisterAndOffset { register, offset } => {
                if *register == X86_64::RBP && registers.get(X86_64::RBP).is_none() {
                    registers.set(X86_64::RBP, Some(place.frame_pointer(entry.start(), code)?));
                    trust = Trust::Prologue;
                }
                registers.get(*register)?.wrapping_add_signed(*offset)
            }
            CfaRule::Expression(expression) => place.evaluate(entry, *expression, &registers, None)?,
        };
        let mut caller = Registers([None; REGISTERS]);
        for number in 0..REGISTERS as u16 {
            let register = Register(number);
            let value = match rules.register(register) {
                None => {
                    if is_kept(register) {
                        registers.get(register)
                    } else {
                        None
                    }
                }
                Some(RegisterRule::SameValue) => registers.get(register),
                Some(RegisterRule::Offset(offset)) => place.stack.word(frame.wrapping_add_signed(offset)),
                Some(RegisterRule::ValOffset(offset)) => Some(frame.wrapping_add_signed(offset)),
                Some(RegisterRule::Register(other)) => registers.get(other),
                Some(RegisterRule::Expression(expression)) => {
                    place.evaluate(entry, expression, &registers, Some(frame)).and_then(|address| place.stack.word(address))
                }
                Some(RegisterRule::ValExpression(expression)) => place.evaluate(entry, expression, &registers, Some(frame)),
                Some(RegisterRule::Constant(value)) => Some(value),
                Some(_) => None,
            };
            caller.set(register, value);
        }
        if rules.register(X86_64::RSP).is_none() {
            caller.set(X86_64::RSP, Some(frame));
        }
        place.accept(caller, trust, entry.is_signal_frame())
    }
}

/// Callees keep these registers.
fn is_kept(register: Register) -> bool {
    [X86_64::RBX, X86_64::RBP, X86_64::R12, X86_64::R13, X86_64::R14, X86_64::R15].contains(&register)
}

/// Room for evaluating an expression without the heap.
struct Small;

impl<'a> EvaluationStorage<Memory<'a>> for Small {
    type Stack = [Value; 32];
    type ExpressionStack = [(Memory<'a>, Memory<'a>); 2];
    type Result = [Piece<Memory<'a>>; 1];
}

/// One frame, and what its caller is looked for in.
struct Place<'a> {
    maps: &'a Maps,
    stack: &'a Stack<'a>,
    registers: &'a Registers,
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

    fn evaluate(
        &self,
        entry: &Entry<'_>,
        expression: gimli::UnwindExpression<usize>,
        registers: &Registers,
        initial: Option<u64>,
    ) -> Option<u64> {
        let mut evaluation = Evaluation::<_, Small>::new_in(entry.expression(expression)?.0, entry.encoding());
        evaluation.set_max_iterations(256);
        if let Some(initial) = initial {
            evaluation.set_initial_value(initial);
        }
        let mut result = evaluation.evaluate().ok()?;
        loop {
            result = match result {
                EvaluationResult::Complete => return evaluation.value_result()?.to_u64(u64::MAX).ok(),
                EvaluationResult::RequiresRegister { register, .. } => {
                    evaluation.resume_with_register(Value::Generic(registers.get(register)?)).ok()?
                }
                EvaluationResult::RequiresMemory { address, size: 8, .. } => {
                    evaluation.resume_with_memory(Value::Generic(self.stack.word(address)?)).ok()?
                }
                _ => return None,
            };
        }
    }

    /// The frame pointer of a function that has set one up, from where its stack pointer stands.
    ///
    /// procfs does not tell `rbp`. The first instructions of the function say how far below it the stack pointer stays; the return address
    /// that is found with it must follow a call.
    fn frame_pointer(&self, start: u64, code: u64) -> Option<u64> {
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
    fn without_tables(&self, returns: bool, start: Option<u64>) -> Option<Step> {
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
