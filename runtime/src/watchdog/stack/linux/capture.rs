//! One look at one thread: asleep, it is read from outside; running, it copies itself. Nothing here takes memory from the heap.

use super::handler::RED_ZONE;
use super::maps::{self, Maps};
use super::memory::{self, Pages};
use super::procfs::{self, Call};
use super::shot::{Frame, Image, Sample, Shot, Source};
use super::signal::{Copies, Refusal};
use super::unwind::{Found, Registers, Stack, Unwinder};
use crate::text::Text;

/// How often a thread that moves while it is read is read again.
const TRIES: usize = 3;

/// Everything that looking takes, set aside beforehand.
pub(super) struct Capture {
    maps: Maps,
    pages: Pages,
    unwinder: Unwinder,
    copies: Copies,
}

impl Capture {
    /// `None` where another one exists in this process.
    pub(super) fn new() -> Option<Self> {
        Some(Self { maps: Maps::new(), pages: Pages::new(), unwinder: Unwinder::new(), copies: Copies::take()? })
    }

    /// Prepares for looking at some threads at about the same time.
    pub(super) fn begin(&mut self) {
        self.maps.refresh();
    }

    /// Looks at a thread. One that runs is asked to copy itself only where `may_ask` says so.
    pub(super) fn look(&mut self, tid: i32, may_ask: bool, shot: &mut Shot) -> Sample {
        let Some(state) = procfs::state(tid) else { return Sample::UNKNOWN };
        let mut sample = Sample::in_state(state);
        self.pages.forget();
        for _ in 0..TRIES {
            match procfs::call(tid) {
                Some(Call::Asleep { number, stack, code }) => {
                    let Some(length) = self.read(stack.wrapping_sub(RED_ZONE)) else {
                        sample.source = Source::Refused(Refusal::Impossible);
                        return sample;
                    };
                    if procfs::call(tid) == Some(Call::Asleep { number, stack, code }) {
                        sample.call = (number >= 0).then_some(number);
                        sample.wchan = procfs::wchan(tid);
                        // It may have fallen asleep since its state was read.
                        sample.state = if state == b'R' { b'S' } else { state };
                        sample.source = Source::Asleep;
                        self.unwind(Registers::at(stack, code), length, &mut sample, shot);
                        return sample;
                    }
                }
                Some(Call::Running) => break,
                None => return sample,
            }
        }
        if !may_ask {
            sample.source = Source::Spared;
            return sample;
        }
        match self.copies.ask(tid) {
            Ok((registers, length)) => {
                (sample.source, sample.state) = (Source::Signal, b'R');
                self.unwind(registers, length, &mut sample, shot);
            }
            Err(refusal) => sample.source = Source::Refused(refusal),
        }
        sample
    }

    /// Copies a stack from outside; `None` where the buffer is still in use or memory cannot be read.
    fn read(&mut self, start: u64) -> Option<usize> {
        let length = memory::read(start, self.copies.buffer()?);
        (length > 0).then_some(length)
    }

    fn unwind(&mut self, registers: Registers, length: usize, sample: &mut Sample, shot: &mut Shot) {
        let Self { maps, pages, unwinder, copies } = self;
        let Some(copy) = copies.buffer().and_then(|buffer| buffer.get(..length)) else { return };
        let start = registers.stack().unwrap_or_default().wrapping_sub(RED_ZONE);
        let mut frames = shot.open();
        sample.end = unwinder.unwind(maps, &Stack { start, copy, pages }, registers, |found| {
            let image = image_of(maps, pages, &found, shot);
            shot.push(&mut frames, Frame { found, image });
        });
        shot.close(&frames, sample);
    }
}

fn image_of(maps: &Maps, pages: &Pages, found: &Found, shot: &mut Shot) -> Option<usize> {
    let region = maps.find(found.code - u64::from(found.returns)).filter(|region| region.base != 0)?;
    shot.image(region.base, || {
        let bias = maps::headers(pages, region.base)?.bias;
        Some(Image { base: region.base, bias, path: Text::from_bytes(maps.name(region)) })
    })
}

/// Why a thread that was asked gave no stack, in words.
pub(super) fn refusal(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::Blocked => "it runs, and blocks the signal that asks for its stack",
        Refusal::Silent => "it runs, and did not answer within 250ms: it got no CPU, or is in a long call of the kernel",
        Refusal::Impossible => "no signal is free, this process may not read its own memory, or an earlier copy is not done yet",
    }
}
