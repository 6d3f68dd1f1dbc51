//! The unwind tables of the mapped modules (`.eh_frame`), read where the loader put them: what is in memory is what runs, even if
//! its file was replaced, and nothing has to be loaded or kept.

use std::borrow::Cow;
use std::fmt;

use gimli::{BaseAddresses, EhFrame, EhFrameHdr, Error, FrameDescriptionEntry, LittleEndian, Reader, ReaderOffsetId, UnwindSection};
use gimli::{UnwindContext, UnwindContextStorage, UnwindTableRow};

use super::maps::{self, Region};
use super::memory::Pages;

/// A stretch of this process's memory, as gimli reads it.
#[derive(Clone, Copy)]
pub(super) struct Memory<'a> {
    pages: &'a Pages,
    start: u64,
    length: usize,
}

impl<'a> Memory<'a> {
    fn new(pages: &'a Pages, start: u64) -> Self {
        // Where a section ends is not known here; reading past what is mapped fails.
        Self { pages, start, length: 1 << 40 }
    }

    fn end(&self) -> Error {
        Error::UnexpectedEof(ReaderOffsetId(self.start))
    }
}

impl fmt::Debug for Memory<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}, {} bytes", self.start, self.length)
    }
}

impl Reader for Memory<'_> {
    type Endian = LittleEndian;
    type Offset = usize;

    fn endian(&self) -> LittleEndian {
        LittleEndian
    }

    fn len(&self) -> usize {
        self.length
    }

    fn empty(&mut self) {
        self.length = 0;
    }

    fn truncate(&mut self, length: usize) -> gimli::Result<()> {
        if length > self.length {
            return Err(self.end());
        }
        self.length = length;
        Ok(())
    }

    fn offset_from(&self, base: &Self) -> usize {
        self.start.wrapping_sub(base.start) as usize
    }

    fn offset_id(&self) -> ReaderOffsetId {
        ReaderOffsetId(self.start)
    }

    fn lookup_offset_id(&self, id: ReaderOffsetId) -> Option<usize> {
        usize::try_from(id.0.checked_sub(self.start)?).ok().filter(|offset| *offset <= self.length)
    }

    /// Names are short: the string at the head of an entry is looked for, nothing else.
    fn find(&self, byte: u8) -> gimli::Result<usize> {
        for offset in 0..self.length.min(64) {
            let mut one = [0];
            self.pages.read(self.start.wrapping_add(offset as u64), &mut one).ok_or(self.end())?;
            if one[0] == byte {
                return Ok(offset);
            }
        }
        Err(self.end())
    }

    fn skip(&mut self, length: usize) -> gimli::Result<()> {
        self.split(length).map(drop)
    }

    fn split(&mut self, length: usize) -> gimli::Result<Self> {
        let rest = self.length.checked_sub(length).ok_or(self.end())?;
        let head = Self { length, ..*self };
        self.start = self.start.wrapping_add(length as u64);
        self.length = rest;
        Ok(head)
    }

    fn to_slice(&self) -> gimli::Result<Cow<'_, [u8]>> {
        Err(self.end())
    }

    fn to_string(&self) -> gimli::Result<Cow<'_, str>> {
        Err(self.end())
    }

    fn to_string_lossy(&self) -> gimli::Result<Cow<'_, str>> {
        Err(self.end())
    }

    fn read_slice(&mut self, into: &mut [u8]) -> gimli::Result<()> {
        let from = self.split(into.len())?.start;
        self.pages.read(from, into).ok_or(self.end())
    }
}

/// Room for the rules of one function without the heap.
pub(super) struct Fixed;

impl UnwindContextStorage<usize> for Fixed {
    type Rules = [(gimli::Register, gimli::RegisterRule<usize>); 32];
    type Stack = [UnwindTableRow<usize, Self>; 4];
}

/// What the tables say of one function.
pub(super) struct Entry<'a> {
    section: EhFrame<Memory<'a>>,
    bases: BaseAddresses,
    function: FrameDescriptionEntry<Memory<'a>>,
}

impl<'a> Entry<'a> {
    /// The entry of the function that holds the code at `address`, which lies in `region`; `None` where the tables do not know it.
    pub(super) fn find(pages: &'a Pages, region: &Region, address: u64) -> Option<Self> {
        let headers = (region.base != 0).then(|| maps::headers(pages, region.base))??;
        if headers.unwinding == 0 {
            return None;
        }
        let bases = BaseAddresses::default().set_eh_frame_hdr(headers.unwinding);
        let index = EhFrameHdr::from(Memory::new(pages, headers.unwinding)).parse(&bases, 8).ok()?;
        let start = index.eh_frame_ptr().direct().ok()?;
        let bases = bases.set_eh_frame(start);
        let entry = index.table()?.lookup(address, &bases).ok()?.direct().ok()?;
        let section = EhFrame::from(Memory::new(pages, start));
        let offset = usize::try_from(entry.checked_sub(start)?).ok()?;
        let function = section.fde_from_offset(&bases, offset.into(), EhFrame::cie_from_offset).ok()?;
        function.contains(address).then_some(Self { section, bases, function })
    }

    /// The rules at `address`.
    pub(super) fn rules<'c>(&self, context: &'c mut UnwindContext<usize, Fixed>, address: u64) -> Option<&'c UnwindTableRow<usize, Fixed>> {
        self.function.unwind_info_for_address(&self.section, &self.bases, context, address).ok()
    }

    /// Where the function begins.
    pub(super) fn start(&self) -> u64 {
        self.function.initial_address()
    }

    /// Whether it is where signal handlers return to.
    pub(super) fn is_signal_frame(&self) -> bool {
        self.function.is_signal_trampoline()
    }

    pub(super) fn expression(&self, expression: gimli::UnwindExpression<usize>) -> Option<gimli::Expression<Memory<'a>>> {
        expression.get(&self.section).ok()
    }

    pub(super) fn encoding(&self) -> gimli::Encoding {
        self.function.cie().encoding()
    }
}
