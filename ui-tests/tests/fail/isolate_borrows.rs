use std::io;

use backstop::timeout_async;

struct Client;

impl Client {
    #[timeout_async(secs = 30, isolate)]
    async fn fetch(&self, symbol: &str) -> io::Result<usize> {
        Ok(symbol.len())
    }
}

struct Borrowing<'a>(&'a str);

#[timeout_async(secs = 30, isolate)]
async fn hidden(text: Borrowing<'_>, more: &'static str) -> io::Result<usize> {
    Ok(text.0.len() + more.len())
}

fn main() {}
