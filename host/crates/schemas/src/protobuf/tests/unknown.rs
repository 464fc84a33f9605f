//! Fields that the schema does not have.

use super::*;

const TEXT: &str = "syntax = \"proto3\"; import \"google/protobuf/any.proto\"; message Visit { int32 id = 1; Visit next = 2; repeated Visit list = 3; map<int32, Visit> by_id = 4; google.protobuf.Any any = 5; }";

#[test]
fn unknown_fields_are_kept_in_every_message() {
    let visit = First::new(TEXT);
    let newer =
        First::new(&TEXT.replace("int32 id = 1;", "int32 id = 1; string page = 9; repeated fixed64 sizes = 10;"));
    let json = r#"{"page":"a","next":{"page":"b"},"list":[{"id":1},{"page":"c","sizes":["1","2"]}],"byId":{"7":{"page":"d"}},"any":{"@type":"x/Visit","any":{"@type":"x/Visit","page":"e"},"page":"f"}}"#;
    let sent = newer.decode(&newer.encode(json).unwrap()).unwrap();
    let bytes = newer.encode(&sent).unwrap();
    let seen = visit.decode(&bytes).unwrap();
    assert_eq!(seen.matches("@unknown").count(), 6, "{seen}");
    assert!(!seen.contains("page"), "{seen}");
    let back = visit.encode(&seen).unwrap();
    assert_eq!(newer.decode(&back).unwrap(), sent);
    // A guest that adds a field keeps the others.
    let changed = visit.encode(&seen.replacen("{", "{\"id\":3,", 1)).unwrap();
    assert!(newer.decode(&changed).unwrap().starts_with(r#"{"id":3,"next":{"page":"b"}"#));
}

#[test]
fn unknown_fields_are_refused_on_request() {
    let visit = First::of(parse_with(TEXT, UnknownFields::Refuse));
    assert_eq!(visit.decode(&[72, 1]).unwrap_err().to_string(), "the type Visit has no field with the number 9");
    assert_eq!(
        visit.decode(&[26, 0, 26, 2, 72, 1]).unwrap_err().to_string(),
        "list[1]: the type Visit has no field with the number 9"
    );
    let any = b"\x2a\x0d\x0a\x07x/Visit\x12\x02\x48\x01";
    assert_eq!(visit.decode(any).unwrap_err().to_string(), "any: the type Visit has no field with the number 9");
}

#[test]
fn wrong_unknown_fields_are_an_error() {
    let visit = First::new(TEXT);
    assert_eq!(visit.refused(r#"{"@unknown":1}"#), "@unknown: expected a string");
    assert!(visit.refused(r#"{"next":{"@unknown":"_"}}"#).starts_with("next.@unknown: expected base64"));
    assert!(visit.refused(r#"{"list":[{"@unknown":"SA=="}]}"#).starts_with("list[0].@unknown: "));
    // The bytes of the field 1.
    assert_eq!(visit.refused(r#"{"@unknown":"CAE="}"#), "@unknown: the type Visit has a field with the number 1");
    assert!(
        visit.refused(r#"{"\u0040unknown":"SAE=","@unknown":"SAE=","x":1}"#).contains("unrecognized field name 'x'")
    );
    assert!(visit.refused(r#"{"\u0040unknown":"SAE="}"#).contains("unrecognized field name"));
}

#[test]
fn key_of_a_map_can_be_the_key_of_unknown_fields() {
    let visit = First::proto3("map<string, Visit> by_name = 1; int32 id = 2;");
    let json = r#"{"byName":{"@unknown":{"id":1,"@unknown":"SAE="}}}"#;
    assert_eq!(visit.decode(&visit.encode(json).unwrap()).unwrap(), json);
}
