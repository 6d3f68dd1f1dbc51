use backstop::timeout_async;

const LIMIT: i64 = -30;

#[timeout_async(secs = LIMIT)]
async fn fetch() -> std::io::Result<()> {
    Ok(())
}

fn main() {}
