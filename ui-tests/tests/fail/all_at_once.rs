use backstop::timeout_async;

#[timeout_async(sec = 30, millis = 0, retry, retry, name = 5)]
fn fetch() -> std::io::Result<()> {
    Ok(())
}

fn main() {
    // The function is still there: no error here.
    let _ = fetch();
}
