//! Trouble with the simulated device, ordered while the market is open. What the policy file injects comes on top.

use sim_mps::Orders;
use tokio::sync::watch;

use crate::session::{Stage, Status};

/// What is ordered, and between which parts of the trading day (in percent).
const SCRIPT: [(usize, usize, Trouble); 2] =
    [(20, 35, Trouble::Unsupported("aten::addmm")), (55, 70, Trouble::OutOfMemory { after: 4096 })];

/// A kind of trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trouble {
    /// The device has no kernel for this operator.
    Unsupported(&'static str),
    /// No more than this many bytes can be had.
    OutOfMemory { after: u64 },
}

/// Orders the script's trouble as the day goes on, until the run is over.
pub(super) async fn order(device: Orders, mut status: watch::Receiver<Status>) {
    let mut now = None;
    loop {
        let stage = status.borrow_and_update().stage;
        if stage == Stage::Done {
            return;
        }
        let due = due(stage);
        if due != now {
            device.reset();
            begin(&device, due);
            now = due;
        }
        if status.changed().await.is_err() {
            return;
        }
    }
}

fn due(stage: Stage) -> Option<Trouble> {
    let Stage::Trading { bar, bars } = stage else { return None };
    let percent = bar * 100 / bars.max(1);
    SCRIPT.iter().find(|(from, to, _)| (*from..*to).contains(&percent)).map(|(_, _, trouble)| *trouble)
}

fn begin(device: &Orders, trouble: Option<Trouble>) {
    match trouble {
        None => tracing::info!(target: "trading::demo", "the device works again"),
        Some(Trouble::Unsupported(operator)) => {
            tracing::info!(target: "trading::demo", operator, "from now on the device lacks an operator");
            if let Err(error) = device.unimplemented(operator) {
                tracing::error!(target: "trading::demo", %error, "the trouble cannot be ordered");
            }
        }
        Some(Trouble::OutOfMemory { after }) => {
            tracing::info!(target: "trading::demo", bytes = after, "from now on the device is short of memory");
            device.out_of_memory_after(after);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_device_is_sound_before_between_and_after_its_troubles() {
        let at = |bar| due(Stage::Trading { bar, bars: 200 });
        assert_eq!([at(0), at(39), at(80), at(140), at(200)], [None; 5]);
        assert_eq!(at(40), Some(Trouble::Unsupported("aten::addmm")));
        assert_eq!(at(110), Some(Trouble::OutOfMemory { after: 4096 }));
        assert_eq!(due(Stage::Training { round: 50, rounds: 100 }), None);
    }
}
