//! What is told of a device fault: an event each time, an incident where it is news.

use std::time::Duration;

use super::classify::{Class, Fault};
use super::routes::{self, Routes};
use crate::clock::Tick;
use crate::event::Event;
use crate::incident::{self, Finding, IncidentKind};
use crate::observe;
use crate::site::Site;

/// The body runs on the CPU instead.
pub(super) fn fell_back(site: &'static Site, device: &str, fault: &Fault) {
    observe::event(&Event::DeviceFallback { site, device, class: fault.class.as_str(), reason: &fault.reason });
    open(site, device, fault, "the body ran on the CPU instead");
}

/// The fault goes to the caller.
pub(super) fn refused(site: &'static Site, device: &str, fault: &Fault, why: &str) {
    observe::event(&Event::DeviceRefused { site, device, class: fault.class.as_str(), reason: &fault.reason, why });
    open(site, device, fault, why);
}

/// One incident for each function and class while nothing else becomes of it; one for a device that is lost, whoever finds it so.
fn open(site: &'static Site, device: &str, fault: &Fault, what_followed: &str) {
    let news = if fault.class == Class::Poisoned { routes::loss_is_news() } else { Routes::of(site).is_news(fault.class) };
    if !news {
        return;
    }
    let Fault { class, reason, trace, .. } = fault;
    let separator = if trace.is_empty() { "" } else { "\n" };
    let note = format!("{} on {device}: {reason}; {what_followed}{separator}{trace}", class.as_str());
    let finding = Finding { note: Some(note), ..Finding::of(IncidentKind::Device, site, Tick::now(), Duration::ZERO) };
    incident::open(incident::reserve(), finding);
}
