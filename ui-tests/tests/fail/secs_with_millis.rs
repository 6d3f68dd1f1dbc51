use backstop::timeout_async;

#[timeout_async(secs = 30, millis = 60)]
async fn limit() -> std::io::Result<()> {
    Ok(())
}

#[timeout_async(idle_millis = 30, idle_secs = 60)]
async fn idle() -> std::io::Result<()> {
    Ok(())
}

fn main() {}
