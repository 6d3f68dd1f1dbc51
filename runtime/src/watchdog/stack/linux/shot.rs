//! What was captured, as plain numbers in memory that was set aside beforehand: a shot is filled without the heap and told afterwards.

use super::signal::Refusal;
use super::unwind::{End, Found};
use crate::incident::Trust;
use crate::text::Text;

/// Threads in a shot; more are counted.
pub(super) const THREADS: usize = 64;
/// How often a thread that is asked about is looked at.
pub(super) const SAMPLES: usize = 3;
/// Frames of one stack: the innermost ones, and the outermost ones of a deeper stack.
pub(super) const INNERMOST: usize = 192;
pub(super) const OUTERMOST: usize = 64;
/// Frames of all stacks of a shot.
const FRAMES: usize = 16 * 1024;
/// Files with code on all these stacks.
const IMAGES: usize = 64;

/// Some threads, each looked at once or more.
pub(super) struct Shot {
    pub(super) threads: Vec<Thread>,
    pub(super) images: Vec<Image>,
    /// Threads that did not fit.
    pub(super) left_out: usize,
    frames: Vec<[u64; 3]>,
    used: usize,
}

/// One thread.
#[derive(Clone, Copy)]
pub(super) struct Thread {
    pub(super) tid: i32,
    /// Somebody asks about it, so that it is looked at more than once.
    pub(super) asked: bool,
    pub(super) name: Text<16>,
    pub(super) samples: [Sample; SAMPLES],
    pub(super) taken: usize,
}

/// One look at a thread.
#[derive(Clone, Copy)]
pub(super) struct Sample {
    /// As procfs spells it; 0 where it does not tell.
    pub(super) state: u8,
    /// The number of the system call that it was in.
    pub(super) call: Option<i64>,
    pub(super) wchan: Text<48>,
    pub(super) source: Source,
    pub(super) end: End,
    /// Frames in the middle of a very deep stack that were not kept.
    pub(super) skipped: usize,
    first: usize,
    count: usize,
}

/// Where registers and stack come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// procfs, of a thread that was asleep.
    Asleep,
    /// A signal, from a thread that ran.
    Signal,
    /// Nowhere.
    Refused(Refusal),
    /// The thread runs, and the time for asking was up.
    Spared,
    /// The thread is gone, or procfs is.
    Unknown,
}

/// A file with code.
#[derive(Clone, Copy)]
pub(super) struct Image {
    pub(super) base: u64,
    /// What to take from an address to get the one in the file.
    pub(super) bias: u64,
    pub(super) path: Text<256>,
}

/// A frame and the image that it is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) found: Found,
    pub(super) image: Option<usize>,
}

impl Sample {
    pub(super) const UNKNOWN: Self =
        Self { state: 0, call: None, wchan: Text::EMPTY, source: Source::Unknown, end: End::Lost, skipped: 0, first: 0, count: 0 };

    /// Whether it gave a stack.
    pub(super) fn has_stack(&self) -> bool {
        matches!(self.source, Source::Asleep | Source::Signal)
    }

    /// Nothing is known but the state.
    pub(super) fn in_state(state: u8) -> Self {
        Self { state, ..Self::UNKNOWN }
    }
}

impl Thread {
    pub(super) fn new(tid: i32, asked: bool, name: Text<16>) -> Self {
        Self { tid, asked, name, samples: [Sample::UNKNOWN; SAMPLES], taken: 0 }
    }

    /// Keeps a look, while there is room.
    pub(super) fn keep(&mut self, sample: Sample) {
        if let Some(place) = self.samples.get_mut(self.taken) {
            *place = sample;
            self.taken += 1;
        }
    }

    /// Whether another look may give a stack. Who has not answered is asked once more: it may get a CPU.
    pub(super) fn is_worth_a_look(&self) -> bool {
        let silent = |sample: &Sample| self.taken == 1 && sample.source == Source::Refused(Refusal::Silent);
        self.samples().last().is_some_and(|sample| sample.has_stack() || silent(sample))
    }

    /// The looks that were taken.
    pub(super) fn samples(&self) -> &[Sample] {
        &self.samples[..self.taken]
    }
}

impl Shot {
    pub(super) fn new() -> Self {
        Self {
            threads: Vec::with_capacity(THREADS),
            images: Vec::with_capacity(IMAGES),
            left_out: 0,
            frames: vec![[0; 3]; FRAMES],
            used: 0,
        }
    }

    /// Takes everything out; the memory stays.
    pub(super) fn clear(&mut self) {
        self.threads.clear();
        self.images.clear();
        (self.left_out, self.used) = (0, 0);
    }

    /// Makes this one the same as `other`.
    pub(super) fn copy(&mut self, other: &Self) {
        self.clear();
        self.threads.extend_from_slice(&other.threads);
        self.images.extend_from_slice(&other.images);
        (self.left_out, self.used) = (other.left_out, other.used);
        self.frames[..other.used].copy_from_slice(&other.frames[..other.used]);
    }

    /// Adds a thread, unless it is here or there is no room.
    pub(super) fn add(&mut self, tid: i32, asked: bool, name: impl FnOnce() -> Text<16>) {
        if let Some(thread) = self.threads.iter_mut().find(|thread| thread.tid == tid) {
            thread.asked |= asked;
        } else if self.has_room() {
            self.threads.push(Thread::new(tid, asked, name()));
        } else {
            self.left_out += 1;
        }
    }

    pub(super) fn has_room(&self) -> bool {
        self.threads.len() < THREADS
    }

