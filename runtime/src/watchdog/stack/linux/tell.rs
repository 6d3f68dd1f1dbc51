//! From a shot to what a report shows: names of threads, functions and system calls instead of numbers.

use std::path::{Path, PathBuf};
use std::time::Instant;

use super::lines::{Lines, Place};
use super::names::{self, Names};
use super::shot::{Frame, Image, Sample, Shot, Source, Thread};
use super::unwind::End;
use super::{capture, syscalls};
use crate::flight;
use crate::incident::{Looked, NativeStack, StackFrame, ThreadState};

/// Frames of a thread that nobody asked about.
const OTHERS: usize = 32;

/// Why there is no stack where no look counts.
const OVER: &str = "it had gone on before it was looked at";

/// Looks names up, and remembers them.
#[derive(Default)]
pub(super) struct Teller {
    names: Names,
    lines: Lines,
}

impl Teller {
    /// Names the functions on all stacks of the shot.
    pub(super) fn learn_names(&mut self, shot: &Shot) {
        for (index, image) in shot.images.iter().enumerate() {
            self.names.learn(&path(image), addresses(shot, index, image));
        }
    }

    /// Finds lines for the stacks of the threads that somebody asks about, then for the others, until the deadline.
    pub(super) fn learn_lines(&mut self, shot: &Shot, deadline: Instant) {
        for (index, image) in shot.images.iter().enumerate() {
            self.lines.learn(&path(image), addresses(shot, index, image), deadline);
        }
    }

    /// The threads of the shot; `subject` first, of which so many looks count.
    pub(super) fn tell(&self, shot: &Shot, subject: i32, looks: usize) -> Looked {
        let looks = |thread: &Thread| if thread.tid == subject { looks.min(thread.taken) } else { thread.taken };
        let one = |thread: &Thread| self.thread(shot, thread, &thread.samples()[..looks(thread)], thread.tid == subject);
        let mut threads: Vec<ThreadState> = shot.threads.iter().map(one).collect();
        threads.sort_by_key(|thread| !thread.subject);
        Looked { threads: threads.into(), left_out: shot.left_out }
    }

    fn thread(&self, shot: &Shot, thread: &Thread, looks: &[Sample], subject: bool) -> ThreadState {
        let looks = with_stack(looks);
        // The first is the closest to what was found.
        let sample = looks.first().unwrap_or(&Sample::UNKNOWN);
        let name = flight::thread::of(thread.tid).map_or_else(|| thread.name.as_str().to_owned(), |known| known.name.clone());
        let call = sample.call.map(|number| syscalls::name(number).map_or_else(|| format!("system call {number}"), str::to_owned));
        ThreadState {
            name,
            tid: thread.tid,
            subject,
            state: state(sample.state),
            system_call: call,
            waits_in: (!sample.wchan.as_bytes().is_empty()).then(|| sample.wchan.as_str().to_owned()),
            stack: if looks.is_empty() { NativeStack::missing(OVER) } else { self.stack(shot, &looks, sample, subject) },
        }
    }

    fn stack(&self, shot: &Shot, looks: &[Sample], sample: &Sample, is_subject: bool) -> NativeStack {
        if let Some(why) = missing(sample.source) {
            return NativeStack::missing(why);
        }
        let kept: Vec<Frame> = shot.frames(sample).collect();
        let steady = steady(shot, looks, &kept);
        let shown = if is_subject { kept.len() } else { kept.len().min(OTHERS) };
        let frames =
            kept[..shown].iter().enumerate().flat_map(|(index, frame)| self.frame(shot, index, *frame, index >= kept.len() - steady));
        NativeStack {
            frames: frames.collect(),
            complete: sample.end == End::Root && shown == kept.len(),
            left_out: sample.skipped + kept.len() - shown,
            looks: looks.len(),
            moves: steady < kept.len(),
            missing: None,
        }
    }

