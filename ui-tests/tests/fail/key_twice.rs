use backstop::timeout_async;

#[timeout_async(secs = 30, secs = 60)]
async fn fetch() -> std::io::Result<()> {
    Ok(())
}

fn main() {}
