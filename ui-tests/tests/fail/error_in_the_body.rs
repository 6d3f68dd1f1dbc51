use std::io;

use backstop::timeout_async;

#[timeout_async(secs = 30)]
async fn last() -> io::Result<u32> {
    "text"
}

#[timeout_async(secs = 30, retry, fallback = instead)]
async fn early(n: u32) -> io::Result<u32> {
    if n == 0 {
        return 5;
    }
    missing(n);
    Ok(n)
}

async fn instead(_n: u32, error: io::Error) -> io::Result<u32> {
    Err(error)
}

struct Failure;

impl From<backstop::TimeoutError> for Failure {
    fn from(_: backstop::TimeoutError) -> Self {
        Failure
    }
}

#[timeout_async(secs = 30)]
async fn question(text: &str) -> Result<u32, Failure> {
    Ok(text.parse::<u32>()?)
}

fn main() {}
