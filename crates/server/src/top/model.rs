//! What is shown, and what keys do to it. Knows neither terminal nor network:
//! times, keys and answers come in.

use std::time::{Duration, Instant};

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::figures::Tracks;
use crate::admin::Status;

/// A page of figures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum View {
    /// The node and the other members.
    Farm,
    /// The cache memory, and who found what.
    Cache,
    /// Packets and what became of them.
    Multicast,
    /// TLS, gateways and connections.
    Clients,
}

impl View {
    pub(super) const ALL: [Self; 4] = [Self::Farm, Self::Cache, Self::Multicast, Self::Clients];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Farm => "Farm",
            Self::Cache => "Cache",
            Self::Multicast => "Multicast",
            Self::Clients => "Clients",
        }
    }

    /// The one so many places on, in a circle.
    fn moved(self, places: usize) -> Self {
        Self::ALL[(self as usize + places) % Self::ALL.len()]
    }
}

/// What a key does.
#[derive(Debug, Clone, Copy)]
enum Does {
    Quit,
    /// To the view so many places on.
    Move(usize),
    Show(View),
    Hold,
    Help,
}

/// One view back is so many on.
const BACK: usize = View::ALL.len() - 1;

const KEYS: [(KeyCode, Does); 15] = [
    (KeyCode::Char('q'), Does::Quit),
    (KeyCode::Esc, Does::Quit),
    (KeyCode::Right, Does::Move(1)),
    (KeyCode::Down, Does::Move(1)),
    (KeyCode::Tab, Does::Move(1)),
    (KeyCode::Left, Does::Move(BACK)),
    (KeyCode::Up, Does::Move(BACK)),
    (KeyCode::BackTab, Does::Move(BACK)),
    (KeyCode::Char('1'), Does::Show(View::Farm)),
    (KeyCode::Char('2'), Does::Show(View::Cache)),
    (KeyCode::Char('3'), Does::Show(View::Multicast)),
    (KeyCode::Char('4'), Does::Show(View::Clients)),
    (KeyCode::Char('p'), Does::Hold),
    (KeyCode::Char('?'), Does::Help),
    (KeyCode::Char('h'), Does::Help),
];

/// That the node does not answer.
#[derive(Debug)]
struct Trouble {
    why: String,
    since: Instant,
}

/// What is shown.
#[derive(Debug)]
pub(super) struct Model {
    admin: String,
    view: View,
    is_paused: bool,
    shows_help: bool,
    is_over: bool,
    status: Option<Status>,
    tracks: Tracks,
    trouble: Option<Trouble>,
}

impl Model {
    /// Nothing yet, of a node that is asked there.
    pub(super) fn new(admin: String) -> Self {
        Self {
            admin,
            view: View::Farm,
            is_paused: false,
            shows_help: false,
            is_over: false,
            status: None,
            tracks: Tracks::default(),
            trouble: None,
        }
    }

    /// Takes a key in.
    pub(super) fn key(&mut self, key: KeyEvent) {
        if key.kind == KeyEventKind::Release {
            return;
        }
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        if control && key.code == KeyCode::Char('c') {
            self.is_over = true;
        } else if self.shows_help {
            // Whatever is typed over the help puts it away.
            self.shows_help = false;
        } else if let Some((_, does)) = KEYS.iter().find(|(code, _)| *code == key.code) {
            match *does {
                Does::Quit => self.is_over = true,
                Does::Move(places) => self.view = self.view.moved(places),
                Does::Show(view) => self.view = view,
                Does::Hold => self.is_paused = !self.is_paused,
                Does::Help => self.shows_help = true,
            }
        }
    }

    /// Takes in what the node has answered, or why it has not.
    pub(super) fn answer(&mut self, now: Instant, answer: Result<Status, String>) {
        match answer {
            Ok(status) => {
                self.trouble = None;
                if !self.is_paused {
                    self.tracks.add(now, &status);
                    self.status = Some(status);
                }
            }
            Err(why) => {
                let since = self.trouble.as_ref().map_or(now, |trouble| trouble.since);
                self.trouble = Some(Trouble { why, since });
            }
        }
    }

    /// Whether somebody has seen enough.
    pub(super) const fn is_over(&self) -> bool {
        self.is_over
    }

    pub(super) fn admin(&self) -> &str {
        &self.admin
    }

    pub(super) const fn view(&self) -> View {
        self.view
    }

    pub(super) const fn is_paused(&self) -> bool {
        self.is_paused
    }

    pub(super) const fn shows_help(&self) -> bool {
        self.shows_help
    }

    /// What the node has said last.
    pub(super) const fn status(&self) -> Option<&Status> {
        self.status.as_ref()
    }

    /// How its figures went.
    pub(super) const fn tracks(&self) -> &Tracks {
        &self.tracks
    }

    /// Why it does not answer, and for how long.
    pub(super) fn trouble(&self, now: Instant) -> Option<(&str, Duration)> {
        let trouble = self.trouble.as_ref()?;
        Some((&trouble.why, now.saturating_duration_since(trouble.since)))
    }
}
