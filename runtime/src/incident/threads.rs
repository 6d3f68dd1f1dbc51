//! The threads of a report: what each does, and its native stack.
//!
//! Whoever looks at threads fills an [`Awaited`] from a thread of its own; the reporter waits for it a bounded time. Must not know how
//! stacks are captured.

use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

/// So much of a function's name is in the text.
const NAME: usize = 160;

/// A thread of this process at the time of an incident.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ThreadState {
    /// Its name.
    pub name: String,
    /// The kernel's number for it; 0 where there is none.
    pub tid: i32,
    /// Whether the incident is about it.
    pub subject: bool,
    /// `running`, `sleeping`, `waiting for the disk` …; `None` where the platform does not tell.
    pub state: Option<&'static str>,
    /// The system call that it is in, by name, or by number where the name is not known.
    pub system_call: Option<String>,
    /// The function of the kernel that it waits in.
    pub waits_in: Option<String>,
    /// Its native stack.
    pub stack: NativeStack,
}

/// The native stack of a thread.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct NativeStack {
    /// The innermost frame first; inlined functions stand before the one that they were inlined into.
    pub frames: Vec<StackFrame>,
    /// Whether the frames reach to where the thread began.
    pub complete: bool,
    /// How many frames in the middle of a very deep stack are left out.
    pub left_out: usize,
    /// How often the thread was looked at; the frames are those of the first time.
    pub looks: usize,
    /// Whether it was at another place in a later look: a slow loop rather than one stuck line.
    pub moves: bool,
    /// Why there are no frames.
    pub missing: Option<String>,
}

/// One frame of a [`NativeStack`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StackFrame {
    /// The number of the physical frame, from 0; inlined functions share it.
    pub index: usize,
    /// The function's name, demangled.
    pub function: Option<String>,
    /// The file name of the program or library; empty for code that comes from none.
    pub module: String,
    /// The address within that file, as `addr2line` and `objdump` take it.
    pub offset: u64,
    /// The source file, where line tables are there.
    pub file: Option<String>,
    /// The line in it.
    pub line: Option<u32>,
    /// Whether the function was inlined into that of the next frame.
    pub inlined: bool,
    /// How this frame was found.
    pub trust: Trust,
    /// Whether it was there in every look.
    pub steady: bool,
}

/// How a frame was found, the surest way first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Trust {
    /// The thread's own registers.
    Context,
    /// The compiler's unwind tables.
    Tables,
    /// The unwind tables, with a frame pointer that the function's first instructions tell.
    Prologue,
    /// The chain of frame pointers.
    FramePointer,
    /// A value on the stack that follows a call: a guess.
    Scan,
}

impl Trust {
    /// All of them.
    pub const ALL: [Trust; 5] = [Trust::Context, Trust::Tables, Trust::Prologue, Trust::FramePointer, Trust::Scan];

    /// As reports have it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Trust::Context => "context",
            Trust::Tables => "cfi",
            Trust::Prologue => "prologue",
            Trust::FramePointer => "frame-pointer",
            Trust::Scan => "scan",
        }
    }
}

impl NativeStack {
    /// No frames, and why.
    #[must_use]
    pub(crate) fn missing(why: impl Into<String>) -> Self {
        Self { missing: Some(why.into()), ..Self::default() }
    }

    /// The innermost function that is the program's own, as far as names tell: what a person looks for first.
    #[must_use]
    pub fn own_function(&self) -> Option<&str> {
        const FOREIGN: [&str; 8] = ["std::", "core::", "alloc::", "tokio::", "backstop::", "futures", "parking_lot", "__"];
        let program = self.frames.iter().rev().find(|frame| !frame.module.contains(".so") && !frame.module.is_empty())?;
        let functions = self.frames.iter().filter(|frame| frame.module == program.module).filter_map(|frame| frame.function.as_deref());
        let mut own = functions.filter(|name| {
            let name = name.trim_start_matches(['<', '&']);
            name.contains("::") && !FOREIGN.iter().any(|prefix| name.starts_with(prefix))
        });
        own.next()
    }
}

impl fmt::Display for StackFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The names of generic functions can fill a page.
        let function = self.function.as_deref().unwrap_or("?");
        let shown: String = function.chars().take(NAME).collect();
        write!(f, "#{:<3} {shown}{}", self.index, if shown.len() < function.len() { "…" } else { "" })?;
        if let Some(file) = &self.file {
            write!(f, "  at {file}")?;
            self.line.iter().try_for_each(|line| write!(f, ":{line}"))?;
        }
        if self.inlined {
            return f.write_str("  (inlined)");
        }
        let module = if self.module.is_empty() { "no file" } else { &self.module };
        write!(f, "  {module}+{:#x}", self.offset)?;
        if matches!(self.trust, Trust::Context | Trust::Tables) { Ok(()) } else { write!(f, "  ({})", self.trust.as_str()) }
    }
}

