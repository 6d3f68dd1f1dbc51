//! The report for a person: the first lines say what, where and why; evidence follows.

use std::fmt::{self, Write};

use crate::flight::{RuntimeState, Tree};
use crate::host::Withheld;
use crate::incident::{Dump, FunctionProgress, Incident, IncidentKind, Program, RecentEvent, SystemState, ThreadState};
use crate::spell::{bytes, spell};

/// One line: what, where, how long.
pub(in crate::incident) fn summary(incident: &Incident) -> String {
    let name = incident.function;
    let elapsed = spell(incident.elapsed);
    let limit = incident.limit.map(spell).unwrap_or_else(|| "its limit".to_owned());
    match incident.kind {
        IncidentKind::Limit => format!("`{name}` did not finish within {limit}"),
        IncidentKind::Idle => format!("`{name}` gave no sign of life for {limit}"),
        IncidentKind::Total => format!("`{name}` did not finish within {limit} over all attempts"),
        IncidentKind::Late => format!("`{name}` came back after {elapsed}, past {limit}: it had blocked its thread"),
        IncidentKind::Blocked => format!("`{name}` blocks its thread for {elapsed}"),
        IncidentKind::Orphan => format!("`{name}` runs on, {elapsed} after its caller has gone"),
        IncidentKind::Panicked => format!("`{name}` panicked after {elapsed}"),
        IncidentKind::Device => format!("`{name}` met a device that failed"),
        IncidentKind::RuntimeStalled => {
            let runtime = incident.runtimes.first().map_or("?", |runtime| runtime.name);
            format!("no worker of the runtime `{runtime}` has made progress for {elapsed}")
        }
        IncidentKind::WatchdogLate => format!("the watchdog's own thread was {elapsed} late"),
    }
}

/// What, where and why, and which program; without the evidence.
pub(in crate::incident) fn brief(incident: &Incident, out: &mut dyn Write) -> fmt::Result {
    head(incident, out)?;
    program(&incident.program, out)
}

/// The whole report.
pub(in crate::incident) fn text(incident: &Incident, out: &mut dyn Write) -> fmt::Result {
    head(incident, out)?;
    calls(&incident.calls, incident.call, out)?;
    runtimes(&incident.runtimes, out)?;
    threads(&incident.threads, incident.threads_left_out, out)?;
    events(&incident.events, out)?;
    functions(&incident.functions, out)?;
    system(&incident.system, out)?;
    if let Some(policy) = &incident.policy {
        writeln!(out, "\nPolicy in force")?;
        policy.lines().try_for_each(|line| writeln!(out, "  {line}"))?;
    }
    program(&incident.program, out)
}

/// A whole dump.
pub(in crate::incident) fn dump(dump: &Dump, out: &mut dyn Write) -> fmt::Result {
    writeln!(out, "Dump: {}", dump.reason)?;
    writeln!(out, "  time     {}", humantime::format_rfc3339_millis(dump.time))?;
    calls(&dump.calls, None, out)?;
    runtimes(&dump.runtimes, out)?;
    threads(&dump.threads, dump.threads_left_out, out)?;
    events(&dump.events, out)?;
    functions(&dump.functions, out)?;
    system(&dump.system, out)?;
    program(&dump.program, out)
}

fn calls(tree: &Tree, marked: Option<u64>, out: &mut dyn Write) -> fmt::Result {
    writeln!(out, "\nRunning calls")?;
    super::tree(tree, marked, out)
}

fn threads(threads: &[ThreadState], left_out: usize, out: &mut dyn Write) -> fmt::Result {
    if threads.is_empty() {
        return Ok(());
    }
    writeln!(out, "\nThreads")?;
    super::threads(threads, left_out, out)
}

fn head(incident: &Incident, out: &mut dyn Write) -> fmt::Result {
    let Incident { id, kind, severity, attempt, attempts, .. } = incident;
    writeln!(out, "Incident {id} · {} · {}", severity.as_str(), kind.as_str())?;
    writeln!(out, "{}", summary(incident))?;
    if let Some((file, line)) = incident.location {
        writeln!(out, "  at       {file}:{line}")?;
    }
    writeln!(out, "  cause    {}", incident.cause)?;
    writeln!(out, "  blame    {}: {}", incident.verdict.blame.as_str(), incident.verdict.because)?;
    if let Some(limit) = incident.limit {
        write!(out, "  limit    {}", spell(limit))?;
        incident.set_by.iter().try_for_each(|origin| write!(out, ", set by {origin}"))?;
        writeln!(out)?;
    }
    writeln!(out, "  elapsed  {}, attempt {attempt} of {attempts}", spell(incident.elapsed))?;
    if let Some(thread) = &incident.thread {
        writeln!(out, "  thread   {thread}")?;
    }
    if let Some(note) = &incident.note {
        writeln!(out, "  note     {note}")?;
    }
    if incident.repeats > 0 {
        writeln!(out, "  repeats  {} more within a second", incident.repeats)?;
    }
    writeln!(out, "  time     {}", humantime::format_rfc3339_millis(incident.time))?;
    incident.lasted().iter().try_for_each(|lasted| writeln!(out, "  over     after {}", spell(*lasted)))
}

