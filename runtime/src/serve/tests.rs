//! The server, asked over real sockets.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Barrier;
use std::time::Instant;

use super::*;
use crate::metrics::{exporter, testing::parse};
use crate::site::sites;

fn loopback() -> Server {
    Server::start("127.0.0.1:0".parse().unwrap()).unwrap()
}

/// The head and the body of the answer.
fn get(address: SocketAddr, path: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_lowercase(), body.to_owned())
}

#[test]
fn metrics_are_scraped_over_a_socket_while_every_worker_is_blocked() {
    exporter::install(None).unwrap();
    let server = loopback();
    let application = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let (blocked, release) = (Arc::new(Barrier::new(3)), Arc::new(Barrier::new(3)));
    for _ in 0..2 {
        let (blocked, release) = (blocked.clone(), release.clone());
        application.spawn(async move {
            blocked.wait();
            release.wait();
        });
    }
    blocked.wait();
    let (head, body) = get(server.address(), "/metrics");
    assert!(head.starts_with("http/1.1 200"), "{head}");
    assert!(head.contains("content-type: text/plain; version=0.0.4; charset=utf-8"), "{head}");
    let series = parse(&body).unwrap();
    for site in sites() {
        let key = format!("backstop_in_flight{{function=\"{}\"}}", site.name());
        assert!(series.contains_key(&key), "{key}");
    }
    let (_, calls) = get(server.address(), "/calls");
    assert!(!calls.is_empty());
    release.wait();
}

#[test]
fn a_taken_port_is_named_in_the_error() {
    let server = loopback();
    let error = Server::start(server.address()).unwrap_err().to_string();
    assert!(error.contains(&server.address().to_string()) && error.contains("taken"), "{error}");
}

#[test]
fn the_server_stops_when_its_handle_is_dropped() {
    let server = loopback();
    let address = server.address();
    let _idle = TcpStream::connect(address).unwrap();
    drop(server);
    let again = Server::start(address).unwrap();
    assert_eq!(get(again.address(), "/").0.lines().next(), Some("http/1.1 200 ok"));
}

#[test]
fn silent_clients_cannot_keep_others_out_for_long() {
    let server = loopback();
    let silent: Vec<TcpStream> = (0..CONNECTIONS + 20).map(|_| TcpStream::connect(server.address()).unwrap()).collect();
    let deadline = Instant::now() + HEAD * 6;
    let served = || {
        let mut stream = TcpStream::connect(server.address()).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        answer.contains("200 OK").then_some(())
    };
    while served().is_none() {
        assert!(Instant::now() < deadline, "no connection was given back");
        thread::sleep(Duration::from_millis(200));
    }
    drop(silent);
}
