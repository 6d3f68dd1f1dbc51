use std::io;

use backstop::timeout_async;

#[timeout_async(secs = 30, fallback = instead)]
async fn fetch(#[cfg(unix)] name: String) -> io::Result<u32> {
    Ok(name.len() as u32)
}

fn instead(_name: String, error: io::Error) -> io::Result<u32> {
    Err(error)
}

fn main() {}
