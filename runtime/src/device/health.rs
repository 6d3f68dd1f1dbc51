//! Device or CPU? What a function's failures say about its next call. Pure: the time is given.
//!
//! Failures that come again (an operator that the device lacks) send a function to the CPU once there were enough of them;
//! a lack of memory only gives the device a pause. Either way one call at a time tries the device again after the policy's
//! time, so that nothing is sent to the CPU for ever.

use crate::clock::Tick;
use crate::policy::DevicePolicy;

use super::classify::Class;

/// The failures of one function.
#[derive(Debug, Default)]
pub(crate) struct Health {
    entries: Vec<Entry>,
    /// Whether a policy sends the function to the CPU, whatever the entries say.
    pub(crate) by_policy: bool,
}

#[derive(Debug)]
struct Entry {
    class: Class,
    /// Of the arguments: see `Survey::signature`.
    signature: u64,
    faults: u32,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Not enough faults yet.
    Watched,
    /// On the CPU until then.
    Cpu(Tick),
    /// One call tries the device since then.
    Probing(Tick),
}

/// Where a call goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    Device,
    /// To the device, to see whether it works again.
    Probe,
    /// To the CPU, because of failures of this class.
    Cpu(Class),
}

/// The most failures that one function remembers; the oldest is forgotten.
const REMEMBERED: usize = 16;

/// A lack of memory passes faster than a missing operator: it keeps the device free for this part of the policy's time.
const COOL_DOWN_PART: u32 = 10;

impl Health {
    /// Whether there is nothing to remember: such a function goes to the device without further questions.
    pub(crate) fn is_clear(&self) -> bool {
        self.entries.is_empty() && !self.by_policy
    }

    /// Whether the function starts on the CPU, for some arguments at least.
    pub(crate) fn is_routed(&self) -> bool {
        self.by_policy || self.entries.iter().any(|entry| entry.state != State::Watched)
    }

    /// Where a call with this signature goes.
    pub(crate) fn route(&mut self, now: Tick, signature: u64, policy: &DevicePolicy) -> Route {
        let over = |since: Tick| now >= since.after(policy.retry_device_after);
        // Arguments that have not come again when they could have: nobody probes for them, and they are no reason to call the function routed.
        self.entries.retain(|entry| {
            entry.signature == signature || !matches!(entry.state, State::Cpu(since) | State::Probing(since) if over(since))
        });
        let of_call = || self.entries.iter().filter(|entry| entry.signature == signature);
        let waits = |entry: &&Entry| match entry.state {
            State::Watched => false,
            State::Cpu(until) => now < until,
            // A probe that never reported is given up after the same time.
            State::Probing(since) => !over(since),
        };
        if let Some(waiting) = of_call().find(waits) {
            return Route::Cpu(waiting.class);
        }
        let mut route = Route::Device;
        for entry in self.entries.iter_mut().filter(|entry| entry.signature == signature && entry.state != State::Watched) {
            entry.state = State::Probing(now);
            route = Route::Probe;
        }
        route
    }

    /// A device fault.
    pub(crate) fn failed(&mut self, now: Tick, class: Class, signature: u64, policy: &DevicePolicy) {
        let Some(memory) = memory_of(class) else { return };
        let entry = self.entry(class, signature);
        entry.faults = entry.faults.saturating_add(1);
        let probed = matches!(entry.state, State::Probing(_));
        let pause = match memory {
            Memory::Sticky if probed || entry.faults >= policy.sticky_after => policy.retry_device_after,
            Memory::Sticky => return,
            Memory::CoolDown => policy.retry_device_after / COOL_DOWN_PART,
        };
        entry.state = State::Cpu(now.after(pause));
    }

    /// The device did the work, so earlier faults count no more.
    pub(crate) fn succeeded(&mut self, signature: u64) {
        self.entries.retain(|entry| entry.signature != signature);
    }

    /// A probe ended without an answer about the device: the next call probes again.
    pub(crate) fn inconclusive(&mut self, now: Tick, signature: u64) {
        for entry in self.entries.iter_mut().filter(|entry| entry.signature == signature) {
            if let State::Probing(_) = entry.state {
                entry.state = State::Cpu(now);
            }
        }
    }

    fn entry(&mut self, class: Class, signature: u64) -> &mut Entry {
        let known = self.entries.iter().position(|entry| entry.class == class && entry.signature == signature);
        let at = known.unwrap_or_else(|| {
            if self.entries.len() == REMEMBERED {
                self.entries.remove(0);
            }
            self.entries.push(Entry { class, signature, faults: 0, state: State::Watched });
            self.entries.len() - 1
        });
        &mut self.entries[at]
    }
}

enum Memory {
    Sticky,
    CoolDown,
}

