//! The report for machines. Durations are seconds, times RFC 3339 in UTC; a new field does not change the version, a removed or
//! reinterpreted one does.

use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use crate::flight::{GuardedPoll, Node, RuntimeState, Tree};
use crate::host::{Verdict, Withheld};
use crate::incident::{Dump, FunctionProgress, Incident, Program, RecentEvent, StackFrame, SystemState, ThreadState};

pub(in crate::incident) fn json(incident: &Incident) -> Value {
    json!({
        "version": 1,
        "id": incident.id.0,
        "kind": incident.kind.as_str(),
        "severity": incident.severity.as_str(),
        "summary": incident.summary(),
        "cause": incident.cause,
        "verdict": verdict(&incident.verdict),
        "function": (!incident.function.is_empty()).then_some(incident.function),
        "file": incident.location.map(|(file, _)| file),
        "line": incident.location.map(|(_, line)| line),
        "time": time(incident.time),
        "resolved": incident.resolved.map(time),
        "limit_seconds": incident.limit.map(seconds),
        "set_by": incident.set_by.as_ref().map(ToString::to_string),
        "elapsed_seconds": seconds(incident.elapsed),
        "attempt": incident.attempt,
        "attempts": incident.attempts,
        "thread": incident.thread,
        "note": incident.note,
        "repeats": incident.repeats,
        "also": incident.also.iter().map(|id| id.0).collect::<Vec<_>>(),
        "call": incident.call,
        "calls": calls(&incident.calls),
        "runtimes": incident.runtimes.iter().map(runtime).collect::<Vec<_>>(),
        "threads": incident.threads.iter().map(thread).collect::<Vec<_>>(),
        "threads_left_out": incident.threads_left_out,
        "events": incident.events.iter().map(event).collect::<Vec<_>>(),
        "functions": incident.functions.iter().map(function).collect::<Vec<_>>(),
        "system": system(&incident.system),
        "policy": incident.policy,
        "program": program(&incident.program),
    })
}

pub(in crate::incident) fn dump(dump: &Dump) -> Value {
    json!({
        "version": 1,
        "reason": dump.reason.to_string(),
        "time": time(dump.time),
        "calls": calls(&dump.calls),
        "runtimes": dump.runtimes.iter().map(runtime).collect::<Vec<_>>(),
        "threads": dump.threads.iter().map(thread).collect::<Vec<_>>(),
        "threads_left_out": dump.threads_left_out,
        "events": dump.events.iter().map(event).collect::<Vec<_>>(),
        "functions": dump.functions.iter().map(function).collect::<Vec<_>>(),
        "system": system(&dump.system),
        "program": program(&dump.program),
    })
}

fn verdict(verdict: &Verdict) -> Value {
    let Verdict { blame, because, evidence } = verdict;
    json!({
        "blame": blame.as_str(),
        "because": because,
        "window_seconds": seconds(evidence.window),
        "on_cpu_seconds": evidence.on_cpu.map(seconds),
        "waited_seconds": evidence.waited.map(seconds),
        "own_cpu_percent": evidence.own,
        "stopped_seconds": seconds(evidence.stopped),
        "watchdog_late_seconds": seconds(evidence.late),
        "suspended_seconds": seconds(evidence.suspended),
        "pressure_percent": evidence.pressure,
        "debugger_pid": evidence.debugger,
    })
}

fn calls(tree: &Tree) -> Vec<Value> {
    tree.calls.iter().map(call).collect()
}

fn call(node: &Node) -> Value {
    json!({
        "id": node.id,
        "depth": node.depth,
        "function": node.function,
        "file": node.file,
        "line": node.line,
        "elapsed_seconds": seconds(node.elapsed),
        "attempt": node.attempt,
        "remaining_seconds": node.remaining.map(seconds),
        "polls": node.polls,
        "polling": node.polling.as_ref().map(|polling| json!({
            "thread": polling.thread,
            "elapsed_seconds": seconds(polling.elapsed),
        })),
        "beat": node.beat.as_ref().map(|beat| json!({
            "ago_seconds": seconds(beat.ago),
            "progress": beat.progress,
        })),
        "current": node.current,
        "detached": node.detached,
    })
}

