use backstop::timeout_async;

#[derive(Debug)]
enum ApiError {
    Refused,
}

#[timeout_async(secs = 30)]
async fn fetch() -> Result<u32, ApiError> {
    Err(ApiError::Refused)
}

fn main() {}
