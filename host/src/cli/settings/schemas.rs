//! Settings of the schema registry.

use super::Kind::{List, Text};
use super::Standard::{Described, Empty, Value};
use super::{Setting, setting};

const HEADING: &str = "Schemas";

pub(super) const SETTINGS: &[Setting] = &[
    setting(
        HEADING,
        "schema-registry",
        "URLS",
        Text,
        Described("none: keys and values are passed as bytes"),
        "The schema registry: the URL of its Confluent API, such as http://localhost:8081, or several servers of it with commas between \
         them. A user and a password are part of the URL",
    ),
    setting(
        HEADING,
        "input-value",
        "FORMAT",
        Text,
        Value("raw"),
        "How the values of records are decoded to JSON: raw (not at all), avro, protobuf, json-schema, or auto: values with a schema id \
         that the registry has are decoded, others are passed as they are",
    ),
    setting(HEADING, "input-key", "FORMAT", Text, Value("raw"), "The same for keys"),
    setting(
        HEADING,
        "output-value",
        "SCHEMA",
        List,
        Empty,
        "The schema of the values that the plugin returns as JSON: FORMAT:SUBJECT or FORMAT:SUBJECT@VERSION, such as \
         avro:visits_reduced-value; without a version, the latest at the start. TOPIC= before it is for another topic than the default \
         one. An output that keeps the value of its input keeps its bytes",
    ),
    setting(HEADING, "output-key", "SCHEMA", List, Empty, "The same for keys"),
    setting(
        HEADING,
        "register-schema",
        "SUBJECT=FILE",
        List,
        Empty,
        "Register a schema at the start: a file that ends in .avsc, .proto or .json (JSON Schema). Nothing is registered otherwise",
    ),
    setting(
        HEADING,
        "avro-times",
        "FORM",
        Text,
        Value("iso"),
        "Dates and times of Avro in JSON. iso: text in ISO 8601. epoch: the numbers of the encoding",
    ),
    setting(
        HEADING,
        "avro-longs",
        "FORM",
        Text,
        Value("number"),
        "The type long of Avro in JSON. number. string: for plugins in JavaScript, whose numbers have 53 bits",
    ),
    setting(
        HEADING,
        "protobuf-unknown-fields",
        "WHAT",
        Text,
        Value("keep"),
        "A Protobuf field that the schema does not have. keep: the JSON has it under the key @unknown, from where it is encoded again. \
         refuse: the record is a dead letter",
    ),
    setting(
        HEADING,
        "schema-registry-token-file",
        "FILE",
        Text,
        Empty,
        "A file with a bearer token for the schema registry; only this user may read it",
    ),
    setting(
        HEADING,
        "schema-registry-ca",
        "FILE",
        Text,
        Described("the certificate authorities of this machine"),
        "A file with the certificates (PEM) of the authorities that the certificate of the registry may be of",
    ),
    setting(
        HEADING,
        "schema-registry-cert",
        "FILE",
        Text,
        Empty,
        "A file with the certificate (PEM) of this client, for a registry that asks for one. It needs --schema-registry-key",
    ),
    setting(
        HEADING,
        "schema-registry-key",
        "FILE",
        Text,
        Empty,
        "A file with the private key (PEM) of that certificate",
    ),
];
