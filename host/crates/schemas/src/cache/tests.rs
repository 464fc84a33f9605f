//! The cache, with a registry that counts requests.

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::registry::{Format, Reference, SubjectVersion};

thread_local! {
    static PASSED: Cell<Duration> = const { Cell::new(Duration::ZERO) };
    static START: Instant = Instant::now();
}

fn clock() -> Instant {
    START.with(|start| *start + PASSED.get())
}

fn pass(time: Duration) {
    PASSED.set(PASSED.get() + time);
}

/// Answers from tables, and counts the requests.
#[derive(Default)]
struct Registry {
    ids: Mutex<HashMap<u32, Result<SchemaText, LookupError>>>,
    subjects: HashMap<(String, u32), SchemaText>,
    requests: AtomicUsize,
}

impl SchemaSource for Registry {
    fn by_id(&self, id: u32) -> Result<SchemaText, LookupError> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        let missing = || Err(LookupError::NotFound("Schema 7 not found".into()));
        self.ids.lock().unwrap().get(&id).cloned().unwrap_or_else(missing)
    }

    fn by_guid(&self, guid: [u8; 16]) -> Result<SchemaText, LookupError> {
        self.by_id(u32::from(guid[15]))
    }

    fn latest(&self, subject: &str) -> Result<SubjectVersion, LookupError> {
        self.version(subject, 1)
    }

    fn version(&self, subject: &str, version: u32) -> Result<SubjectVersion, LookupError> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        let schema = self.subjects.get(&(subject.to_owned(), version)).cloned();
        let schema = schema.ok_or_else(|| LookupError::NotFound("Version not found".into()))?;
        Ok(SubjectVersion { subject: subject.to_owned(), version, id: 1, schema })
    }

    fn register(&self, _: &str, _: &SchemaText) -> Result<u32, LookupError> {
        Ok(1)
    }
}

fn reference(name: &str) -> Reference {
    Reference { name: name.to_owned(), subject: format!("{name}-value"), version: 1 }
}

fn schema(format: Format, text: &str, references: &[&str]) -> SchemaText {
    SchemaText { format, text: text.to_owned(), references: references.iter().map(|name| reference(name)).collect() }
}

fn cache(schema: SchemaText, subjects: &[(&str, SchemaText)]) -> SchemaCache<Registry> {
    let subjects = subjects.iter().map(|(name, schema)| ((format!("{name}-value"), 1), schema.clone())).collect();
    let registry = Registry { ids: Mutex::new([(1, Ok(schema))].into()), subjects, ..Registry::default() };
    SchemaCache::with_clock(registry, SchemaSettings::default(), clock)
}

fn requests(cache: &SchemaCache<Registry>) -> usize {
    cache.source().requests.load(Ordering::Relaxed)
}

fn unusable(cache: &SchemaCache<Registry>) -> String {
    cache.get(SchemaId::Id(1)).unwrap().unwrap_err().to_string()
}

fn avro(text: &str) -> SchemaText {
    schema(Format::Avro, text, &[])
}

#[test]
fn schema_of_an_id_is_asked_for_once() {
    let cache = cache(avro("\"int\""), &[]);
    for _ in 0..3 {
        assert_eq!(cache.get(SchemaId::Id(1)).unwrap().unwrap().source.text, "\"int\"");
        pass(Duration::from_secs(3600));
    }
    assert_eq!(requests(&cache), 1);
    let guid = SchemaId::Guid(std::array::from_fn(|index| u8::from(index == 15)));
    assert_eq!(cache.get(guid).unwrap().unwrap().id, guid);
    assert_eq!(requests(&cache), 2);
    assert_eq!(cache.insert(SchemaId::Id(1), avro("\"long\"")).unwrap().unwrap().source.text, "\"int\"");
    assert_eq!(cache.insert(SchemaId::Id(2), avro("\"long\"")).unwrap().unwrap().source.text, "\"long\"");
    assert_eq!(cache.get(SchemaId::Id(2)).unwrap().unwrap().source.text, "\"long\"");
    assert_eq!(requests(&cache), 2);
}

#[test]
fn workers_that_need_a_schema_at_the_same_time_ask_once() {
    let cache = cache(avro("\"int\""), &[]);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| cache.get(SchemaId::Id(1)).unwrap().unwrap());
        }
    });
    assert_eq!(requests(&cache), 1);
}

#[test]
fn denial_holds_for_a_minute() {
    let cache = cache(avro("\"int\""), &[]);
    let denied = || cache.get(SchemaId::Id(7)).unwrap().unwrap_err();
    assert_eq!(denied().to_string(), "the schema registry does not have the schema 7: Schema 7 not found");
    pass(DENIAL_TIME - Duration::from_millis(1));
    assert!(matches!(denied(), UnusableSchema::Denied { .. }));
    assert_eq!(requests(&cache), 1);
    cache.source().ids.lock().unwrap().insert(7, Ok(avro("\"int\"")));
    pass(Duration::from_millis(1));
    assert!(cache.get(SchemaId::Id(7)).unwrap().is_ok());
    assert_eq!(requests(&cache), 2);
}

#[test]
fn registry_that_does_not_answer_denies_nothing() {
    let cache = cache(avro("\"int\""), &[]);
    for error in [LookupError::Unavailable("503".into()), LookupError::Refused("401".into())] {
        cache.source().ids.lock().unwrap().insert(7, Err(error.clone()));
        assert_eq!(cache.get(SchemaId::Id(7)).unwrap_err(), error);
    }
    cache.source().ids.lock().unwrap().insert(7, Ok(avro("\"int\"")));
    assert!(cache.get(SchemaId::Id(7)).unwrap().is_ok());
}

