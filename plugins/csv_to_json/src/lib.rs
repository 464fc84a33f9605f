//! Makes JSON of lines of CSV (RFC 4180), a record a line.

use mapper_sdk::{Output, Record, Settings, mapper};
use serde_json::{Map, Value};

mapper!(csv_to_json, configure = Csv::from_settings);

/// How lines are read.
#[derive(Debug)]
pub struct Csv {
    columns: Vec<String>,
    delimiter: char,
    numbers: Vec<String>,
}

impl Csv {
    /// Reads the settings.
    ///
    /// # Errors
    /// The first invalid setting, and the allowed values.
    pub fn from_settings(settings: &Settings) -> Result<Self, String> {
        settings.only(&["columns", "delimiter", "numbers"])?;
        let list = |text: &str| text.split(',').map(|name| name.trim().to_owned()).collect::<Vec<_>>();
        let columns = list(settings.required("columns")?);
        let numbers = settings.get("numbers").filter(|numbers| !numbers.is_empty()).map(list).unwrap_or_default();
        if let Some(unknown) = numbers.iter().find(|name| !columns.contains(name)) {
            return Err(format!("the setting 'numbers' has '{unknown}', which is no column"));
        }
        let mut delimiter = settings.get("delimiter").unwrap_or(",").chars();
        match (delimiter.next(), delimiter.next()) {
            (Some('"' | '\n' | '\r'), _) | (None, _) | (_, Some(_)) => {
                Err("the setting 'delimiter' is one character, such as ; and neither a quote nor a line's end"
                    .to_owned())
            }
            (Some(delimiter), None) => Ok(Self { columns, delimiter, numbers }),
        }
    }

    fn object(&self, fields: Vec<Field>) -> Result<Map<String, Value>, String> {
        if fields.len() != self.columns.len() {
            return Err(format!("{} fields instead of {}", fields.len(), self.columns.len()));
        }
        self.columns.iter().zip(fields).map(|(name, field)| Ok((name.clone(), self.value(name, field)?))).collect()
    }

    fn value(&self, name: &String, field: Field) -> Result<Value, String> {
        // As databases have it: nothing is null, and nothing in quotes is an empty text.
        if field.text.is_empty() && !field.quoted {
            return Ok(Value::Null);
        }
        if !self.numbers.contains(name) {
            return Ok(field.text.into());
        }
        let number: Result<serde_json::Number, _> = field.text.trim().parse();
        number.map(Value::Number).map_err(|_| format!("{name} is no number: {:?}", field.text))
    }
}

/// The mapper. A value may have several lines; all of them go on, or none does.
///
/// # Errors
/// When the value is not UTF-8, or a line is not as it should be.
pub fn csv_to_json(csv: &mut Csv, record: &Record<'_>) -> Result<Vec<Output>, String> {
    let Some(value) = record.value else { return Ok(vec![Output::tombstone()]) };
    let text = std::str::from_utf8(value).map_err(|error| format!("not UTF-8: {error}"))?;
    // A byte order mark is no part of the text: spreadsheets put one before the first row of a file.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let rows = rows(text, csv.delimiter)?;
    let output = |(index, fields): (usize, Vec<Field>)| {
        let of_line = |why| format!("row {}: {why}", index + 1);
        let object = csv.object(fields).map_err(of_line)?;
        Output::json(&object).map_err(|error| error.to_string())
    };
    rows.into_iter().enumerate().map(output).collect()
}

#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Field {
    text: String,
    quoted: bool,
}

/// A row ends with CRLF, LF, CR or the end of the text. Between quotes, each of these is part of the field. Blank rows are skipped.
fn rows(text: &str, delimiter: char) -> Result<Vec<Vec<Field>>, String> {
    let mut rows = Vec::new();
    let mut row = Vec::new();
    let mut field = Field::default();
    let mut characters = text.chars().peekable();
    loop {
        match characters.next() {
            Some('"') if field == Field::default() => {
                field.quoted = true;
                loop {
                    match characters.next() {
                        Some('"') if characters.next_if_eq(&'"').is_some() => field.text.push('"'),
                        Some('"') => break,
                        Some(other) => field.text.push(other),
                        None => return Err(format!("row {}: a quote has no end", rows.len() + 1)),
                    }
                }
                if !characters.peek().is_none_or(|next| [delimiter, '\n', '\r'].contains(next)) {
                    return Err(format!("row {}: there is text behind a quote", rows.len() + 1));
                }
            }
            Some(other) if other == delimiter => row.push(std::mem::take(&mut field)),
            // The LF of a CRLF ends a blank row, which is skipped.
            end @ (Some('\n' | '\r') | None) => {
                if !row.is_empty() || field != Field::default() {
                    row.push(std::mem::take(&mut field));
                    rows.push(std::mem::take(&mut row));
                }
                if end.is_none() {
                    return Ok(rows);
                }
            }
            Some(other) => field.text.push(other),
        }
    }
}
