//! Tables of sizes and filters.

use super::Pairs;
use super::values::{log_filter, topic};
use mapper_core::bytes::{Bytes, NotBytes};

#[test]
fn sizes() {
    let cases = [
        ("0", 0, "0"),
        ("1024", 1024, "1KiB"),
        ("1000B", 1000, "1000"),
        ("64KiB", 65_536, "64KiB"),
        ("16MiB", 16 << 20, "16MiB"),
        ("16 mib", 16 << 20, "16MiB"),
        ("1GiB", 1 << 30, "1GiB"),
        ("1536KiB", 1536 << 10, "1536KiB"),
        ("100kB", 100_000, "100000"),
        ("5MB", 5_000_000, "5000000"),
        ("2GB", 2_000_000_000, "1953125KiB"),
        ("2048GiB", 2 << 40, "2048GiB"),
    ];
    for (text, bytes, shown) in cases {
        assert_eq!(text.parse(), Ok(Bytes(bytes)), "{text}");
        assert_eq!(Bytes(bytes).to_string(), shown);
        assert_eq!(shown.parse(), Ok(Bytes(bytes)), "what is shown can be read");
    }
    for text in ["", "MiB", "1.5MiB", "-1", "1TiB", "16M", "18446744073709551616", "18014398509481984KiB", "1 Mi B"] {
        assert_eq!(text.parse::<Bytes>(), Err(NotBytes), "{text}");
    }
}

#[test]
fn topics() {
    let longest = "x".repeat(249);
    for name in ["a", "A.b_c-9", "...", longest.as_str()] {
        assert_eq!(topic(name).as_deref(), Ok(name));
    }
    for name in ["", ".", "..", "a b", "a,b", "ä", &"x".repeat(250)] {
        assert!(topic(name).is_err(), "{name}");
    }
}

#[test]
fn filters() {
    for text in ["debug", "OFF", "info,kafka=debug", "mapper_host::pipeline=trace", "warn,[span{field=1}]=info"] {
        assert_eq!(log_filter(text).as_deref(), Ok(text));
    }
    for text in ["debgu", "info,kafka=loud", "kafka=x"] {
        assert!(log_filter(text).is_err(), "{text}");
    }
}

#[test]
fn pairs_show_their_keys_only() {
    let pairs = Pairs(vec![("sasl.password".into(), "hunter2".into())]);
    assert_eq!(format!("{pairs:?}"), r#"["sasl.password"]"#);
}