/// What was found out about the threads.
#[derive(Clone, Debug)]
pub(crate) struct Looked {
    pub(crate) threads: Arc<[ThreadState]>,
    /// Threads that would belong there, and were too many to be looked at.
    pub(crate) left_out: usize,
}

/// The threads of a report, while somebody still looks at them.
#[derive(Debug, Default)]
pub(crate) struct Awaited {
    state: Mutex<Seen>,
    changed: Condvar,
}

#[derive(Clone, Debug, Default)]
struct Seen {
    looked: Option<Looked>,
    last: bool,
}

/// Who looks at all threads: nobody before the watchdog has started.
static LOOK: OnceLock<Look> = OnceLock::new();
pub(crate) type Look = fn() -> Option<Arc<Awaited>>;

/// From now on `look` is how all threads are looked at.
pub(crate) fn look_by(look: Look) {
    // The same each time.
    let _ = LOOK.set(look);
}

/// All threads of interest, as far as they are known after `patience`, and how many more there are.
pub(super) fn all(patience: Duration) -> (Vec<ThreadState>, usize) {
    let awaited = LOOK.get().and_then(|look| look());
    let looked = awaited.and_then(|awaited| awaited.last(patience));
    looked.map(|looked| (looked.threads.to_vec(), looked.left_out)).unwrap_or_default()
}

impl Awaited {
    /// Tells what is known; nothing comes after the `last` word.
    pub(crate) fn tell(&self, looked: Looked, last: bool) {
        *self.lock() = Seen { looked: Some(looked), last };
        self.changed.notify_all();
    }

    /// Says that nothing more will come.
    #[cfg_attr(not(native_stacks), allow(dead_code, reason = "used where native stacks are taken, and by tests"))]
    pub(crate) fn give_up(&self) {
        self.lock().last = true;
        self.changed.notify_all();
    }

    /// What is known as soon as anything is, or after `patience`.
    pub(crate) fn first(&self, patience: Duration) -> Option<Looked> {
        self.wait(patience, |seen| seen.looked.is_some() || seen.last).looked
    }

    /// The last word, or what is known after `patience`.
    pub(crate) fn last(&self, patience: Duration) -> Option<Looked> {
        self.wait(patience, |seen| seen.last).looked
    }

    /// Whether the last word was said.
    pub(crate) fn is_done(&self) -> bool {
        self.lock().last
    }

    fn wait(&self, patience: Duration, enough: impl Fn(&Seen) -> bool) -> Seen {
        let waiting = self.changed.wait_timeout_while(self.lock(), patience, |seen| !enough(seen));
        waiting.unwrap_or_else(PoisonError::into_inner).0.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::frame;
    use super::*;

    #[test]
    fn a_frame_is_one_line() {
        let line = |frame: StackFrame| frame.to_string();
        assert_eq!(line(frame(2, "app::load")), "#2   app::load  at src/load.rs:7  app+0x1234");
        assert_eq!(line(StackFrame { inlined: true, ..frame(2, "app::read") }), "#2   app::read  at src/load.rs:7  (inlined)");
        let unknown = StackFrame { function: None, file: None, module: String::new(), trust: Trust::Scan, ..frame(3, "") };
        assert_eq!(line(unknown), "#3   ?  no file+0x1234  (scan)");
    }

    #[test]
    fn the_programs_own_function_is_the_innermost_that_is_no_librarys() {
        let of_libc = StackFrame { module: "libc.so.6".into(), ..frame(0, "c::nanosleep") };
        let names =
            ["std::thread::sleep", "<tokio::time::Sleep as Future>::poll", "app::load::{{closure}}", "app::main", "std::rt::lang_start"];
        let frames = std::iter::once(of_libc).chain(names.iter().enumerate().map(|(index, name)| frame(index + 1, name))).collect();
        assert_eq!(NativeStack { frames, ..NativeStack::default() }.own_function(), Some("app::load::{{closure}}"));
        assert_eq!(NativeStack::missing("no").own_function(), None);
    }

    #[test]
    fn who_waits_gets_what_is_known_in_time() {
        let awaited = Awaited::default();
        let left_out = |looked: Option<Looked>| looked.map(|looked| looked.left_out);
        assert_eq!(left_out(awaited.first(Duration::from_millis(1))), None);
        awaited.tell(Looked { threads: Arc::new([]), left_out: 7 }, false);
        assert_eq!(left_out(awaited.first(Duration::from_secs(60))), Some(7));
        assert_eq!(left_out(awaited.last(Duration::from_millis(1))), Some(7));
        assert!(!awaited.is_done());
        awaited.give_up();
        assert!(awaited.is_done());
        assert_eq!(left_out(awaited.last(Duration::from_secs(60))), Some(7));
    }
}
