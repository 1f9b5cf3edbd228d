//! `[admin]`: where a node shows itself to its operators, and what they have to
//! know.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::fault::{Fault, quoted};
use super::judge::Judge;
use super::units::Address;
use crate::admin::Token;

/// The shortest token: 16 characters of a random hexadecimal text are 64 bits,
/// which nobody guesses at the pace that wrong ones are answered.
const LEAST_TOKEN_BYTES: usize = 16;
/// The longest that is read: a key file by mistake is not one.
const MOST_TOKEN_BYTES: usize = 512;
/// What is allowed at the most: others must not read it.
const MODE: u32 = 0o600;
/// How a token is made.
const REMEDY: &str = "`(umask 077; openssl rand -hex 32 > admin.token)` makes one";

/// The page, figures and orders of the node's operator.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Admin {
    /// Where the page, `/metrics`, `/healthz`, `/readyz` and `/api/status` are.
    #[schemars(example = &"10.0.0.11:9700")]
    pub(crate) listen: Address,
    /// A file with what operators have to know, of mode 0600. Not given: whoever
    /// reaches the address is one, so it has to be of loopback.
    #[schemars(example = &"admin.token")]
    pub(crate) token_file: Option<PathBuf>,
    /// Whether `/metrics` is for everybody.
    #[schemars(example = true)]
    pub(crate) metrics_open: bool,
}

impl Default for Admin {
    fn default() -> Self {
        let listen = Address(([127, 0, 0, 1], 9700).into());
        Self { listen, token_file: None, metrics_open: false }
    }
}

impl Judge<'_> {
    /// What operators have to know, if anything.
    pub(super) fn admin(&mut self, given: &Admin) -> Option<Token> {
        let listen = given.listen.0;
        let Some(path) = &given.token_file else {
            if !listen.ip().to_canonical().is_loopback() {
                let listen = quoted(&listen.to_string());
                let found = format!("no token, and {listen} is open to others");
                let expected = "admin.token_file, or a loopback address";
                self.fault("admin.listen", Fault::mismatch(found, expected).remedy(REMEDY));
            }
            return None;
        };
        match token(path) {
            Ok(token) => Some(token),
            Err(fault) => {
                self.fault("admin.token_file", fault);
                None
            }
        }
    }
}

fn token(path: &Path) -> Result<Token, Fault> {
    let shown = path.display();
    let unreadable = |error: std::io::Error| {
        Fault::mismatch(format!("{shown}: {error}"), "a file with a token").remedy(REMEDY)
    };
    let file = File::open(path).map_err(unreadable)?;
    let mode = file.metadata().map_err(unreadable)?.permissions().mode() & 0o7777;
    if mode & !MODE != 0 {
        let found = format!("permissions {mode:04o} of {shown}");
        let fault = Fault::mismatch(found, format!("{MODE:04o} or narrower"));
        return Err(fault.remedy(format!("run `chmod 600 {shown}`")));
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(MOST_TOKEN_BYTES + 2));
    file.take(MOST_TOKEN_BYTES as u64 + 2).read_to_end(&mut bytes).map_err(unreadable)?;
    let token = bytes.trim_ascii();
    let is_good = (LEAST_TOKEN_BYTES..=MOST_TOKEN_BYTES).contains(&token.len())
        && token.iter().all(u8::is_ascii_graphic);
    if !is_good {
        let found = format!("{} bytes in {shown}", token.len());
        let expected = format!(
            "a token of {LEAST_TOKEN_BYTES} to {MOST_TOKEN_BYTES} printable ASCII characters \
             without blanks"
        );
        return Err(Fault::mismatch(found, expected).remedy(REMEDY));
    }
    Ok(Token::new(token))
}
