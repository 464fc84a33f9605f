//! The trace context of a record (W3C Trace Context, level 1), and its propagation to outputs.

use crate::record::{Header, Record};

/// The header with the trace id and the id of the parent span.
const TRACEPARENT: &[u8] = b"traceparent";
/// The header with vendor data.
const TRACESTATE: &[u8] = b"tracestate";
/// The length of a `traceparent` of version 00: `00-<32 digits>-<16 digits>-<2 digits>`.
const LENGTH: usize = 55;

/// The value of a `traceparent` header.
pub type Traceparent = [u8; LENGTH];

/// The parent span of a record, from its `traceparent`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parent<'a> {
    /// The trace id; never zero.
    pub trace: u128,
    /// The span id; never zero.
    pub span: u64,
    /// Whether the sender sampled the trace.
    pub sampled: bool,
    /// The `tracestate`.
    pub state: Option<&'a str>,
}

impl<'a> Parent<'a> {
    /// The parent of a record; `None` without a valid `traceparent`.
    pub fn of(record: Record<'a>) -> Option<Self> {
        let header = |wanted| record.headers().find(|(name, _)| *name == wanted).and_then(|(_, value)| value);
        let (trace, span, sampled) = parse(header(TRACEPARENT)?)?;
        let state = header(TRACESTATE).and_then(|state| std::str::from_utf8(state).ok());
        Some(Self { trace, span, sampled, state })
    }
}

fn parse(text: &[u8]) -> Option<(u128, u64, bool)> {
    let text = std::str::from_utf8(text).ok()?;
    let (known, more) = text.split_at_checked(LENGTH)?;
    let fields: Vec<&str> = known.split('-').collect();
    let &[version, trace, span, flags] = &fields[..] else { return None };
    let lengths = [version, trace, span, flags].map(str::len);
    let digits = |text: &str| text.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
    // Later versions can append fields. Version ff is invalid.
    let ends = if version == "00" { more.is_empty() } else { more.is_empty() || more.starts_with('-') };
    if lengths != [2, 32, 16, 2] || ![version, trace, span, flags].into_iter().all(digits) || version == "ff" || !ends {
        return None;
    }
    let (trace, span) = (u128::from_str_radix(trace, 16).ok()?, u64::from_str_radix(span, 16).ok()?);
    let flags = u8::from_str_radix(flags, 16).ok()?;
    (trace != 0 && span != 0).then_some((trace, span, flags & 1 == 1))
}

/// The `traceparent` of a sampled span.
pub fn traceparent(trace: u128, span: u64) -> Traceparent {
    let text = format!("00-{trace:032x}-{span:016x}-01");
    text.as_bytes().try_into().expect("the format has a fixed length")
}

/// The trace headers of a record for an output with its own headers: none if the output has a `traceparent`.
pub fn carried<'a>(
    record: Record<'a>,
    mut own: &mut dyn Iterator<Item = Header<'_>>,
) -> impl Iterator<Item = Header<'a>> + use<'a> {
    let limit = if (&mut own).any(|(name, _)| name == TRACEPARENT) { 0 } else { usize::MAX };
    record.headers().filter(|(name, _)| *name == TRACEPARENT || *name == TRACESTATE).take(limit)
}

/// Replaces a `traceparent` by the span of the host, so that the next span is a child of it.
pub fn through<'a>((name, value): Header<'a>, own: Option<&'a Traceparent>) -> Header<'a> {
    match own {
        Some(own) if name == TRACEPARENT => (name, Some(own)),
        _ => (name, value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Batch;

    const VALID: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn batch(headers: &[(&str, &str)]) -> Batch {
        let mut batch = Batch::new("visits");
        let headers: Vec<Header<'_>> =
            headers.iter().map(|(name, value)| (name.as_bytes(), Some(value.as_bytes()))).collect();
        batch.push((0, 0), 0, None, None, headers.into_iter());
        batch
    }

    #[test]
    fn traceparent_is_parsed_as_the_recommendation_requires() {
        let of =
            |text: &str| Parent::of(batch(&[("traceparent", text)]).record(0)).map(|p| (p.trace, p.span, p.sampled));
        let (trace, span) = (0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c, 0xb7ad_6b71_6920_3331);
        assert_eq!(of(VALID), Some((trace, span, true)));
        assert_eq!(of(&VALID.replace("-01", "-00")), Some((trace, span, false)));
        // Unknown flags are ignored, and a later version can append fields.
        assert_eq!(of(&VALID.replace("-01", "-ff")), Some((trace, span, true)));
        assert_eq!(of(&VALID.replacen("00", "cc", 1)), Some((trace, span, true)));
        assert_eq!(of(&format!("{}-what", VALID.replacen("00", "cc", 1))), Some((trace, span, true)));
        for wrong in [
            String::new(),
            VALID[1..].to_owned(),
            format!("{VALID}-what"),
            format!("{}.", VALID.replacen("00", "cc", 1)),
            VALID.replacen("00", "ff", 1),
            VALID.to_uppercase(),
            VALID.replace("0af7651916cd43dd8448eb211c80319c", &"0".repeat(32)),
            VALID.replace("b7ad6b7169203331", &"0".repeat(16)),
            VALID.replace("b7ad6b7169203331", "b7ad6b716920333g"),
            VALID.replace('-', "_"),
            VALID.replace("319c-b7", "319-cb7"),
            "ä".repeat(28),
        ] {
            assert_eq!(of(&wrong), None, "{wrong}");
        }
        assert_eq!(Parent::of(batch(&[("tracestate", "a=b")]).record(0)), None);
        let with_state = batch(&[("tracestate", "a=b"), ("traceparent", VALID)]);
        assert_eq!(Parent::of(with_state.record(0)).unwrap().state, Some("a=b"));
        assert_eq!(&traceparent(trace, span), VALID.as_bytes());
    }

    #[test]
    fn trace_headers_are_propagated_unless_the_mapper_sets_them() {
        let batch = batch(&[("a", "1"), ("traceparent", VALID), ("tracestate", "x=y")]);
        let carried = |own: &[&str]| {
            let mut own = own.iter().map(|name| (name.as_bytes(), None));
            super::carried(batch.record(0), &mut own)
                .map(|(name, _)| String::from_utf8_lossy(name).into_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(carried(&[]), ["traceparent", "tracestate"]);
        assert_eq!(carried(&["a", "tracestate"]), ["traceparent", "tracestate"]);
        assert!(carried(&["a", "traceparent"]).is_empty());
    }

    #[test]
    fn span_of_the_host_replaces_only_the_traceparent() {
        let ours = traceparent(1, 2);
        assert_eq!(through((b"traceparent", Some(b"x")), Some(&ours)), (&b"traceparent"[..], Some(&ours[..])));
        assert_eq!(through((b"traceparent", Some(b"x")), None), (&b"traceparent"[..], Some(&b"x"[..])));
        assert_eq!(through((b"other", None), Some(&ours)), (&b"other"[..], None));
    }
}
