//! Makes a record of each element of an array.

use mapper_sdk::{Output, Record, Settings, mapper};
use serde_json::Value;
use serde_json::value::RawValue;

mapper!(split, configure = Split::from_settings);

/// How an array is split.
#[derive(Debug)]
pub struct Split {
    /// Where the array is; `None`: the value is one.
    field: Option<String>,
    /// The field of an element that becomes the key of its record.
    key: Option<String>,
}

impl Split {
    /// Reads the settings.
    ///
    /// # Errors
    /// The first one that is wrong.
    pub fn from_settings(settings: &Settings) -> Result<Self, String> {
        settings.only(&["field", "key"])?;
        let text = |key| settings.get(key).map(str::to_owned);
        Ok(Self { field: text("field"), key: text("key") })
    }
}

/// The mapper. Each record has the headers of the input, and its index in the array.
///
/// # Errors
/// When the value is not JSON, or there is no array.
pub fn split(split: &mut Split, record: &Record<'_>) -> Result<Vec<Output>, String> {
    let Some(value) = record.value else { return Err("the record has no value (a tombstone)".to_owned()) };
    // The elements are passed on as they are written: numbers keep their digits.
    let elements = elements(value, split.field.as_deref())?;
    let count = elements.len();
    let outputs = elements.iter().enumerate().map(|(index, element)| {
        let mut output = Output::new(element.get());
        if let Some(key) = &split.key {
            let element: Value = serde_json::from_str(element.get()).map_err(|error| error.to_string())?;
            output = output.key(match element.get(key) {
                None | Some(Value::Null) => None,
                Some(Value::String(text)) => Some(text.clone()),
                Some(other) => Some(other.to_string()),
            });
        }
        for header in record.headers.iter() {
            output = output.header(header.name, header.value);
        }
        Ok(output.header("split.index", Some(index.to_string())).header("split.count", Some(count.to_string())))
    });
    outputs.collect()
}

fn elements<'a>(value: &'a [u8], field: Option<&str>) -> Result<Vec<&'a RawValue>, String> {
    let mut value: &RawValue = serde_json::from_slice(value).map_err(|error| error.to_string())?;
    for name in field.into_iter().flat_map(|field| field.split('.')) {
        let object: std::collections::HashMap<std::borrow::Cow<'_, str>, &RawValue> =
            serde_json::from_str(value.get()).map_err(|_| format!("'{name}' is looked for in what is no object"))?;
        value = object.get(name).copied().ok_or_else(|| format!("there is no '{name}'"))?;
    }
    serde_json::from_str(value.get()).map_err(|_| format!("{} is no array", field.unwrap_or("the value")))
}
