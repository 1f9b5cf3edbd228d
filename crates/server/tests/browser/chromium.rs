//! The browser's processes: chromedriver, and the Chromium that it starts. It
//! knows nothing of pages.
//!
//! Both end with the test, however that ends: chromedriver dies with the thread
//! that started it, and Chromium with chromedriver.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use async_trait::async_trait;
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::HOST;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tempfile::TempDir;
use thirtyfour::error::{WebDriverError, WebDriverResult};
use thirtyfour::session::http::{Body, HttpClient};
use thirtyfour::{Capabilities, WebDriver};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;

use crate::process::{Process, are_installed};

/// What is needed: `setpriv` has Chromium die with chromedriver.
const PROGRAMS: [&str; 3] = ["chromium", "chromedriver", "setpriv"];

/// Names lead to this machine, or nowhere: a page that asks for something
/// elsewhere does not get it, and what it asked for is seen.
const RESOLVER: &str = "--host-resolver-rules=MAP *.example 127.0.0.1 , MAP * ~NOTFOUND , \
                        EXCLUDE 127.0.0.1 , EXCLUDE localhost";

/// What Chromium is told beside that: to show nothing on a screen, to take
/// certificates that nobody vouches for, and to do nothing of its own accord.
const ARGUMENTS: [&str; 10] = [
    "--headless=new",
    "--ignore-certificate-errors",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-sync",
    "--no-first-run",
    "--hide-scrollbars",
];

/// A Chromium, and who drives it. Dropped, both are ended.
pub(crate) struct Chromium {
    /// None once it has been told to quit.
    session: Option<WebDriver>,
    runtime: Runtime,
    /// Its main process.
    pid: Pid,
    chromedriver: Process,
    /// Profile and home: nothing of the machine's user is seen or changed.
    place: TempDir,
}

impl Chromium {
    /// Starts one with a window of that size, unless it is not installed.
    pub(crate) fn start((width, height): (u32, u32)) -> Option<Self> {
        if !are_installed(&PROGRAMS) {
            return None;
        }
        let place = tempfile::Builder::new().prefix("segue-browser-").tempdir().unwrap();
        let started = place.path().join("chromium");
        fs::write(&started, "#!/bin/sh\nexec setpriv --pdeathsig KILL chromium \"$@\"\n").unwrap();
        fs::set_permissions(&started, Permissions::from_mode(0o700)).unwrap();

        let mut command = Command::new("chromedriver");
        command.arg("--port=0").env("HOME", place.path());
        for name in ["XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME"] {
            command.env(name, place.path());
        }
        command.arg(format!("--log-path={}", place.path().join("chromedriver.log").display()));
        let mut chromedriver = Process::start(&mut command);
        let port = loop {
            let line = chromedriver.hear();
            if let Some((_, port)) = line.split_once("successfully on port ") {
                break port.trim_end_matches('.').parse().unwrap();
            }
        };

        let mut arguments = ARGUMENTS.map(str::to_owned).to_vec();
        arguments.push(RESOLVER.to_owned());
        arguments.push(format!("--window-size={width},{height}"));
        arguments.push(format!("--user-data-dir={}", place.path().join("profile").display()));
        if fs::metadata("/proc/self").unwrap().uid() == 0 {
            // Its sandbox refuses root.
            arguments.push("--no-sandbox".to_owned());
        }
        let wanted = json!({
            "browserName": "chrome",
            "goog:chromeOptions": { "binary": started, "args": arguments },
            "goog:loggingPrefs": { "browser": "ALL", "performance": "ALL" },
        });
        let Value::Object(wanted) = wanted else { unreachable!("it is written as one") };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let session = WebDriver::builder(format!("http://127.0.0.1:{port}"), wanted)
            .client(Client { port })
            .connect();
        let session = runtime.block_on(session).unwrap();
        let pid = pid(session.capabilities());
        Some(Self { session: Some(session), runtime, pid, chromedriver, place })
    }

    /// Has something done in it.
    ///
    /// # Panics
    ///
    /// When that cannot be done.
    pub(crate) fn drive<T>(&self, what: impl AsyncFnOnce(&WebDriver) -> WebDriverResult<T>) -> T {
        let session = self.session.as_ref().expect("it is there until it is dropped");
        self.runtime.block_on(what(session)).unwrap_or_else(|error| panic!("{error}"))
    }

    /// What it has written goes here.
    pub(crate) fn place(&self) -> &Path {
        self.place.path()
    }

    /// The numbers of its main process and of chromedriver's.
    pub(crate) fn pids(&self) -> [u32; 2] {
        [self.pid.as_raw().try_into().unwrap(), self.chromedriver.pid()]
    }
}

impl Drop for Chromium {
    fn drop(&mut self) {
        if let Some(session) = self.session.take() {
            // One that does not obey is killed.
            let _ = self.runtime.block_on(session.quit());
        }
        // Its profile's name stands in its command line: the number may be
        // another process' since it has ended.
        let told = fs::read(format!("/proc/{}/cmdline", self.pid)).unwrap_or_default();
        if String::from_utf8_lossy(&told).contains(&*self.place.path().to_string_lossy()) {
            let _ = kill(self.pid, Signal::SIGKILL);
        }
    }
}

fn pid(given: &Capabilities) -> Pid {
    let pid = given.get("goog:processID").and_then(Value::as_i64);
    Pid::from_raw(pid.expect("chromedriver tells it").try_into().unwrap())
}

/// How requests reach a chromedriver: each by a connection of its own.
struct Client {
    port: u16,
}

impl Client {
    async fn ask(&self, request: Request<Body<'_>>) -> io::Result<Response<Bytes>> {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).await?;
        let (parts, body) = request.into_parts();
        let body = match body {
            Body::Empty => Bytes::new(),
            Body::Json(json) => json.to_string().into(),
        };
        let mut request = Request::builder().method(parts.method).uri(parts.uri.path());
        request.headers_mut().expect("method and path are good").extend(parts.headers);
        let request = request
            .header(HOST, format!("127.0.0.1:{}", self.port))
            .body(Full::new(body))
            .map_err(io::Error::other)?;
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
        let exchange = async move {
            let (head, body) = sender.send_request(request).await?.into_parts();
            hyper::Result::Ok(Response::from_parts(head, body.collect().await?.to_bytes()))
        };
        // How the connection ends once the answer is whole is of no interest.
        tokio::join!(exchange, connection).0.map_err(io::Error::other)
    }
}

#[async_trait]
impl HttpClient for Client {
    async fn send(&self, request: Request<Body<'_>>) -> WebDriverResult<Response<Bytes>> {
        self.ask(request).await.map_err(|error| WebDriverError::RequestFailed(error.to_string()))
    }

    async fn new(&self) -> Arc<dyn HttpClient> {
        Arc::new(Self { port: self.port })
    }
}