#[test]
fn invalid_schema_is_asked_for_once() {
    let cache = cache(avro("\"visit\""), &[]);
    for _ in 0..3 {
        assert_eq!(
            unusable(&cache),
            "the schema 1 can't be used: the type visit is unknown: no reference of the schema declares it"
        );
        pass(Duration::from_secs(3600));
    }
    assert_eq!(requests(&cache), 1);
}

#[test]
fn references_are_followed_once() {
    // Both use the price, which is declared once.
    let fixed = avro(r#"{"type": "fixed", "name": "price", "size": 1}"#);
    let item = schema(Format::Avro, r#"{"type": "array", "items": "price"}"#, &["price"]);
    let visit = schema(Format::Avro, r#"{"type": "map", "values": "price"}"#, &["item", "price", "alias"]);
    let mut cache = cache(visit, &[("price", fixed.clone()), ("item", item)]);
    // The same schema by another name.
    let subjects = &mut cache.source.subjects;
    subjects.insert(("alias-value".to_owned(), 1), schema(Format::Avro, "\"int\"", &[]));
    assert_eq!(unusable_or_ok(&cache), "");
    assert_eq!(requests(&cache), 4);
}

fn unusable_or_ok(cache: &SchemaCache<Registry>) -> String {
    cache.get(SchemaId::Id(1)).unwrap().map_or_else(|error| error.to_string(), |_| String::new())
}

#[test]
fn schema_with_two_names_is_declared_once() {
    let mut visit = schema(Format::Avro, r#"{"type": "map", "values": "price"}"#, &["price"]);
    visit.references.push(Reference { name: "other".to_owned(), ..reference("price") });
    assert_eq!(
        unusable_or_ok(&cache(visit, &[("price", avro(r#"{"type": "fixed", "name": "price", "size": 1}"#))])),
        ""
    );
}

#[test]
fn schemas_of_one_text_with_other_references_differ() {
    // The text is the same, and the references differ.
    let text = r#"{"type": "array", "items": "price"}"#;
    let mut one = schema(Format::Avro, text, &["price"]);
    let cache = cache(
        one.clone(),
        &[
            ("price", avro(r#"{"type": "fixed", "name": "price", "size": 1}"#)),
            ("new-price", avro(r#"{"type": "enum", "name": "price", "symbols": ["free"]}"#)),
        ],
    );
    one.references = vec![Reference { name: "price".to_owned(), ..reference("new-price") }];
    cache.source().ids.lock().unwrap().insert(2, Ok(one));
    let decode = |id| {
        let schema = cache.get(SchemaId::Id(id)).unwrap().unwrap();
        let crate::schema::Parsed::Avro(avro) = &schema.parsed else { panic!() };
        let mut out = Vec::new();
        avro.decode(&[2, 0, 0], &mut out).map(|()| String::from_utf8(out).unwrap())
    };
    assert_eq!((decode(1).unwrap(), decode(2).unwrap()), ("[\"AA==\"]".to_owned(), "[\"free\"]".to_owned()));
}

#[test]
fn references_that_do_not_fit_make_the_schema_unusable() {
    let visit = |references: &[&str]| schema(Format::Avro, "\"int\"", references);
    let missing = unusable(&cache(visit(&["price"]), &[]));
    assert_eq!(
        missing,
        "the schema registry does not have the schema 1: the reference price (price-value version 1): Version not found"
    );
    let endless = unusable(&cache(
        visit(&["a"]),
        &[("a", schema(Format::Avro, "\"int\"", &["b"])), ("b", schema(Format::Avro, "\"int\"", &["a"]))],
    ));
    assert_eq!(endless, "the schema 1 can't be used: the reference a refers to itself");
    let other = unusable(&cache(visit(&["a"]), &[("a", schema(Format::Protobuf, "", &[]))]));
    assert_eq!(other, "the schema 1 can't be used: its format is AVRO, and that of the reference a is PROTOBUF");
    let mut twice = visit(&["a"]);
    twice.references.push(Reference { version: 2, ..reference("a") });
    let twice = unusable(&cache(twice, &[("a", avro("\"int\""))]));
    assert_eq!(twice, "the schema 1 can't be used: the reference a is a-value version 1 and a-value version 2");
}

#[test]
fn number_and_size_of_references_are_limited() {
    let chain = |length: usize| {
        let names: Vec<String> = (0..length).map(|index| format!("r{index}")).collect();
        let subjects: Vec<(&str, SchemaText)> = names
            .iter()
            .enumerate()
            .map(|(index, name)| {
                (
                    name.as_str(),
                    schema(Format::Avro, "\"int\"", &names.get(index + 1).map_or(vec![], |next| vec![next.as_str()])),
                )
            })
            .collect();
        unusable_or_ok(&cache(schema(Format::Avro, "\"int\"", &["r0"]), &subjects))
    };
    assert_eq!(chain(32), "");
    assert_eq!(chain(33), "the schema 1 can't be used: the schema has more than 32 levels of references");
    let names: Vec<String> = (0..257).map(|index| format!("r{index}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let subjects: Vec<(&str, SchemaText)> = names.iter().map(|name| (*name, avro("\"int\""))).collect();
    assert_eq!(unusable_or_ok(&cache(schema(Format::Avro, "\"int\"", &names[1..]), &subjects)), "");
    assert!(unusable(&cache(schema(Format::Avro, "\"int\"", &names), &subjects)).ends_with("more than 256 references"));
    let large = avro(&format!("\"int\"{}", " ".repeat(4 << 20)));
    assert!(
        unusable(&cache(schema(Format::Avro, "\"int\"", &["a"]), &[("a", large)]))
            .ends_with("bytes with its references")
    );
}
