//! A real Alertmanager gets a page while a thread is blocked, and takes it back when the thread goes on.
//!
//! `cargo xtask setup --alertmanager` unpacks Debian's for this test; where there is none the test says so and proves nothing.
// Real seconds, in which libtorch has no part: they are spent once, without it.
#![cfg(not(feature = "tch"))]
#![cfg(all(unix, feature = "webhook"))]

use std::fs;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use backstop::timeout_async;
use serde_json::Value;

/// Long enough for any machine; nothing here waits that long.
const LONG: Duration = Duration::from_secs(60);
const NAME: &str = "prometheus-alertmanager";

#[timeout_async(secs = 600, name = "paged.blocks")]
async fn blocks(release: Receiver<()>) -> io::Result<()> {
    release.recv().map_err(io::Error::other)
}

#[test]
fn alertmanager_pages_while_a_thread_is_blocked_and_takes_the_page_back_when_it_goes_on() {
    let Some(program) = installed() else {
        eprintln!("skipped: no {NAME} in PATH or in the cache; `cargo xtask setup --alertmanager` gets it where apt is at hand");
        return;
    };
    let folder = std::env::temp_dir().join(format!("backstop-alertmanager-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let (pager, pages) = pager();
    let alertmanager = Alertmanager::start(&program, &folder, pager);
    let policies = folder.join("backstop.toml");
    fs::write(&policies, policies_text(alertmanager.address)).unwrap();
    let _backstop = backstop::Builder::new().policies(policies).install().unwrap();

    let (release, released) = channel();
    let call = thread::spawn(|| tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(blocks(released)));
    let page = pages.recv_timeout(LONG).expect("a page while the thread is blocked");
    assert_eq!((&page["status"], &page["alerts"][0]["status"]), (&"firing".into(), &"firing".into()), "{page}");
    let labels = &page["alerts"][0]["labels"];
    let expected = [("alertname", "BackstopIncident"), ("function", "paged.blocks"), ("kind", "blocked"), ("severity", "critical")];
    assert_eq!(expected.map(|(label, _)| labels[label].as_str()), expected.map(|(_, value)| Some(value)), "{page}");
    let summary = page["alerts"][0]["annotations"]["summary"].as_str().unwrap();
    assert!(summary.starts_with("`paged.blocks` blocks its thread for "), "{summary}");
    let active = alertmanager.alerts();
    assert_eq!(active[0]["status"]["state"], "active", "{active}");

    release.send(()).unwrap();
    call.join().unwrap().unwrap();
    let page = pages.recv_timeout(LONG).expect("the end of the page");
    assert_eq!((&page["status"], &page["alerts"][0]["labels"]["function"]), (&"resolved".into(), &"paged.blocks".into()), "{page}");
    assert_eq!(alertmanager.alerts(), Value::Array(Vec::new()), "nothing is active any more");
    fs::remove_dir_all(folder).unwrap();
}

fn policies_text(alertmanager: SocketAddr) -> String {
    format!(
        r#"
        [functions."paged.blocks"]
        blocked_after = "200ms"
        escalate = [{{ after = 1, severity = "critical", notify = ["ops"] }}]

        [channels.ops]
        kind = "webhook"
        url = "http://{alertmanager}/api/v2/alerts"
        format = "alertmanager"
        "#
    )
}

/// Debian's Alertmanager: in PATH, or where `cargo xtask setup --alertmanager` puts it.
fn installed() -> Option<PathBuf> {
    let cache =
        std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).or_else(|| Some(Path::new(&std::env::var_os("HOME")?).join(".cache")));
    let unpacked = cache.map(|cache| cache.join("backstop/alertmanager/usr/bin"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).chain(unpacked).map(|folder| folder.join(NAME)).find(|program| program.is_file())
}

struct Alertmanager {
    process: Child,
    address: SocketAddr,
}

impl Alertmanager {
    /// Starts one that tells `pager` at once of everything.
    fn start(program: &Path, folder: &Path, pager: SocketAddr) -> Self {
        let configuration = folder.join("alertmanager.yml");
        let text = format!(
            "route: {{ receiver: pager, group_wait: 0s, group_interval: 1s, repeat_interval: 1h }}\n\
             receivers: [ {{ name: pager, webhook_configs: [ {{ url: 'http://{pager}/', send_resolved: true }} ] }} ]\n"
        );
        fs::write(&configuration, text).unwrap();
        let address = free_port();
        let log = fs::File::create(folder.join("alertmanager.log")).unwrap();
        let mut command = Command::new(program);
        // An unpacked one looks for its templates in its working directory.
        let share = program.with_file_name("../share/prometheus/alertmanager");
        if share.is_dir() {
            command.current_dir(share);
        }
        let process = command
            .arg(format!("--config.file={}", configuration.display()))
            .arg(format!("--storage.path={}", folder.join("storage").display()))
            .arg(format!("--web.listen-address={address}"))
            .arg("--cluster.listen-address=")
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let this = Self { process, address };
        let deadline = Instant::now() + LONG;
        while this.get("/-/ready").is_none_or(|answer| !answer.starts_with("HTTP/1.1 200")) {
            let log = || fs::read_to_string(folder.join("alertmanager.log")).unwrap_or_default();
            assert!(Instant::now() < deadline, "Alertmanager does not start: {}", log());
            thread::sleep(Duration::from_millis(50));
        }
        this
    }

    /// The alerts that are active.
    fn alerts(&self) -> Value {
        let answer = self.get("/api/v2/alerts?active=true").unwrap();
        serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1.trim()).unwrap()
    }

    fn get(&self, path: &str) -> Option<String> {
        let mut stream = TcpStream::connect(self.address).ok()?;
        write!(stream, "GET {path} HTTP/1.0\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        Some(answer.replace("HTTP/1.0", "HTTP/1.1"))
    }
}

impl Drop for Alertmanager {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A port that nobody uses at the moment.
fn free_port() -> SocketAddr {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap()
}

/// Where Alertmanager sends its pages, and the pages.
fn pager() -> (SocketAddr, Receiver<Value>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, pages) = channel();
    thread::spawn(move || listener.incoming().flatten().try_for_each(|stream| serve(stream, &sender)));
    (address, pages)
}

/// Takes the pages of one connection.
fn serve(mut stream: TcpStream, pages: &Sender<Value>) -> io::Result<()> {
    let mut request = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&request).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n")
            && let Ok(page) = serde_json::from_str(body)
        {
            assert!(head.starts_with("POST / "), "{head}");
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")?;
            // The test may be over.
            let _ = pages.send(page);
            return Ok(());
        }
        match stream.read(&mut chunk)? {
            0 => return Ok(()),
            count => request.extend_from_slice(&chunk[..count]),
        }
    }
}
