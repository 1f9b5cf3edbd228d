//! `segue completions` and `segue man`: the command line and the configuration
//! written down, for shells and for readers.

mod configuration;

use std::io::Write;

use anyhow::Context;
use clap_complete::Shell;
use clap_mangen::Man;

use crate::cli;

/// Prints the completion script for `shell`.
///
/// # Errors
///
/// When standard output cannot be written.
pub(crate) fn completions(shell: Shell) -> anyhow::Result<()> {
    // Into memory first: `generate` panics where it cannot write.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut cli::command(), "segue", &mut script);
    std::io::stdout().write_all(&script).context("standard output")
}

/// Prints the reference of the configuration: as the manual page of its file, or as
/// the page of `docs/`.
///
/// # Errors
///
/// When standard output cannot be written.
pub(crate) fn configuration(as_markdown: bool) -> anyhow::Result<()> {
    let page = if as_markdown { configuration::markdown() } else { configuration::roff() };
    std::io::stdout().write_all(page.as_bytes()).context("standard output")
}

/// Prints the manual page, with a part for each command.
///
/// # Errors
///
/// When standard output cannot be written.
pub(crate) fn page() -> anyhow::Result<()> {
    let mut command = cli::command();
    command.build();
    let mut roff = Vec::new();
    Man::new(command.clone()).render(&mut roff)?;
    for subcommand in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
        let man = Man::new(subcommand.clone());
        let title = format!(".SH SEGUE {}\n", subcommand.get_name().to_uppercase());
        roff.write_all(title.as_bytes())?;
        man.render_synopsis_section(&mut roff)?;
        man.render_description_section(&mut roff)?;
        man.render_options_section(&mut roff)?;
        man.render_extra_section(&mut roff)?;
    }
    std::io::stdout().write_all(&roff).context("standard output")
}
