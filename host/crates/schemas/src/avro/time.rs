//! Dates and times as text: proleptic Gregorian, for every value that the integer of the type can have.

use std::io::Write;

use crate::calendar::{SECONDS_PER_DAY, civil, days_since_1970, write_clock, write_date, write_digits};
use crate::error::{Failure, ValueError};
use crate::json::malformed;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    Millis,
    Micros,
    Nanos,
}

/// The unit of an integer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// Days since 1970, an `int`.
    Date,
    /// Units since midnight: an `int` of milliseconds, or a `long`.
    Time(Unit),
    /// Units since 1970 in UTC.
    Timestamp(Unit),
    /// Units since 1970 in a time zone that only the application knows.
    LocalTimestamp(Unit),
}

impl Unit {
    fn per_second(self) -> i64 {
        10_i64.pow(self.digits() as u32)
    }

    fn digits(self) -> usize {
        match self {
            Self::Millis => 3,
            Self::Micros => 6,
            Self::Nanos => 9,
        }
    }
}

impl Form {
    pub(super) fn write(self, value: i64, out: &mut Vec<u8>) -> Result<(), Failure> {
        out.push(b'"');
        match self {
            Self::Date => write_date(value, out),
            Self::Time(unit) => {
                if !(0..SECONDS_PER_DAY * unit.per_second()).contains(&value) {
                    return Err(ValueError::new(format!("{value} is no time of a day")));
                }
                write_time(value, unit, out);
            }
            Self::Timestamp(unit) | Self::LocalTimestamp(unit) => {
                let per_day = SECONDS_PER_DAY * unit.per_second();
                write_date(value.div_euclid(per_day), out);
                out.push(b'T');
                write_time(value.rem_euclid(per_day), unit, out);
                if let Self::Timestamp(_) = self {
                    out.push(b'Z');
                }
            }
        }
        out.push(b'"');
        Ok(())
    }

    /// Whether the type is an `int`.
    pub(super) fn is_int(self) -> bool {
        matches!(self, Self::Date | Self::Time(Unit::Millis))
    }

    pub(super) fn read(self, text: &str) -> Result<i64, Failure> {
        let mut rest = Scanner(text.as_bytes());
        let value = self.scan(&mut rest).filter(|_| rest.0.is_empty());
        let value = value.ok_or_else(|| malformed(self.example(), text))?;
        let fits = if self.is_int() { i32::try_from(value).ok().map(i64::from) } else { i64::try_from(value).ok() };
        fits.ok_or_else(|| ValueError::new(format!("{text} is out of range")))
    }

    fn scan(self, rest: &mut Scanner<'_>) -> Option<i128> {
        match self {
            Self::Date => rest.date().map(i128::from),
            Self::Time(unit) => rest.time(unit).map(i128::from),
            Self::Timestamp(unit) | Self::LocalTimestamp(unit) => {
                let days = rest.date()?;
                rest.byte(b'T')?;
                let time = rest.time(unit)?;
                let zone = if let Self::Timestamp(_) = self { rest.zone_seconds()? } else { 0 };
                let seconds = i128::from(days) * i128::from(SECONDS_PER_DAY) - i128::from(zone);
                Some(seconds * i128::from(unit.per_second()) + i128::from(time))
            }
        }
    }

    fn example(self) -> &'static str {
        match self {
            Self::Date => "a date such as \"2023-11-01\"",
            Self::Time(Unit::Millis) => "a time such as \"08:30:00.123\"",
            Self::Time(_) => "a time such as \"08:30:00.123456\"",
            Self::Timestamp(Unit::Millis) => "a time such as \"2023-11-01T08:30:00.123Z\"",
            Self::Timestamp(Unit::Micros) => "a time such as \"2023-11-01T08:30:00.123456Z\"",
            Self::Timestamp(Unit::Nanos) => "a time such as \"2023-11-01T08:30:00.123456789Z\"",
            Self::LocalTimestamp(_) => "a time without a zone such as \"2023-11-01T08:30:00.123\"",
        }
    }
}

/// Months, days and milliseconds, each a number of its own.
pub(super) fn write_duration([months, days, millis]: [u32; 3], out: &mut Vec<u8>) {
    let _ = write!(out, "\"P{months}M{days}DT{}.{:03}S\"", millis / 1000, millis % 1000);
}

