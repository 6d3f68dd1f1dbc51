// What crates of older editions annotate; each includes this file. No `async` in paths, no captured arguments in format strings, no
// `use<…>`: it must mean the same in every edition.

use guard::timeout_async;
use std::future::Future;
use std::io;
use std::pin::Pin;

/// Something with methods.
#[derive(Clone)]
pub struct Client {
    calls: Vec<u32>,
    name: String,
}

/// Something to implement.
pub trait Named {
    /// Returns a future.
    fn name(&self) -> Pin<Box<dyn Future<Output = io::Result<String>> + Send + '_>>;
}

impl Named for Client {
    #[timeout_async(secs = 5, crate = guard)]
    fn name(&self) -> Pin<Box<dyn Future<Output = io::Result<String>> + Send + '_>> {
        Box::pin(async move { Ok(self.name.clone()) })
    }
}

impl Client {
    /// A client.
    pub fn new(name: &str) -> Self {
        Client { calls: Vec::new(), name: name.to_owned() }
    }

    /// Plain.
    #[timeout_async(secs = 5, crate = guard)]
    pub async fn fetch(&self, symbol: &str) -> io::Result<usize> {
        Ok(symbol.len() + self.name.len())
    }

    /// With everything.
    #[timeout_async(secs = 0.5, idle_secs = 1, retry = 2, fallback = Client::cached, crate = guard)]
    pub async fn again(&mut self, symbol: &str, mut pair: (String, u32)) -> io::Result<usize> {
        self.calls.push(pair.1);
        pair.0.push('!');
        if symbol.is_empty() {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(pair.0.len())
    }

    /// Its fallback.
    pub async fn cached(&mut self, _symbol: &str, pair: (String, u32), error: io::Error) -> io::Result<usize> {
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        Ok(pair.1 as usize)
    }

    /// By value.
    #[timeout_async(secs = 5, retry, crate = guard)]
    pub async fn consume(self) -> io::Result<String> {
        Ok(format!("{}", self.name))
    }
}

/// Named lifetimes.
#[timeout_async(secs = 5, crate = guard)]
pub async fn longest<'a>(left: &'a str, right: &'a str) -> io::Result<&'a str> {
    Ok(if left.len() > right.len() { left } else { right })
}

/// A future by its trait.
#[timeout_async(secs = 5, crate = guard)]
pub fn later(n: u32) -> impl Future<Output = io::Result<u32>> + Send {
    async move { Ok(n) }
}

/// Isolated.
#[timeout_async(secs = 5, isolate, crate = guard)]
pub async fn alone(list: Vec<u32>) -> io::Result<u32> {
    Ok(list.iter().sum())
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::executor::block_on;

    #[test]
    fn annotated_functions_work_in_this_edition() {
        let mut client = Client::new("abc");
        assert_eq!(block_on(client.fetch("ab")).unwrap(), 5);
        assert_eq!(block_on(client.again("ab", ("x".to_owned(), 7))).unwrap(), 2);
        assert_eq!(block_on(client.again("", ("x".to_owned(), 7))).unwrap(), 7);
        assert!(client.calls.len() >= 2);
        assert_eq!(block_on(client.name()).unwrap(), "abc");
        assert_eq!(block_on(client.consume()).unwrap(), "abc");
        assert_eq!(block_on(longest("a", "bc")).unwrap(), "bc");
        assert_eq!(block_on(later(1)).unwrap(), 1);
        assert_eq!(block_on(alone(vec![1, 2])).unwrap(), 3);
    }
}
