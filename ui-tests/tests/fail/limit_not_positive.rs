use backstop::timeout_async;

#[timeout_async(secs = 0)]
async fn zero() -> std::io::Result<()> {
    Ok(())
}

#[timeout_async(secs = -5)]
async fn negative() -> std::io::Result<()> {
    Ok(())
}

#[timeout_async(secs = 0.0, idle_millis = 0)]
async fn both() -> std::io::Result<()> {
    Ok(())
}

#[timeout_async(retry = 0)]
async fn no_retry() -> std::io::Result<()> {
    Ok(())
}

fn main() {}
