//! The queues to the channels: bounded, one thread each, with retries.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use tracing::warn;

use super::Notification;
use super::sink::{self, Sink};
use crate::incident::Incident;
use crate::metrics::process;
use crate::policy::{Channel, ChannelKind, WebhookFormat};

/// So many notifications wait for one channel.
const WAITING: usize = 64;
/// So many channels have a thread; policies with more are at fault, and the rest is dropped and counted.
const CHANNELS: usize = 32;
/// The pauses between attempts.
const PAUSES: [Duration; 3] = [Duration::from_millis(500), Duration::from_secs(2), Duration::from_secs(8)];

/// Locked by the reporter's thread and by `flush`, never by the application.
static QUEUES: Mutex<Option<Queues>> = Mutex::new(None);

/// Tells those of these channels of an incident again that take what is not repeated for over.
pub(crate) fn remind(incident: &Incident, channels: &[Channel]) {
    let forgets = |channel: &&Channel| matches!(channel.kind, ChannelKind::Webhook { format: WebhookFormat::Alertmanager, .. });
    let channels: Vec<Channel> = channels.iter().filter(forgets).cloned().collect();
    send(incident, &channels);
}

/// Hands an incident to these channels. Never waits for them.
pub(crate) fn send(incident: &Incident, channels: &[Channel]) {
    if channels.is_empty() {
        return;
    }
    let notification = Notification::of(incident);
    let mut queues = QUEUES.lock().unwrap_or_else(PoisonError::into_inner);
    let queues = queues.get_or_insert_default();
    for channel in channels {
        queues.send(channel, &notification, || sink::of(channel));
    }
}

/// Waits until everything that was handed over is delivered or given up; `false` when `timeout` came first.
pub(crate) fn flush(timeout: Duration) -> bool {
    let pending: Vec<Arc<AtomicU64>> = match &*QUEUES.lock().unwrap_or_else(PoisonError::into_inner) {
        Some(queues) => queues.open.values().map(|queue| queue.pending.clone()).collect(),
        None => return true,
    };
    let deadline = Instant::now() + timeout;
    while pending.iter().any(|pending| pending.load(Ordering::Acquire) > 0) {
        if Instant::now() >= deadline {
            return false;
        }
        thread::sleep(Duration::from_millis(5));
    }
    true
}

/// The queues of all channels; a channel that a reload changes gets a new queue, the old one ends when it is empty.
#[derive(Default)]
struct Queues {
    open: HashMap<Arc<str>, Queue>,
}

struct Queue {
    kind: ChannelKind,
    sender: SyncSender<Arc<Notification>>,
    /// Notifications that are neither delivered nor given up.
    pending: Arc<AtomicU64>,
}

impl Queues {
    fn send(&mut self, channel: &Channel, notification: &Arc<Notification>, sink: impl FnOnce() -> Box<dyn Sink>) {
        let known = self.open.get(&channel.name).is_some_and(|queue| queue.kind == channel.kind);
        if !known && (self.open.contains_key(&channel.name) || self.open.len() < CHANNELS) {
            match Queue::start(channel, sink()) {
                Ok(queue) => _ = self.open.insert(channel.name.clone(), queue),
                Err(_) => _ = self.open.remove(&channel.name),
            }
        }
        match self.open.get(&channel.name) {
            Some(queue) => queue.push(notification.clone()),
            None => process::drop_one("notification"),
        }
    }
}

impl Queue {
    fn start(channel: &Channel, sink: Box<dyn Sink>) -> std::io::Result<Self> {
        let (sender, receiver) = sync_channel(WAITING);
        let pending = Arc::new(AtomicU64::new(0));
        let worker = Worker { channel: channel.name.clone(), sink, pauses: &PAUSES, pending: pending.clone() };
        thread::Builder::new().name("backstop-notify".into()).spawn(move || worker.run(&receiver))?;
        Ok(Self { kind: channel.kind.clone(), sender, pending })
    }

    fn push(&self, notification: Arc<Notification>) {
        self.pending.fetch_add(1, Ordering::AcqRel);
        if self.sender.try_send(notification).is_err() {
            self.pending.fetch_sub(1, Ordering::AcqRel);
            process::drop_one("notification");
        }
    }
}

/// The thread of one channel.
struct Worker {
    channel: Arc<str>,
    sink: Box<dyn Sink>,
    pauses: &'static [Duration],
    pending: Arc<AtomicU64>,
}

impl Worker {
    fn run(mut self, queue: &Receiver<Arc<Notification>>) {
        while let Ok(notification) = queue.recv() {
            if let Err(error) = self.deliver(&notification) {
                process::drop_one("notification_failed");
                let (channel, incident) = (&*self.channel, notification.id());
                // A subscriber that panics must not end the channel.
                let log = || warn!(target: "backstop::incident", channel, incident, error, "notification given up");
                let _ = catch_unwind(AssertUnwindSafe(log));
            }
            self.pending.fetch_sub(1, Ordering::AcqRel);
        }
    }

    fn deliver(&mut self, notification: &Notification) -> Result<(), String> {
        let mut failed = self.attempt(notification);
        for pause in self.pauses {
            if failed.is_ok() {
                break;
            }
            thread::sleep(*pause);
            failed = self.attempt(notification);
        }
        failed
    }

    fn attempt(&mut self, notification: &Notification) -> Result<(), String> {
        catch_unwind(AssertUnwindSafe(|| self.sink.deliver(notification))).unwrap_or_else(|_| Err("the channel panicked".to_owned()))
    }
}

#[cfg(test)]
pub(super) mod testing {
    use super::*;
    use crate::incident::{IncidentKind, testing};

    pub(in crate::notify) fn notification(id: u64) -> Arc<Notification> {
        Notification::of(&testing::incident(id, IncidentKind::Limit))
    }
}

#[cfg(test)]
mod tests {
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
        let given_up =
            || process::dropped(crate::metrics::names::DROPPED_WHAT.iter().position(|what| *what == "notification_failed").unwrap());
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
}
