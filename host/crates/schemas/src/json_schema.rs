//! JSON Schema: the value is JSON already, so it is only checked.

use std::collections::HashMap;

use jsonschema::paths::LocationSegment;
use jsonschema::{Draft, PatternOptions, Retrieve, Uri, ValidationError, Validator};
use serde_json::Value;

use crate::error::{Failure, SchemaError, ValueError};
use crate::json::check_levels;
use crate::limits::Limits;

/// The URI of a schema without `$id`: a relative `$ref` needs a base.
const BASE: &str = "registry:///";
/// Steps of a regular expression on a string: patterns of a schema can need an exponential time.
const BACKTRACK_LIMIT: usize = 100_000;
/// The size of a compiled regular expression, in bytes.
const PATTERN_BYTES: usize = 1 << 20;

#[derive(Debug)]
pub(crate) struct JsonSchema {
    validator: Validator,
    limits: Limits,
}

impl JsonSchema {
    /// Compiles a schema. `references` are the schemas that a `$ref` of it names, directly or not.
    pub(crate) fn parse(text: &str, references: &[(&str, &str)], limits: Limits) -> Result<Self, SchemaError> {
        limits.check_schema(text, references.iter().map(|(_, text)| *text))?;
        let schema = parse_json(text)?;
        let references: Result<HashMap<String, Value>, SchemaError> =
            references.iter().map(|(name, text)| Ok(((*name).to_owned(), parse_json(text)?))).collect();
        let patterns = PatternOptions::fancy_regex().backtrack_limit(BACKTRACK_LIMIT).size_limit(PATTERN_BYTES);
        let mut options = jsonschema::options()
            .with_retriever(References(references?))
            .with_base_uri(BASE)
            .with_pattern_options(patterns);
        if schema.get("$schema").is_none() {
            // The default of Confluent's serializers.
            options = options.with_draft(Draft::Draft7);
        }
        let validator =
            options.build(&schema).map_err(|error| SchemaError::new(format!("the schema is invalid: {error}")))?;
        Ok(Self { validator, limits })
    }

    /// Appends a value that fits the schema.
    pub(crate) fn check(&self, json: &[u8], out: &mut Vec<u8>) -> Result<(), Failure> {
        check_levels(json, self.limits)?;
        let value: Value =
            serde_json::from_slice(json).map_err(|error| ValueError::new(format!("invalid JSON: {error}")))?;
        self.validator.validate(&value).map_err(|error| failure(&error))?;
        out.extend_from_slice(json);
        Ok(())
    }
}

fn parse_json(text: &str) -> Result<Value, SchemaError> {
    serde_json::from_str(text).map_err(|error| SchemaError::new(format!("the schema is not JSON: {error}")))
}

/// The text does not have the value: it can be large, and secret.
fn failure(error: &ValidationError<'_>) -> Failure {
    let mut failure = ValueError::new(error.masked().to_string());
    let segments: Vec<_> = error.instance_path().iter().collect();
    for segment in segments.into_iter().rev() {
        failure = match segment {
            LocationSegment::Property(name) => failure.in_field(&name),
            LocationSegment::Index(index) => failure.in_index(index),
        };
    }
    failure
}

/// Only the references of a schema, by their names: nothing is read from the network or from files.
struct References(HashMap<String, Value>);

