//! Valid and invalid files, and the message types in them.

use super::*;

fn reason(text: &str, references: &[(&str, &str)]) -> String {
    ProtobufSchema::parse(text, references, UnknownFields::Keep, Limits::default()).unwrap_err().to_string()
}

#[test]
fn message_indexes_count_as_the_compiler_of_protobuf_does() {
    let text = "syntax = \"proto3\"; package p; message A { map<string, B> m = 1; message C { message D {} } } message B {} enum E { X = 0; }";
    let schema = parse_with(text, UnknownFields::Keep);
    let name = |indexes: &[u8]| schema.message_at(indexes).map(|message| message.full_name().to_owned());
    assert_eq!(name(&[0]).unwrap(), "p.A");
    assert_eq!(name(&[2, 2]).unwrap(), "p.B");
    // The type of the entries of a map is before `C`, as protoc has it.
    assert_eq!(name(&[4, 0, 2]).unwrap(), "p.A.C");
    assert_eq!(name(&[6, 0, 2, 0]).unwrap(), "p.A.C.D");
    assert_eq!(name(&[4, 0, 0]).unwrap_err().reason(), "the schema has no message type at the indexes [0, 0]");
    assert_eq!(name(&[2, 4]).unwrap_err().reason(), "the schema has no message type at the indexes [2]");
    for (full_name, indexes) in [("p.A", vec![0]), ("p.B", vec![1]), ("p.A.C", vec![0, 1]), ("p.A.C.D", vec![0, 1, 0])]
    {
        assert_eq!(schema.indexes_of(Some(full_name)), Some(indexes));
    }
    assert_eq!(schema.indexes_of(None), Some(vec![0]));
    assert_eq!(schema.indexes_of(Some("p.E")), None);
    assert_eq!(parse_with("syntax = \"proto3\";", UnknownFields::Keep).indexes_of(None), None);
}

#[test]
fn imports_are_references_or_well_known_files() {
    let money = ("shop/money.proto", "syntax = \"proto3\"; package shop; message Money { int64 cents = 1; }");
    let item =
        ("item.proto", "syntax = \"proto3\"; import \"shop/money.proto\"; message Item { shop.Money price = 1; }");
    let text = "syntax = \"proto3\"; import \"item.proto\"; import \"google/protobuf/timestamp.proto\"; message Visit { Item item = 1; google.protobuf.Timestamp time = 2; }";
    let visit = First::of(ProtobufSchema::parse(text, &[money, item], UnknownFields::Keep, Limits::default()).unwrap());
    let json = r#"{"item":{"price":{"cents":"5"}}}"#;
    assert_eq!(visit.decode(&visit.encode(json).unwrap()).unwrap(), json);
    assert_eq!(visit.schema.indexes_of(Some("shop.Money")), None);
    assert!(reason(text, &[item]).contains("shop/money.proto"));
    assert!(reason(text, &[]).contains("item.proto"));
    let named = ("schema.proto", "syntax = \"proto3\"; message A {}");
    let importing = "syntax = \"proto3\"; import \"schema.proto\"; message B { A a = 1; }";
    assert!(ProtobufSchema::parse(importing, &[named], UnknownFields::Keep, Limits::default()).is_ok());
}

#[test]
fn invalid_file_is_an_error_with_its_reason() {
    assert!(reason("message", &[]).starts_with("the schema can't be compiled: "));
    assert!(reason("syntax = \"proto3\"; message A { B b = 1; }", &[]).contains("B"));
    let a = ("a.proto", "syntax = \"proto3\"; import \"b.proto\";");
    let b = ("b.proto", "syntax = \"proto3\"; import \"a.proto\";");
    assert!(reason("syntax = \"proto3\"; import \"a.proto\";", &[a, b]).contains("import"));
    let limits = Limits { schema_bytes: 30, ..Limits::default() };
    let size =
        ProtobufSchema::parse("syntax = \"proto3\";", &[("a", "syntax = \"proto3\";")], UnknownFields::Keep, limits);
    assert_eq!(size.unwrap_err().to_string(), "the schema has 36 bytes, more than 30");
}
