//! The running calls as an indented list.

use std::fmt::{self, Write};

use crate::flight::{Node, Tree};

/// Calls beyond this are counted, not printed.
const CALLS: usize = 200;

/// Prints the calls, each under its caller; the one with the id `marked` gets an arrow.
pub(crate) fn tree(tree: &Tree, marked: Option<u64>, out: &mut dyn Write) -> fmt::Result {
    if tree.calls.is_empty() {
        return writeln!(out, "  none");
    }
    let (shown, left_out) = select(tree, marked);
    for node in shown {
        let arrow = if Some(node.id) == marked { "->" } else { "  " };
        writeln!(out, "{arrow}{node}")?;
    }
    if left_out > 0 {
        writeln!(out, "  … and {left_out} more")?;
    }
    Ok(())
}

/// The first calls; of a long list, at least those around the marked one.
fn select(tree: &Tree, marked: Option<u64>) -> (&[Node], usize) {
    let place = tree.calls.iter().position(|node| Some(node.id) == marked).unwrap_or(0);
    let start = if place < CALLS { 0 } else { place - CALLS / 2 };
    let end = tree.calls.len().min(start + CALLS);
    (&tree.calls[start..end], tree.calls.len() - (end - start))
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::{node, polling};
    use super::*;

    fn print(calls: Vec<Node>, marked: u64) -> String {
        let mut out = String::new();
        tree(&Tree { calls }, Some(marked), &mut out).unwrap();
        out
    }

    #[test]
    fn the_offending_call_is_marked_under_its_caller() {
        let inner = Node { polling: Some(polling("worker-1", 3)), attempt: 2, ..node(2, 1, "api::fetch") };
        let printed = print(vec![node(1, 0, "main_loop"), inner], 2);
        assert_eq!(
            printed,
            "  main_loop  [1.000 s, waiting after 1 polls]  src/lib.rs:1\n\
             ->  api::fetch  [1.000 s, attempt 2, polling on worker-1 for 3.000 s]  src/lib.rs:2\n"
        );
    }

    #[test]
    fn a_long_list_still_shows_the_marked_call() {
        let calls: Vec<Node> = (0..5000).map(|id| node(id, 0, "many")).collect();
        let printed = print(calls, 4000);
        assert_eq!(printed.lines().count(), CALLS + 1);
        assert!(printed.contains("->many"));
        assert!(printed.ends_with("… and 4800 more\n"));
    }
}
