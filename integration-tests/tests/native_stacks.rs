//! A body that computes in libtorch: its native stack leads from the kernel back to the guarded function, whatever the kernel does with
//! registers, threads and hand-written code.
//!
//! Among the tests it is captured a few times, by whatever machine; `cargo xtask stacks` sets `BACKSTOP_STACKS_CAPTURES`, and then each
//! capture that got no answer counts against the 99.9 %, unless `BACKSTOP_STACKS_LOADED` is set.
#![cfg(all(target_os = "linux", target_arch = "x86_64", not(feature = "disable-decorators")))]

use std::hint::black_box;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use backstop::{ThreadState, timeout_async};
use tch::{Device, Kind, Tensor};

#[timeout_async(secs = 100_000, name = "native_stacks.multiplies")]
async fn multiplies() -> io::Result<()> {
    multiply_until_told();
    Ok(())
}

/// libtorch must not be computing when the process ends and takes it down.
static ENOUGH: AtomicBool = AtomicBool::new(false);

#[inline(never)]
fn multiply_until_told() {
    let mut product = Tensor::rand([512, 512], (Kind::Float, Device::Cpu));
    let factor = Tensor::rand([512, 512], (Kind::Float, Device::Cpu));
    while !ENOUGH.load(Relaxed) {
        product = black_box(product.matmul(&factor).softmax(1, Kind::Float));
    }
}

/// The thread that multiplies.
fn victim(threads: Vec<ThreadState>) -> Option<ThreadState> {
    threads.into_iter().find(|thread| thread.name == "multiplying")
}

fn shows(thread: &ThreadState, function: &str) -> bool {
    thread.stack.frames.iter().any(|frame| frame.function.as_deref().is_some_and(|name| name.contains(function)))
}

#[test]
fn a_multiplication_in_libtorch_gives_its_stack() {
    let asked = std::env::var("BACKSTOP_STACKS_CAPTURES").ok().and_then(|captures| captures.parse().ok());
    let captures = asked.unwrap_or(20_u64);
    // Of so many hundred; a machine with no time gives a running thread no chance to answer.
    let may_be_silent = match asked {
        Some(_) if std::env::var_os("BACKSTOP_STACKS_LOADED").is_none() => 0,
        Some(_) => 5,
        None => 50,
    };
    let multiplying = std::thread::Builder::new().name("multiplying".to_owned());
    let multiplying = multiplying.spawn(|| tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(multiplies())).unwrap();
    while victim(backstop::threads()).is_none_or(|thread| !shows(&thread, "multiply_until_told")) {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let (mut found, mut asleep, mut silent, mut in_libtorch) = (0, 0, 0, 0);
    for _ in 0..captures {
        // Asked once more, as for a report. There may be nobody: where all threads took more than a second together.
        let answered = victim(backstop::threads()).filter(|thread| thread.stack.missing.is_none());
        let Some(thread) = answered.or_else(|| victim(backstop::threads())) else {
            silent += 1;
            continue;
        };
        found += u64::from(shows(&thread, "multiply_until_told"));
        asleep += u64::from(thread.system_call.is_some());
        silent += u64::from(thread.stack.missing.is_some());
        // On a busy machine the innermost frame is where it waits for libtorch's other threads.
        in_libtorch += u64::from(thread.stack.frames.iter().any(|frame| frame.module.contains("torch")));
    }
    let signal = captures - asleep - silent;
    ENOUGH.store(true, Relaxed);
    multiplying.join().unwrap().unwrap();
    println!("| libtorch matmul | {captures} | {found} | - | {asleep} | {signal} | 0 | {silent} | 0 | - | - | 0 | 0 | - |");
    assert!(in_libtorch > 0, "it computes in libtorch");
    let excused = silent.min(captures * may_be_silent / 100);
    let lost = (captures / 1000).max(u64::from(asked.is_none()));
    assert!(found + excused + lost >= captures, "{found} of {captures}, {silent} without an answer");
}
