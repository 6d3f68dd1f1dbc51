use backstop::timeout_async;

#[timeout_async(secs = "30s")]
async fn text() -> std::io::Result<()> {
    Ok(())
}

#[timeout_async(millis = 0.5)]
async fn part() -> std::io::Result<()> {
    Ok(())
}

#[timeout_async(name = fetch)]
async fn name() -> std::io::Result<()> {
    Ok(())
}

#[timeout_async(name = "")]
async fn empty_name() -> std::io::Result<()> {
    Ok(())
}

#[timeout_async(fallback = |error| Err(error))]
async fn closure() -> std::io::Result<()> {
    Ok(())
}

#[timeout_async(retry = "often")]
async fn retry() -> std::io::Result<()> {
    Ok(())
}

fn main() {}
