use std::future::Future;
use std::io;
use std::pin::Pin;

use backstop::timeout_async;

struct Client;

impl Client {
    #[timeout_async(secs = 30, retry)]
    fn fetch(&mut self) -> Pin<Box<dyn Future<Output = io::Result<u32>> + '_>> {
        Box::pin(async { Ok(1) })
    }
}

fn main() {}
