//! Reads a time the way CPython 3.11's `datetime.fromisoformat` does, quirks included.

use std::error::Error;
use std::fmt;

const MICROS: i64 = 1_000_000;
const DAY_SECONDS: i64 = 86_400;

/// Days from 1970-01-01 to 9999-12-31, the last day Python can hold.
const LAST_DAY: i64 = 2_932_896;

/// A text that is not a time, with the words of Python's `ValueError`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invalid(String);

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for Invalid {}

/// A point in time as Python's `datetime.timestamp()` gives it; naive times are UTC.
///
/// Fractions are cut towards zero, as Python's `int()` cuts them.
///
/// # Errors
///
/// When Python would raise a `ValueError`, with the same message.
pub fn timestamp(text: &str) -> Result<i64, Invalid> {
    common(text.as_bytes())
        .or_else(|| any(text))
        .ok_or_else(|| Invalid(format!("Invalid isoformat string: {}", repr(text))))?
        .timestamp()
}

/// What a well-formed text says, which may be a time that no calendar or clock shows.
struct Moment {
    /// Since 1970-01-01, or what Python says of such a date; not raised yet, as the offset is judged first.
    days: Result<i64, &'static str>,
    clock: Clock,
    offset_micros: i64,
}

impl Moment {
    fn timestamp(&self) -> Result<i64, Invalid> {
        // The order of the checks decides which message wins, so it is Python's.
        check_offset(self.offset_micros)?;
        let days = self.days.map_err(|message| Invalid(message.into()))?;
        self.clock.check().map_err(|message| Invalid(message.into()))?;
        let local = (days * DAY_SECONDS + self.clock.seconds()) * MICROS + i64::from(self.clock.micros);
        Ok(truncated_seconds(local - self.offset_micros))
    }
}

/// `int(micros / 10**6)` as Python computes it.
fn truncated_seconds(micros: i64) -> i64 {
    let (seconds, fraction) = (micros.div_euclid(MICROS), micros.rem_euclid(MICROS));
    if fraction == 0 {
        return seconds;
    }
    // Python rounds the exact quotient once. `micros as f64` would round a first time beyond 2^53;
    // seconds stay far below that, so only this sum rounds.
    (seconds as f64 + fraction as f64 / MICROS as f64) as i64
}

fn check_offset(micros: i64) -> Result<(), Invalid> {
    if micros.abs() < DAY_SECONDS * MICROS {
        return Ok(());
    }
    let (seconds, micros) = (micros.div_euclid(MICROS), micros.rem_euclid(MICROS));
    let (days, seconds) = (seconds.div_euclid(DAY_SECONDS), seconds.rem_euclid(DAY_SECONDS));
    let parts = [("days", days), ("seconds", seconds), ("microseconds", micros)];
    let parts = parts.iter().filter(|(_, value)| *value != 0).map(|(name, value)| format!("{name}={value}"));
    Err(Invalid(format!(
        "offset must be a timedelta strictly between -timedelta(hours=24) and timedelta(hours=24), \
         not datetime.timedelta({}).",
        parts.collect::<Vec<_>>().join(", ")
    )))
}

fn from_civil(year: u32, month: u32, day: u32) -> Result<i64, &'static str> {
    match (year, month) {
        (0, _) => Err("year 0 is out of range"),
        (_, 0 | 13..) => Err("month must be in 1..12"),
        _ if !(1..=month_length(year, month)).contains(&day) => Err("day is out of range for month"),
        _ => Ok(days_since_1970(year, month, day)),
    }
}

/// `None` when the year has no such week, or no week has such a day.
fn from_week(year: u32, week: u32, day: u32) -> Option<Result<i64, &'static str>> {
    let monday = first_monday(year) + (i64::from(week) - 1) * 7;
    if week == 0 || monday >= first_monday(year + 1) || !(1..=7).contains(&day) {
        return None;
    }
    Some(match monday + i64::from(day) - 1 {
        // CPython carries on below its first day and ends up with a month before January.
        _ if year == 0 => Err("month must be in 1..12"),
        days if days > LAST_DAY => Err("year 10000 is out of range"),
        days => Ok(days),
    })
}

