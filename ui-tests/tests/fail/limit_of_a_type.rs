use backstop::timeout_async;

struct Client;

impl Client {
    const LIMIT: u64 = 30;

    #[timeout_async(secs = Self::LIMIT, retry = Self::LIMIT)]
    async fn fetch(&self) -> std::io::Result<()> {
        Ok(())
    }
}

trait Limited {
    const LIMIT: u64;
}

#[timeout_async(idle_secs = T::LIMIT, millis = N * 1000)]
async fn generic<T: Limited, const N: u64>() -> std::io::Result<()> {
    Ok(())
}

fn main() {}
