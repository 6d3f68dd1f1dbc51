use backstop::timeout_async;

#[timeout_async(secs = 30)]
struct Client;

#[timeout_async(secs = 30)]
impl Client {}

#[timeout_async(secs = 30)]
mod inner {}

fn main() {}
