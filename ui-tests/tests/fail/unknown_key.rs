use backstop::timeout_async;

#[timeout_async(seconds = 30)]
async fn near() -> std::io::Result<()> {
    Ok(())
}

#[timeout_async(colour = "red")]
async fn far() -> std::io::Result<()> {
    Ok(())
}

fn main() {}
