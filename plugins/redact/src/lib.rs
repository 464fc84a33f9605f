//! Drops or hashes personal data in the value, the key and the headers.
//!
//! A hash is HMAC-SHA-256 (RFC 2104) under a secret: the same person has the same hash, and who has no secret can't find
//! out by trying.

use mapper_sdk::{Output, Record, Settings, mapper};
use serde_json::Value;
use sha2::{Digest, Sha256};

mapper!(redact, configure = Redact::from_settings);

/// The variable that a secret may come from, if the host grants it (`--allow-env`).
const SECRET_VARIABLE: &str = "REDACT_SECRET";
/// The block of SHA-256, in bytes.
const BLOCK: usize = 64;

/// What is taken away.
#[derive(Debug, Default)]
pub struct Redact {
    drop: Vec<Vec<String>>,
    hash: Vec<Vec<String>>,
    headers: Vec<String>,
    key: Key,
    secret: Vec<u8>,
}

/// What becomes of the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Key {
    #[default]
    Keep,
    Hash,
    Drop,
}

impl Redact {
    /// Reads the settings.
    ///
    /// # Errors
    /// The first invalid setting, and the allowed values.
    pub fn from_settings(settings: &Settings) -> Result<Self, String> {
        settings.only(&["drop", "hash", "headers", "key", "secret"])?;
        let list = |key| settings.get(key).into_iter().flat_map(|list: &str| list.split(',').map(str::trim));
        let paths = |key| list(key).map(|path| path.split('.').map(str::to_owned).collect()).collect::<Vec<_>>();
        let key = match settings.get("key") {
            None | Some("keep") => Key::Keep,
            Some("hash") => Key::Hash,
            Some("drop") => Key::Drop,
            Some(other) => return Err(format!("the setting 'key' is '{other}'; it can be keep, hash or drop")),
        };
        let hash = paths("hash");
        let secret = settings.get("secret").map(str::to_owned).or_else(|| std::env::var(SECRET_VARIABLE).ok());
        if secret.as_ref().is_none_or(String::is_empty) && (!hash.is_empty() || key == Key::Hash) {
            return Err(format!(
                "there is no secret to hash with: set the variable {SECRET_VARIABLE} and give --allow-env {SECRET_VARIABLE}, or give \
                 --set secret=…"
            ));
        }
        let headers = list("headers").map(str::to_owned).collect();
        Ok(Self { drop: paths("drop"), hash, headers, key, secret: secret.unwrap_or_default().into_bytes() })
    }

    fn hashed(&self, bytes: &[u8]) -> String {
        hmac(&self.secret, bytes).iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// The mapper.
///
/// # Errors
/// When the value is not JSON: what can't be read can't be redacted, and must not go on.
pub fn redact(redact: &mut Redact, record: &Record<'_>) -> Result<Output, serde_json::Error> {
    let mut output = match record.value {
        None => Output::tombstone(),
        Some(value) => {
            let mut value: Value = serde_json::from_slice(value)?;
            redact.drop.iter().for_each(|path| drop_at(&mut value, path));
            redact.hash.iter().for_each(|path| hash_at(&mut value, path, redact));
            Output::json(&value)?
        }
    };
    output = match (redact.key, record.key) {
        (Key::Keep, _) => output,
        (Key::Drop, _) | (Key::Hash, None) => output.key(None::<Vec<u8>>),
        (Key::Hash, Some(key)) => output.key(Some(redact.hashed(key))),
    };
    if !redact.headers.is_empty() {
        output = output.no_headers();
        for header in record.headers.iter().filter(|header| !redact.headers.iter().any(|name| name == header.name)) {
            output = output.header(header.name, header.value);
        }
    }
    Ok(output)
}

/// Whom a path leads to: in an array, to that of each element.
fn at<'v>(value: &'v mut Value, path: &[String], found: &mut dyn FnMut(&mut serde_json::Map<String, Value>, &str)) {
    match (value, path) {
        (Value::Array(elements), _) => elements.iter_mut().for_each(|element| at(element, path, found)),
        (Value::Object(object), [name]) => found(object, name),
        (Value::Object(object), [name, rest @ ..]) => {
            if let Some(value) = object.get_mut(name) {
                at(value, rest, found);
            }
        }
        _ => {}
    }
}

fn drop_at(value: &mut Value, path: &[String]) {
    at(value, path, &mut |object, name| {
        object.remove(name);
    });
}

/// A text is hashed for what it says, anything else for its JSON; null stays null.
fn hash_at(value: &mut Value, path: &[String], redact: &Redact) {
    at(value, path, &mut |object, name| match object.get_mut(name) {
        None | Some(Value::Null) => {}
        Some(Value::String(text)) => *text = redact.hashed(text.as_bytes()),
        Some(other) => *other = redact.hashed(other.to_string().as_bytes()).into(),
    });
}

/// HMAC-SHA-256.
fn hmac(secret: &[u8], bytes: &[u8]) -> [u8; 32] {
    let mut key = [0; BLOCK];
    if secret.len() > BLOCK {
        key[..32].copy_from_slice(&Sha256::digest(secret));
    } else {
        key[..secret.len()].copy_from_slice(secret);
    }
    let keyed = |pad: u8| Sha256::new_with_prefix(key.map(|byte| byte ^ pad));
    let inner = keyed(0x36).chain_update(bytes).finalize();
    keyed(0x5c).chain_update(inner).finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_that_of_rfc_4231() {
        let hex = |bytes: [u8; 32]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        // Test cases 2 and 6.
        let short = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(hex(hmac(b"Jefe", b"what do ya want for nothing?")), short);
        let long = "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54";
        assert_eq!(hex(hmac(&[0xaa; 131], b"Test Using Larger Than Block-Size Key - Hash Key First")), long);
    }

    #[test]
    fn without_a_secret_nothing_is_hashed() {
        let settings = |pairs: &[(&str, &str)]| {
            Settings::new(pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect())
        };
        assert!(Redact::from_settings(&settings(&[("hash", "a")])).unwrap_err().contains("--allow-env REDACT_SECRET"));
        assert!(Redact::from_settings(&settings(&[("key", "hash"), ("secret", "")])).is_err());
        assert!(Redact::from_settings(&settings(&[("drop", "a")])).is_ok());
        assert!(Redact::from_settings(&settings(&[("key", "x")])).unwrap_err().contains("keep, hash or drop"));
    }
}