    /// A physical frame and the functions that were inlined there.
    fn frame(&self, shot: &Shot, index: usize, frame: Frame, steady: bool) -> Vec<StackFrame> {
        let image = frame.image.and_then(|image| shot.images.get(image));
        let path = image.map(path).unwrap_or_default();
        let (code, offset) = (sought(frame), image.map_or(0, |image| image.bias));
        let offset_in_file = code.wrapping_sub(offset);
        let physical = StackFrame {
            index,
            function: self.names.of(&path, offset_in_file).map(str::to_owned),
            module: image.map(module).unwrap_or_default(),
            offset: frame.found.code.wrapping_sub(offset),
            file: None,
            line: None,
            inlined: false,
            trust: frame.found.trust,
            steady,
        };
        let Some((last, inlined)) = self.lines.of(&path, offset_in_file).split_last() else { return vec![physical] };
        let at = |place: &Place, inlined: bool| StackFrame {
            function: if inlined { place.function.clone() } else { physical.function.clone().or_else(|| place.function.clone()) },
            file: place.file.clone(),
            line: place.line,
            inlined,
            ..physical.clone()
        };
        inlined.iter().map(|place| at(place, true)).chain([at(last, false)]).collect()
    }
}

/// Those of the looks that gave a stack; all, where none did.
fn with_stack(looks: &[Sample]) -> Vec<Sample> {
    let good: Vec<Sample> = looks.iter().copied().filter(Sample::has_stack).collect();
    if good.is_empty() { looks.to_vec() } else { good }
}

/// How many of the outermost frames that are shown were there in every look.
fn steady(shot: &Shot, looks: &[Sample], shown: &[Frame]) -> usize {
    let same = |sample: &Sample| {
        let frames: Vec<Frame> = shot.frames(sample).collect();
        shown.iter().rev().zip(frames.iter().rev()).take_while(|(one, other)| is_same(one, other)).count()
    };
    looks.iter().map(same).min().unwrap_or(shown.len())
}

fn is_same(one: &Frame, other: &Frame) -> bool {
    (one.found.code, one.found.stack) == (other.found.code, other.found.stack)
}

/// The address inside the instruction that is being executed: the call, where `code` is what it returns to.
fn sought(frame: Frame) -> u64 {
    frame.found.code - u64::from(frame.found.returns)
}

/// The addresses on all stacks that lie in one image, as its file counts them.
fn addresses<'a>(shot: &'a Shot, index: usize, image: &'a Image) -> impl Iterator<Item = u64> + 'a {
    let frames = shot.threads.iter().flat_map(Thread::samples).flat_map(|sample| shot.frames(sample));
    frames.filter(move |frame| frame.image == Some(index)).map(|frame| sought(frame).wrapping_sub(image.bias))
}

fn path(image: &Image) -> PathBuf {
    names::file(image.path.as_str())
}

fn module(image: &Image) -> String {
    let path = image.path.as_str().trim_end_matches(" (deleted)");
    Path::new(path).file_name().map_or_else(|| path.to_owned(), |name| name.to_string_lossy().into_owned())
}

fn missing(source: Source) -> Option<&'static str> {
    match source {
        Source::Asleep | Source::Signal => None,
        Source::Refused(refusal) => Some(capture::refusal(refusal)),
        Source::Spared => Some("it runs, and there was no time left to ask it for its stack"),
        Source::Unknown => Some("the thread has ended, or procfs does not tell"),
    }
}

fn state(letter: u8) -> Option<&'static str> {
    Some(match letter {
        b'R' => "running",
        b'S' => "sleeping",
        b'D' => "waiting for the kernel, uninterruptibly",
        b'T' => "stopped",
        b't' => "stopped by a debugger",
        b'Z' | b'X' => "ended",
        b'I' => "idle",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::super::signal::Refusal;
    use super::*;
    use crate::text::Text;

    #[test]
    fn looks_without_a_stack_count_only_where_no_look_gave_one() {
        let of = |sources: &[Source]| {
            let mut thread = Thread::new(1, true, Text::EMPTY);
            for source in sources {
                let mut look = Sample::in_state(b'R');
                look.source = *source;
                thread.keep(look);
            }
            with_stack(thread.samples()).iter().map(|look| look.source).collect::<Vec<_>>()
        };
        let silent = Source::Refused(Refusal::Silent);
        assert_eq!(of(&[silent, Source::Signal, Source::Signal]), [Source::Signal; 2]);
        assert_eq!(of(&[silent, silent]), [silent; 2]);
    }
}
