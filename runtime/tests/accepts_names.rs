//! An expansion does not depend on what names mean where it stands, and finds `backstop` where `crate = …` says it is.

#![cfg(not(feature = "disable-decorators"))]
#![deny(warnings, missing_docs)]
#![forbid(unsafe_code)]

/// Where another crate may have put it.
pub mod reexport {
    pub use backstop as guard;
}

#[allow(dead_code, nonstandard_style, missing_docs, unused_macros, unused_imports)]
mod shadowed {
    use ::std::io;

    pub struct Result;
    pub struct String;
    pub struct Option;
    pub struct Box;
    pub struct Vec;
    pub struct Future;
    pub mod core {}
    pub mod std {}
    pub mod backstop {}
    pub mod tokio {}
    pub fn drop() {}
    pub fn Ok() {}
    pub fn Err() {}
    pub fn Some() {}
    pub const None: u32 = 0;
    macro_rules! concat {
        () => {};
    }
    macro_rules! line {
        () => {};
    }
    macro_rules! module_path {
        () => {};
    }
    pub(crate) use {concat, line, module_path};

    #[::backstop::timeout_async(secs = 1)]
    pub async fn plain(body: u32) -> io::Result<u32> {
        io::Result::Ok(body)
    }

    #[::backstop::timeout_async(secs = 0.5, retry = 1, fallback = instead, isolate)]
    pub async fn again(returns: u32, outcome: u32, kept_returns: u32) -> io::Result<u32> {
        io::Result::Ok(returns + outcome + kept_returns)
    }

    fn instead(_: u32, _: u32, _: u32, error: io::Error) -> io::Result<u32> {
        io::Result::Err(error)
    }

    #[::backstop::timeout_async(secs = 1)]
    pub fn boxed() -> ::std::pin::Pin<::std::boxed::Box<dyn ::std::future::Future<Output = io::Result<u32>> + Send>> {
        ::std::boxed::Box::pin(async { io::Result::Ok(1) })
    }
}

#[reexport::guard::timeout_async(secs = 1, crate = reexport::guard, retry = 2, fallback = instead)]
async fn elsewhere(value: String) -> std::io::Result<String> {
    Ok(value)
}

#[reexport::guard::timeout_async(crate = "crate::reexport::guard", secs = 5 * 60)]
async fn elsewhere_as_serde_has_it() -> std::io::Result<u32> {
    Ok(1)
}

fn instead(_value: String, error: std::io::Error) -> std::io::Result<String> {
    Err(error)
}

/// Parameters that are called as the expansion calls its own.
mod alike {
    use std::io;

    #[backstop::timeout_async(secs = 1, retry, fallback = instead)]
    pub async fn values(attempts: u32, again: u32, body: u32, returned: u32) -> io::Result<u32> {
        Err(io::Error::other(format!("{}", attempts + again + body + returned)))
    }

    async fn instead(attempts: u32, again: u32, body: u32, returned: u32, failed: io::Error) -> io::Result<u32> {
        assert_eq!(failed.to_string(), "10");
        Ok(attempts * 1000 + again * 100 + body * 10 + returned)
    }

    #[backstop::timeout_async(secs = 1, fallback = joined)]
    pub async fn references(error: &str, returned: &str, outcome: &mut String, failed: &str) -> io::Result<String> {
        Err(io::Error::other(format!("{error}{returned}{outcome}{failed}")))
    }

    fn joined(error: &str, returned: &str, outcome: &mut String, failed: &str, all: io::Error) -> io::Result<String> {
        Ok(format!("{failed}{outcome}{returned}{error} {all}"))
    }

    #[backstop::timeout_async(millis = 1, on_timeout = body)]
    pub async fn never() -> u32 {
        std::future::pending().await
    }

    fn body(_: backstop::TimeoutError) -> u32 {
        7
    }
}

#[tokio::test(start_paused = true)]
async fn names_alike_to_those_of_the_expansion_stay_the_callers() {
    assert_eq!(alike::values(1, 2, 3, 4).await.unwrap(), 1234);
    assert_eq!(alike::references("a", "b", &mut "c".to_owned(), "d").await.unwrap(), "dcba abcd");
    assert_eq!(alike::never().await, 7);
}

#[tokio::test]
async fn shadowed_names_do_no_harm() {
    assert_eq!(shadowed::plain(1).await.unwrap(), 1);
    assert_eq!(shadowed::again(1, 2, 3).await.unwrap(), 6);
    assert_eq!(shadowed::boxed().await.unwrap(), 1);
    assert_eq!(elsewhere("a".to_owned()).await.unwrap(), "a");
    assert_eq!(elsewhere_as_serde_has_it().await.unwrap(), 1);
}
