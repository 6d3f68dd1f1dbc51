//! The running calls as an indented list.

use std::fmt::{self, Write};

use crate::flight::{Node, Tree};
use crate::spell::spell;

/// Calls beyond this are counted, not printed.
const CALLS: usize = 200;

/// Prints the calls, each under its caller; the one with the id `marked` gets an arrow.
pub(crate) fn tree(tree: &Tree, marked: Option<u64>, out: &mut dyn Write) -> fmt::Result {
    if tree.calls.is_empty() {
        return writeln!(out, "  none");
    }
    let (shown, left_out) = select(tree, marked);
    for node in shown {
        line(node, Some(node.id) == marked, out)?;
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

fn line(node: &Node, marked: bool, out: &mut dyn Write) -> fmt::Result {
    let arrow = if marked { "->" } else { "  " };
    let indent = "  ".repeat(node.depth);
    write!(out, "{arrow}{indent}{} ({}:{}) running {}", node.function, node.file, node.line, spell(node.elapsed))?;
    if node.attempt > 1 {
        write!(out, ", attempt {}", node.attempt)?;
    }
    match node.remaining {
        Some(left) if left.is_zero() => write!(out, ", past its deadline")?,
        Some(left) => write!(out, ", {} left", spell(left))?,
        None => {}
    }
    match &node.polling {
        Some(polling) => write!(out, ", in a poll on `{}` for {}", polling.thread, spell(polling.elapsed))?,
        None => write!(out, ", waiting after {} polls", node.polls)?,
    }
    if let Some(beat) = &node.beat {
        write!(out, ", last beat {} ago", spell(beat.ago))?;
        if let Some(progress) = &beat.progress {
            write!(out, " (`{progress}`)")?;
        }
    }
    if node.detached {
        write!(out, ", detached: its caller has ended")?;
    }
    writeln!(out)
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
            "  main_loop (src/lib.rs:1) running 1s, waiting after 1 polls\n\
             ->  api::fetch (src/lib.rs:2) running 1s, attempt 2, in a poll on `worker-1` for 3s\n"
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
