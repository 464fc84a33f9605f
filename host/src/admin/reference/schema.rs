//! JSON Schemas as tables of Markdown.

use std::collections::BTreeMap;

use schemars::Schema;
use serde_json::Value;

/// A section for each type, and for each type that these contain.
pub(super) fn sections(types: &[Schema]) -> String {
    let mut all: BTreeMap<String, Value> = BTreeMap::new();
    for schema in types {
        let schema = schema.as_value();
        all.insert(text(schema, "title"), schema.clone());
        for (name, definition) in schema["$defs"].as_object().into_iter().flatten() {
            all.insert(name.clone(), definition.clone());
        }
    }
    all.iter().map(|(name, schema)| section(name, schema)).collect()
}

fn section(name: &str, schema: &Value) -> String {
    let mut page = format!("\n### {name}\n\n{}\n", text(schema, "description"));
    if let Some(fields) = schema["properties"].as_object() {
        page += "\n| field | type | meaning |\n|---|---|---|\n";
        for (field, schema) in fields {
            page += &format!("| `{field}` | {} | {} |\n", kind(schema), cell(schema));
        }
    } else if let Some(values) = schema["oneOf"].as_array() {
        page += "\n| value | meaning |\n|---|---|\n";
        for value in values {
            page += &format!("| `{}` | {} |\n", value["const"].as_str().unwrap_or_default(), cell(value));
        }
    } else {
        page += &format!("\nIt is a {}.\n", kind(schema));
    }
    page
}

/// The type of a value, in words.
fn kind(schema: &Value) -> String {
    if let Some(reference) = schema["$ref"].as_str() {
        let name = reference.rsplit('/').next().unwrap_or(reference);
        return format!("[{name}](#{})", name.to_lowercase());
    }
    if let Some(variants) = schema["anyOf"].as_array() {
        return variants.iter().map(kind).collect::<Vec<_>>().join(" or ");
    }
    if let Some(types) = schema["type"].as_array() {
        let names = types.iter().map(|name| of_type(schema, name.as_str().unwrap_or_default()));
        return names.collect::<Vec<_>>().join(" or ");
    }
    of_type(schema, schema["type"].as_str().unwrap_or_default())
}

fn of_type(schema: &Value, name: &str) -> String {
    match name {
        "array" => format!("list of {}", kind(&schema["items"])),
        "object" if schema["patternProperties"].is_object() => {
            let values = schema["patternProperties"].as_object().and_then(|all| all.values().next());
            format!("object with numbers as keys, {} as values", values.map(kind).unwrap_or_default())
        }
        "object" => format!("object with {} as values", kind(&schema["additionalProperties"])),
        other => other.to_owned(),
    }
}

fn text(schema: &Value, key: &str) -> String {
    schema[key].as_str().unwrap_or_default().to_owned()
}

fn cell(schema: &Value) -> String {
    let text = text(schema, "description").replace('\n', " ").replace('|', "\\|");
    match schema["x-payload"].as_str() {
        // Only the end of a sentence is record data.
        None | Some("sentence") => text,
        Some(_) if text.is_empty() => "Record data.".to_owned(),
        Some(_) => format!("{text} Record data."),
    }
}
