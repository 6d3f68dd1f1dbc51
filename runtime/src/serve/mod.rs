//! `/metrics` and the running calls over HTTP, from a thread with a runtime of its own: it answers while every worker of the
//! application is blocked.
//!
//! Connections are few, short and bounded, so that a slow or hostile client costs the process next to nothing.

mod error;
mod pages;

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::{sleep, timeout};

pub use error::ServeError;

use crate::metrics::process;

/// So many connections are served at the same time; further ones are closed at once and counted.
const CONNECTIONS: usize = 32;
/// A connection is closed after this, whatever it does.
const LIFETIME: Duration = Duration::from_secs(30);
/// The head of a request must be there by then.
const HEAD: Duration = Duration::from_secs(5);
/// The pause after a failed `accept`: with no file descriptors left, trying at once would burn a core.
const PAUSE: Duration = Duration::from_millis(100);

/// The running server; it stops when this is dropped.
#[derive(Debug)]
pub(crate) struct Server {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Binds `address` (port 0: any free one) and answers from now on.
    ///
    /// # Errors
    ///
    /// When the address cannot be bound or no thread can be started.
    pub(crate) fn start(address: SocketAddr) -> Result<Self, ServeError> {
        let listener = bind(address).map_err(|source| ServeError::bind(address, source))?;
        let address = listener.local_addr().map_err(|source| ServeError::bind(address, source))?;
        let runtime = Builder::new_current_thread().enable_io().enable_time().build().map_err(ServeError::thread)?;
        let (stop, stopped) = oneshot::channel();
        let body = move || serve(&runtime, listener, stopped);
        let thread = thread::Builder::new().name("backstop-serve".into()).spawn(body).map_err(ServeError::thread)?;
        Ok(Self { address, stop: Some(stop), thread: Some(thread) })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // It ends at once: open connections are dropped with its runtime.
            let _ = thread.join();
        }
    }
}

fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

fn serve(runtime: &Runtime, listener: TcpListener, stopped: oneshot::Receiver<()>) {
    runtime.block_on(async move {
        tokio::select! {
            _ = stopped => {}
            () = accept(listener) => {}
        }
    });
}

async fn accept(listener: TcpListener) {
    let Ok(listener) = tokio::net::TcpListener::from_std(listener) else { return };
    let free = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        match listener.accept().await {
            Ok((stream, _)) => match free.clone().try_acquire_owned() {
                Ok(permit) => drop(tokio::spawn(connection(stream, permit))),
                Err(_) => process::drop_one("connection"),
            },
            Err(_) => sleep(PAUSE).await,
        }
    }
}

async fn connection(stream: TcpStream, _permit: OwnedSemaphorePermit) {
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(16 * 1024)
        .serve_connection(TokioIo::new(stream), service_fn(pages::answer));
    // A client that breaks off or takes too long is its own problem.
    let _ = timeout(LIFETIME, served).await;
}

#[cfg(test)]
mod tests;
