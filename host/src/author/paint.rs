//! Colours, at a terminal and if nobody asked for none (<https://no-color.org>).

use std::io::IsTerminal;

/// Whether there are colours.
#[derive(Debug, Clone, Copy)]
pub(super) struct Paint(bool);

impl Paint {
    /// For what is written there.
    pub(super) fn of(stream: &impl IsTerminal) -> Self {
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self(stream.is_terminal() && !refused)
    }

    /// No colours.
    pub(super) fn none() -> Self {
        Self(false)
    }

    pub(super) fn green(self, text: &str) -> String {
        self.coloured("32", text)
    }

    pub(super) fn red(self, text: &str) -> String {
        self.coloured("31", text)
    }

    pub(super) fn faint(self, text: &str) -> String {
        self.coloured("2", text)
    }

    fn coloured(self, code: &str, text: &str) -> String {
        if self.0 { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}
