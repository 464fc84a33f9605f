//! One line of output with optional colours.

use std::fmt;

use super::escape;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colour {
    /// Success.
    Green,
    /// Failure.
    Red,
    /// Warning.
    Yellow,
    /// Information.
    Blue,
    /// Details.
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

/// One line of output. Its text may be untrusted: rendering escapes the text, but not the colours.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Line(Vec<(Option<Colour>, String)>);

impl Line {
    #[must_use]
    pub fn text(mut self, text: impl fmt::Display) -> Self {
        self.0.push((None, text.to_string()));
        self
    }

    #[must_use]
    pub fn coloured(mut self, colour: Colour, text: impl fmt::Display) -> Self {
        self.0.push((Some(colour), text.to_string()));
        self
    }

    /// Prepends a text.
    #[must_use]
    pub fn indented(mut self, by: &str) -> Self {
        self.0.insert(0, (None, by.to_owned()));
        self
    }

    /// The escaped line without colours.
    pub fn plain(&self) -> String {
        self.rendered(false)
    }

    /// The escaped line.
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
    fn escape_sequences_in_text_are_escaped_and_colours_are_not() {
        let line = Line::default().coloured(Colour::Red, "FAILED").text("  \x1b[32mok\nFAILED  other");
        assert_eq!(line.rendered(true), "\x1b[31mFAILED\x1b[0m  \\x1b[32mok\\nFAILED  other");
        assert_eq!(line.indented("  ").rendered(false), "  FAILED  \\x1b[32mok\\nFAILED  other");
    }
}
