use backstop::timeout_async;

#[timeout_async(secs)]
async fn one() -> std::io::Result<()> {
    Ok(())
}

#[timeout_async(secs =, retry = 2)]
async fn two() -> std::io::Result<()> {
    Ok(())
}

#[timeout_async(isolate = true)]
async fn three() -> std::io::Result<()> {
    Ok(())
}

#[timeout_async(30)]
async fn four() -> std::io::Result<()> {
    Ok(())
}

#[timeout_async(secs = 30 retry)]
async fn five() -> std::io::Result<()> {
    Ok(())
}

fn main() {}
