//! The threads and their native stacks.

use std::fmt::{self, Write};

use crate::incident::{NativeStack, ThreadState};

/// Frames of a thread that the incident is not about; the whole stack is in the JSON.
const FRAMES: usize = 12;

/// Prints each thread in a line, and its stack under it; then how many are left out.
pub(super) fn threads(threads: &[ThreadState], left_out: usize, out: &mut dyn Write) -> fmt::Result {
    for thread in threads {
        head(thread, out)?;
        stack(&thread.stack, if thread.subject { usize::MAX } else { FRAMES }, out)?;
    }
    if left_out > 0 { writeln!(out, "  … and {left_out} more threads, which were not looked at") } else { Ok(()) }
}

fn head(thread: &ThreadState, out: &mut dyn Write) -> fmt::Result {
    let arrow = if thread.subject { "->" } else { "  " };
    write!(out, "{arrow}{}", thread.name)?;
    if thread.tid != 0 {
        write!(out, " (tid {})", thread.tid)?;
    }
    thread.state.iter().try_for_each(|state| write!(out, ", {state}"))?;
    thread.system_call.iter().try_for_each(|call| write!(out, ", in the system call {call}"))?;
    thread.waits_in.iter().try_for_each(|function| write!(out, " ({function})"))?;
    match (thread.stack.looks, thread.stack.moves) {
        (1, _) if thread.subject => writeln!(out, ": one look, before it went on"),
        (0 | 1, _) => writeln!(out),
        (looks, false) => writeln!(out, ": the same place in {looks} looks"),
        (looks, true) => writeln!(out, ": moves between {looks} looks; what moved is marked ~"),
    }
}

fn stack(stack: &NativeStack, shown: usize, out: &mut dyn Write) -> fmt::Result {
    if let Some(why) = &stack.missing {
        return writeln!(out, "    no stack: {why}");
    }
    for frame in stack.frames.iter().take(shown) {
        let mark = if frame.steady { ' ' } else { '~' };
        writeln!(out, "   {mark}{frame}")?;
    }
    let more = stack.frames.len().saturating_sub(shown) + stack.left_out;
    match (more, stack.complete) {
        (0, true) => Ok(()),
        (0, false) => writeln!(out, "    … its callers could not be found"),
        (more, _) => writeln!(out, "    … and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::thread;
    use super::*;

    fn print(thread: ThreadState) -> String {
        let mut out = String::new();
        threads(&[thread], 0, &mut out).unwrap();
        out
    }

    #[test]
    fn a_thread_is_told_with_what_it_does_and_its_stack() {
        let mut moving = thread(&["std::thread::sleep", "app::load"]);
        moving.stack.moves = true;
        moving.stack.frames[0].steady = false;
        assert_eq!(
            print(moving),
            "->worker-1 (tid 42), sleeping, in the system call clock_nanosleep (hrtimer_nanosleep): moves between 3 looks; what moved is \
             marked ~\n\
             \x20  ~#0   std::thread::sleep  at src/load.rs:7  app+0x1234\n\
             \x20   #1   app::load  at src/load.rs:7  app+0x1234\n"
        );
    }

    #[test]
    fn threads_that_were_too_many_are_counted() {
        let mut out = String::new();
        threads(&[thread(&["f"])], 12, &mut out).unwrap();
        assert!(out.ends_with("app+0x1234\n  … and 12 more threads, which were not looked at\n"), "{out}");
    }

    #[test]
    fn another_threads_stack_is_cut_and_a_missing_one_is_explained() {
        let other = ThreadState { subject: false, ..thread(&["f"; 20]) };
        let printed = print(other);
        assert_eq!(printed.lines().count(), 1 + FRAMES + 1);
        assert!(printed.ends_with("… and 8 more\n"), "{printed}");
        let without = ThreadState { stack: NativeStack::missing("not available on this platform"), ..thread(&[]) };
        assert!(print(without).ends_with("    no stack: not available on this platform\n"));
        let mut cut = thread(&["f"]);
        cut.stack.complete = false;
        assert!(print(cut).ends_with("could not be found\n"));
    }
}
