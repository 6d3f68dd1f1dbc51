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
            Ok(answer) => Err(format!("{} answered {}", self.url, answer.status())),
            Err(error) => Err(format!("{}: {error}", self.url)),
        }
    }
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
    fn a_server_that_never_answers_is_given_up() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let began = Instant::now();
        let mut sink = Webhook::with_limit(url, WebhookFormat::Json, Duration::from_millis(200));
        assert!(sink.deliver(&notification(1)).is_err());
        assert!(began.elapsed() < Duration::from_secs(60));
    }
}
