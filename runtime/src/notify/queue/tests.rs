//! Queues against sinks that fail, panic and hang.

use super::testing::notification;
use super::*;
use crate::policy::Origin;
use std::sync::Condvar;

/// Fails, or panics, as often as it is told.
struct Scripted {
    script: Vec<fn() -> Result<(), String>>,
    delivered: Arc<AtomicU64>,
}

impl Sink for Scripted {
    fn deliver(&mut self, notification: &Notification) -> Result<(), String> {
        self.script.pop().map_or(Ok(()), |step| step())?;
        self.delivered.fetch_add(notification.id(), Ordering::Relaxed);
        Ok(())
    }
}

fn worker(script: Vec<fn() -> Result<(), String>>) -> (Worker, Arc<AtomicU64>) {
    let delivered = Arc::new(AtomicU64::new(0));
    let sink = Box::new(Scripted { script, delivered: delivered.clone() });
    (Worker { channel: "test".into(), sink, pauses: &[Duration::ZERO; 3], pending: Arc::default() }, delivered)
}

#[test]
fn a_sink_that_fails_and_panics_is_tried_again() {
    let (mut worker, delivered) = worker(vec![|| Err("down".into()), || panic!("a bug in the sink")]);
    assert_eq!(worker.deliver(&notification(7)), Ok(()));
    assert_eq!(delivered.load(Ordering::Relaxed), 7);
}

#[test]
fn a_sink_that_keeps_failing_is_given_up_and_the_next_notification_is_delivered() {
    let (mut worker, delivered) = worker(vec![|| Err("down".into()); 4]);
    assert_eq!(worker.deliver(&notification(7)), Err("down".into()));
    assert_eq!(worker.deliver(&notification(8)), Ok(()));
    assert_eq!(delivered.load(Ordering::Relaxed), 8);
}

#[test]
fn what_is_given_up_is_counted_and_ends_neither_the_channel_nor_its_queue() {
    let given_up = || process::dropped(crate::metrics::names::DROPPED_WHAT.iter().position(|what| *what == "notification_failed").unwrap());
    let before = given_up();
    let (worker, delivered) = worker([vec![fails as fn() -> _; 4], vec![|| panic!("a bug in the sink"); 4]].concat());
    let (sender, queue) = sync_channel(WAITING);
    let pending = worker.pending.clone();
    pending.store(3, Ordering::Relaxed);
    (7..10).for_each(|id| sender.send(notification(id)).unwrap());
    drop(sender);
    worker.run(&queue);
    assert_eq!((delivered.load(Ordering::Relaxed), pending.load(Ordering::Relaxed)), (9, 0));
    assert!(given_up() - before >= 2);
}

fn fails() -> Result<(), String> {
    Err("down".into())
}

/// Hangs until it is released.
struct Hanging(Arc<(Mutex<bool>, Condvar)>);

impl Sink for Hanging {
    fn deliver(&mut self, _: &Notification) -> Result<(), String> {
        let (released, changed) = &*self.0;
        drop(changed.wait_while(released.lock().unwrap(), |released| !*released).unwrap());
        Ok(())
    }
}

fn channel(name: &str) -> Channel {
    Channel { name: name.into(), kind: ChannelKind::Log, origin: Origin::BuiltIn }
}

#[test]
fn a_sink_that_hangs_delays_nobody_and_what_does_not_fit_is_counted() {
    let release = Arc::new((Mutex::new(false), Condvar::new()));
    let delivered = Arc::new(AtomicU64::new(0));
    let dropped = || process::dropped(crate::metrics::names::DROPPED_WHAT.iter().position(|what| *what == "notification").unwrap());
    let (before, notification) = (dropped(), notification(1));
    let mut queues = Queues::default();
    for _ in 0..200 {
        queues.send(&channel("hanging"), &notification, || Box::new(Hanging(release.clone())));
    }
    assert!(dropped() - before >= 200 - WAITING as u64 - 1);
    queues.send(&channel("other"), &notification, || Box::new(Scripted { script: Vec::new(), delivered: delivered.clone() }));
    let deadline = Instant::now() + Duration::from_secs(60);
    while delivered.load(Ordering::Relaxed) == 0 && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(delivered.load(Ordering::Relaxed), 1);
    *release.0.lock().unwrap() = true;
    release.1.notify_all();
    while queues.open["hanging"].pending.load(Ordering::Acquire) > 0 && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(queues.open["hanging"].pending.load(Ordering::Acquire), 0);
}

#[test]
fn what_is_pending_in_a_queue_that_a_reload_ends_is_waited_for() {
    let release = Arc::new((Mutex::new(false), Condvar::new()));
    let delivered = Arc::new(AtomicU64::new(0));
    let mut queues = Queues::default();
    let pending = |queues: &Queues| queues.pending().map(|pending| pending.load(Ordering::Acquire)).sum::<u64>();
    for name in ["changed", "removed"] {
        queues.send(&channel(name), &notification(1), || Box::new(Hanging(release.clone())));
    }
    let changed = Channel { kind: ChannelKind::File { path: "elsewhere".into() }, ..channel("changed") };
    queues.keep(std::slice::from_ref(&changed));
    queues.send(&changed, &notification(2), || Box::new(Scripted { script: Vec::new(), delivered: delivered.clone() }));
    let deadline = Instant::now() + Duration::from_secs(60);
    while (delivered.load(Ordering::Relaxed) == 0 || pending(&queues) != 2) && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(1));
    }
    assert_eq!((pending(&queues), queues.open.len()), (2, 1));
    *release.0.lock().unwrap() = true;
    release.1.notify_all();
    while pending(&queues) > 0 && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(1));
    }
    queues.keep(&[]);
    assert_eq!((pending(&queues), queues.ending.len()), (0, 0));
}

#[test]
fn channels_that_a_reload_takes_away_make_room_for_others() {
    let delivered = Arc::new(AtomicU64::new(0));
    let sink = || Box::new(Scripted { script: Vec::new(), delivered: delivered.clone() }) as Box<dyn Sink>;
    let mut queues = Queues::default();
    for number in 0..CHANNELS * 3 {
        let channel = channel(&format!("c{number}"));
        queues.keep(std::slice::from_ref(&channel));
        queues.send(&channel, &notification(1), sink);
        assert_eq!(queues.open.keys().map(|name| &**name).collect::<Vec<_>>(), [&*channel.name]);
        let deadline = Instant::now() + Duration::from_secs(60);
        while delivered.load(Ordering::Relaxed) <= number as u64 && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(1));
        }
    }
    assert_eq!(delivered.load(Ordering::Relaxed), CHANNELS as u64 * 3);
}

#[test]
fn a_policy_with_too_many_channels_is_bounded() {
    let delivered = Arc::new(AtomicU64::new(0));
    let notification = notification(1);
    let mut queues = Queues::default();
    for number in 0..CHANNELS + 10 {
        let sink = || Box::new(Scripted { script: Vec::new(), delivered: delivered.clone() }) as Box<dyn Sink>;
        queues.send(&channel(&format!("c{number}")), &notification, sink);
    }
    assert_eq!(queues.open.len(), CHANNELS);
}
