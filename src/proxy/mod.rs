//! A proxy between a child and its servers: the child holds placeholders, the proxy the credentials.

#![cfg_attr(not(test), expect(dead_code, reason = "the commands come with what uses these"))]

mod authority;
mod bundle;
mod placeholder;
