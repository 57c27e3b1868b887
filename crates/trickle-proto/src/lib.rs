//! The trickle protocol: publisher, subscriber and relay.
#![forbid(unsafe_code)]
