//! The protocol over HTTP: drivers that connect the state machines to sockets.

pub(crate) mod body;
pub(crate) mod client;
pub(crate) mod publisher;
pub(crate) mod relay;
pub(crate) mod routes;
mod serve;
pub(crate) mod subscriber;
mod tcp;
pub(crate) mod tls;
pub(crate) mod upload;
pub(crate) mod url;
