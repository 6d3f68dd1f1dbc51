//! Which faults of one function were told of: a training loop that fails in each step is one piece of news, not a thousand. Pure.

use std::time::Duration;

use super::classify::Class;
use crate::clock::Tick;

/// What is told of again only after this long without it: between two incidents of one function and class there was a quiet time.
const QUIET: Duration = Duration::from_secs(60);

/// When a fault of each class was last seen.
#[derive(Debug, Default)]
pub(super) struct Told(Vec<(Class, Tick)>);

impl Told {
    /// Whether a fault that is seen now is news.
    pub(super) fn is_news(&mut self, now: Tick, class: Class) -> bool {
        match self.0.iter_mut().find(|(told, _)| *told == class) {
            Some((_, seen)) => {
                let quiet = now.since(*seen);
                *seen = now;
                quiet >= QUIET
            }
            None => {
                self.0.push((class, now));
                true
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Tick {
        Tick::from_nanos(seconds * 1_000_000_000)
    }

    #[test]
    fn a_fault_in_each_step_is_told_once_and_again_after_a_quiet_time() {
        let mut told = Told::default();
        assert!(told.is_news(at(0), Class::UnsupportedOp));
        assert!((1..300).all(|second| !told.is_news(at(second), Class::UnsupportedOp)));
        assert!(told.is_news(at(299), Class::OutOfMemory), "another class is another matter");
        assert!(told.is_news(at(360), Class::UnsupportedOp));
    }
}
