use backstop::timeout_async;

#[timeout_async(secs = 30)]
fn fetch() -> std::io::Result<()> {
    Ok(())
}

fn main() {}