/// What a class says about the next call; `None`: nothing.
fn memory_of(class: Class) -> Option<Memory> {
    match class {
        Class::UnsupportedOp
        | Class::UnsupportedDtype
        | Class::UnsupportedConfig
        | Class::SizeLimit
        | Class::BackendInternal
        | Class::KernelBuild
        | Class::BackendUnavailable => Some(Memory::Sticky),
        Class::OutOfMemory => Some(Memory::CoolDown),
        Class::DeviceMismatch
        | Class::GeneratorMismatch
        | Class::LibraryError
        | Class::Poisoned
        | Class::Collective
        | Class::StreamCapture => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const POLICY: DevicePolicy = DevicePolicy { retry_device_after: Duration::from_secs(60), ..DevicePolicy::built_in() };

    fn at(seconds: u64) -> Tick {
        Tick::from_nanos(seconds * 1_000_000_000)
    }

    fn stuck() -> Health {
        let mut health = Health::default();
        (0..3).for_each(|second| health.failed(at(second), Class::UnsupportedOp, 7, &POLICY));
        health
    }

    #[test]
    fn a_missing_operator_sends_the_function_to_the_cpu_after_the_policys_number_of_faults() {
        let mut health = Health::default();
        (0..2).for_each(|second| health.failed(at(second), Class::UnsupportedOp, 7, &POLICY));
        assert_eq!((health.route(at(1), 7, &POLICY), health.is_routed()), (Route::Device, false));
        health.failed(at(2), Class::UnsupportedOp, 7, &POLICY);
        assert!(health.is_routed());
        assert_eq!(health.route(at(2), 7, &POLICY), Route::Cpu(Class::UnsupportedOp));
    }

    #[test]
    fn other_shapes_still_go_to_the_device() {
        assert_eq!(stuck().route(at(3), 8, &POLICY), Route::Device);
    }

    #[test]
    fn one_call_probes_the_device_after_the_policys_time_and_the_others_wait() {
        let mut health = stuck();
        assert_eq!(health.route(at(61), 7, &POLICY), Route::Cpu(Class::UnsupportedOp));
        assert_eq!(health.route(at(62), 7, &POLICY), Route::Probe);
        assert_eq!(health.route(at(62), 7, &POLICY), Route::Cpu(Class::UnsupportedOp));
    }

    #[test]
    fn a_probe_that_works_brings_the_function_back_to_the_device() {
        let mut health = stuck();
        assert_eq!(health.route(at(70), 7, &POLICY), Route::Probe);
        health.succeeded(7);
        assert_eq!(health.route(at(70), 7, &POLICY), Route::Device);
        assert!(health.is_clear());
    }

    #[test]
    fn a_probe_that_fails_or_never_ends_is_followed_by_another() {
        let mut health = stuck();
        assert_eq!(health.route(at(70), 7, &POLICY), Route::Probe);
        health.failed(at(71), Class::UnsupportedOp, 7, &POLICY);
        assert_eq!(health.route(at(130), 7, &POLICY), Route::Cpu(Class::UnsupportedOp));
        assert_eq!(health.route(at(131), 7, &POLICY), Route::Probe);
        assert_eq!(health.route(at(191), 7, &POLICY), Route::Probe);
        health.inconclusive(at(192), 7);
        assert_eq!(health.route(at(192), 7, &POLICY), Route::Probe);
    }

    #[test]
    fn a_function_is_back_on_the_device_when_no_arguments_send_it_to_the_cpu() {
        let mut health = stuck();
        health.failed(at(3), Class::OutOfMemory, 8, &POLICY);
        health.succeeded(8);
        assert!(health.is_routed());
        health.succeeded(7);
        assert!(!health.is_routed());
    }

    #[test]
    fn arguments_that_never_come_again_do_not_keep_the_function_on_the_cpu() {
        let mut health = stuck();
        assert_eq!(health.route(at(121), 8, &POLICY), Route::Device);
        assert!(health.is_routed(), "they could have come for as long as they had to wait");
        assert_eq!(health.route(at(122), 8, &POLICY), Route::Device);
        assert!(health.is_clear());
    }

    #[test]
    fn a_policy_that_sends_a_function_to_the_cpu_is_a_route_too() {
        let mut health = Health { by_policy: true, ..Health::default() };
        assert!(health.is_routed() && !health.is_clear());
        health.by_policy = false;
        assert!(!health.is_routed() && health.is_clear());
    }

    #[test]
    fn a_call_that_waits_for_two_reasons_probes_when_the_longer_wait_is_over() {
        let mut health = stuck();
        health.failed(at(2), Class::OutOfMemory, 7, &POLICY);
        assert_eq!(health.route(at(10), 7, &POLICY), Route::Cpu(Class::UnsupportedOp));
        assert_eq!(health.route(at(62), 7, &POLICY), Route::Probe);
    }

    #[test]
    fn a_lack_of_memory_only_pauses_the_device() {
        let mut health = Health::default();
        health.failed(at(0), Class::OutOfMemory, 7, &POLICY);
        assert_eq!(health.route(at(5), 7, &POLICY), Route::Cpu(Class::OutOfMemory));
        assert_eq!(health.route(at(6), 7, &POLICY), Route::Probe);
    }

    #[test]
    fn what_says_nothing_about_the_next_call_is_not_remembered() {
        let mut health = Health::default();
        for class in [Class::DeviceMismatch, Class::Poisoned, Class::Collective, Class::LibraryError] {
            health.failed(at(0), class, 7, &POLICY);
        }
        assert!(health.is_clear());
    }

    #[test]
    fn only_a_bounded_number_of_failures_is_remembered() {
        let mut health = Health::default();
        (0..1000).for_each(|signature| health.failed(at(0), Class::SizeLimit, signature, &POLICY));
        assert_eq!(health.entries.len(), REMEMBERED);
    }
}
