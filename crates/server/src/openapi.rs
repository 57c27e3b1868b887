//! `GET /openapi.json`: the API's description, made from the types that the handlers use.

use axum::Json;
use axum::extract::State;
use utoipa::openapi::schema::{Schema, SchemaType, Type};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{Content, Ref, RefOr, Response, ResponseBuilder};
use utoipa::{Modify, OpenApi, ToSchema};

use crate::app::App;
use crate::error::ErrorBody;
use crate::routes::{hardware, health, schema, start, status, stop, update, version};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "trickle worker",
        description = "Starts, updates, watches and stops streams that a processor works on. \
            Every route stands under `/api` and without prefix. Bodies are JSON whatever their \
            `Content-Type` says. Every error is `{\"status\":\"error\",\"message\":…}`."
    ),
    servers((url = "/api"), (url = "/")),
    paths(
        start::start,
        start::live_video_to_video,
        stop::stop,
        update::update,
        status::status,
        schema::params_schema,
        health::health,
        health::livez,
        version::version,
        version::app_version,
        hardware::info,
        hardware::stats,
        crate::metrics::metrics,
        openapi,
    ),
    components(schemas(ErrorBody)),
    modifiers(&Complete)
)]
struct Document;

/// What attributes cannot say.
struct Complete;

impl Modify for Complete {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let Some(components) = &mut document.components else {
            return;
        };
        components.security_schemes.insert(
            "token".into(),
            SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)).into(),
        );
        // The alias takes the same body, and wants less of it.
        if let Some(RefOr::T(Schema::Object(start))) = components.schemas.get("StartRequest") {
            let mut alias = start.clone();
            alias.required.clear();
            if let Some(RefOr::T(Schema::Object(id))) =
                alias.properties.get_mut("gateway_request_id")
            {
                id.min_length = None;
                id.schema_type = SchemaType::from_iter([Type::String, Type::Null]);
            }
            components.schemas.insert(
                "LiveVideoToVideoRequest".into(),
                Schema::Object(alias).into(),
            );
        }
        let paths = &mut document.paths.paths;
        // One handler, two names.
        if let Some(mut params) = paths.get("/stream/update").cloned() {
            if let Some(operation) = &mut params.post {
                operation.operation_id = Some("params".into());
            }
            paths.insert("/stream/params".into(), params);
        }
        for path in paths.values_mut() {
            for operation in [&mut path.get, &mut path.post].into_iter().flatten() {
                let responses = &mut operation.responses.responses;
                if operation.security.is_some() {
                    responses.insert("401".into(), error("The token is missing or wrong"));
                }
                responses.insert("default".into(), error("Any other error"));
            }
        }
    }
}

fn error(description: &str) -> RefOr<Response> {
    let body = Ref::from_schema_name(ErrorBody::name());
    ResponseBuilder::new()
        .description(description)
        .content("application/json", Content::new(Some(body)))
        .into()
}

/// The description, for a worker of this version.
pub(crate) fn document(version: &str) -> utoipa::openapi::OpenApi {
    let mut document = Document::openapi();
    version.clone_into(&mut document.info.version);
    document
}

/// This description
#[utoipa::path(
    get,
    path = "/openapi.json",
    tag = "worker",
    responses((status = 200, description = "OpenAPI 3.1", body = Object))
)]
pub(crate) async fn openapi(State(app): State<App>) -> Json<utoipa::openapi::OpenApi> {
    Json(document(&app.config.identity.version))
}
