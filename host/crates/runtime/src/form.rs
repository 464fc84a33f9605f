//! What a file is by its first bytes.

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A component, such as plugins are.
    Component,
    /// A core WebAssembly module, of which a component can be made.
    Module,
    /// No WebAssembly.
    Other,
}

impl Form {
    /// By the first eight bytes: the magic, a version and a layer (0: module, 1: component).
    pub fn of(bytes: &[u8]) -> Self {
        match bytes.get(..8) {
            Some([0, b'a', b's', b'm', _, _, 1, 0]) => Self::Component,
            Some([0, b'a', b's', b'm', ..]) => Self::Module,
            _ => Self::Other,
        }
    }
}
