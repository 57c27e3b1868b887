//! A channel's address and the addresses of its segments.

use http::Uri;
use url::Url;

use crate::{error::BadUrl, seq::SegmentRef, wire};

/// A channel's checked address.
#[derive(Clone, Debug)]
pub(crate) struct ChannelUrl {
    url: Url,
    /// Up to the end of the channel's name.
    stem: String,
    /// `?query`, or nothing.
    query: String,
}

impl ChannelUrl {
    /// Checks an address. A trailing slash is dropped; a query is kept on every request.
    pub(crate) fn new(url: &Url) -> Result<Self, BadUrl> {
        if !matches!(url.scheme(), "http" | "https") {
            let scheme = url.scheme().to_owned();
            return Err(BadUrl::Scheme {
                url: url.clone(),
                scheme,
            });
        }
        let path = url.path().trim_end_matches('/');
        if path.is_empty() {
            return Err(BadUrl::NoChannel { url: url.clone() });
        }
        let authority = &url[url::Position::BeforeHost..url::Position::AfterPort];
        let channel = Self {
            url: url.clone(),
            stem: format!("{}://{authority}{path}", url.scheme()),
            query: url
                .query()
                .map(|query| format!("?{query}"))
                .unwrap_or_default(),
        };
        match channel
            .stem
            .parse::<Uri>()
            .and(channel.with("").parse::<Uri>())
        {
            Ok(_) => Ok(channel),
            Err(source) => Err(BadUrl::Uri {
                url: url.clone(),
                source,
            }),
        }
    }

    pub(crate) fn url(&self) -> &Url {
        &self.url
    }

    /// The channel's own address.
    pub(crate) fn channel(&self) -> Uri {
        self.uri("")
    }

    /// A segment's address.
    pub(crate) fn segment(&self, segment: SegmentRef) -> Uri {
        self.uri(&format!("/{segment}"))
    }

    /// The address that tells the index of the next write.
    pub(crate) fn next(&self) -> Uri {
        self.uri(&format!("/{}", wire::NEXT_PATH))
    }

    fn with(&self, suffix: &str) -> String {
        format!("{}{suffix}{}", self.stem, self.query)
    }

    fn uri(&self, suffix: &str) -> Uri {
        // The stem was checked, and suffixes are digits and letters.
        self.with(suffix).parse().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seq::Seq;

    fn channel(url: &str) -> Result<ChannelUrl, BadUrl> {
        ChannelUrl::new(&Url::parse(url).unwrap())
    }

    #[test]
    fn addresses_of_segments_hang_below_the_channel() {
        for (url, segment) in [
            ("http://h:1/a", "http://h:1/a/7"),
            ("https://h/ai/trickle/a/", "https://h/ai/trickle/a/7"),
            ("http://[::1]:9/a?k=v", "http://[::1]:9/a/7?k=v"),
            ("http://h/a%2Fb", "http://h/a%2Fb/7"),
            ("http://user:pw@h/a", "http://h/a/7"),
        ] {
            let channel = channel(url).unwrap();
            assert_eq!(
                channel.segment(SegmentRef::At(Seq::from(7))).to_string(),
                segment
            );
        }
    }

    #[test]
    fn what_names_no_channel_is_refused() {
        assert!(matches!(
            channel("http://h/"),
            Err(BadUrl::NoChannel { .. })
        ));
        assert!(matches!(channel("ftp://h/a"), Err(BadUrl::Scheme { .. })));
    }
}
