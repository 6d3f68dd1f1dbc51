use backstop::{TimeoutError, timeout_async};

#[timeout_async(secs = 30, on_timeout = zero)]
async fn count() -> u32 {
    1
}

fn zero(_error: TimeoutError) -> u64 {
    0
}

fn main() {}
