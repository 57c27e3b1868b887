//! Requests and answers of the API: what bodies may hold, checked field by field.

use serde::Serialize;
use serde_json::{Map, Value};
use trickle_processor::Params;
use url::Url;
use utoipa::ToSchema;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{
    AnyOfBuilder, ObjectBuilder, Schema, SchemaFormat, SchemaType, Type,
};

use crate::body::kind;
use crate::error::ApiError;
use crate::registration::MadeChannel;

/// Longest id of a session, in bytes: ids are repeated in answers and logs.
const MAX_ID: usize = 512;
/// Longest URL, in bytes.
const MAX_URL: usize = 8192;

/// The body of a start request. Keys it does not know are left alone.
#[derive(Clone, Debug, PartialEq, ToSchema)]
pub(crate) struct StartRequest {
    /// Names the session.
    #[schema(rename = "gateway_request_id", min_length = 1, max_length = 512)]
    pub(crate) request_id: String,
    /// `manifest_id`, else `stream_id`: names the session where there is no request id.
    #[schema(max_length = 512)]
    pub(crate) stream_id: Option<String>,
    /// Where the input is read. Without it the stream is generative: the processor is given black
    /// frames of `width` × `height` (512 × 512) at `max_framerate` (24).
    #[schema(schema_with = channel_schema, required = false)]
    pub(crate) subscribe_url: Option<Url>,
    /// Where the output is published. Without it frames are processed and end there.
    #[schema(schema_with = channel_schema, required = false)]
    pub(crate) publish_url: Option<Url>,
    #[schema(schema_with = channel_schema, required = false)]
    pub(crate) control_url: Option<Url>,
    #[schema(schema_with = channel_schema, required = false)]
    pub(crate) events_url: Option<Url>,
    #[schema(schema_with = channel_schema, required = false)]
    pub(crate) data_url: Option<Url>,
    /// `params`, with the body's own `max_framerate` where `params` has none.
    #[schema(value_type = Option<Object>)]
    pub(crate) params: Params,
}

/// Whether a start must say whose it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IdRule {
    /// `/stream/start`.
    Required,
    /// `/live-video-to-video`, whose callers may leave the id empty.
    Optional,
}

impl StartRequest {
    /// Reads a body; keys it does not know are left alone, as gateways add their own.
    pub(crate) fn parse(mut body: Map<String, Value>, rule: IdRule) -> Result<Self, ApiError> {
        let request_id = match id(&body, "gateway_request_id")? {
            Some(id) => id,
            None if rule == IdRule::Optional => String::new(),
            None => {
                let given = body.get("gateway_request_id").map_or("nothing", kind);
                return Err(ApiError::field(
                    "gateway_request_id",
                    format!("is required and must be a string that is not empty, got {given}"),
                ));
            }
        };
        let stream_id = match id(&body, "manifest_id")? {
            Some(id) => Some(id),
            None => id(&body, "stream_id")?,
        };
        let control_url = channel(&body, "control_url")?;
        let events_url = channel(&body, "events_url")?;
        let data_url = channel(&body, "data_url")?;
        let subscribe_url = channel(&body, "subscribe_url")?;
        let publish_url = channel(&body, "publish_url")?;
        let mut params = match body.remove("params") {
            None | Some(Value::Null) => Map::new(),
            Some(Value::Object(params)) => params,
            Some(other) => {
                return Err(ApiError::field(
                    "params",
                    format!("must be an object or null, got {}", kind(&other)),
                ));
            }
        };
        if let Some(rate) = body.remove("max_framerate")
            && !rate.is_null()
        {
            params.entry("max_framerate").or_insert(rate);
        }
        Ok(Self {
            request_id,
            stream_id,
            subscribe_url,
            publish_url,
            control_url,
            events_url,
            data_url,
            params: Params(params),
        })
    }
}

/// What a stop may hold.
#[derive(ToSchema)]
#[allow(dead_code, reason = "read field by field; this is its description")]
pub(crate) struct StopRequest {
    /// Which session.
    #[schema(max_length = 512)]
    gateway_request_id: Option<String>,
}

/// An update: all that is not named here is a parameter.
#[derive(ToSchema)]
#[allow(dead_code, reason = "read field by field; this is its description")]
pub(crate) struct UpdateRequest {
    /// Which session.
    #[schema(max_length = 512)]
    gateway_request_id: Option<String>,
}

/// The URL of a channel; an empty one is as good as none.
fn channel_schema() -> RefOr<Schema> {
    let url = ObjectBuilder::new()
        .schema_type(Type::String)
        .format(Some(SchemaFormat::Custom("uri".into())))
        .max_length(Some(MAX_URL));
    let none = ObjectBuilder::new()
        .schema_type(SchemaType::AnyValue)
        .enum_values(Some([Value::Null, "".into()]));
    AnyOfBuilder::new().item(url).item(none).into()
}

/// An id; `None` when absent, null or empty.
pub(crate) fn id(body: &Map<String, Value>, name: &str) -> Result<Option<String>, ApiError> {
    let text = text(body, name)?;
    match text {
        Some(text) if text.len() > MAX_ID => Err(ApiError::field(
            name,
            format!("must have at most {MAX_ID} bytes, got {}", text.len()),
        )),
        other => Ok(other.map(str::to_owned)),
    }
}

/// The URL of a trickle channel; `None` when absent, null or empty.
fn channel(body: &Map<String, Value>, name: &str) -> Result<Option<Url>, ApiError> {
    let Some(text) = text(body, name)? else {
        return Ok(None);
    };
    if text.len() > MAX_URL {
        return Err(ApiError::field(
            name,
            format!("must have at most {MAX_URL} bytes, got {}", text.len()),
        ));
    }
    let url = Url::parse(text)
        .map_err(|error| ApiError::field(name, format!("is not a URL: {error}")))?;
    match url.scheme() {
        "http" | "https" => Ok(Some(url)),
        scheme => Err(ApiError::field(
            name,
            format!("must be an http or https URL, got {scheme}"),
        )),
    }
}

fn text<'a>(body: &'a Map<String, Value>, name: &str) -> Result<Option<&'a str>, ApiError> {
    match body.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.as_str()).filter(|text| !text.is_empty())),
        Some(other) => Err(ApiError::field(
            name,
            format!("must be a string, got {}", kind(other)),
        )),
    }
}

/// The answer to a request that did what it asked for.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Success {
    status: &'static str,
    message: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<String>,
    /// Channels that the orchestrator made for the stream.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    channels: Vec<MadeChannel>,
}

impl Success {
    pub(crate) fn started(request_id: String, channels: Vec<MadeChannel>) -> Self {
        Self {
            status: "success",
            message: "Stream started successfully",
            request_id: Some(request_id),
            channels,
        }
    }

    pub(crate) fn stopped() -> Self {
        Self {
            status: "success",
            message: "Stream stopped successfully",
            request_id: None,
            channels: Vec::new(),
        }
    }

    pub(crate) fn updated() -> Self {
        Self {
            status: "success",
            message: "Parameters updated successfully",
            request_id: None,
            channels: Vec::new(),
        }
    }
}

#[cfg(test)]
#[path = "api_test.rs"]
mod tests;
