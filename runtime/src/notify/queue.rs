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
use crate::policy::{self, Channel, ChannelKind, WebhookFormat};

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
    queues.keep(&policy::channels());
    for channel in channels {
        queues.send(channel, &notification, || sink::of(channel));
    }
}

/// Waits until everything that was handed over is delivered or given up; `false` when `timeout` came first.
pub(crate) fn flush(timeout: Duration) -> bool {
    let pending: Vec<Arc<AtomicU64>> = match &*QUEUES.lock().unwrap_or_else(PoisonError::into_inner) {
        Some(queues) => queues.pending().collect(),
        None => return true,
    };
    let began = Instant::now();
    while pending.iter().any(|pending| pending.load(Ordering::Acquire) > 0) {
        if began.elapsed() >= timeout {
            return false;
        }
        thread::sleep(Duration::from_millis(5));
    }
    true
}

/// The queues of all channels; a channel that a reload changes gets a new queue, the old one ends when it is empty, as that of a channel which
/// a reload takes away does.
#[derive(Default)]
struct Queues {
    open: HashMap<Arc<str>, Queue>,
    /// What is still pending in queues that end.
    ending: Vec<Arc<AtomicU64>>,
}

struct Queue {
    kind: ChannelKind,
    sender: SyncSender<Arc<Notification>>,
    /// Notifications that are neither delivered nor given up.
    pending: Arc<AtomicU64>,
}

impl Queues {
    fn send(&mut self, channel: &Channel, notification: &Arc<Notification>, sink: impl FnOnce() -> Box<dyn Sink>) {
        self.end(|name, queue| *name == channel.name && queue.kind != channel.kind);
        // Queues that end have a thread each, too.
        let room = self.open.len() < CHANNELS && self.ending.len() < CHANNELS;
        if !self.open.contains_key(&channel.name)
            && room
            && let Ok(queue) = Queue::start(channel, sink())
        {
            self.open.insert(channel.name.clone(), queue);
        }
        match self.open.get(&channel.name) {
            Some(queue) => queue.push(notification.clone()),
            None => process::drop_one("notification"),
        }
    }

    /// Ends the queues of all channels but these, those in force.
    fn keep(&mut self, channels: &[Channel]) {
        self.end(|name, _| !channels.iter().any(|channel| channel.name == *name));
    }

    fn end(&mut self, mut ends: impl FnMut(&Arc<str>, &Queue) -> bool) {
        let gone = self.open.extract_if(|name, queue| ends(name, queue));
        self.ending.extend(gone.map(|(_, queue)| queue.pending));
        self.ending.retain(|pending| pending.load(Ordering::Acquire) > 0);
    }

    /// How many notifications are pending, queue by queue.
    fn pending(&self) -> impl Iterator<Item = Arc<AtomicU64>> {
        self.open.values().map(|queue| &queue.pending).chain(&self.ending).cloned()
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
mod tests;
