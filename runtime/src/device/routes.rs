//! What every function's failures say, kept for its next call; and whether the device is lost for good.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use super::classify::Class;
use super::health::{Health, Route};
use super::standing;
use super::told::Told;
use crate::clock::Tick;
use crate::event::Event;
use crate::observe;
use crate::policy::DevicePolicy;
use crate::site::{Site, sites};

#[derive(Default)]
struct Kept {
    /// Set while there is something to remember; read without the lock.
    remembers: AtomicBool,
    /// Whether a policy sends the function to the CPU; read without the lock.
    by_policy: AtomicBool,
    health: Mutex<Health>,
    /// The classes that were told of.
    told: Mutex<Told>,
}

impl Kept {
    /// Changes what is remembered, and tells of it where the function goes elsewhere from now on.
    fn change<T>(&self, site: &'static Site, change: impl FnOnce(&mut Health) -> T) -> T {
        let mut health: MutexGuard<'_, Health> = self.health.lock().unwrap_or_else(PoisonError::into_inner);
        let was_routed = health.is_routed();
        let changed = change(&mut health);
        let (remembers, is_routed) = (!health.is_clear(), health.is_routed());
        self.by_policy.store(health.by_policy, Ordering::Relaxed);
        if self.remembers.swap(remembers, Ordering::AcqRel) != remembers {
            standing::remembers(remembers);
        }
        drop(health);
        if was_routed != is_routed {
            observe::event(&Event::DeviceRouted { site, cpu: is_routed });
        }
        changed
    }

    #[cold]
    fn route(&self, site: &'static Site, (policy, signature): (DevicePolicy, u64)) -> Route {
        self.change(site, |health| {
            health.by_policy = false;
            health.route(Tick::now(), signature, &policy)
        })
    }

    #[cold]
    fn succeeded(&self, site: &'static Site, signature: u64) {
        self.change(site, |health| health.succeeded(signature));
    }
}

/// What one function's failures say.
#[derive(Clone, Copy)]
pub(super) struct Routes(&'static Site);

impl Routes {
    #[inline]
    pub(super) fn of(site: &'static Site) -> Self {
        Self(site)
    }

    /// A site that no attribute made has no memory: it always goes to the device.
    fn kept(self) -> Option<&'static Kept> {
        static KEPT: OnceLock<Vec<Kept>> = OnceLock::new();
        KEPT.get_or_init(|| sites().iter().map(|_| Kept::default()).collect()).get(self.0.id())
    }

    #[inline]
    fn remembering(self) -> Option<&'static Kept> {
        if standing::is_remembering() { self.remembering_itself() } else { None }
    }

    #[cold]
    fn remembering_itself(self) -> Option<&'static Kept> {
        self.kept().filter(|kept| kept.remembers.load(Ordering::Acquire))
    }

    /// Where a call goes; the policy and the signature are asked for only where something is remembered.
    #[inline]
    pub(super) fn route(self, of_call: impl FnOnce() -> (DevicePolicy, u64)) -> Route {
        match self.remembering() {
            None => Route::Device,
            Some(kept) => kept.route(self.0, of_call()),
        }
    }

    /// A policy sends this call to the CPU.
    pub(super) fn chosen(self) {
        if let Some(kept) = self.kept().filter(|kept| !kept.by_policy.load(Ordering::Relaxed)) {
            kept.change(self.0, |health| health.by_policy = true);
        }
    }

    /// A device fault.
    pub(super) fn failed(self, class: Class, signature: u64, policy: &DevicePolicy) {
        self.kept().iter().for_each(|kept| kept.change(self.0, |health| health.failed(Tick::now(), class, signature, policy)));
    }

    /// The device did the work.
    #[inline]
    pub(super) fn succeeded(self, signature: impl FnOnce() -> u64) {
        if let Some(kept) = self.remembering() {
            kept.succeeded(self.0, signature());
        }
    }

    /// A probe ended in an error of the program's own.
    pub(super) fn inconclusive(self, signature: u64) {
        self.kept().iter().for_each(|kept| kept.change(self.0, |health| health.inconclusive(Tick::now(), signature)));
    }

    /// Whether a fault of this class has not been told of for long.
    pub(super) fn is_news(self, class: Class) -> bool {
        self.kept().is_none_or(|kept| kept.told.lock().unwrap_or_else(PoisonError::into_inner).is_news(Tick::now(), class))
    }
}

/// Whether nobody has told of the lost device yet.
pub(super) fn loss_is_news() -> bool {
    static TOLD: AtomicBool = AtomicBool::new(false);
    !TOLD.swap(true, Ordering::Relaxed)
}

static LOST: OnceLock<String> = OnceLock::new();

/// The fault that has ended the device for this process.
#[inline]
pub(super) fn lost() -> Option<&'static str> {
    if standing::is_lost() { LOST.get().map(String::as_str) } else { None }
}

/// From now on every guarded call on an accelerator fails at once with this cause; the first cause stays.
pub(super) fn lose(cause: &str) {
    let _ = LOST.set(cause.to_owned());
    standing::lost();
}
