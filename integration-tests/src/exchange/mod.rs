//! A paper exchange: a real HTTP server on loopback that serves real prices bar by bar.
//!
//! | request | answer |
//! |---|---|
//! | `GET /v1/market` | [`Listing`](crate::api::Listing): symbols, first and last bar |
//! | `GET /v1/history/{bar}` | up to [`PAGE`] bars of [`Quotes`](crate::api::Quotes) from there on, none at or after the opening bar |
//! | `GET /v1/quotes/{bar}` | [`Quotes`](crate::api::Quotes); the bar after the last one moves the market on and fills its orders |
//! | `PUT /v1/orders/{bar}` | [`Orders`](crate::api::Orders) → [`Receipt`](crate::api::Receipt): decided on that bar, filled at the next bar's open |
//! | `GET /v1/account` | [`Account`](crate::api::Account) |
//!
//! All bodies are JSON; what is refused answers 404 or 409 with a [`Refusal`](crate::api::Refusal). Every request may be sent again
//! without a second effect, so a client may retry each of them.

pub mod book;
mod routes;

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::oneshot;

use crate::TradingError;
use crate::market::Market;
pub use book::Book;

/// The most bars in one answer of `GET /v1/history/{bar}`.
pub const PAGE: usize = 250;

/// A running exchange. It has a thread and a runtime of its own, so that it answers while its client's runtime is blocked; dropping it
/// ends both.
#[derive(Debug)]
pub struct Exchange {
    address: SocketAddr,
    close: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Exchange {
    /// Opens an exchange on a free port of loopback. Bars before `opens_at` are history; the account starts with `cash`.
    ///
    /// # Errors
    /// If `opens_at` is not within the market, or no port or thread can be had.
    pub fn open(market: Market, opens_at: usize, cash: f64) -> Result<Self, TradingError> {
        if opens_at >= market.len() {
            let problem = format!("the market opens at bar {opens_at}, but there are only {} bars", market.len());
            return Err(TradingError::Setup(problem));
        }
        let book = Arc::new(Mutex::new(Book::new(market, opens_at, cash)));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(starting)?;
        listener.set_nonblocking(true).map_err(starting)?;
        let address = listener.local_addr().map_err(starting)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(starting)?;
        let (close, closed) = oneshot::channel();
        let serve = move || runtime.block_on(serve(listener, book, closed));
        let thread = std::thread::Builder::new().name("exchange".to_owned()).spawn(serve).map_err(starting)?;
        Ok(Self { address, close: Some(close), thread: Some(thread) })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        drop(self.close.take());
        if let Some(thread) = self.thread.take() {
            // A panic of the exchange has been printed by its thread; there is nobody here to tell.
            let _ = thread.join();
        }
    }
}

fn starting(error: std::io::Error) -> TradingError {
    TradingError::Connection { request: "opening the exchange".to_owned(), source: error.into() }
}

async fn serve(listener: TcpListener, book: Arc<Mutex<Book>>, mut closed: oneshot::Receiver<()>) {
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(target: "trading::exchange", %error, "the exchange cannot listen"),
    };
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(_) => continue,
            },
            _ = &mut closed => return,
        };
        let book = Arc::clone(&book);
        let service = service_fn(move |request| routes::answer(Arc::clone(&book), request));
        tokio::spawn(async move {
            // A client that goes away in the middle of a request is not the exchange's problem.
            let _ = http1::Builder::new().timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), service).await;
        });
    }
}
