//! Decimals: an unscaled integer in two's complement, as the text of a number with all digits of its scale.

use num_bigint::BigInt;

use crate::error::{Failure, ValueError};
use crate::json::malformed;

/// Larger decimals are bytes: the time of a conversion grows with the square of the digits.
const MAX_PRECISION: usize = 1000;

#[derive(Debug, Clone, Copy)]
pub(super) struct Decimal {
    precision: usize,
    scale: usize,
    /// The size of a `fixed`.
    pub(super) size: Option<usize>,
}

impl Decimal {
    /// `None` if the attributes of the type contradict each other.
    pub(super) fn new(precision: usize, scale: usize, size: Option<usize>) -> Option<Self> {
        let fits = size.is_none_or(|size| precision <= digits_of(size));
        (precision > 0 && precision <= MAX_PRECISION && scale <= precision && fits).then_some(Self {
            precision,
            scale,
            size,
        })
    }

    pub(super) fn write(self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Failure> {
        let bytes = without_sign_extension(bytes);
        // Checked before the conversion.
        if bytes.len() > self.precision / 2 + 1 {
            return Err(self.too_large());
        }
        let mut buffer = itoa::Buffer::new();
        let big;
        let text = match to_i128(bytes) {
            Some(number) => buffer.format(number),
            None => {
                big = BigInt::from_signed_bytes_be(bytes).to_string();
                &big
            }
        };
        let (sign, digits) = text.strip_prefix('-').map_or(("", text), |digits| ("-", digits));
        if digits.len() > self.precision && digits != "0" {
            return Err(self.too_large());
        }
        out.extend_from_slice(b"\"");
        out.extend_from_slice(sign.as_bytes());
        let whole = digits.len().saturating_sub(self.scale);
        out.extend_from_slice(if whole == 0 { b"0" } else { &digits.as_bytes()[..whole] });
        if self.scale > 0 {
            out.push(b'.');
            out.extend(std::iter::repeat_n(b'0', self.scale.saturating_sub(digits.len())));
            out.extend_from_slice(&digits.as_bytes()[whole..]);
        }
        out.push(b'"');
        Ok(())
    }

    /// The unscaled integer: as few bytes as possible, or those of the `fixed`.
    pub(super) fn read(self, text: &str) -> Result<Vec<u8>, Failure> {
        let wrong = || malformed("a decimal such as \"12.50\"", text);
        let (is_negative, digits) = text.strip_prefix('-').map_or((false, text), |digits| (true, digits));
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
        let is_number = |digits: &str| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        if !is_number(whole) || !is_number(fraction) {
            return Err(wrong());
        }
        let fraction = fraction.trim_end_matches('0');
        if fraction.len() > self.scale {
            let reason = format!(
                "a decimal with {} digits behind the point: more than the scale {}",
                fraction.len(),
                self.scale
            );
            return Err(ValueError::new(reason));
        }
        let whole = whole.trim_start_matches('0');
        if whole.len() + self.scale > self.precision && !whole.is_empty() {
            return Err(self.too_large());
        }
        let sign = if is_negative { "-" } else { "" };
        let unscaled = format!("{sign}{whole}{fraction:0<scale$}", scale = self.scale);
        let unscaled = if unscaled.trim_start_matches('-').is_empty() { "0".to_owned() } else { unscaled };
        let bytes = match unscaled.parse::<i128>() {
            Ok(number) => without_sign_extension(&number.to_be_bytes()).to_vec(),
            Err(_) => unscaled.parse::<BigInt>().map_err(|_| wrong())?.to_signed_bytes_be(),
        };
        let Some(size) = self.size else { return Ok(bytes) };
        // The precision fits, so there are not too many bytes.
        let sign_byte = if bytes[0] < 0x80 { 0 } else { 0xff };
        let mut fixed = vec![sign_byte; size.saturating_sub(bytes.len())];
        fixed.extend_from_slice(&bytes);
        Ok(fixed)
    }

    fn too_large(self) -> Failure {
        ValueError::new(format!(
            "a decimal that does not fit the precision {} and the scale {}",
            self.precision, self.scale
        ))
    }
}

/// The decimal digits that always fit into so many bytes.
fn digits_of(bytes: usize) -> usize {
    ((bytes * 8).saturating_sub(1) as f64 * std::f64::consts::LOG10_2) as usize
}

fn without_sign_extension(bytes: &[u8]) -> &[u8] {
    let mut bytes = bytes;
    while let [first, second, ..] = bytes
        && (*first == 0 && *second < 0x80 || *first == 0xff && *second >= 0x80)
    {
        bytes = &bytes[1..];
    }
    bytes
}

fn to_i128(bytes: &[u8]) -> Option<i128> {
    let mut number = [if bytes.first().is_some_and(|byte| *byte >= 0x80) { 0xff } else { 0 }; 16];
    let start = number.len().checked_sub(bytes.len())?;
    number[start..].copy_from_slice(bytes);
    Some(i128::from_be_bytes(number))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(decimal: Decimal, bytes: &[u8]) -> Result<String, Failure> {
        let mut out = Vec::new();
        decimal.write(bytes, &mut out)?;
        Ok(serde_json::from_slice(&out).unwrap())
    }

    #[test]
    fn decimal_has_all_digits_of_its_scale() {
        let decimal = Decimal::new(6, 2, None).unwrap();
        for (number, expected) in [(1250, "12.50"), (-5, "-0.05"), (0, "0.00"), (100, "1.00"), (-999_999, "-9999.99")] {
            let bytes = i32::to_be_bytes(number);
            assert_eq!(text(decimal, &bytes).unwrap(), expected);
            assert_eq!(decimal.read(expected).unwrap(), without_sign_extension(&bytes));
        }
        assert_eq!(text(Decimal::new(3, 0, None).unwrap(), &[]).unwrap(), "0");
        assert_eq!(decimal.read("-0").unwrap(), [0]);
        assert_eq!(decimal.read("7").unwrap(), decimal.read("007.0000").unwrap());
        assert_eq!(Decimal::new(6, 2, Some(4)).unwrap().read("-0.05").unwrap(), [0xff, 0xff, 0xff, 0xfb]);
    }

    #[test]
    fn decimal_beyond_its_precision_or_scale_is_an_error() {
        let decimal = Decimal::new(4, 2, None).unwrap();
        let reason = decimal.read("100.00").unwrap_err().to_string();
        assert_eq!(reason, "a decimal that does not fit the precision 4 and the scale 2");
        assert!(text(decimal, &10_000_i32.to_be_bytes()).is_err());
        assert!(text(decimal, &[0x55; 1 << 20]).is_err());
        let reason = decimal.read("0.001").unwrap_err().to_string();
        assert_eq!(reason, "a decimal with 3 digits behind the point: more than the scale 2");
        for wrong in ["", "-", ".5", "5.", "1e3", "+1", "1 ", "0x1", "--1", "1.-1", "NaN"] {
            assert!(decimal.read(wrong).unwrap_err().reason().starts_with("expected a decimal"), "{wrong}");
        }
    }

    #[test]
    fn attributes_that_contradict_each_other_are_ignored() {
        assert!(Decimal::new(0, 0, None).is_none());
        assert!(Decimal::new(3, 4, None).is_none());
        assert!(Decimal::new(1001, 0, None).is_none());
        assert!(Decimal::new(1, 0, Some(0)).is_none());
        for (size, digits) in [(1, 2), (2, 4), (4, 9), (8, 18), (16, 38)] {
            assert!(Decimal::new(digits, 0, Some(size)).is_some());
            assert!(Decimal::new(digits + 1, 0, Some(size)).is_none());
        }
    }

    proptest! {
        #[test]
        fn decimal_is_reversible(digits in "-?[1-9][0-9]{0,80}", scale in 0_usize..90, fixed in any::<bool>()) {
            let precision = 200;
            let decimal = Decimal::new(precision, scale, fixed.then_some(90)).unwrap();
            let number: BigInt = digits.parse().unwrap();
            let minimal = number.to_signed_bytes_be();
            let shown = text(decimal, &minimal).unwrap();
            let back = decimal.read(&shown).unwrap();
            prop_assert_eq!(BigInt::from_signed_bytes_be(&back), number);
            prop_assert_eq!(back.len(), if fixed { 90 } else { minimal.len() });
            prop_assert_eq!(text(decimal, &back).unwrap(), shown);
        }
    }
}
