//! `openssl s_client`, in a conversation.

use std::process::Command;

use ground::SERVER_NAME;
use ground::farm::{BACKEND, CLIENTS, Settings};

use super::content::serve_echo;
use super::process::Process;
use super::{before, behind, check};

/// How many lines go both ways.
const LINES: u32 = 100;

#[test]
fn openssl_converses() {
    let echo = behind(8007);
    let Some(mut bed) = before(echo, &["openssl"]) else { return };
    bed.farm.network.on(BACKEND, || serve_echo(echo));
    check(&mut bed.farm, |trial| {
        let mut command = Command::new("openssl");
        let to = format!("{}:{}", trial.address(), Settings::TLS_PORT);
        command.args(["s_client", "-quiet", "-tls1_3", "-connect", &to]);
        command.args(["-servername", SERVER_NAME, "-verify_hostname", SERVER_NAME]);
        command.arg("-verify_return_error").arg("-CAfile").arg(trial.farm.path("cert.pem"));
        let mut openssl = trial.farm.network.on(CLIENTS, || Process::start(&mut command));
        for line in 0..LINES {
            let line = line.to_string();
            openssl.tell(&line);
            if line == (LINES / 2).to_string() {
                // Whether the answer comes before or after is all the same.
                trial.kill(1);
            }
            assert_eq!(openssl.hear(), line);
        }
    });
}
