//! Values without parts, which a JSON number or string shows.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::error::{Failure, ValueError};
use crate::json::{Kind, Reader, malformed, unexpected};
use crate::wire::{parse_guid, write_guid};

/// Larger floats with an integral value have lost digits before they reach the host.
const MAX_EXACT: f64 = 9_007_199_254_740_992.0;

pub(super) fn write_base64(bytes: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    let start = out.len();
    out.resize(start + bytes.len().div_ceil(3) * 4, 0);
    // The size is exact, so this does not fail.
    let written = STANDARD.encode_slice(bytes, &mut out[start..]).unwrap_or(0);
    out.truncate(start + written);
    out.push(b'"');
}

pub(super) fn read_base64(text: &str) -> Result<Vec<u8>, Failure> {
    STANDARD.decode(text).map_err(|error| ValueError::new(format!("expected base64: {error}")))
}

pub(super) fn write_uuid(bytes: &[u8; 16], out: &mut Vec<u8>) {
    let mut text = String::with_capacity(38);
    let _ = write_guid(bytes, &mut text);
    out.push(b'"');
    out.extend_from_slice(text.as_bytes());
    out.push(b'"');
}

pub(super) fn read_uuid(text: &str) -> Result<[u8; 16], Failure> {
    parse_guid(text).ok_or_else(|| malformed("a UUID", text))
}

pub(super) fn write_integer(number: i64, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// An integer, also if it has a fraction of zeros or an exponent.
pub(super) fn read_integer(text: &str) -> Result<i64, Failure> {
    if let Ok(number) = text.parse() {
        return Ok(number);
    }
    let float = text.parse::<f64>().ok().filter(|float| float.fract() == 0.0 && float.abs() <= MAX_EXACT);
    float.map(|float| float as i64).ok_or_else(|| malformed("an integer of 64 bits", text))
}

pub(super) fn write_double(number: f64, out: &mut Vec<u8>) {
    if number.is_finite() {
        // A `Vec` takes all bytes.
        let _ = serde_json::to_writer(out, &number);
    } else {
        write_not_finite(number, out);
    }
}

pub(super) fn write_float(number: f32, out: &mut Vec<u8>) {
    if number.is_finite() {
        let _ = serde_json::to_writer(out, &number);
    } else {
        write_not_finite(f64::from(number), out);
    }
}

fn write_not_finite(number: f64, out: &mut Vec<u8>) {
    let text: &[u8] = if number.is_nan() {
        b"\"NaN\""
    } else if number > 0.0 {
        b"\"Infinity\""
    } else {
        b"\"-Infinity\""
    };
    out.extend_from_slice(text);
}

/// A number, or a string for those that JSON does not have. The text is parsed as the wanted type: rounding twice can be wrong.
pub(super) fn read_float<F: std::str::FromStr + From<f32> + Finite>(json: &mut Reader<'_>) -> Result<F, Failure> {
    match json.peek()? {
        Kind::Number => {
            let text = json.number()?;
            let number = text.parse::<F>().ok().filter(F::is_finite);
            number
                .ok_or_else(|| ValueError::new(format!("the number {} is out of range", crate::error::shortened(text))))
        }
        Kind::String => match &*json.string()? {
            "NaN" => Ok(f32::NAN.into()),
            "Infinity" => Ok(f32::INFINITY.into()),
            "-Infinity" => Ok(f32::NEG_INFINITY.into()),
            other => Err(malformed("a number, \"NaN\", \"Infinity\" or \"-Infinity\"", other)),
        },
        other => Err(unexpected("a number", other)),
    }
}

pub(super) trait Finite {
    fn is_finite(&self) -> bool;
}

impl Finite for f32 {
    fn is_finite(&self) -> bool {
        f32::is_finite(*self)
    }
}

impl Finite for f64 {
    fn is_finite(&self) -> bool {
        f64::is_finite(*self)
    }
}