impl Retrieve for References {
    fn retrieve(&self, uri: &Uri<String>) -> Result<Value, Box<dyn std::error::Error + Send + Sync>> {
        let uri = uri.as_str();
        // A relative name is resolved against the `$id` of the schema that has it.
        let is_named = |name: &str| uri == name || uri.strip_suffix(name).is_some_and(|base| base.ends_with('/'));
        let found = self.0.iter().filter(|(name, _)| is_named(name)).max_by_key(|(name, _)| name.len());
        found.map(|(_, schema)| schema.clone()).ok_or_else(|| format!("{uri} is no reference of the schema").into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str, references: &[(&str, &str)]) -> Result<JsonSchema, SchemaError> {
        JsonSchema::parse(text, references, Limits::default())
    }

    fn check(schema: &JsonSchema, json: &str) -> Result<String, String> {
        let mut out = b"before".to_vec();
        let result = schema.check(json.as_bytes(), &mut out);
        let written = String::from_utf8(out).unwrap().split_off("before".len());
        assert!(result.is_ok() || written.is_empty(), "an error leaves nothing behind");
        result.map(|()| written).map_err(|error| error.to_string())
    }

    const VISIT: &str = r#"{"type": "object", "properties": {"id": {"type": "integer"}, "items": {"type": "array", "items": {"type": "object", "required": ["price"], "properties": {"price": {"type": "number"}}}}}, "additionalProperties": false}"#;

    #[test]
    fn value_that_fits_is_passed_as_it_is() {
        let visit = parse(VISIT, &[]).unwrap();
        let json = r#" {"id":9007199254740993, "items":[{"price":1.50}]} "#;
        assert_eq!(check(&visit, json).unwrap(), json);
    }

    #[test]
    fn value_that_does_not_fit_is_an_error_with_its_path_and_without_the_value() {
        let visit = parse(VISIT, &[]).unwrap();
        assert_eq!(check(&visit, r#"{"id":"secret"}"#).unwrap_err(), r#"id: value is not of type "integer""#);
        let error = check(&visit, r#"{"items":[{"price":1},{}]}"#).unwrap_err();
        assert!(error.starts_with("items[1]: \"price\" is a required property"), "{error}");
        assert!(check(&visit, r#"{"page":1}"#).unwrap_err().contains("page"));
        assert!(check(&visit, "{").unwrap_err().starts_with("invalid JSON: "));
        assert!(check(&visit, "{} {}").unwrap_err().starts_with("invalid JSON: "));
    }

    #[test]
    fn references_are_found_by_their_names() {
        let price = ("price.json", r#"{"type": "number", "minimum": 0}"#);
        let item = ("https://example.com/item.json", r#"{"properties": {"price": {"$ref": "price.json"}}}"#);
        let text =
            r#"{"properties": {"item": {"$ref": "https://example.com/item.json"}, "price": {"$ref": "price.json"}}}"#;
        for text in [text.to_owned(), text.replacen('{', r#"{"$id": "https://shop.example.com/visit.json", "#, 1)] {
            let visit = parse(&text, &[price, item]).unwrap();
            assert!(check(&visit, r#"{"item":{"price":1},"price":1}"#).is_ok());
            assert!(check(&visit, r#"{"price":-1}"#).unwrap_err().starts_with("price: "));
            assert!(check(&visit, r#"{"item":{"price":-1}}"#).unwrap_err().starts_with("item.price: "));
            assert!(parse(&text, &[item]).unwrap_err().to_string().contains("is no reference of the schema"));
        }
    }

    #[test]
    fn invalid_schema_is_an_error_with_its_reason() {
        let reason = |text: &str| parse(text, &[]).unwrap_err().to_string();
        assert!(reason("{").starts_with("the schema is not JSON: "));
        assert!(reason(r#"{"type": "text"}"#).starts_with("the schema is invalid: "));
        assert!(reason(r#"{"$ref": "file:///etc/passwd"}"#).contains("is no reference of the schema"));
        assert!(reason(r#"{"$schema": "http://example.com/schema"}"#).contains("example.com"));
        let limits = Limits { schema_bytes: 1, ..Limits::default() };
        let size = JsonSchema::parse("{}", &[("a", "{}")], limits).unwrap_err().to_string();
        assert_eq!(size, "the schema has 4 bytes, more than 1");
    }

    #[test]
    fn recursion_and_levels_do_not_overflow_the_stack() {
        let run = || {
            let tree = parse(r##"{"type": "object", "additionalProperties": {"$ref": "#"}}"##, &[]).unwrap();
            let json = |levels: usize| format!("{}{}", "{\"a\":".repeat(levels - 1) + "{", "}".repeat(levels));
            assert!(check(&tree, &json(64)).is_ok());
            assert_eq!(check(&tree, &json(65)).unwrap_err(), "more than 64 levels");
            assert_eq!(check(&tree, &"[".repeat(1 << 20)).unwrap_err(), "more than 64 levels");
            // A schema that is its own part ends, too.
            for endless in [
                r##"{"$ref": "#"}"##,
                r##"{"allOf": [{"$ref": "#"}]}"##,
                r##"{"anyOf": [{"$ref": "#"}, {"not": {"$ref": "#"}}]}"##,
            ] {
                if let Ok(schema) = parse(endless, &[]) {
                    let _ = check(&schema, "{\"a\":1}");
                }
            }
            let _ = parse(&format!("{}{{}}{}", "{\"not\":".repeat(100), "}".repeat(100)), &[]);
        };
        std::thread::Builder::new().stack_size(2 << 20).spawn(run).unwrap().join().unwrap();
    }

    #[test]
    fn expensive_pattern_ends() {
        let schema = parse(r#"{"pattern": "^(?=(a+)+$)(a|aa)+$(?<!b)"}"#, &[]).unwrap();
        let json = format!("\"{}b\"", "a".repeat(5000));
        assert!(check(&schema, &json).is_err());
        assert!(parse(r#"{"pattern": "((a{1000}){1000}){1000}"}"#, &[]).is_err());
    }
}