    /// The number of an image in this shot; `None` where there is no room.
    pub(super) fn image(&mut self, base: u64, describe: impl FnOnce() -> Option<Image>) -> Option<usize> {
        if let Some(known) = self.images.iter().position(|image| image.base == base) {
            return Some(known);
        }
        if self.images.len() == IMAGES {
            return None;
        }
        self.images.push(describe()?);
        Some(self.images.len() - 1)
    }

    /// The place for the frames of one stack.
    pub(super) fn open(&self) -> Frames {
        Frames { first: self.used, count: 0, outer: 0 }
    }

    /// Keeps a frame.
    pub(super) fn push(&mut self, frames: &mut Frames, frame: Frame) {
        let place = if frames.count < INNERMOST {
            frames.count
        } else {
            frames.outer += 1;
            INNERMOST + (frames.outer - 1) % OUTERMOST
        };
        if let Some(slot) = self.frames.get_mut(frames.first + place) {
            *slot = frame.pack();
            frames.count = frames.count.max(place + 1);
        }
    }

    /// Ends a stack: its frames belong to `sample`.
    pub(super) fn close(&mut self, frames: &Frames, sample: &mut Sample) {
        (sample.first, sample.count) = (frames.first, frames.count);
        sample.skipped = frames.outer.saturating_sub(OUTERMOST);
        if sample.skipped > 0
            && let Some(outermost) = self.frames.get_mut(frames.first + INNERMOST..frames.first + INNERMOST + OUTERMOST)
        {
            outermost.rotate_left(frames.outer % OUTERMOST);
        }
        self.used = frames.first + frames.count;
    }

    /// The frames of a sample, the innermost first.
    pub(super) fn frames(&self, sample: &Sample) -> impl Iterator<Item = Frame> + Clone {
        self.frames.get(sample.first..sample.first + sample.count).unwrap_or_default().iter().map(Frame::unpack)
    }
}

/// A stack that is being kept.
pub(super) struct Frames {
    first: usize,
    count: usize,
    /// Frames beyond the innermost ones.
    outer: usize,
}

const NO_IMAGE: u64 = 0xffff;

impl Frame {
    fn pack(self) -> [u64; 3] {
        let Found { code, returns, stack, trust } = self.found;
        let image = self.image.map_or(NO_IMAGE, |image| image as u64);
        [code, stack, trust as u64 | u64::from(returns) << 8 | image << 16]
    }

    fn unpack(&[code, stack, bits]: &[u64; 3]) -> Self {
        let trust = Trust::ALL[(bits & 0xff) as usize % Trust::ALL.len()];
        let image = bits >> 16;
        Self { found: Found { code, returns: bits >> 8 & 1 == 1, stack, trust }, image: (image != NO_IMAGE).then_some(image as usize) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(code: u64) -> Frame {
        Frame { found: Found { code, returns: true, stack: 8 * code, trust: Trust::Scan }, image: code.is_multiple_of(2).then_some(3) }
    }

    fn keep(shot: &mut Shot, count: u64) -> Sample {
        let (mut frames, mut sample) = (shot.open(), Sample::UNKNOWN);
        (0..count).for_each(|code| shot.push(&mut frames, frame(code)));
        shot.close(&frames, &mut sample);
        sample
    }

    #[test]
    fn stacks_are_kept_beside_each_other() {
        let mut shot = Shot::new();
        let (short, shorter) = (keep(&mut shot, 5), keep(&mut shot, 2));
        assert_eq!(shot.frames(&short).collect::<Vec<_>>(), (0..5).map(frame).collect::<Vec<_>>());
        assert_eq!(shot.frames(&shorter).count(), 2);
        let mut copy = Shot::new();
        copy.copy(&shot);
        assert_eq!(copy.frames(&shorter).collect::<Vec<_>>(), shot.frames(&shorter).collect::<Vec<_>>());
    }

    #[test]
    fn of_a_deep_stack_both_ends_are_kept_in_order() {
        for count in [255, 256, 257, 300, 1000] {
            let mut shot = Shot::new();
            let deep = keep(&mut shot, count);
            let codes: Vec<u64> = shot.frames(&deep).map(|frame| frame.found.code).collect();
            assert_eq!(codes.first(), Some(&0));
            assert_eq!(codes.last(), Some(&(count - 1)));
            assert!(codes.is_sorted(), "{count}");
            assert_eq!(codes.len() + deep.skipped, usize::try_from(count).unwrap());
        }
    }

    #[test]
    fn who_has_not_answered_is_asked_once_more() {
        let after = |sources: &[Source]| {
            let mut thread = Thread::new(1, true, Text::EMPTY);
            sources.iter().for_each(|source| thread.keep(Sample { source: *source, ..Sample::UNKNOWN }));
            thread.is_worth_a_look()
        };
        let [silent, blocked] = [Refusal::Silent, Refusal::Blocked].map(Source::Refused);
        assert!(after(&[Source::Asleep]) && after(&[silent]) && after(&[silent, Source::Signal]));
        assert!(!after(&[silent, silent]) && !after(&[Source::Signal, silent]) && !after(&[blocked]) && !after(&[]));
    }

    #[test]
    fn what_finds_no_room_is_counted_or_left_away() {
        let mut shot = Shot::new();
        (0..100).for_each(|tid| shot.add(tid, false, || Text::EMPTY));
        shot.add(5, true, || Text::EMPTY);
        assert_eq!((shot.threads.len(), shot.left_out, shot.threads[5].asked), (THREADS, 100 - THREADS, true));
        let stacks: Vec<Sample> = (0..100).map(|_| keep(&mut shot, 250)).collect();
        assert_eq!(shot.frames(&stacks[0]).count(), 250);
        assert_eq!(shot.frames(&stacks[99]).count(), 0);
    }
}
