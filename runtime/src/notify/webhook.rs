//! The channel kind `webhook`: an HTTP POST with bounds on every wait.

use std::time::{Duration, SystemTime};

use ureq::Agent;

use super::Notification;
use super::alert;
use super::sink::Sink;
use crate::policy::WebhookFormat;

/// For the name, the connection, the request and the answer together.
const LIMIT: Duration = Duration::from_secs(10);

pub(super) struct Webhook {
    agent: Agent,
    url: String,
    format: WebhookFormat,
}

impl Webhook {
    pub(super) fn new(url: String, format: WebhookFormat) -> Self {
        Self::with_limit(url, format, LIMIT)
    }

    fn with_limit(url: String, format: WebhookFormat, limit: Duration) -> Self {
        // No proxy from the environment: a policy names the place itself.
        let agent = Agent::config_builder().timeout_global(Some(limit)).max_redirects(0).proxy(None).build().new_agent();
        Self { agent, url, format }
    }
}

impl Sink for Webhook {
    fn deliver(&mut self, notification: &Notification) -> Result<(), String> {
        let body = match self.format {
            WebhookFormat::Json => notification.json.clone(),
            WebhookFormat::Alertmanager => alert::alerts(notification, SystemTime::now()).to_string(),
        };
        let sent = self.agent.post(&self.url).header("content-type", "application/json").send(body);
        match sent {
            Ok(answer) if answer.status().is_success() => Ok(()),
            Ok(answer) => Err(format!("{} answered {}", place(&self.url), answer.status())),
            // Its text is the address.
            Err(ureq::Error::BadUri(_)) => Err(format!("{}: no address to send to", place(&self.url))),
            Err(error) => Err(format!("{}: {error}", place(&self.url))),
        }
    }
}

/// As much of an address as a log may have: scheme, host and port. Most services take the rest for a password.
fn place(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let authority = rest.split(['/', '?', '#', '\\']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    format!("{scheme}://{host}")
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::thread::{self, JoinHandle};
    use std::time::Instant;

    use super::super::queue::testing::notification;
    use super::*;

    /// A server that answers one request with this, and gives back what it was sent.
    fn server(answer: &'static str) -> (String, JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let thread = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
            let request = read_request(&mut stream);
            stream.write_all(answer.as_bytes()).unwrap();
            request
        });
        (url, thread)
    }

    fn read_request(stream: &mut impl Read) -> String {
        let mut request = Vec::new();
        let mut chunk = [0; 4096];
        loop {
            let count = stream.read(&mut chunk).unwrap();
            request.extend_from_slice(&chunk[..count]);
            let text = String::from_utf8_lossy(&request).into_owned();
            let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
            let head = head.to_lowercase();
            let length =
                head.lines().find_map(|line| line.strip_prefix("content-length: ")).and_then(|length| length.parse::<usize>().ok());
            if count == 0 || length.is_some_and(|length| body.len() >= length) {
                return text;
            }
        }
    }

    #[test]
    fn alertmanager_gets_a_list_of_alerts() {
        let (url, server) = server("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
        let notification = notification(3);
        Webhook::new(url, WebhookFormat::Alertmanager).deliver(&notification).unwrap();
        let request = server.join().unwrap();
        assert!(request.starts_with("POST /hook HTTP/1.1"), "{request}");
        let body: serde_json::Value = serde_json::from_str(request.split_once("\r\n\r\n").unwrap().1).unwrap();
        let mut expected = alert::alerts(&notification, SystemTime::UNIX_EPOCH);
        expected[0]["endsAt"] = body[0]["endsAt"].clone();
        assert_eq!(body, expected);
    }

    #[test]
    fn an_answer_that_is_no_success_is_a_failure() {
        let (url, server) = server("HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n");
        let error = Webhook::new(url, WebhookFormat::Json).deliver(&notification(1)).unwrap_err();
        assert!(error.contains("500"), "{error}");
        server.join().unwrap();
    }

    #[test]
    fn an_error_says_where_and_keeps_what_may_be_a_password() {
        let (url, server) = server("HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n");
        let secret = url.replace("http://", "http://me:s3cret@").replace("hook", "services/s3cret?token=s3cret");
        let refused = Webhook::new(secret, WebhookFormat::Json).deliver(&notification(1)).unwrap_err();
        assert!(refused.starts_with(url.strip_suffix("/hook").unwrap()) && refused.contains("403"), "{refused}");
        server.join().unwrap();
        let unreachable = "http://me:s3cret@127.0.0.1:1/s3cret".to_owned();
        let bad = ["me:s3cret@host/s3cret".to_owned(), "http:///s3cret".to_owned(), "http://a b/s3cret".to_owned(), unreachable];
        for (url, error) in bad.map(|url| (url.clone(), Webhook::new(url, WebhookFormat::Json).deliver(&notification(1)).unwrap_err())) {
            assert!(!refused.contains("s3cret") && !error.contains("s3cret"), "{url}: {refused}, {error}");
        }
    }

    #[test]
    fn a_server_that_never_answers_is_given_up() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let began = Instant::now();
        let mut sink = Webhook::with_limit(url, WebhookFormat::Json, Duration::from_millis(200));
        assert!(sink.deliver(&notification(1)).is_err());
        assert!(began.elapsed() < Duration::from_secs(60));
    }
}
