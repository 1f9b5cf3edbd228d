//! `curl`: a download and an upload over HTTPS.

use std::net::SocketAddr;
use std::process::Command;

use ground::SERVER_NAME;
use ground::farm::{BACKEND, CLIENTS, Settings};

use super::content::{Content, Hash, serve_web};
use super::process::Process;
use super::{Trial, before, behind, bytes, check};

/// As OpenSSL names them.
const SUITES: [&str; 2] = ["TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"];

/// In how many seconds an upload is sent: far longer than killing a node takes.
const SECONDS: u64 = 2;

/// Asks by that cipher suite.
fn curl(trial: &Trial<'_>, suite: &str, path: &str) -> Command {
    let port = Settings::TLS_PORT;
    let mut command = Command::new("curl");
    // Of this machine's settings none is meant for it.
    command.args(["--disable", "--noproxy", "*", "--silent", "--show-error", "--fail"]);
    command.args(["--http1.1", "--tlsv1.3", "--tls13-ciphers", suite, "--cacert"]);
    command.arg(trial.farm.path("cert.pem"));
    command.args(["--resolve", &format!("{SERVER_NAME}:{port}:{}", trial.address())]);
    command.arg(format!("https://{SERVER_NAME}:{port}/{path}"));
    command
}

const WEB: u16 = 8000;

fn web() -> SocketAddr {
    behind(WEB)
}

#[test]
fn curl_downloads() {
    let Some(mut bed) = before(web(), &["curl"]) else { return };
    bed.farm.network.on(BACKEND, || serve_web(web()));
    let (bytes, expected) = (bytes(), Content::hash(bytes()));
    for suite in SUITES {
        check(&mut bed.farm, |trial| {
            let mut command = curl(trial, suite, &bytes.to_string());
            let curl = trial.farm.network.on(CLIENTS, || Process::start(&mut command));
            let (mut received, mut hash) = (0, Hash::default());
            while let Some(chunk) = curl.read() {
                let before = received;
                received += chunk.len() as u64;
                hash.take(&chunk);
                if before < bytes / 2 && received >= bytes / 2 {
                    trial.kill(1);
                }
            }
            curl.finish();
            assert_eq!((received, hash.end().as_str()), (bytes, expected.as_str()));
        });
    }
}

#[test]
fn curl_uploads() {
    let Some(mut bed) = before(web(), &["curl"]) else { return };
    let taken = bed.farm.network.on(BACKEND, || serve_web(web()));
    let (bytes, expected) = (bytes(), Content::hash(bytes()));
    let file = bed.farm.path("content");
    let content: Vec<u8> = Content::of(bytes).flatten().collect();
    std::fs::write(&file, content).unwrap();
    for suite in SUITES {
        check(&mut bed.farm, |trial| {
            let mut command = curl(trial, suite, "");
            command.arg("--limit-rate").arg((bytes / SECONDS).to_string());
            command.arg("--upload-file").arg(&file);
            let before = taken.so_far();
            let curl = trial.farm.network.on(CLIENTS, || Process::start(&mut command));
            taken.until(before + bytes / 2);
            trial.kill(1);
            assert!(taken.so_far() < before + bytes, "it was over by then");
            assert_eq!(curl.finish(), expected);
        });
    }
}
