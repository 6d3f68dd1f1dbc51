//! What most calls have none of.

/// Nothing, or a value on the heap. Where it is nothing, dropping it is one comparison: a plain `Option<Box<T>>` calls a function for that.
pub(super) struct Rare<T>(Option<Box<T>>);

impl<T> Rare<T> {
    pub(super) fn new(value: T) -> Self {
        Self(Some(Box::new(value)))
    }

    pub(super) fn get(&self) -> Option<&T> {
        self.0.as_deref()
    }

    pub(super) fn take(mut self) -> Option<T> {
        self.0.take().map(|value| *value)
    }

    pub(super) fn get_or_default(&mut self) -> &mut T
    where
        T: Default,
    {
        self.0.get_or_insert_default()
    }
}

impl<T> Default for Rare<T> {
    #[inline]
    fn default() -> Self {
        Self(None)
    }
}

impl<T> Drop for Rare<T> {
    #[inline]
    fn drop(&mut self) {
        if let Some(value) = self.0.take() {
            discard(value);
        }
    }
}

#[cold]
#[inline(never)]
fn discard<T>(value: Box<T>) {
    drop(value);
}