/// Week 1 is the one that holds 4 January.
fn first_monday(year: u32) -> i64 {
    let fourth = days_since_1970(year, 1, 4);
    // 1970-01-01 was a Thursday.
    fourth - (fourth + 3).rem_euclid(7)
}

fn month_length(year: u32, month: u32) -> u32 {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    match month {
        2 => 28 + u32::from(leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Counts in years that begin in March, so that the leap day comes last and months need no table.
fn days_since_1970(year: u32, month: u32, day: u32) -> i64 {
    let year = i64::from(year) - i64::from(month <= 2);
    let day_of_year = (153 * i64::from((month + 9) % 12) + 2) / 5 + i64::from(day) - 1;
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    year * 365 + leap_days + day_of_year - 719_468
}

#[derive(Default)]
struct Clock {
    hour: u32,
    minute: u32,
    second: u32,
    micros: u32,
}

impl Clock {
    fn check(&self) -> Result<(), &'static str> {
        match *self {
            Self { hour: 24.., .. } => Err("hour must be in 0..23"),
            Self { minute: 60.., .. } => Err("minute must be in 0..59"),
            Self { second: 60.., .. } => Err("second must be in 0..59"),
            _ => Ok(()),
        }
    }

    fn seconds(&self) -> i64 {
        i64::from(self.hour * 3600 + self.minute * 60 + self.second)
    }
}

/// `YYYY-MM-DDTHH:MM:SS±HH:MM`, which nearly every record has, without looking for anything.
fn common(text: &[u8]) -> Option<Moment> {
    #[rustfmt::skip]
    let &[
        y0, y1, y2, y3, b'-', m0, m1, b'-', d0, d1, 0..=0x7f,
        h0, h1, b':', n0, n1, b':', s0, s1, sign @ (b'+' | b'-'), p0, p1, b':', q0, q1,
    ] = text else {
        return None;
    };
    let days = from_civil(number(&[y0, y1, y2, y3])?, number(&[m0, m1])?, number(&[d0, d1])?);
    let clock = Clock { hour: number(&[h0, h1])?, minute: number(&[n0, n1])?, second: number(&[s0, s1])?, micros: 0 };
    let east = i64::from(number(&[p0, p1])? * 60 + number(&[q0, q1])?) * 60 * MICROS;
    Some(Moment { days, clock, offset_micros: if sign == b'-' { -east } else { east } })
}

fn number(digits: &[u8]) -> Option<u32> {
    let push = |number, digit: &u8| digit.is_ascii_digit().then(|| number * 10 + u32::from(digit - b'0'));
    digits.iter().try_fold(0, push)
}

/// Every form Python takes; follows CPython's `_datetimemodule.c` step by step.
fn any(text: &str) -> Option<Moment> {
    let separator = separator(text.as_bytes());
    let days = date(text.as_bytes(), separator)?;
    let mut rest = text.get(separator..)?.chars();
    let (clock, offset_micros) = match rest.next() {
        Some(_separator) => time(rest.as_str().as_bytes())?,
        None => (Clock::default(), 0),
    };
    Some(Moment { days, clock, offset_micros })
}

/// Where the date ends, guessed from its shape, because any character may follow it.
fn separator(text: &[u8]) -> usize {
    let cursor = Cursor { text, position: 0 };
    match (cursor.at(4), cursor.at(5)) {
        // `YYYY-Www-` goes on with a weekday, unless two digits follow: then the dash separates.
        (b'-', b'W') if cursor.at(8) != b'-' || cursor.at(10).is_ascii_digit() => 8,
        (b'-', _) => 10,
        // The time is pairs of digits, so one too many after `YYYYWww` is a separator, two a weekday before it.
        (b'W', _) => match text.iter().skip(7).take_while(|byte| byte.is_ascii_digit()).count() {
            0 => 7,
            1 => 8,
            digits => 7 + usize::from(digits % 2 == 0),
        },
        _ => 8,
    }
}

fn date(text: &[u8], end: usize) -> Option<Result<i64, &'static str>> {
    let mut cursor = Cursor { text, position: 0 };
    let year = cursor.digits(4)?;
    let dashed = cursor.skip(b'-');
    if cursor.skip(b'W') {
        let week = cursor.digits(2)?;
        let day = if cursor.position < end { cursor.dash(dashed)?.digits(1)? } else { 1 };
        return from_week(year, week, day);
    }
    let month = cursor.digits(2)?;
    Some(from_civil(year, month, cursor.dash(dashed)?.digits(2)?))
}

fn time(text: &[u8]) -> Option<(Clock, i64)> {
    let zone = text.iter().position(|byte| matches!(byte, b'Z' | b'+' | b'-'));
    let mut cursor = Cursor { text, position: 0 };
    let (clock, complete) = cursor.clock(zone.unwrap_or(text.len()))?;
    let Some(zone) = zone else {
        return complete.then_some((clock, 0));
    };
    // Python does not ask for a complete clock here: what stands before the zone may be rubbish.
    cursor.position = zone;
    let offset_micros = match cursor.next() {
        b'Z' => (cursor.next() == 0).then_some(0),
        sign => offset(cursor, sign),
    }?;
    Some((clock, offset_micros))
}

fn offset(mut cursor: Cursor<'_>, sign: u8) -> Option<i64> {
    let (clock, complete) = cursor.clock(cursor.text.len())?;
    let east = match clock.seconds() {
        // Python takes an offset below a second for UTC.
        0 => 0,
        seconds => seconds * MICROS + i64::from(clock.micros),
    };
    complete.then_some(if sign == b'-' { -east } else { east })
}

/// Reads like a C pointer: there is a 0 after the text, which is also what a NUL in it looks like.
struct Cursor<'a> {
    text: &'a [u8],
    position: usize,
}

