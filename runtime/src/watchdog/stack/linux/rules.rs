//! What the unwind tables say of one frame, applied to its registers.

use gimli::{
    CfaRule, Evaluation, EvaluationResult, EvaluationStorage, Piece, Register, RegisterRule, UnwindExpression, UnwindTableRow, Value,
    X86_64,
};

use super::cfi::{Entry, Fixed, Memory};
use super::unwind::{Place, REGISTERS, Registers};

/// The rules of the tables for one frame.
pub(super) struct Applied<'a, 'm> {
    pub(super) place: &'a Place<'a>,
    pub(super) entry: &'a Entry<'m>,
    pub(super) registers: &'a Registers,
    pub(super) rules: &'a UnwindTableRow<usize, Fixed>,
}

impl Applied<'_, '_> {
    /// The address that saved registers are counted from: where the stack pointer stands when the function has returned.
    pub(super) fn frame(&self) -> Option<u64> {
        match self.rules.cfa() {
            CfaRule::RegisterAndOffset { register, offset } => Some(self.registers.get(*register)?.wrapping_add_signed(*offset)),
            CfaRule::Expression(expression) => self.evaluate(*expression, None),
        }
    }

    /// The registers of the caller.
    pub(super) fn caller(&self, frame: u64) -> Registers {
        let mut caller = Registers([None; REGISTERS]);
        for number in 0..REGISTERS as u16 {
            caller.set(Register(number), self.register(Register(number), frame));
        }
        if self.rules.register(X86_64::RSP).is_none() {
            caller.set(X86_64::RSP, Some(frame));
        }
        if self.cuts_the_stack() {
            caller.set(X86_64::RBP, None);
        }
        caller
    }

    fn register(&self, register: Register, frame: u64) -> Option<u64> {
        match self.rules.register(register) {
            None if is_kept(register) => self.registers.get(register),
            Some(RegisterRule::SameValue) => self.registers.get(register),
            Some(RegisterRule::Offset(offset)) => self.saved(register, frame.wrapping_add_signed(offset)),
            Some(RegisterRule::ValOffset(offset)) => Some(frame.wrapping_add_signed(offset)),
            Some(RegisterRule::Register(other)) => self.registers.get(other),
            Some(RegisterRule::Expression(at)) => self.place.stack.word(self.evaluate(at, Some(frame))?),
            Some(RegisterRule::ValExpression(value)) => self.evaluate(value, Some(frame)),
            Some(RegisterRule::Constant(value)) => Some(value),
            _ => None,
        }
    }

    /// A register that was saved at `address`. What lies below the stack pointer has been restored, or was not changed yet: the register
    /// itself has it.
    fn saved(&self, register: Register, address: u64) -> Option<u64> {
        match self.registers.get(register) {
            Some(value) if is_kept(register) && Some(address) < self.registers.get(X86_64::RSP) => Some(value),
            _ => self.place.stack.word(address),
        }
    }

    fn evaluate(&self, expression: UnwindExpression<usize>, initial: Option<u64>) -> Option<u64> {
        let mut evaluation = Evaluation::<_, Small>::new_in(self.entry.expression(expression)?.0, self.entry.encoding());
        evaluation.set_max_iterations(256);
        if let Some(initial) = initial {
            evaluation.set_initial_value(initial);
        }
        let mut result = evaluation.evaluate().ok()?;
        loop {
            result = match result {
                EvaluationResult::Complete => return evaluation.value_result()?.to_u64(u64::MAX).ok(),
                EvaluationResult::RequiresRegister { register, .. } => {
                    evaluation.resume_with_register(Value::Generic(self.registers.get(register)?)).ok()?
                }
                EvaluationResult::RequiresMemory { address, size: 8, .. } => {
                    evaluation.resume_with_memory(Value::Generic(self.place.stack.word(address)?)).ok()?
                }
                _ => return None,
            };
        }
    }

    /// Whether the function may have written something else into its saved frame pointer.
    ///
    /// Only functions that cut the stack (those of the unwinder, in a panic) save the registers of landing pads. They put what those shall
    /// find among their own saved registers, while their caller is still the old one.
    fn cuts_the_stack(&self) -> bool {
        let is_saved = |register| matches!(self.rules.register(register), Some(RegisterRule::Offset(_)));
        is_saved(X86_64::RAX) && is_saved(X86_64::RBP)
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
