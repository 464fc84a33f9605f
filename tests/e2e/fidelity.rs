//! What a record carries beside its value comes out byte for byte.
