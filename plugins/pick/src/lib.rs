//! Makes an object of what JSONPaths find in the value: picks, renames and lifts fields.

mod path;

use mapper_sdk::{Output, Record, Settings, mapper};
use serde_json::{Map, Value};

use path::Path;

mapper!(pick, configure = Pick::from_settings);

/// The fields of the output.
#[derive(Debug)]
pub struct Pick(Vec<Field>);

#[derive(Debug)]
struct Field {
    name: String,
    path: Path,
    optional: bool,
}

impl Pick {
    /// Reads the settings, each of which is a field.
    ///
    /// # Errors
    /// The first invalid path, and the reason.
    pub fn from_settings(settings: &Settings) -> Result<Self, String> {
        let field = |(name, path): (&str, &str)| {
            let optional = name.ends_with('?');
            let path = Path::parse(path).map_err(|why| format!("the setting '{name}' is '{path}': {why}"))?;
            Ok(Field { name: name.trim_end_matches('?').to_owned(), path, optional })
        };
        let fields: Vec<Field> = settings.iter().map(field).collect::<Result<_, String>>()?;
        if fields.is_empty() {
            return Err(
                "there is no field to pick; give them as --set NAME=PATH, such as --set ip=$.user.ip".to_owned()
            );
        }
        Ok(Self(fields))
    }
}

/// The mapper.
///
/// # Errors
/// When the value is not JSON, or has nothing at a path that must find something.
pub fn pick(pick: &mut Pick, record: &Record<'_>) -> Result<Output, String> {
    let Some(value) = record.value else { return Ok(Output::tombstone()) };
    let value: Value = serde_json::from_slice(value).map_err(|error| error.to_string())?;
    let field = |field: &Field| match field.path.find(&value) {
        Some(found) => Ok((field.name.clone(), found)),
        None if field.optional => Ok((field.name.clone(), Value::Null)),
        None => Err(format!("there is nothing at {}", field.path)),
    };
    let object: Map<String, Value> = pick.0.iter().map(field).collect::<Result<_, _>>()?;
    Output::json(&object).map_err(|error| error.to_string())
}
