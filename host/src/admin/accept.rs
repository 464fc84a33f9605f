//! Negotiates the media type of an answer from the `Accept` header (RFC 9110, section 12.5.1).

use axum::http::HeaderMap;
use axum::http::header::ACCEPT;

/// A media type that the server can send.
#[derive(Debug, Clone, Copy)]
pub(super) struct Offer {
    /// Such as `text/plain`.
    pub(super) media_type: &'static str,
    /// The accepted values of the parameter `version`. A client that gives none accepts any.
    pub(super) versions: &'static [&'static str],
}

/// One range of an `Accept` header, such as `text/*;q=0.5`.
struct Range<'a> {
    media_type: &'a str,
    version: Option<&'a str>,
    quality: f32,
}

/// The index of the preferred offer; the first one of equal offers. `None` if the client accepts none of them, or
/// sends no `Accept` header.
pub(super) fn preferred(headers: &HeaderMap, offers: &[Offer]) -> Option<usize> {
    let values: Vec<&str> = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok()).collect();
    let ranges: Vec<Range<'_>> = values.iter().flat_map(|value| value.split(',')).filter_map(Range::parse).collect();
    let wanted = offers.iter().map(|offer| quality(&ranges, offer)).enumerate().filter(|(_, quality)| *quality > 0.0);
    wanted.reduce(|best, next| if next.1 > best.1 { next } else { best }).map(|(index, _)| index)
}

impl<'a> Range<'a> {
    /// `None` if it is not a media range.
    fn parse(text: &'a str) -> Option<Self> {
        let mut parts = text.split(';').map(str::trim);
        let media_type = parts.next().filter(|media_type| media_type.contains('/'))?;
        let (mut version, mut quality) = (None, 1.0);
        for (name, value) in parts.filter_map(|parameter| parameter.split_once('=')) {
            let value = value.trim().trim_matches('"');
            match name.trim() {
                name if name.eq_ignore_ascii_case("version") => version = Some(value),
                name if name.eq_ignore_ascii_case("q") => {
                    // An invalid weight is ignored.
                    quality = value.parse().ok().filter(|quality| (0.0..=1.0).contains(quality)).unwrap_or(0.0);
                }
                // Such as charset: the server has only one.
                _ => {}
            }
        }
        Some(Self { media_type, version, quality })
    }

    /// How specifically the range matches an offer; `None` if it does not match.
    fn precision(&self, offer: &Offer) -> Option<u8> {
        let kind = |media_type: &str| media_type.split('/').next().unwrap_or_default().to_ascii_lowercase();
        if self.media_type.eq_ignore_ascii_case(offer.media_type) {
            return match self.version {
                None => Some(2),
                Some(version) => offer.versions.contains(&version).then_some(3),
            };
        }
        match self.media_type {
            "*/*" => Some(0),
            range if range.ends_with("/*") && kind(range) == kind(offer.media_type) => Some(1),
            _ => None,
        }
    }
}

/// The weight of the most specific range that matches the offer.
fn quality(ranges: &[Range<'_>], offer: &Offer) -> f32 {
    let named = ranges.iter().filter_map(|range| Some((range.precision(offer)?, range.quality)));
    named.reduce(|best, next| if next.0 > best.0 { next } else { best }).map_or(0.0, |(_, quality)| quality)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OFFERS: [Offer; 2] = [
        Offer { media_type: "text/plain", versions: &["0.0.4"] },
        Offer { media_type: "application/openmetrics-text", versions: &["1.0.0"] },
    ];

    #[test]
    fn media_type_is_chosen_by_weight_and_the_most_specific_range() {
        for (accept, expected) in [
            ("text/plain", Some(0)),
            ("TEXT/Plain; Version=0.0.4; charset=utf-8", Some(0)),
            ("application/openmetrics-text", Some(1)),
            ("application/openmetrics-text;version=\"1.0.0\"", Some(1)),
            ("text/plain;q=0.5, application/openmetrics-text;q=0.6", Some(1)),
            ("text/plain;q=0.6, application/openmetrics-text;q=0.5", Some(0)),
            ("text/plain, application/openmetrics-text", Some(0)),
            ("*/*", Some(0)),
            ("text/*;q=0.2, */*;q=0.4", Some(1)),
            ("application/*", Some(1)),
            ("*/*, text/plain;q=0", Some(1)),
            ("text/plain;q=0, application/openmetrics-text;q=0.001", Some(1)),
            // A version that is not offered.
            ("application/openmetrics-text;version=2.0.0, text/plain;q=0.1", Some(0)),
            ("text/plain;version=1.0.0", None),
            ("text/html, application/json", None),
            ("text/plain;q=0", None),
            ("text/plain;q=2", None),
            ("", None),
            ("nonsense", None),
            // Prometheus 3, and Prometheus 2.
            (
                "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,\
                 text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,/;q=0.1",
                Some(1),
            ),
            (
                "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
                 text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
                Some(1),
            ),
        ] {
            let headers = HeaderMap::from_iter([(ACCEPT, accept.parse().unwrap())]);
            assert_eq!(preferred(&headers, &OFFERS), expected, "{accept}");
        }
        assert_eq!(preferred(&HeaderMap::new(), &OFFERS), None);
    }

    #[test]
    fn several_header_lines_are_one_list() {
        let mut headers = HeaderMap::new();
        headers.append(ACCEPT, "text/plain;q=0.5".parse().unwrap());
        headers.append(ACCEPT, "application/openmetrics-text".parse().unwrap());
        assert_eq!(preferred(&headers, &OFFERS), Some(1));
    }
}
