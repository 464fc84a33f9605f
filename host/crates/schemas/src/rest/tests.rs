//! Requests and answers, as the registry of Confluent has them.

use std::sync::Mutex;

use super::*;

/// Gives one answer to every request, and keeps the requests.
struct Fixed {
    answer: Result<Answer, LookupError>,
    requests: Mutex<Vec<String>>,
}

impl Transport for Fixed {
    fn get(&self, path: &str) -> Result<Answer, LookupError> {
        self.requests.lock().unwrap().push(path.to_owned());
        self.answer.clone()
    }

    fn post(&self, path: &str, body: &[u8]) -> Result<Answer, LookupError> {
        self.requests.lock().unwrap().push(format!("{path} {}", String::from_utf8_lossy(body)));
        self.answer.clone()
    }
}

fn registry(status: u16, body: &str) -> RestRegistry<Fixed> {
    RestRegistry(Fixed { answer: Ok(Answer { status, body: body.into() }), requests: Mutex::default() })
}

fn requests(registry: &RestRegistry<Fixed>) -> Vec<String> {
    registry.0.requests.lock().unwrap().clone()
}

#[test]
fn schemas_are_read_from_their_paths() {
    let avro = registry(200, r#"{"schema": "\"int\"", "maxId": 9}"#);
    let text = SchemaText { format: Format::Avro, text: "\"int\"".to_owned(), references: Vec::new() };
    assert_eq!((avro.by_id(7).unwrap(), avro.by_guid([0xab; 16]).unwrap()), (text.clone(), text));
    assert_eq!(requests(&avro), ["/schemas/ids/7", "/schemas/guids/abababab-abab-abab-abab-abababababab"]);
    let body = r#"{"subject": "a b", "version": 3, "id": 8, "schemaType": "PROTOBUF", "schema": "", "references": [{"name": "item.proto", "subject": "item", "version": 2}], "guid": "x"}"#;
    let protobuf = registry(200, body);
    let reference = Reference { name: "item.proto".to_owned(), subject: "item".to_owned(), version: 2 };
    let schema = SchemaText { format: Format::Protobuf, text: String::new(), references: vec![reference] };
    let expected = SubjectVersion { subject: "a b".to_owned(), version: 3, id: 8, schema };
    assert_eq!(
        (protobuf.latest("a b").unwrap(), protobuf.version("a/é", 3).unwrap()),
        (expected.clone(), expected.clone())
    );
    assert!(protobuf.latest("..").is_ok());
    let paths =
        ["/subjects/a%20b/versions/latest", "/subjects/a%2F%C3%A9/versions/3", "/subjects/%2E%2E/versions/latest"];
    assert_eq!(requests(&protobuf), paths);
    let registered = registry(200, r#"{"id": 5}"#);
    assert_eq!(registered.register("visits-value", &expected.schema).unwrap(), 5);
    let body =
        r#"{"schema":"","schemaType":"PROTOBUF","references":[{"name":"item.proto","subject":"item","version":2}]}"#;
    assert_eq!(requests(&registered), [format!("/subjects/visits-value/versions {body}")]);
}

#[test]
fn only_the_registry_itself_denies_a_schema() {
    let answer = |status, body: &str| registry(status, body).by_id(7).unwrap_err();
    let denied = answer(404, r#"{"error_code": 40403, "message": "Schema 7 not found"}"#);
    assert_eq!(denied, LookupError::NotFound("the schema registry answered 404 (40403): Schema 7 not found".into()));
    for body in ["<html>Not Found</html>", "", "{}", r#"{"error_code": 404, "message": "HTTP 404 Not Found"}"#] {
        let error = answer(404, body);
        assert!(matches!(error, LookupError::Refused(_)) && error.to_string().contains("Check the URL"), "{error}");
    }
    for status in [408, 429, 500, 502, 503, 504] {
        // A code in the body changes nothing.
        assert!(
            matches!(answer(status, r#"{"error_code": 40403, "message": null}"#), LookupError::Unavailable(_)),
            "{status}"
        );
    }
    for status in [301, 400, 401, 403, 405, 409, 422] {
        assert!(
            matches!(answer(status, r#"{"error_code": 42201, "message": "Invalid schema"}"#), LookupError::Refused(_)),
            "{status}"
        );
    }
    assert!(answer(401, "").to_string().contains("Check the credentials"));
}

#[test]
fn answer_of_something_else_denies_nothing() {
    for body in ["", "<html>", "{}", "[]", r#"{"schema": 1}"#, r#"{"schema": "", "schemaType": "XML"}"#] {
        let error = registry(200, body).by_id(7).unwrap_err();
        assert!(matches!(error, LookupError::Refused(_)), "{body}: {error}");
    }
    let down = LookupError::Unavailable("connection refused".into());
    let registry = RestRegistry(Fixed { answer: Err(down.clone()), requests: Mutex::default() });
    assert_eq!(registry.by_id(7).unwrap_err(), down);
}
