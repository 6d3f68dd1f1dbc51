use std::io;

use backstop::timeout_async;

struct Order(u32);

#[timeout_async(secs = 30, retry = 3)]
async fn send(order: Order) -> io::Result<u32> {
    Ok(order.0)
}

#[timeout_async(secs = 30, fallback = kept)]
async fn once(order: Order) -> io::Result<u32> {
    Ok(order.0)
}

fn kept(_order: Order, error: io::Error) -> io::Result<u32> {
    Err(error)
}

impl Order {
    #[timeout_async(secs = 30, retry)]
    async fn consume(self) -> io::Result<u32> {
        Ok(self.0)
    }
}

fn main() {}
