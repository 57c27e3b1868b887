//! Which web pages may call the worker from a browser.

use std::time::Duration;

use http::{HeaderName, HeaderValue, Method, header};
use tower_http::cors::{AllowOrigin, CorsLayer};
use url::{Origin, Url};

use crate::error::BuildError;

/// How long a browser may remember what it was allowed.
const REMEMBERED: Duration = Duration::from_secs(3600);

/// Origins, as browsers name them in `Origin`: `https://host` or `http://host:port`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CorsOrigins(Allowed);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Allowed {
    Any,
    These(Vec<HeaderValue>),
}

impl CorsOrigins {
    /// Pages from anywhere.
    pub fn any() -> Self {
        Self(Allowed::Any)
    }

    /// Reads origins; `*` among them is [`any`](Self::any).
    ///
    /// # Errors
    /// [`BuildError::Option`] with the text that is no origin.
    pub fn parse<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Self, BuildError> {
        let mut origins = Vec::new();
        for text in texts {
            if text == "*" {
                return Ok(Self::any());
            }
            origins.push(origin(text)?);
        }
        Ok(Self(Allowed::These(origins)))
    }

    pub(crate) fn layer(self) -> CorsLayer {
        let origins = match self.0 {
            Allowed::Any => AllowOrigin::any(),
            Allowed::These(origins) => AllowOrigin::list(origins),
        };
        CorsLayer::new()
            .allow_origin(origins)
            .allow_methods([Method::GET, Method::POST])
            .allow_headers([
                header::AUTHORIZATION,
                header::CONTENT_TYPE,
                HeaderName::from_static("x-stream-id"),
            ])
            .expose_headers([header::RETRY_AFTER])
            .max_age(REMEMBERED)
    }
}

/// What a browser sends for the page at `text`, which may be no more than an origin.
fn origin(text: &str) -> Result<HeaderValue, BuildError> {
    let wrong = || BuildError::Option {
        option: "cors",
        reason: format!("{text:?} is no origin; write * or https://HOST or http://HOST:PORT"),
    };
    let url = Url::parse(text).map_err(|_| wrong())?;
    let bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
    match url.origin() {
        origin @ Origin::Tuple(..) if bare && url.username().is_empty() => {
            HeaderValue::from_str(&origin.ascii_serialization()).map_err(|_| wrong())
        }
        _ => Err(wrong()),
    }
}

#[cfg(test)]
#[path = "cors_test.rs"]
mod tests;
