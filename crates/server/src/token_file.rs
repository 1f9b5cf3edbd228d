//! The token that operators' commands show to a node: where it stands, and what it
//! is. Whether it is the right one, the node knows.

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use zeroize::Zeroizing;

/// What a node asks its operators for, where it does.
#[derive(Debug, Args)]
pub(crate) struct TokenFile {
    /// The file with the token of `admin.token_file`
    #[arg(long, value_name = "FILE", global = true, env = "SEGUE_ADMIN_TOKEN_FILE")]
    token_file: Option<PathBuf>,
}

impl TokenFile {
    /// The token, if there is one to show.
    pub(crate) fn read(&self) -> anyhow::Result<Option<Zeroizing<String>>> {
        let Some(path) = &self.token_file else { return Ok(None) };
        let text = std::fs::read_to_string(path).map(Zeroizing::new);
        let text = text.with_context(|| format!("--token-file: {}", path.display()))?;
        Ok(Some(Zeroizing::new(text.trim().to_owned())))
    }
}
