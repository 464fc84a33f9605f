//! Detects the type of a file by its first bytes.

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A WebAssembly component. Plugins are components.
    Component,
    /// A core WebAssembly module.
    Module,
    /// Not WebAssembly.
    Other,
}

impl Form {
    /// The first eight bytes are the magic, a version and a layer (0: module, 1: component).
    pub fn detect(bytes: &[u8]) -> Self {
        match bytes.get(..8) {
            Some([0, b'a', b's', b'm', _, _, 1, 0]) => Self::Component,
            Some([0, b'a', b's', b'm', ..]) => Self::Module,
            _ => Self::Other,
        }
    }
}
