//! What every function's failures say, kept for its next call; and whether the device is lost for good.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use super::classify::Class;
use super::health::{Health, Route};
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
    health: Mutex<Health>,
    /// The classes that were told of.
    told: Mutex<Told>,
}

impl Kept {
    fn change<T>(&self, change: impl FnOnce(&mut Health) -> T) -> T {
        let mut health: MutexGuard<'_, Health> = self.health.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = change(&mut health);
        self.remembers.store(!health.is_clear(), Ordering::Release);
        changed
    }
}

/// What one function's failures say.
#[derive(Clone, Copy)]
pub(super) struct Routes {
    site: &'static Site,
    /// A site that no attribute made has no memory: it always goes to the device.
    kept: Option<&'static Kept>,
}

impl Routes {
    pub(super) fn of(site: &'static Site) -> Self {
        static KEPT: OnceLock<Vec<Kept>> = OnceLock::new();
        Self { site, kept: KEPT.get_or_init(|| sites().iter().map(|_| Kept::default()).collect()).get(site.id()) }
    }

    fn remembering(self) -> Option<&'static Kept> {
        self.kept.filter(|kept| kept.remembers.load(Ordering::Acquire))
    }

    /// Where a call goes; `signature` is asked for only where something is remembered.
    #[inline]
    pub(super) fn route(self, policy: &DevicePolicy, signature: impl FnOnce() -> u64) -> Route {
        let Some(kept) = self.remembering() else { return Route::Device };
        let signature = signature();
        kept.change(|health| health.route(Tick::now(), signature, policy))
    }

    /// A device fault.
    pub(super) fn failed(self, class: Class, signature: u64, policy: &DevicePolicy) {
        let Some(kept) = self.kept else { return };
        if kept.change(|health| health.failed(Tick::now(), class, signature, policy)) {
            observe::event(&Event::DeviceRouted { site: self.site, cpu: true });
        }
    }

    /// The device did the work.
    #[inline]
    pub(super) fn succeeded(self, signature: impl FnOnce() -> u64) {
        let Some(kept) = self.remembering() else { return };
        let signature = signature();
        if kept.change(|health| health.succeeded(signature)) {
            observe::event(&Event::DeviceRouted { site: self.site, cpu: false });
        }
    }

    /// A probe ended in an error of the program's own.
    pub(super) fn inconclusive(self, signature: u64) {
        self.kept.iter().for_each(|kept| kept.change(|health| health.inconclusive(Tick::now(), signature)));
    }

    /// Whether a fault of this class has not been told of for long.
    pub(super) fn is_news(self, class: Class) -> bool {
        self.kept.is_none_or(|kept| kept.told.lock().unwrap_or_else(PoisonError::into_inner).is_news(Tick::now(), class))
    }
}

/// Whether nobody has told of the lost device yet.
pub(super) fn loss_is_news() -> bool {
    static TOLD: AtomicBool = AtomicBool::new(false);
    !TOLD.swap(true, Ordering::Relaxed)
}

static LOST: OnceLock<String> = OnceLock::new();

/// The fault that has ended the device for this process.
pub(super) fn lost() -> Option<&'static str> {
    LOST.get().map(String::as_str)
}

/// From now on every guarded call on an accelerator fails at once with this cause; the first cause stays.
pub(super) fn lose(cause: &str) {
    let _ = LOST.set(cause.to_owned());
}
