//! Exactly once, whatever happens.
