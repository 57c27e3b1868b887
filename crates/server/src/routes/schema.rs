//! `GET /stream/params-schema`: what a start's `params` and updates may hold.

use axum::Json;
use axum::extract::State;
use serde_json::{Map, Value, json};
use trickle_session::WorkerParams;

use crate::app::App;

/// What parameters may hold
///
/// A JSON schema of the parameters in force: the worker's own, and the processor's where it
/// publishes them. An update names only what changes.
#[utoipa::path(
    get,
    path = "/stream/params-schema",
    tag = "streams",
    security(("token" = [])),
    responses((status = 200, description = "A JSON schema", body = Object))
)]
pub(crate) async fn params_schema(State(app): State<App>) -> Json<Value> {
    Json(combined(app.params_schema.clone()))
}

/// The processor's schema with the worker's own parameters among its properties: where it allows
/// no others, those are allowed still, as the processor never sees them.
fn combined(processor: Option<Value>) -> Value {
    let mut schema = match processor {
        Some(Value::Object(schema)) => schema,
        // `true` and `false` are schemas too.
        Some(Value::Bool(false)) => Map::from_iter([("additionalProperties".into(), false.into())]),
        _ => Map::new(),
    };
    schema
        .entry("$schema")
        .or_insert_with(|| json!("https://json-schema.org/draft/2020-12/schema"));
    schema.insert("type".into(), json!("object"));
    let properties = schema.entry("properties").or_insert_with(|| json!({}));
    if let Value::Object(properties) = properties {
        properties.extend(WorkerParams::schema());
    }
    Value::Object(schema)
}
