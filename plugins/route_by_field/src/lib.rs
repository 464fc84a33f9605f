//! Sends records to topics by a field of their value.

use std::collections::BTreeMap;

use mapper_sdk::{Output, Record, Settings, mapper};
use serde_json::Value;

mapper!(route, configure = Routes::from_settings);

/// Which values go where.
#[derive(Debug)]
pub struct Routes {
    field: String,
    /// Topics by value; `None` is the default output topic.
    topics: BTreeMap<String, Option<String>>,
    /// Whether a value without a topic is refused, or goes to the default output topic.
    strict: bool,
}

impl Routes {
    /// Reads the settings.
    ///
    /// # Errors
    /// The first invalid setting, and the allowed values.
    pub fn from_settings(settings: &Settings) -> Result<Self, String> {
        settings.only(&["field", "topics", "strict"])?;
        let route = |route: &str| match route.trim().split_once('=') {
            Some((value, topic)) if !topic.is_empty() => {
                Ok((value.to_owned(), (topic != "-").then(|| topic.to_owned())))
            }
            _ => Err(format!("the setting 'topics' has '{route}', which is not VALUE=TOPIC")),
        };
        let strict = match settings.get("strict") {
            None | Some("false") => false,
            Some("true") => true,
            Some(other) => return Err(format!("the setting 'strict' is '{other}'; it can be true or false")),
        };
        Ok(Self {
            field: settings.required("field")?.to_owned(),
            topics: settings.required("topics")?.split(',').map(route).collect::<Result<_, _>>()?,
            strict,
        })
    }
}

/// The mapper.
///
/// # Errors
/// When the value is not JSON, or, if that is asked for, has no topic.
pub fn route(routes: &mut Routes, record: &Record<'_>) -> Result<Output, String> {
    let Some(value) = record.value else { return Ok(Output::keep()) };
    let value: Value = serde_json::from_slice(value).map_err(|error| error.to_string())?;
    let found = routes.field.split('.').try_fold(&value, |value, name| value.get(name)).unwrap_or(&Value::Null);
    let text = found.as_str().map_or_else(|| found.to_string(), str::to_owned);
    match routes.topics.get(&text) {
        Some(Some(topic)) => Ok(Output::keep().topic(topic)),
        Some(None) => Ok(Output::keep()),
        None if routes.strict => Err(format!("there is no topic for {} {text:?}", routes.field)),
        None => Ok(Output::keep()),
    }
}
