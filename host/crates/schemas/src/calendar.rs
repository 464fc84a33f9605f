//! Days and seconds as the text of ISO 8601, in the proleptic Gregorian calendar.

use std::io::Write;

pub(crate) const SECONDS_PER_DAY: i64 = 86_400;

/// A date, from the days since 1970.
pub(crate) fn write_date(days: i64, out: &mut Vec<u8>) {
    let (year, month, day) = civil(days);
    // ISO 8601 has a sign and more digits for other years.
    match year {
        0..=9999 => write_digits(out, year, 4),
        // A `Vec` takes all bytes.
        _ => drop(write!(out, "{year:+07}")),
    }
    out.push(b'-');
    write_digits(out, month, 2);
    out.push(b'-');
    write_digits(out, day, 2);
}

/// Hours, minutes and seconds, from the seconds of a day.
pub(crate) fn write_clock(seconds: i64, out: &mut Vec<u8>) {
    write_digits(out, seconds / 3600, 2);
    out.push(b':');
    write_digits(out, seconds / 60 % 60, 2);
    out.push(b':');
    write_digits(out, seconds % 60, 2);
}

/// Appends the last digits of a number, without the cost of a format.
pub(crate) fn write_digits(out: &mut Vec<u8>, number: i64, digits: usize) {
    let mut buffer = [b'0'; 9];
    let mut rest = number;
    for digit in buffer[..digits].iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    out.extend_from_slice(&buffer[..digits]);
}

/// Year, month and day of a number of days since 1970. Years start in March and repeat after 400 of them, an era of 146 097 days.
pub(crate) fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (era * 400 + year_of_era + i64::from(month <= 2), month, day)
}

pub(crate) fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let from_march = (month + 9) % 12;
    let day_of_year = (153 * from_march + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}
