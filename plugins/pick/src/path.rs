//! The part of JSONPath (RFC 9535) that names things: `$`, `.name`, `['name']`, `[0]`, `[-1]` and `[*]`.

use std::fmt;

use serde_json::Value;

/// A path to a value, or with `[*]`, to a list of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Path {
    text: String,
    steps: Vec<Step>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Name(String),
    /// Negative ones count from the end.
    Index(i64),
    All,
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Path {
    /// # Errors
    /// What is wrong, or not known here.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut rest = text.strip_prefix('$').ok_or("a path begins with $, such as $.user.ip")?;
        let mut steps = Vec::new();
        while !rest.is_empty() {
            let (step, after) = step(rest)?;
            steps.push(step);
            rest = after;
        }
        Ok(Self { text: text.to_owned(), steps })
    }

    /// The value at the path, if it exists. With `[*]` it is a list of the values in the elements.
    pub(crate) fn find(&self, value: &Value) -> Option<Value> {
        find(value, &self.steps)
    }
}

fn step(text: &str) -> Result<(Step, &str), String> {
    if let Some(text) = text.strip_prefix('.') {
        let end = text.find(['.', '[']).unwrap_or(text.len());
        let (name, rest) = text.split_at(end);
        return match name {
            "" => Err("there is no name behind a dot ('..' is not known here)".to_owned()),
            "*" => Ok((Step::All, rest)),
            name => Ok((Step::Name(name.to_owned()), rest)),
        };
    }
    let inner = text.strip_prefix('[').ok_or_else(|| format!("'{text}' begins with neither . nor ["))?;
    for quote in ['\'', '"'] {
        if let Some(quoted) = inner.strip_prefix(quote) {
            let (name, rest) = quoted.split_once(quote).ok_or("a quote has no end")?;
            let rest = rest.strip_prefix(']').ok_or("a [ has no end")?;
            return Ok((Step::Name(name.to_owned()), rest));
        }
    }
    let (inner, rest) = inner.split_once(']').ok_or("a [ has no end")?;
    match (inner, inner.parse()) {
        ("*", _) => Ok((Step::All, rest)),
        (_, Ok(index)) => Ok((Step::Index(index), rest)),
        _ => Err(format!("[{inner}] is neither a number, a name in quotes, nor [*]")),
    }
}

fn find(value: &Value, steps: &[Step]) -> Option<Value> {
    let Some((step, rest)) = steps.split_first() else { return Some(value.clone()) };
    match step {
        Step::Name(name) => find(value.as_object()?.get(name)?, rest),
        Step::Index(index) => {
            let elements = value.as_array()?;
            let index = if *index < 0 { index + elements.len() as i64 } else { *index };
            find(elements.get(usize::try_from(index).ok()?)?, rest)
        }
        Step::All => {
            let elements: Vec<&Value> = match value {
                Value::Array(elements) => elements.iter().collect(),
                Value::Object(object) => object.values().collect(),
                _ => return None,
            };
            Some(elements.into_iter().filter_map(|element| find(element, rest)).collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_path_is_told() {
        for (path, words) in [
            ("", "begins with $"),
            ("user", "begins with $"),
            ("$user", "neither . nor ["),
            ("$..user", "'..' is not known here"),
            ("$.user[", "a [ has no end"),
            ("$['user", "a quote has no end"),
            ("$['user'", "a [ has no end"),
            ("$[?@.a]", "neither a number"),
        ] {
            let wrong = Path::parse(path).unwrap_err();
            assert!(wrong.contains(words), "{path}: {wrong}");
        }
    }
}