fn runtime(runtime: &RuntimeState) -> Value {
    json!({
        "name": runtime.name,
        "flavor": runtime.flavor,
        "workers": runtime.workers,
        "parked": runtime.parked,
        "tasks": runtime.tasks,
        "queued": runtime.queued,
        "stalled_seconds": runtime.stalled.map(seconds),
        "polls": runtime.polls.iter().map(poll).collect::<Vec<_>>(),
    })
}

fn poll(poll: &GuardedPoll) -> Value {
    json!({ "thread": poll.thread, "function": poll.function, "elapsed_seconds": seconds(poll.elapsed) })
}

fn thread(thread: &ThreadState) -> Value {
    let stack = &thread.stack;
    json!({
        "name": thread.name,
        "tid": thread.tid,
        "subject": thread.subject,
        "state": thread.state,
        "system_call": thread.system_call,
        "waits_in": thread.waits_in,
        "stack": {
            "missing": stack.missing,
            "complete": stack.complete,
            "left_out": stack.left_out,
            "looks": stack.looks,
            "moves": stack.moves,
            "frames": stack.frames.iter().map(frame).collect::<Vec<_>>(),
        },
    })
}

fn frame(frame: &StackFrame) -> Value {
    json!({
        "index": frame.index,
        "function": frame.function,
        "module": frame.module,
        "offset": frame.offset,
        "file": frame.file,
        "line": frame.line,
        "inlined": frame.inlined,
        "trust": frame.trust.as_str(),
        "steady": frame.steady,
    })
}

fn event(event: &RecentEvent) -> Value {
    json!({
        "ago_seconds": seconds(event.ago),
        "what": event.what,
        "function": event.function,
        "detail": event.detail,
        "elapsed_seconds": seconds(event.elapsed),
    })
}

fn function(progress: &FunctionProgress) -> Value {
    json!({
        "function": progress.function,
        "calls": progress.calls,
        "in_flight": progress.in_flight,
        "queued": progress.queued,
        "last_queued_seconds": progress.last_queued.map(seconds),
        "last_started_seconds": progress.last_started.map(seconds),
        "last_finished_seconds": progress.last_finished.map(seconds),
    })
}

fn system(system: &SystemState) -> Value {
    let pressure =
        system.pressure.iter().map(|one| json!({ "resource": one.resource, "some_percent": one.some, "full_percent": one.full }));
    json!({
        "cpus": system.cpus,
        "host_cpus": system.host_cpus,
        "load": system.load,
        "memory_total_bytes": system.memory_total,
        "memory_available_bytes": system.memory_available,
        "memory_resident_bytes": system.memory_resident,
        "pressure": pressure.collect::<Vec<_>>(),
        "open_files": system.open_files,
        "open_files_limit": system.open_files_limit,
        "threads": system.threads,
        "cpu_seconds": system.cpu_time.map(seconds),
        "withheld": system.withheld.as_ref().map(withheld),
    })
}

fn withheld(withheld: &Withheld) -> Value {
    json!({
        "window_seconds": seconds(withheld.window),
        "quota_cpus": withheld.quota,
        "periods": withheld.periods,
        "throttled_periods": withheld.throttled_periods,
        "throttled_seconds": seconds(withheld.throttled),
        "stolen_percent": withheld.stolen,
    })
}

fn program(program: &Program) -> Value {
    json!({
        "name": program.name,
        "pid": program.pid,
        "host": program.host,
        "build_id": program.build_id,
        "backstop": program.backstop,
        "rustc": program.rustc,
        "kernel": program.kernel,
        "platform": program.platform,
        "debug": program.debug,
    })
}

fn time(time: SystemTime) -> String {
    humantime::format_rfc3339_millis(time).to_string()
}

fn seconds(duration: Duration) -> f64 {
    duration.as_secs_f64()
}
