//! `#[timeout_async]` takes methods with every kind of receiver, in types, traits and trait impls.

#![cfg(not(feature = "disable-decorators"))]

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;

use backstop::timeout_async;

#[derive(Clone, Default)]
struct Client {
    calls: u32,
}

impl Client {
    #[timeout_async(secs = 30)]
    async fn by_value(self) -> io::Result<u32> {
        Ok(self.calls)
    }

    #[timeout_async(secs = 30)]
    async fn by_value_mut(mut self) -> io::Result<u32> {
        self.calls += 1;
        Ok(self.calls)
    }

    #[timeout_async(secs = 30)]
    async fn shared(&self) -> io::Result<u32> {
        Ok(self.calls)
    }

    #[timeout_async(secs = 30)]
    async fn exclusive(&mut self) -> io::Result<&mut u32> {
        self.calls += 1;
        Ok(&mut self.calls)
    }

    #[timeout_async(secs = 30)]
    async fn boxed(self: Box<Self>) -> io::Result<u32> {
        Ok(self.calls)
    }

    #[timeout_async(secs = 30)]
    async fn pinned(self: Pin<&mut Self>) -> io::Result<u32> {
        self.get_mut().calls += 1;
        Ok(1)
    }

    #[timeout_async(secs = 30)]
    async fn counted(self: Arc<Self>) -> io::Result<u32> {
        Ok(self.calls)
    }

    #[timeout_async(secs = 30)]
    async fn counted_here(self: Rc<Self>) -> io::Result<u32> {
        Ok(self.calls)
    }

    #[timeout_async(secs = 30)]
    async fn referenced(self: &Arc<Self>) -> io::Result<u32> {
        Ok(self.calls)
    }

    #[timeout_async(secs = 30)]
    async fn none(calls: u32) -> io::Result<Self> {
        Ok(Self { calls })
    }
}

/// With `retry` and `fallback` each attempt needs the receiver again.
impl Client {
    #[timeout_async(secs = 30, retry = 1, fallback = Self::instead_by_value)]
    async fn again_by_value(self, add: u32) -> io::Result<u32> {
        let Self { calls } = self;
        Ok(calls + add)
    }

    fn instead_by_value(self, _add: u32, _error: io::Error) -> io::Result<u32> {
        Ok(self.calls)
    }

    #[timeout_async(secs = 30, retry = 1, fallback = Self::instead_shared)]
    async fn again_shared(&self, add: u32) -> io::Result<u32> {
        if add == 0 { Err(io::ErrorKind::InvalidInput.into()) } else { Ok(self.calls + add) }
    }

    async fn instead_shared(&self, add: u32, error: io::Error) -> io::Result<u32> {
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        Ok(self.calls + add + 100)
    }

    #[timeout_async(secs = 30, retry = 1)]
    async fn retried_exclusive(&mut self, add: u32) -> io::Result<u32> {
        self.calls += add;
        Ok(self.calls)
    }

    #[timeout_async(secs = 30, retry = 1, fallback = Client::instead_exclusive)]
    async fn again_exclusive(&mut self, add: String) -> io::Result<usize> {
        self.calls += 1;
        if add.is_empty() { Err(io::ErrorKind::InvalidInput.into()) } else { Ok(add.len()) }
    }

    #[timeout_async(secs = 30, fallback = Client::instead_exclusive)]
    async fn once_exclusive(&mut self, add: String) -> io::Result<usize> {
        self.calls += 1;
        if add.is_empty() { Err(io::ErrorKind::InvalidInput.into()) } else { Ok(add.len()) }
    }

    async fn instead_exclusive(&mut self, add: String, _error: io::Error) -> io::Result<usize> {
        self.calls += 100;
        Ok(add.len())
    }

    #[timeout_async(secs = 30, retry = 2)]
    async fn again_counted(self: Arc<Self>) -> io::Result<String> {
        macro_rules! calls {
            ($this:expr) => {
                format!("{}", $this.calls)
            };
        }
        struct Inner(u32);
        impl Inner {
            fn get(&self) -> u32 {
                self.0
            }
        }
        Ok(format!("{} {}", calls!(self), Inner(7).get()))
    }
}

