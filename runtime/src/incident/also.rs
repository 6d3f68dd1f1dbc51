//! The numbers of incidents that share the report of another one: in a fixed size, by blocks of numbers, each as large as all before it.

use super::{IncidentId, reserve, reserve_block};

/// Blocks of 1, 2, 4 … numbers: 1023 altogether. Further ones are counted.
const BLOCKS: usize = 10;

/// See the module.
#[derive(Clone, Debug, Default)]
pub(crate) struct Also {
    /// The first number of each block.
    blocks: [u64; BLOCKS],
    count: u64,
}

impl Also {
    /// The number of the next one.
    pub(crate) fn next(&mut self) -> IncidentId {
        let (block, place) = split(self.count);
        let Some(first) = self.blocks.get_mut(block) else { return reserve() };
        if *first == 0 {
            *first = reserve_block(1 << block);
        }
        IncidentId(*first + place)
    }

    /// There is one more, of the number that was told last.
    pub(crate) fn add(&mut self) {
        self.count += 1;
    }

    /// How many there are.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// The first of them.
    pub(crate) fn named(&self) -> impl Iterator<Item = IncidentId> {
        let number = |(block, place): (usize, u64)| Some(IncidentId(self.blocks.get(block)? + place));
        (0..self.count).map(split).map_while(number)
    }
}

fn split(count: u64) -> (usize, u64) {
    let block = (count + 1).ilog2();
    (block as usize, count + 1 - (1 << block))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn each_has_a_number_of_its_own_and_the_first_thousand_are_named() {
        let (mut one, mut other) = (Also::default(), Also::default());
        let mut given = Vec::new();
        let mut of_the_other = Vec::new();
        for _ in 0..1500 {
            given.push(one.next());
            of_the_other.push(other.next());
            one.add();
            other.add();
        }
        assert_eq!((one.count(), one.named().count()), (1500, 1023));
        assert!(one.named().eq(given[..1023].iter().copied()));
        assert_eq!(given.iter().chain(&of_the_other).collect::<HashSet<_>>().len(), 3000);
    }
}
