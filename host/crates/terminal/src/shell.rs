//! Words of commands that are shown, to be copied into a shell.

use std::borrow::Cow;

/// A word of a POSIX shell.
pub fn quoted(text: &str) -> Cow<'_, str> {
    // An ellipsis stands for what is not shown. A bracket is a pattern of the shell.
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-:,@+=…".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.into();
    }
    format!("'{}'", text.replace('\'', r"'\''")).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn word_is_quoted_if_a_shell_would_change_it() {
        assert_eq!(quoted("/plugins/my-mapper_1.wasm"), "/plugins/my-mapper_1.wasm");
        assert_eq!(quoted("my mapper.wasm"), "'my mapper.wasm'");
        assert_eq!(quoted("it's $HOME"), r"'it'\''s $HOME'");
        assert_eq!(quoted(""), "''");
        assert_eq!(quoted("…@[::1]:9092"), "'…@[::1]:9092'");
        assert_eq!(quoted("…@kafka:9092"), "…@kafka:9092");
    }
}
