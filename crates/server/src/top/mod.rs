//! `segue top`: a node's status in the terminal, live.
//!
//! In reading order: [`model`] what is shown and what keys do, [`figures`] which
//! figures there are and how they went, [`draw`] a model as a frame, [`screen`]
//! the terminal, given back as it was, and [`fetch`] who asks the node. Only the
//! last two know of the world. What happens comes here by one channel, so nothing
//! waits for two things, and the thread that draws is on no runtime.

mod draw;
mod fetch;
mod figures;
mod model;
mod screen;
#[cfg(test)]
mod tests;

use std::io::{self, IsTerminal};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::Instant;

use anyhow::{Context, bail};
use ratatui::crossterm::event::{self, Event};

use crate::admin::Status;
use crate::cli;
use fetch::Node;
use model::Model;
use screen::Screen;

/// Things that may wait to be looked at: more than a person types while a frame
/// is drawn. Who has more waits.
const MAX_WAITING: usize = 64;

/// What happened.
enum Happened {
    /// A key, or another size.
    Input(Event),
    /// The node answered, or did not, and why.
    Answer(Box<Result<Status, String>>),
    /// A signal asks to end.
    Signal,
    /// Nothing more will happen.
    Broken(anyhow::Error),
}

/// Shows the node whose admin server that is, until somebody has seen enough.
///
/// # Errors
///
/// When standard output is no terminal, the terminal fails, or there is no token
/// where one is said to be.
pub(crate) fn run(cli::Top { admin, token }: cli::Top) -> anyhow::Result<()> {
    if !io::stdout().is_terminal() {
        bail!(
            "standard output is no terminal, which `segue top` draws on: \
             `segue status` prints the same once, and with --json for programs"
        );
    }
    let (tell, happens) = sync_channel(MAX_WAITING);
    let shown = admin.to_string();
    fetch::start(Node { admin, token: token.read()? }, tell.clone())?;
    let screen = Screen::open().context("the terminal")?;
    // After the terminal has been set up: keys that it answers with are no input.
    thread::Builder::new().name("keys".to_owned()).spawn(move || read_keys(&tell))?;
    watch(screen, Model::new(shown), &happens)
}

/// Draws whatever happens.
fn watch(mut screen: Screen, mut model: Model, happens: &Receiver<Happened>) -> anyhow::Result<()> {
    loop {
        let now = Instant::now();
        screen.draw(|frame| draw::draw(&model, now, frame)).context("the terminal")?;
        match happens.recv().context("nobody asks the node any more")? {
            Happened::Input(Event::Key(key)) => model.key(key),
            // A frame has the size that the terminal has.
            Happened::Input(_) => {}
            Happened::Answer(answer) => model.answer(Instant::now(), *answer),
            Happened::Signal => return Ok(()),
            Happened::Broken(error) => return Err(error),
        }
        if model.is_over() {
            return Ok(());
        }
    }
}

/// Passes on what is typed, for as long as somebody listens.
fn read_keys(tell: &SyncSender<Happened>) {
    loop {
        let happened = match event::read() {
            Ok(event) => Happened::Input(event),
            Err(error) => Happened::Broken(anyhow::Error::new(error).context("the keyboard")),
        };
        let is_over = matches!(happened, Happened::Broken(_));
        if tell.send(happened).is_err() || is_over {
            return;
        }
    }
}