trait Source {
    async fn next(&mut self) -> io::Result<u32>;

    #[timeout_async(secs = 30)]
    async fn both(&mut self) -> io::Result<(u32, u32)> {
        Ok((self.next().await?, self.next().await?))
    }
}

impl Source for Client {
    #[timeout_async]
    async fn next(&mut self) -> io::Result<u32> {
        self.calls += 1;
        Ok(self.calls)
    }
}

#[tokio::test]
async fn every_receiver_reaches_the_body() -> io::Result<()> {
    let mut client = Client { calls: 4 };
    assert_eq!(client.clone().by_value().await?, 4);
    assert_eq!(client.clone().by_value_mut().await?, 5);
    assert_eq!(client.shared().await?, 4);
    *client.exclusive().await? += 1;
    assert_eq!(client.calls, 6);
    assert_eq!(Box::new(client.clone()).boxed().await?, 6);
    assert_eq!(Pin::new(&mut client).pinned().await?, 1);
    assert_eq!(Arc::new(client.clone()).counted().await?, 7);
    assert_eq!(Rc::new(client.clone()).counted_here().await?, 7);
    assert_eq!(Arc::new(client.clone()).referenced().await?, 7);
    assert_eq!(Client::none(2).await?.both().await?, (3, 4));
    Ok(())
}

#[tokio::test]
async fn a_receiver_can_be_used_again_by_retry_and_fallback() -> io::Result<()> {
    let mut client = Client { calls: 4 };
    assert_eq!(client.clone().again_by_value(1).await?, 5);
    assert_eq!(client.again_shared(1).await?, 5);
    assert_eq!(client.again_shared(0).await?, 104);
    assert_eq!(client.retried_exclusive(1).await?, 5);
    assert_eq!(client.again_exclusive("ab".to_owned()).await?, 2);
    assert_eq!(client.calls, 6);
    assert_eq!(client.once_exclusive(String::new()).await?, 0);
    assert_eq!(client.calls, 107);
    assert_eq!(Arc::new(client).again_counted().await?, "107 7");
    Ok(())
}

#[tokio::test]
async fn a_trait_method_keeps_its_send() {
    fn send<T: Send>(value: T) -> T {
        value
    }
    let mut client = Client::default();
    send(client.next()).await.unwrap();
    send(client.both()).await.unwrap();
    send(client.retried_exclusive(1)).await.unwrap();
    send(client.again_shared(1)).await.unwrap();
    send(client.again_exclusive("a".to_owned())).await.unwrap();
    send(client.once_exclusive("a".to_owned())).await.unwrap();
    let _ = tokio::spawn(async move { client.again_exclusive(String::new()).await.map(|_| client.calls) }).await.unwrap();
}

mod path {
    use std::fmt;
    use std::io;

    #[derive(Clone)]
    pub struct Order(pub u32);

    impl fmt::Display for Order {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "order {}", self.0)
        }
    }

    fn half(order: &Order) -> u32 {
        order.0 / 2
    }

    impl Order {
        #[backstop::timeout_async(secs = 1, retry = 1)]
        pub async fn said(self) -> io::Result<String> {
            use std::fmt::{self, Write};
            let mut said = String::new();
            write!(said, "{self}, {{self}}, {self:>10}").map_err(|error: fmt::Error| io::Error::other(error))?;
            Ok(format!("{said}, {}", self::half(&self)))
        }

        #[backstop::timeout_async(secs = 1, retry = 1)]
        pub async fn sent(&mut self) -> io::Result<String> {
            self.0 += 1;
            assert!(self.0 > 0, "{self}");
            Ok(format!("{self}"))
        }
    }
}

#[tokio::test]
async fn self_may_be_a_path_and_stand_in_a_format_string() {
    assert_eq!(path::Order(8).said().await.unwrap(), "order 8, {self}, order 8, 4");
    assert_eq!(path::Order(8).sent().await.unwrap(), "order 9");
}
