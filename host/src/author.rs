//! What a plugin's author works with: `host new`, and the templates it writes.

pub mod new;
pub mod templates;