impl Cursor<'_> {
    fn at(&self, position: usize) -> u8 {
        self.text.get(position).copied().unwrap_or(0)
    }

    fn next(&mut self) -> u8 {
        let byte = self.at(self.position);
        self.position += 1;
        byte
    }

    fn skip(&mut self, byte: u8) -> bool {
        let found = self.at(self.position) == byte;
        self.position += usize::from(found);
        found
    }

    fn dash(&mut self, wanted: bool) -> Option<&mut Self> {
        (!wanted || self.skip(b'-')).then_some(self)
    }

    fn digits(&mut self, count: usize) -> Option<u32> {
        let digits = self.text.get(self.position..self.position + count)?;
        self.position += count;
        number(digits)
    }

    /// `HH[:?MM[:?SS[.ffffff]]]` up to `end`, and whether nothing is left after it.
    fn clock(&mut self, end: usize) -> Option<(Clock, bool)> {
        let colons = self.at(self.position + 2) == b':';
        let mut parts = [0; 3];
        let mut last = 0;
        for part in &mut parts {
            *part = self.digits(2)?;
            last = self.next();
            match last {
                _ if self.position >= end => break,
                b':' if colons => {}
                b'.' | b',' => break,
                _ if colons => return None,
                _ => self.position -= 1,
            }
        }
        let (micros, complete) = if self.position >= end { (0, last == 0) } else { self.fraction(end)? };
        let [hour, minute, second] = parts;
        Some((Clock { hour, minute, second, micros }, complete))
    }

    fn fraction(&mut self, end: usize) -> Option<(u32, bool)> {
        let missing = 6_usize.saturating_sub(end - self.position);
        let micros = (0..missing).fold(self.digits(6 - missing)?, |micros, _| micros * 10);
        while self.at(self.position).is_ascii_digit() {
            self.position += 1;
        }
        Some((micros, self.at(self.position) == 0))
    }
}

/// Python's `repr()` of a `str`.
fn repr(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut out = String::from(quote);
    for character in text.chars() {
        match u32::from(character) {
            _ if character == quote || "\n\r\t\\".contains(character) => out.extend(character.escape_default()),
            _ if is_printable(character) => out.push(character),
            code @ ..=0xff => out += &format!("\\x{code:02x}"),
            code @ ..=0xffff => out += &format!("\\u{code:04x}"),
            code => out += &format!("\\U{code:08x}"),
        }
    }
    out.push(quote);
    out
}

fn is_printable(character: char) -> bool {
    // `a`, because Rust escapes a combining mark at the start only; quotes, because it escapes those for itself.
    matches!(character, '\'' | '"') || !format!("a{character}").escape_debug().any(|c| c == '\\')
}
