//! One line for people, parts of which may be coloured.

use std::fmt;

use super::escape;

/// A colour of a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colour {
    /// For what is right.
    Green,
    /// For what is wrong.
    Red,
    /// For what needs a look.
    Yellow,
    /// For what is only information.
    Blue,
    /// For what is less important.
    Faint,
}

impl Colour {
    /// The parameter of the escape sequence "select graphic rendition" (ECMA-48).
    fn code(self) -> &'static str {
        match self {
            Self::Green => "32",
            Self::Red => "31",
            Self::Yellow => "33",
            Self::Blue => "34",
            Self::Faint => "2",
        }
    }
}

/// One line for people. Its text may come from anywhere: it is escaped when the line is written, the colours are not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Line(Vec<(Option<Colour>, String)>);

impl Line {
    /// Adds a text.
    #[must_use]
    pub fn text(mut self, text: impl fmt::Display) -> Self {
        self.0.push((None, text.to_string()));
        self
    }

    /// Adds a coloured text.
    #[must_use]
    pub fn coloured(mut self, colour: Colour, text: impl fmt::Display) -> Self {
        self.0.push((Some(colour), text.to_string()));
        self
    }

    /// Puts a text in front.
    #[must_use]
    pub fn indented(mut self, by: &str) -> Self {
        self.0.insert(0, (None, by.to_owned()));
        self
    }

    /// The escaped line without colours.
    pub fn plain(&self) -> String {
        self.rendered(false)
    }

    /// The escaped line, with its colours if they are shown.
    pub fn rendered(&self, with_colours: bool) -> String {
        let mut rendered = String::new();
        for (colour, text) in &self.0 {
            let text = escape::line(text);
            match colour.filter(|_| with_colours) {
                Some(colour) => rendered.push_str(&format!("\x1b[{}m{text}\x1b[0m", colour.code())),
                None => rendered.push_str(&text),
            }
        }
        rendered
    }
}

impl From<&str> for Line {
    fn from(text: &str) -> Self {
        Self::default().text(text)
    }
}

impl From<String> for Line {
    fn from(text: String) -> Self {
        Self(vec![(None, text)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_colours_of_ours_are_escape_sequences() {
        let line = Line::default().coloured(Colour::Red, "FAILED").text("  \x1b[32mok\nFAILED  other");
        assert_eq!(line.rendered(true), "\x1b[31mFAILED\x1b[0m  \\x1b[32mok\\nFAILED  other");
        assert_eq!(line.indented("  ").rendered(false), "  FAILED  \\x1b[32mok\\nFAILED  other");
    }
}
