use backstop::timeout_async;

#[timeout_async(secs = 30)]
const fn limit() -> u64 {
    30
}

fn main() {}
