//! OAuth 2 on the wire, one RFC a file. Everything here takes arguments and an HTTP client, never
//! configuration, and keeps nothing.

mod authorization_endpoint;
mod authorization_server;
mod client;
mod client_registration;
mod device_authorization;
mod discovery;
mod document;
mod error;
mod form;
mod pasted_redirect;
mod revocation;
mod token_answer;
mod token_endpoint;

pub use authorization_endpoint::{
    AuthorizationRequest, RedirectError, authorization_request, read_redirect,
};
pub use authorization_server::Metadata;
pub use client::{Client, ClientAuthentication};
pub use client_registration::{RegistrationRequest, register};
pub use device_authorization::{DeviceAuthorization, device_authorization};
pub use discovery::discover;
pub use error::Error;
pub use form::OWN_PARAMETERS;
pub use pasted_redirect::{Expected, PasteError, pasted_state, read_pasted};
pub use revocation::revoke;
pub use token_answer::TokenAnswer;
pub use token_endpoint::{TokenGrant, TokenRequest, request_tokens};