pub(super) fn read_duration(text: &str) -> Result<[u32; 3], Failure> {
    let mut rest = Scanner(text.as_bytes());
    let parts = rest.duration().filter(|_| rest.0.is_empty());
    parts.ok_or_else(|| malformed("a duration such as \"P1M2DT3.004S\"", text))
}

fn write_time(value: i64, unit: Unit, out: &mut Vec<u8>) {
    write_clock(value / unit.per_second(), out);
    out.push(b'.');
    write_digits(out, value % unit.per_second(), unit.digits());
}

/// Reads a text from its start; `None` where it does not have the expected form.
struct Scanner<'a>(&'a [u8]);

impl Scanner<'_> {
    fn byte(&mut self, byte: u8) -> Option<()> {
        self.0 = self.0.strip_prefix(&[byte])?;
        Some(())
    }

    /// A number of so many digits.
    fn digits(&mut self, digits: std::ops::RangeInclusive<usize>) -> Option<i64> {
        let length = self.0.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if !digits.contains(&length) {
            return None;
        }
        let (number, rest) = self.0.split_at(length);
        self.0 = rest;
        str::from_utf8(number).ok()?.parse().ok()
    }

    fn below(&mut self, limit: i64) -> Option<i64> {
        self.digits(2..=2).filter(|number| *number < limit)
    }

    fn date(&mut self) -> Option<i64> {
        let year = match self.0.first()? {
            sign @ (b'+' | b'-') => {
                let sign = if *sign == b'-' { -1 } else { 1 };
                self.0 = &self.0[1..];
                self.digits(6..=10)? * sign
            }
            _ => self.digits(4..=4)?,
        };
        self.byte(b'-')?;
        let month = self.below(13).filter(|month| *month > 0)?;
        self.byte(b'-')?;
        let day = self.below(32).filter(|day| *day > 0)?;
        let days = days_since_1970(year, month, day);
        // A day that the month does not have is one of the next month.
        (civil(days) == (year, month, day)).then_some(days)
    }

    fn time(&mut self, unit: Unit) -> Option<i64> {
        let hours = self.below(24)?;
        self.byte(b':')?;
        let minutes = self.below(60)?;
        self.byte(b':')?;
        let seconds = self.below(60)?;
        let fraction = if self.byte(b'.').is_some() { self.fraction(unit.digits())? } else { 0 };
        Some((hours * 3600 + minutes * 60 + seconds) * unit.per_second() + fraction)
    }

    /// The digits behind a point, as a number of so many digits; `None` if digits would be lost.
    fn fraction(&mut self, digits: usize) -> Option<i64> {
        let length = self.0.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (number, rest) = self.0.split_at(length);
        let lost = number.get(digits..).unwrap_or_default();
        if number.is_empty() || lost.iter().any(|byte| *byte != b'0') {
            return None;
        }
        self.0 = rest;
        let fraction = number[..length.min(digits)].iter().fold(0, |value, byte| value * 10 + i64::from(byte - b'0'));
        Some(fraction * 10_i64.pow(digits.saturating_sub(length) as u32))
    }

    /// `Z`, or an offset such as `+02:00`.
    fn zone_seconds(&mut self) -> Option<i64> {
        let sign = match self.0.first()? {
            b'Z' => {
                self.byte(b'Z')?;
                return Some(0);
            }
            b'+' => 1,
            b'-' => -1,
            _ => return None,
        };
        self.0 = &self.0[1..];
        let hours = self.below(24)?;
        self.byte(b':')?;
        let minutes = self.below(60)?;
        Some(sign * (hours * 3600 + minutes * 60))
    }

    fn duration(&mut self) -> Option<[u32; 3]> {
        self.byte(b'P')?;
        let months = self.digits(1..=10)?;
        self.byte(b'M')?;
        let days = self.digits(1..=10)?;
        self.byte(b'D')?;
        self.byte(b'T')?;
        let seconds = self.digits(1..=7)?;
        let millis = if self.byte(b'.').is_some() { self.fraction(3)? } else { 0 };
        self.byte(b'S')?;
        Some([months.try_into().ok()?, days.try_into().ok()?, (seconds * 1000 + millis).try_into().ok()?])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const FORMS: [Form; 9] = [
        Form::Date,
        Form::Time(Unit::Millis),
        Form::Time(Unit::Micros),
        Form::Timestamp(Unit::Millis),
        Form::Timestamp(Unit::Micros),
        Form::Timestamp(Unit::Nanos),
        Form::LocalTimestamp(Unit::Millis),
        Form::LocalTimestamp(Unit::Micros),
        Form::LocalTimestamp(Unit::Nanos),
    ];

    fn text(form: Form, value: i64) -> Result<String, Failure> {
        let mut out = Vec::new();
        form.write(value, &mut out)?;
        Ok(serde_json::from_slice(&out).unwrap())
    }

    #[test]
    fn times_have_the_text_of_iso_8601() {
        let millis = 1_698_827_400_123;
        assert_eq!(text(Form::Timestamp(Unit::Millis), millis).unwrap(), "2023-11-01T08:30:00.123Z");
        assert_eq!(text(Form::LocalTimestamp(Unit::Micros), millis * 1000).unwrap(), "2023-11-01T08:30:00.123000");
        assert_eq!(text(Form::Timestamp(Unit::Nanos), -1).unwrap(), "1969-12-31T23:59:59.999999999Z");
        assert_eq!(text(Form::Date, 19_662).unwrap(), "2023-11-01");
        assert_eq!(text(Form::Date, -719_529).unwrap(), "-000001-12-31");
        assert_eq!(text(Form::Date, i64::from(i32::MAX)).unwrap(), "+5881580-07-11");
        assert_eq!(text(Form::Time(Unit::Millis), 86_399_999).unwrap(), "23:59:59.999");
        assert_eq!(text(Form::Time(Unit::Micros), -1).unwrap_err().reason(), "-1 is no time of a day");
        assert!(text(Form::Time(Unit::Millis), 86_400_000).is_err());
    }

    #[test]
    fn texts_of_other_programs_are_read() {
        let millis = Form::Timestamp(Unit::Millis);
        for same in [
            "2023-11-01T00:00:00Z",
            "2023-11-01T00:00:00+00:00",
            "2023-11-01T02:30:00.000000+02:30",
            "2023-10-31T23:00:00.0-01:00",
        ] {
            assert_eq!(millis.read(same).unwrap(), 1_698_796_800_000, "{same}");
        }
        assert_eq!(Form::Time(Unit::Micros).read("00:00:01.5").unwrap(), 1_500_000);
        assert_eq!(Form::Date.read("2024-02-29").unwrap(), 19_782);
    }

    #[test]
    fn wrong_text_is_an_error_with_an_example() {
        let millis = Form::Timestamp(Unit::Millis);
        for wrong in [
            "",
            "2023-11-01",
            "2023-11-01T00:00:00",
            "2023-11-01 00:00:00Z",
            "2023-11-01T24:00:00Z",
            "2023-11-01T00:00:00.1234Z",
            "2023-11-01T00:00:00.Z",
            "2023-13-01T00:00:00Z",
            "2023-11-31T00:00:00Z",
            "23-11-01T00:00:00Z",
            "2023-11-01T00:00:00Zx",
            "2023-11-01T00:00:00+0000",
        ] {
            assert!(millis.read(wrong).unwrap_err().reason().starts_with("expected a time such as"), "{wrong}");
        }
        assert!(Form::Date.read("2023-02-29").is_err());
        assert!(Form::LocalTimestamp(Unit::Millis).read("2023-11-01T00:00:00Z").is_err());
        assert_eq!(Form::Date.read("+9999999999-01-01").unwrap_err().reason(), "+9999999999-01-01 is out of range");
        assert!(Form::Timestamp(Unit::Nanos).read("2300-01-01T00:00:00Z").is_err());
        for wrong in ["", "P1D", "P1M2DT3.0045S", "P1M2DT4294968S", "P4294967296M0DT0S", "P1M2DT3.004S "] {
            assert!(read_duration(wrong).is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn every_value_is_reversible(value in any::<i64>(), small in any::<i32>(), duration in any::<[u32; 3]>()) {
            for form in FORMS {
                let value = match form {
                    Form::Date => i64::from(small),
                    Form::Time(unit) => value.rem_euclid(SECONDS_PER_DAY * unit.per_second()),
                    Form::Timestamp(_) | Form::LocalTimestamp(_) => value,
                };
                let text = text(form, value).unwrap();
                prop_assert_eq!(form.read(&text).unwrap(), value, "{}", text);
            }
            let mut out = Vec::new();
            write_duration(duration, &mut out);
            prop_assert_eq!(read_duration(&serde_json::from_slice::<String>(&out).unwrap()).unwrap(), duration);
        }
    }
}
