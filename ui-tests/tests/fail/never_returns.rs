use backstop::timeout_async;

#[timeout_async(secs = 30)]
async fn serve() -> ! {
    loop {
        std::future::pending::<()>().await;
    }
}

fn main() {}
