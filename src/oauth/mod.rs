//! OAuth 2 on the wire, one RFC a file. Everything here takes arguments and an HTTP client, never
//! configuration, and keeps nothing.

mod authorization_endpoint;
mod authorization_server;
mod challenge;
mod client;
mod client_assertion;
mod client_key;
mod client_metadata;
mod client_registration;
mod device_authorization;
mod discovery;
mod document;
mod dpop;
mod error;
mod form;
mod id_token;
mod jws;
mod key_exchange;
mod mcp_authorization;
mod pasted_redirect;
mod pkce;
mod protected_resource;
mod pushed_authorization;
mod revocation;
mod token_answer;
mod token_endpoint;
mod token_exchange;

pub use authorization_endpoint::{
    AuthorizationRequest, RedirectError, authorization_request, read_redirect,
    read_stateless_redirect,
};
pub use authorization_server::Metadata;
pub use challenge::{Challenge, challenges};
pub use client::{Client, ClientAuthentication};
pub use client_assertion::{Assertion, sign_assertion};
pub use client_key::ClientKey;
pub use client_metadata::{check_metadata_url, client_metadata};
pub use client_registration::{RegistrationRequest, register};
pub use device_authorization::{DeviceAuthorization, device_authorization};
pub use discovery::{discover, discover_trusting};
pub use dpop::{DPOP, Dpop, DpopKey, Proven};
pub use error::Error;
pub use form::OWN_PARAMETERS;
pub use jws::KeyError;
pub use key_exchange::{KeySession, Progress, exchange_code_for_key};
pub use mcp_authorization::{AuthorizationServer, McpServer, Question, Refusal, discover_mcp};
pub use pasted_redirect::{Expected, PasteError, pasted_state, read_pasted, read_pasted_stateless};
pub use pkce::Pkce;
pub use protected_resource::{Discovered, discover_from};
pub use pushed_authorization::push;
pub use revocation::revoke;
pub use token_answer::TokenAnswer;
pub use token_endpoint::{TokenGrant, TokenRequest, request_tokens};
pub use token_exchange::{IdJagRequest, TokenExchange, TypedToken, request_id_jag, token_type_uri};
