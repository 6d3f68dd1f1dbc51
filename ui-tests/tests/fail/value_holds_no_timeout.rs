use backstop::timeout_async;

#[timeout_async(secs = 30)]
async fn count() -> Option<u32> {
    Some(1)
}

#[timeout_async(secs = 30)]
async fn nothing() {}

#[timeout_async(secs = 30)]
async fn opaque() -> impl Iterator<Item = u32> {
    0..3
}

fn main() {}
