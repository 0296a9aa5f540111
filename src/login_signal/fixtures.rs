//! What real servers send, as received, and signals in one line for tables of cases.

use url::Url;

use super::*;

/// The server of all fixtures, unless a case names another.
pub const SERVER: &str = "http://127.0.0.1:9191/mcp";

/// `@adcp/sdk` 6.11.0, no credential, account store or handler gate.
pub const ADCP_MISSING: &str = r#"{"result":{"content":[{"type":"text","text":"{\"adcp_error\":{\"code\":\"AUTH_REQUIRED\",\"message\":\"Single-tenant agent requires an authenticated principal; no credential on ctx.authInfo.\",\"recovery\":\"correctable\"}}"}],"structuredContent":{"adcp_error":{"code":"AUTH_REQUIRED","message":"Single-tenant agent requires an authenticated principal; no credential on ctx.authInfo.","recovery":"correctable"}},"isError":true},"jsonrpc":"2.0","id":1}"#;

/// The same behind a hop that dropped `structuredContent`.
pub const ADCP_TEXT: &str = r#"{"result":{"content":[{"type":"text","text":"{\"adcp_error\":{\"code\":\"AUTH_REQUIRED\",\"message\":\"Single-tenant agent requires an authenticated principal; no credential on ctx.authInfo.\",\"recovery\":\"correctable\"},\"context\":{\"trace\":\"t-1\"}}"}],"isError":true},"jsonrpc":"2.0","id":1}"#;

/// The same SDK with a credential: a success.
pub const ADCP_SUCCESS: &str = r#"{"result":{"content":[{"type":"text","text":"Creative built: audio_30s"}],"structuredContent":{"creative_manifest":{"format_id":{"agent_url":"http://127.0.0.1:3917","id":"audio_30s"},"assets":{"serving_tag":{"url":"https://cdn.example.invalid/a.mp3","duration_ms":30000,"asset_type":"audio"}}}}},"jsonrpc":"2.0","id":1}"#;

pub const ADCP_CAPABILITIES: &str = r#"{"result":{"content":[{"type":"text","text":"Agent capabilities retrieved"}],"structuredContent":{"adcp":{"major_versions":[3],"idempotency":{"supported":true,"replay_ttl_seconds":86400}},"supported_protocols":["media_buy","creative"],"library_version":"@adcp/client@6.11.0"}},"jsonrpc":"2.0","id":2}"#;

/// centralmind/gateway b16865d.
pub const GATEWAY_ERROR: &str = r#"{"jsonrpc":"2.0","id":11,"error":{"code":-32603,"message":"\nThis tool require manual action from user, generate for user an ask to go via link to auth a tool.\nLink is follows: [auth](http://127.0.0.1:9191/oauth/authorize?mcp_session=498d4287-a059-4b5f-8ed7-6be9f488f608)\nPrompt to user a link as markdown link above.\n\n!Important, client must retry this call, no need to wait instructions from user.\n"}}"#;

/// The same draft's `authorize` tool.
pub const GATEWAY_TOOL: &str = r#"{"jsonrpc":"2.0","id":4,"result":{"content":[{"type":"text","text":"Link is follows: [auth](http://127.0.0.1:9191/oauth/authorize?mcp_session=498d4287-a059-4b5f-8ed7-6be9f488f608)"}]}}"#;

pub const GATEWAY_PROSE: &str = r#"{"jsonrpc":"2.0","id":5,"result":{"content":[{"type":"text","text":"Unable to query: empty authorization: not authorized"}],"isError":true}}"#;

/// MCP 2025-11-25, client/elicitation.
pub const ELICITATION: &str = r#"{"jsonrpc":"2.0","id":2,"error":{"code":-32042,"message":"This request requires more information.","data":{"elicitations":[{"mode":"url","elicitationId":"550e8400-e29b-41d4-a716-446655440000","url":"https://mcp.example.com/connect?elicitationId=550e8400-e29b-41d4-a716-446655440000","message":"Authorization is required to access your Example Co files."}]}}}"#;

pub const SOLVAPAY: &str =
    r#"{"jsonrpc":"2.0","id":7,"error":{"code":-32001,"message":"Unauthorized"}}"#;

/// Follow, as the table of cases writes the gateway's link.
pub const GATEWAY_LINK: &str = "follow own http://127.0.0.1:9191/oauth/authorize?mcp_session=498d4287-a059-4b5f-8ed7-6be9f488f608";

/// Every fixture.
pub const FIXTURES: [&str; 9] = [
    ADCP_MISSING,
    ADCP_TEXT,
    ADCP_SUCCESS,
    ADCP_CAPABILITIES,
    GATEWAY_ERROR,
    GATEWAY_TOOL,
    GATEWAY_PROSE,
    ELICITATION,
    SOLVAPAY,
];

pub fn server() -> Url {
    Url::parse(SERVER).unwrap()
}

pub fn message(text: &str) -> String {
    summary(&of_message(text.as_bytes(), &server()))
}

/// An AdCP error in a refused call.
pub fn adcp(error: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":1,"result":{{"isError":true,"content":[],"structuredContent":{{"adcp_error":{error}}}}}}}"#
    )
}

pub fn rpc_error(code: i64, text: &str) -> String {
    let text = serde_json::to_string(text).unwrap();
    format!(r#"{{"jsonrpc":"2.0","id":1,"error":{{"code":{code},"message":{text}}}}}"#)
}

pub fn result(is_error: bool, text: &str) -> String {
    let text = serde_json::to_string(text).unwrap();
    format!(
        r#"{{"jsonrpc":"2.0","id":1,"result":{{"content":[{{"type":"text","text":{text}}}],"isError":{is_error}}}}}"#
    )
}

/// A signal in one line: what is to be done, and with what.
pub fn summary(signal: &Signal) -> String {
    match signal {
        Signal::Nothing => "nothing".into(),
        Signal::Missing(demand) => format!("missing{}", of_demand(demand)),
        Signal::Rejected(demand, refresh) => {
            format!("rejected {}{}", format!("{refresh:?}").to_lowercase(), of_demand(demand))
        }
        Signal::ScopeNeeded(demand) => format!("scopes{}", of_demand(demand)),
        Signal::Follow(found) => format!("follow{}", of_links(found)),
        Signal::Hint(_) => "hint".into(),
    }
}

pub fn of_demand(demand: &Demand) -> String {
    let metadata = demand.resource_metadata.iter().map(|url| format!(" at {url}"));
    let scopes = demand.scopes.iter().map(|scope| format!(" +{scope}"));
    metadata.chain(scopes).collect::<String>() + &of_links(&demand.invitations)
}

pub fn of_links(found: &Invitations) -> String {
    let whose = |link: &super::link::Link| if link.is_own() { "own" } else { "foreign" };
    let links = found.links.iter().map(|it| format!(" {} {}", whose(&it.link), it.link));
    let dropped = found.dropped.iter().map(|_| " dropped".to_owned());
    links.chain(dropped).collect()
}

pub fn check(cases: &[(&str, String, &str)]) {
    let wrong: Vec<String> = cases
        .iter()
        .filter(|(_, found, expected)| found != expected)
        .map(|(name, found, expected)| format!("{name}: {found}, not {expected}"))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
