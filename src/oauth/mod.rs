//! OAuth 2 on the wire, one RFC a file. Everything here takes arguments and an HTTP client, never
//! configuration, and keeps nothing.

mod client;

pub use client::{Client, ClientAuthentication};
