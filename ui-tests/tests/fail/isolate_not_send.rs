use std::io;
use std::rc::Rc;

use backstop::timeout_async;

#[timeout_async(secs = 30, isolate)]
async fn count(shared: Rc<u32>) -> io::Result<u32> {
    Ok(*shared)
}

fn main() {}
