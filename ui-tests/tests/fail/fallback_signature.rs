use std::io;

use backstop::timeout_async;

#[timeout_async(secs = 30, fallback = without_error)]
async fn one(_symbol: &str) -> io::Result<u32> {
    Ok(1)
}

async fn without_error(_symbol: &str) -> io::Result<u32> {
    Ok(0)
}

#[timeout_async(secs = 30, fallback = another_type)]
async fn two(_symbol: &str) -> io::Result<u32> {
    Ok(1)
}

fn another_type(_symbol: &str, _error: io::Error) -> u32 {
    0
}

struct Client;

impl Client {
    #[timeout_async(secs = 30, fallback = Self::without_self)]
    async fn fetch(&self, _symbol: String) -> io::Result<u32> {
        Ok(1)
    }

    async fn without_self(_symbol: String, _error: io::Error) -> io::Result<u32> {
        Ok(0)
    }
}

fn main() {}
