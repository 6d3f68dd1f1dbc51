//! What the server answers.

use std::convert::Infallible;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};

use crate::flight;
use crate::incident;
use crate::metrics::exporter;

/// The text format that Prometheus asks for by default.
const METRICS: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

const INDEX: &str = "Backstop\n\n/metrics  the metrics in Prometheus' text format\n/calls    the guarded calls that run now\n/dump     those, what happened last, and the host\n";

type Answer = Response<Full<Bytes>>;

/// Answers one request. The body of a request is never read.
#[allow(clippy::unused_async, reason = "what hyper calls is asynchronous; rendering takes a few milliseconds of this thread's own")]
pub(super) async fn answer(request: Request<Incoming>) -> Result<Answer, Infallible> {
    Ok(page(request.method(), request.uri().path()))
}

fn page(method: &Method, path: &str) -> Answer {
    if method != Method::GET && method != Method::HEAD {
        let mut refused = text(StatusCode::METHOD_NOT_ALLOWED, TEXT, "only GET is answered here\n".to_owned());
        refused.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return refused;
    }
    match path {
        "/" => text(StatusCode::OK, TEXT, INDEX.to_owned()),
        "/metrics" => text(StatusCode::OK, METRICS, exporter::render()),
        "/calls" => text(StatusCode::OK, TEXT, calls()),
        "/dump" => text(StatusCode::OK, TEXT, incident::dump().to_string()),
        _ => text(StatusCode::NOT_FOUND, TEXT, format!("nothing here\n\n{INDEX}")),
    }
}

fn calls() -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = incident::tree(&flight::snapshot(), None, &mut out);
    out
}

fn text(status: StatusCode, kind: HeaderValue, body: String) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(body)));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, kind);
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_reading_is_allowed_and_unknown_paths_are_not_found() {
        assert_eq!(page(&Method::POST, "/metrics").status(), StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(page(&Method::GET, "/secret").status(), StatusCode::NOT_FOUND);
        assert_eq!(page(&Method::GET, "/").status(), StatusCode::OK);
    }
}
