//! The protocol over HTTP: drivers that connect the state machines to sockets.

mod answer;
pub(crate) mod body;
mod call;
pub(crate) mod client;
mod interim;
#[cfg(test)]
mod memory;
mod post;
pub(crate) mod publisher;
mod reading;
pub(crate) mod relay;
pub(crate) mod routes;
mod serve;
pub(crate) mod subscriber;
pub(crate) mod tcp;
#[cfg(target_os = "linux")]
mod timed;
pub(crate) mod tls;
pub(crate) mod transport;
pub(crate) mod upload;
pub(crate) mod url;
mod writing;

#[cfg(test)]
#[path = "faults_test.rs"]
mod faults;
