use std::io;

use backstop::timeout_async;

trait Source {
    #[timeout_async(secs = 30)]
    async fn next(&self) -> io::Result<u32>;
}

fn main() {}
