//! The terminal: taken for as long as there is something to see, and given back
//! as it was, also after a panic.

use std::io;

use ratatui::{DefaultTerminal, Frame};

/// The terminal while it is ours. Dropped, it is as it was before.
pub(super) struct Screen(DefaultTerminal);

impl Screen {
    /// Takes the terminal. A panic gives it back before it is told of.
    ///
    /// # Errors
    ///
    /// The terminal's; it is as it was then.
    pub(super) fn open() -> io::Result<Self> {
        ratatui::try_init().map(Self).inspect_err(|_| {
            // It may have been changed in part. What went wrong is told already.
            let _ = ratatui::try_restore();
        })
    }

    /// Shows a frame of the size that the terminal has.
    ///
    /// # Errors
    ///
    /// The terminal's.
    pub(super) fn draw(&mut self, draw: impl FnOnce(&mut Frame<'_>)) -> io::Result<()> {
        self.0.draw(draw).map(|_| ())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // A terminal that is gone needs nothing back.
        let _ = self.0.show_cursor();
        let _ = ratatui::try_restore();
    }
}
