//! The little that is read from machine code: whether an address follows a call, and what a function's first instructions did.

use super::memory::Pages;

/// Whether the instruction before `address` is a call, as it is before every return address.
pub(super) fn follows_call(pages: &Pages, address: u64) -> bool {
    let mut before = [0; 7];
    if address < 7 || pages.read(address - 7, &mut before).is_none() {
        return false;
    }
    before[2] == 0xe8 || (2..=7).any(|length| is_indirect_call(&before[7 - length..]))
}

/// `ff /2` and nothing behind it; prefixes before it do not matter.
fn is_indirect_call(code: &[u8]) -> bool {
    let [0xff, form, rest @ ..] = code else { return false };
    let (mode, register, operand) = (form >> 6, form >> 3 & 7, form & 7);
    let scaled = usize::from(mode != 3 && operand == 4);
    let displacement = match (mode, operand) {
        (0, 5) | (2, _) => 4,
        (1, _) => 1,
        (0, 4) if rest.first().is_some_and(|scale| scale & 7 == 5) => 4,
        _ => 0,
    };
    register == 2 && rest.len() == scaled + displacement
}

/// Where the direct call before `address` goes; `None` where it is an indirect one.
pub(super) fn called(pages: &Pages, address: u64) -> Option<u64> {
    let mut before = [0; 5];
    pages.read(address.checked_sub(5)?, &mut before)?;
    let [0xe8, distance @ ..] = before else { return None };
    Some(address.wrapping_add_signed(i64::from(i32::from_le_bytes(distance))))
}

/// How far below its saved `rbp` a function keeps its stack pointer, if it begins as compilers have functions with a frame pointer
/// begin (`push rbp; mov rbp, rsp; push …; sub rsp, N`) and `address` lies behind that.
pub(super) fn frame_below(pages: &Pages, start: u64, address: u64) -> Option<u64> {
    let mut code = [0; 48];
    pages.read(start, &mut code)?;
    let (length, below) = prologue(&code)?;
    (address >= start + length as u64).then_some(below)
}

/// The bytes of a prologue, and how far it moves the stack pointer below the saved `rbp`.
fn prologue(code: &[u8]) -> Option<(usize, u64)> {
    const ENDBR64: &[u8] = &[0xf3, 0x0f, 0x1e, 0xfa];
    let mut rest = code.strip_prefix(ENDBR64).unwrap_or(code);
    rest = rest.strip_prefix(&[0x55])?;
    rest = rest.strip_prefix(&[0x48, 0x89, 0xe5]).or_else(|| rest.strip_prefix(&[0x48, 0x8b, 0xec]))?;
    let mut below = 0;
    loop {
        match rest {
            [0x50..=0x57, after @ ..] | [0x41, 0x50..=0x57, after @ ..] => {
                below += 8;
                rest = after;
            }
            [0x48, 0x83, 0xec, size, after @ ..] => {
                below += u64::from(*size);
                rest = after;
                break;
            }
            [0x48, 0x81, 0xec, a, b, c, d, after @ ..] => {
                below += u64::from(u32::from_le_bytes([*a, *b, *c, *d]));
                rest = after;
                break;
            }
            // Aligned by hand: how far depends on the caller.
            [0x48, 0x83, 0xe4, ..] | [0x48, 0x81, 0xe4, ..] => return None,
            _ => break,
        }
    }
    // The stack is aligned behind the subtraction, or goes down in steps that touch each page.
    if matches!(rest, [0x48, 0x83 | 0x81, 0xe4, ..]) {
        return None;
    }
    Some((code.len() - rest.len(), below))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn follows(code: &[u8]) -> bool {
        let mut padded = vec![0x90; 16];
        padded.extend(code);
        follows_call(&Pages::new(), padded.as_ptr() as u64 + padded.len() as u64)
    }

    #[test]
    fn calls_in_every_form_are_known() {
        for call in [
            &[0xe8, 1, 2, 3, 4][..],
            &[0xff, 0xd0],
            &[0x41, 0xff, 0xd4],
            &[0xff, 0x50, 0x18],
            &[0xff, 0x14, 0xc8],
            &[0xff, 0x54, 0x24, 0x08],
            &[0xff, 0x15, 1, 2, 3, 4],
            &[0xff, 0x94, 0xc3, 1, 2, 3, 4],
            &[0xff, 0x14, 0x25, 1, 2, 3, 4],
        ] {
            assert!(follows(call), "{call:x?}");
        }
        for other in [&[0x90, 0x90][..], &[0xff, 0xe0], &[0xff, 0x25, 1, 2, 3, 4], &[0xff, 0x15, 1, 2, 3], &[0xe9, 1, 2, 3, 4]] {
            assert!(!follows(other), "{other:x?}");
        }
        assert!(!follows_call(&Pages::new(), 0x10));
    }

    #[test]
    fn the_target_of_a_direct_call_is_read() {
        let code: [u8; 5] = [0xe8, 0xfb, 0xff, 0xff, 0xff];
        let start = code.as_ptr() as u64;
        assert_eq!(called(&Pages::new(), start + 5), Some(start));
    }

    #[test]
    fn a_prologue_says_how_large_the_frame_is() {
        let full = [0xf3, 0x0f, 0x1e, 0xfa, 0x55, 0x48, 0x89, 0xe5, 0x41, 0x57, 0x53, 0x48, 0x83, 0xec, 0x28, 0x90];
        assert_eq!(prologue(&full), Some((15, 16 + 0x28)));
        assert_eq!(prologue(&[0x55, 0x48, 0x89, 0xe5, 0x48, 0x81, 0xec, 0, 1, 0, 0, 0x90]), Some((11, 256)));
        assert_eq!(prologue(&[0x55, 0x48, 0x89, 0xe5, 0x90]), Some((4, 0)));
        assert_eq!(prologue(&[0x55, 0x48, 0x89, 0xe5, 0x48, 0x83, 0xe4, 0xe0, 0x90]), None);
        assert_eq!(prologue(&[0x53, 0x90]), None);
    }
}
