//! From an HTTP request to the book and back. The table of routes is in the module's page.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::CONTENT_TYPE;
use hyper::{Method, Request, Response, StatusCode};
use serde::Serialize;

use super::PAGE;
use super::book::{Book, Refused};
use crate::api::{Orders, Refusal};

/// More than any order that fits the market.
const LARGEST_BODY: usize = 64 * 1024;

type Answer = Response<Full<Bytes>>;

pub(super) async fn answer(book: Arc<Mutex<Book>>, request: Request<Incoming>) -> Result<Answer, Infallible> {
    let path = request.uri().path().to_owned();
    let method = request.method().clone();
    let body = match Limited::new(request.into_body(), LARGEST_BODY).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) => return Ok(refuse(StatusCode::BAD_REQUEST, format!("the body cannot be read: {error}"))),
    };
    let mut book = book.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(route(&mut book, &method, &path, &body))
}

fn route(book: &mut Book, method: &Method, path: &str, body: &[u8]) -> Answer {
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    match (method, parts.as_slice()) {
        (&Method::GET, ["v1", "market"]) => json(StatusCode::OK, &book.listing()),
        (&Method::GET, ["v1", "account"]) => json(StatusCode::OK, &book.account()),
        (&Method::GET, ["v1", "history", bar]) => with_bar(bar, |bar| json(StatusCode::OK, &book.history(bar, PAGE))),
        (&Method::GET, ["v1", "quotes", bar]) => with_bar(bar, |bar| reply(book.quotes(bar))),
        (&Method::PUT, ["v1", "orders", bar]) => with_bar(bar, |bar| match serde_json::from_slice::<Orders>(body) {
            Ok(orders) => reply(book.order(bar, orders)),
            Err(error) => refuse(StatusCode::BAD_REQUEST, format!("the orders cannot be read: {error}")),
        }),
        _ => refuse(StatusCode::NOT_FOUND, format!("nothing at {method} {path}; see the table in `trading::exchange`")),
    }
}

fn with_bar(text: &str, then: impl FnOnce(usize) -> Answer) -> Answer {
    match text.parse() {
        Ok(bar) => then(bar),
        Err(_) => refuse(StatusCode::BAD_REQUEST, format!("`{text}` is no number of a bar")),
    }
}

fn reply(result: Result<impl Serialize, Refused>) -> Answer {
    match result {
        Ok(value) => json(StatusCode::OK, &value),
        Err(Refused::NotServed(reason)) => refuse(StatusCode::NOT_FOUND, reason),
        Err(Refused::Conflict(reason)) => refuse(StatusCode::CONFLICT, reason),
    }
}

fn refuse(status: StatusCode, reason: String) -> Answer {
    json(status, &Refusal { reason })
}

fn json(status: StatusCode, value: &impl Serialize) -> Answer {
    match serde_json::to_vec(value) {
        Ok(body) => {
            let mut answer = Response::new(Full::new(Bytes::from(body)));
            *answer.status_mut() = status;
            answer.headers_mut().insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static("application/json"));
            answer
        }
        Err(error) => {
            let mut answer = Response::new(Full::new(Bytes::from(error.to_string())));
            *answer.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
            answer
        }
    }
}
