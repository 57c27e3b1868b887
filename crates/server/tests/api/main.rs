//! The API as its callers see it: every route's good and bad answers.

#![allow(clippy::unwrap_used, unreachable_pub)]

mod extend;
mod loading;
mod metrics;
mod openapi;
mod registration;
mod routes;
mod sessions;
mod support;
