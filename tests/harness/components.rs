//! Handwritten components that no compiler would generate.

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

/// The contract of this release.
pub const WIT: &str = include_str!("../../wit/mapper.wit");
/// A guest of the world `mapper-batch` that keeps every record.
pub const BY_HAND: &str = include_str!("../guests/by_hand.wat");
/// The WIT of the world `mapper-batch`.
pub const BATCH: &str = "mapper-batch";

/// A component of a core module in the text format, which implements this world of this WIT.
pub fn component(core: &str, wit: &str, world: &str) -> Vec<u8> {
    component_of(module(core), wit, world)
}

/// A core module in the text format.
pub fn module(core: &str) -> Vec<u8> {
    wat::parse_str(core).unwrap_or_else(|error| panic!("{error}\n{core}"))
}

/// A component of a core module, which implements this world of this WIT.
pub fn component_of(mut module: Vec<u8>, wit: &str, world: &str) -> Vec<u8> {
    let mut resolve = Resolve::default();
    let package = resolve.push_str("mapper.wit", wit).expect("the WIT is valid");
    let world = resolve.select_world(&[package], Some(world)).expect("it has the world");
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).expect("it can be embedded");
    let encoder = ComponentEncoder::default();
    encoder.validate(true).module(&module).expect("a module of the world").encode().expect("a component")
}
