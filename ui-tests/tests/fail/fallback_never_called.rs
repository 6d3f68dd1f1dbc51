use backstop::{TimeoutError, timeout_async};

#[timeout_async(secs = 30, on_timeout = give_up, fallback = cached)]
async fn count(_symbol: &str) -> Option<u32> {
    Some(1)
}

fn give_up(_error: TimeoutError) -> Option<u32> {
    None
}

async fn cached(_symbol: &str, _error: TimeoutError) -> Option<u32> {
    Some(0)
}

fn main() {}