fn runtimes(runtimes: &[RuntimeState], out: &mut dyn Write) -> fmt::Result {
    writeln!(out, "\nRuntimes")?;
    if runtimes.is_empty() {
        return writeln!(out, "  none of tokio's is known");
    }
    let lines = runtimes.iter().flat_map(|runtime| runtime.to_string().lines().map(str::to_owned).collect::<Vec<_>>());
    lines.into_iter().try_for_each(|line| writeln!(out, "  {line}"))
}

fn events(events: &[RecentEvent], out: &mut dyn Write) -> fmt::Result {
    writeln!(out, "\nLast events")?;
    if events.is_empty() {
        return writeln!(out, "  none");
    }
    for event in events {
        write!(out, "  -{:<14} {:<15} {}", spell(event.ago), event.what, event.function.unwrap_or("process"))?;
        if !event.detail.is_empty() {
            write!(out, " ({})", event.detail)?;
        }
        if !event.elapsed.is_zero() {
            write!(out, " {}", spell(event.elapsed))?;
        }
        writeln!(out)?;
    }
    Ok(())
}

fn functions(functions: &[FunctionProgress], out: &mut dyn Write) -> fmt::Result {
    writeln!(out, "\nFunctions")?;
    if functions.is_empty() {
        return writeln!(out, "  none was called");
    }
    for function in functions {
        write!(out, "  {}: {} ended, {} running", function.function, function.calls, function.in_flight)?;
        if function.queued > 0 {
            write!(out, " ({} of them queued)", function.queued)?;
        }
        function.last_queued.iter().try_for_each(|ago| write!(out, ", queued {} ago", spell(*ago)))?;
        function.last_started.iter().try_for_each(|ago| write!(out, ", started {} ago", spell(*ago)))?;
        function.last_finished.iter().try_for_each(|ago| write!(out, ", finished {} ago", spell(*ago)))?;
        writeln!(out)?;
    }
    Ok(())
}

fn system(system: &SystemState, out: &mut dyn Write) -> fmt::Result {
    writeln!(out, "\nSystem")?;
    let missing = || "not available on this platform".to_owned();
    let cpus = system.cpus.map(|cpus| match system.host_cpus {
        Some(host) if host != cpus => format!("{cpus} of the host's {host}"),
        _ => cpus.to_string(),
    });
    let load = system.load.map(|[one, five, fifteen]| format!("{one:.2} {five:.2} {fifteen:.2}"));
    let memory = system.memory_available.zip(system.memory_total);
    let memory = memory.map(|(available, total)| format!("{} of {} available", bytes(available), bytes(total)));
    let files = system.open_files.map(|open| match system.open_files_limit {
        Some(limit) => format!("{open} of {limit} open"),
        None => format!("{open} open"),
    });
    let pressure: Vec<String> = system.pressure.iter().map(|one| format!("{} {:.1} %", one.resource, one.some)).collect();
    let rows = [
        ("cpus", cpus),
        ("load", load),
        ("memory", memory),
        ("resident", system.memory_resident.map(bytes)),
        ("pressure", (!pressure.is_empty()).then(|| pressure.join(", "))),
        ("files", files),
        ("threads", system.threads.map(|threads| threads.to_string())),
        ("cpu time", system.cpu_time.map(spell)),
        ("quota", system.withheld.as_ref().map(quota)),
        ("stolen", system.withheld.as_ref().map(stolen)),
    ];
    rows.into_iter().try_for_each(|(name, value)| writeln!(out, "  {name:<9} {}", value.unwrap_or_else(missing)))
}

fn quota(withheld: &Withheld) -> String {
    let Withheld { window, quota, periods, throttled_periods, throttled, .. } = withheld;
    let Some(quota) = quota else { return "none".to_owned() };
    let (window, throttled) = (spell(*window), spell(*throttled));
    format!("{quota:.2} CPUs, used up in {throttled_periods} of {periods} periods of the last {window}; {throttled} waited in all")
}

fn stolen(withheld: &Withheld) -> String {
    let percent = withheld.stolen.map(|percent| format!("{percent:.1} % of the CPUs' work in the last {}", spell(withheld.window)));
    percent.unwrap_or_else(|| "not known yet".to_owned())
}

fn program(program: &Program, out: &mut dyn Write) -> fmt::Result {
    let build = program.build_id.as_deref().unwrap_or("none");
    let profile = if program.debug { "debug" } else { "release" };
    writeln!(out, "\nProgram")?;
    writeln!(out, "  {} (pid {}, {profile}), build id {build}", program.name, program.pid)?;
    write!(out, "  backstop {}, {}, {}", program.backstop, program.rustc, program.platform)?;
    program.kernel.iter().try_for_each(|kernel| write!(out, " {kernel}"))?;
    writeln!(out)
}
