//! A short text that needs no heap.

use std::fmt;

/// At most `N` bytes; what does not fit is cut off.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Text<const N: usize> {
    length: usize,
    bytes: [u8; N],
}

/// What reports call a thread. Long enough for any name that a kernel keeps, and for most that only Rust does.
pub(crate) type Name = Text<80>;

impl<const N: usize> Text<N> {
    pub(crate) const EMPTY: Self = Self { length: 0, bytes: [0; N] };

    /// The text of `arguments`.
    pub(crate) fn of(arguments: fmt::Arguments<'_>) -> Self {
        let mut text = Self::EMPTY;
        // Writing here never fails: it cuts.
        let _ = fmt::Write::write_fmt(&mut text, arguments);
        text
    }

    /// A copy of `bytes`.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Self {
        let mut text = Self::EMPTY;
        text.push(bytes);
        text
    }

    fn push(&mut self, bytes: &[u8]) {
        let fits = bytes.len().min(N - self.length);
        self.bytes[self.length..self.length + fits].copy_from_slice(&bytes[..fits]);
        self.length += fits;
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    /// Up to the first byte that is no UTF-8.
    pub(crate) fn as_str(&self) -> &str {
        match std::str::from_utf8(self.as_bytes()) {
            Ok(text) => text,
            Err(error) => std::str::from_utf8(&self.as_bytes()[..error.valid_up_to()]).unwrap_or_default(),
        }
    }
}

impl<const N: usize> fmt::Write for Text<N> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.push(text.as_bytes());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_cut_off() {
        assert_eq!(Text::<8>::of(format_args!("{}-{}", "abcd", 12345)).as_str(), "abcd-123");
        assert_eq!(Text::<4>::from_bytes("abé".as_bytes()).as_str(), "abé");
        assert_eq!(Text::<3>::from_bytes("abé".as_bytes()).as_str(), "ab");
    }
}
