//! Messages that are a signal, and messages that are none.

#![expect(clippy::too_many_lines, reason = "a table of cases is long")]

use super::fixtures::*;
use super::*;

#[test]
fn refusals_in_messages_are_signals() {
    let foreign = GATEWAY_ERROR.replace(
        "http://127.0.0.1:9191/oauth/authorize?mcp_session=498d4287-a059-4b5f-8ed7-6be9f488f608",
        "https://evil.example/x",
    );
    check(&[
        ("adcp, canonical", message(ADCP_MISSING), "missing"),
        ("adcp, text only", message(ADCP_TEXT), "missing"),
        (
            "adcp, spaced and sorted differently",
            message(&ADCP_MISSING.replace("\"isError\":true", "\"isError\" : \n true")),
            "missing",
        ),
        (
            "adcp, presented and refused",
            message(&adcp(
                r#"{"code":"AUTH_REQUIRED","message":"no","recovery":"terminal","suggestion":"ask"}"#,
            )),
            "rejected once",
        ),
        ("adcp, no recovery", message(&adcp(r#"{"code":"AUTH_REQUIRED"}"#)), "missing"),
        (
            "adcp 3.1, missing",
            message(&adcp(r#"{"code":"AUTH_MISSING","message":"m","recovery":"correctable"}"#)),
            "missing",
        ),
        (
            "adcp 3.1, invalid",
            message(&adcp(r#"{"code":"AUTH_INVALID","message":"m","recovery":"terminal"}"#)),
            "rejected never",
        ),
        (
            "adcp, invalid whatever the recovery says",
            message(&adcp(r#"{"code":"AUTH_INVALID","recovery":"correctable"}"#)),
            "rejected never",
        ),
        (
            "adcp, unknown code of the family",
            message(&adcp(r#"{"code":"AUTH_EXPIRED","recovery":"correctable"}"#)),
            "missing",
        ),
        (
            "adcp, unknown code of the family, for good",
            message(&adcp(r#"{"code":"AUTH_REVOKED","recovery":"terminal"}"#)),
            "rejected never",
        ),
        (
            "adcp in the data of an error",
            message(
                r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32000,"message":"m","data":{"adcp_error":{"code":"AUTH_MISSING"}}}}"#,
            ),
            "missing",
        ),
        (
            "adcp, other members of other types",
            message(&adcp(
                r#"{"code":"AUTH_MISSING","message":7,"recovery":{},"details":"none","retry_after":null}"#,
            )),
            "missing",
        ),
        (
            "adcp, a connection is missing",
            message(&adcp(
                r#"{"code":"AUTHORIZATION_REQUIRED","message":"m","recovery":"correctable","details":{"missing_connections":[{"provider":"social.example","connection_type":"publisher_identity","status":"missing","resource_ref":{"post_url":"https://social.example/@acme/post/12345"},"authorization_url":"https://seller.example/connections/social/authorize?post=12345","authorization_instructions":"Connect the creator."}]}}"#,
            )),
            "follow foreign https://seller.example/connections/social/authorize?post=12345",
        ),
        (
            "adcp, one link for all connections",
            message(&adcp(
                r#"{"code":"AUTHORIZATION_REQUIRED","details":{"authorization_url":"http://127.0.0.1:9191/connections","missing_connections":[{"authorization_url":"http://127.0.0.1:9191/connections"},{"authorization_url":"javascript:alert(1)"}]}}"#,
            )),
            "follow own http://127.0.0.1:9191/connections dropped",
        ),
        (
            "adcp, a connection without a link",
            message(&adcp(
                r#"{"code":"AUTHORIZATION_REQUIRED","message":"m","details":{"authorization_instructions":"Call us."}}"#,
            )),
            "hint",
        ),
        ("gateway, link in an error", message(GATEWAY_ERROR), GATEWAY_LINK),
        ("gateway, link elsewhere", message(&foreign), "follow foreign https://evil.example/x"),
        ("gateway, authorize tool", message(GATEWAY_TOOL), GATEWAY_LINK),
        (
            "a path that authorizes",
            message(&rpc_error(-32603, "go [here](http://127.0.0.1:9191/oauth/authorize/?a=1)")),
            "follow own http://127.0.0.1:9191/oauth/authorize/?a=1",
        ),
        (
            "an own address as it is",
            message(&rpc_error(-32001, "Open http://127.0.0.1:9191/authorize?x=1.")),
            "follow own http://127.0.0.1:9191/authorize?x=1",
        ),
        (
            "markdown with angles and a title",
            message(&rpc_error(-32603, "[Sign in](<https://id.example/go> \"t\")")),
            "follow foreign https://id.example/go",
        ),
        (
            "one link twice",
            message(&rpc_error(-32603, "[auth](https://a.example/) [login](https://a.example/)")),
            "follow foreign https://a.example/",
        ),
        (
            "a link that is none",
            message(&rpc_error(-32603, "Link is follows: [auth](javascript:alert(1))")),
            "hint",
        ),
        (
            "elicitation",
            message(ELICITATION),
            "follow foreign https://mcp.example.com/connect?elicitationId=550e8400-e29b-41d4-a716-446655440000",
        ),
        (
            "elicitations of several modes",
            message(
                r#"{"jsonrpc":"2.0","id":2,"error":{"code":-32042,"message":"m","data":{"elicitations":[{"mode":"form","url":"https://form.example/","message":"f"},{"mode":"url","url":"https://u:p@user.example/","elicitationId":"1","message":"a"},7,{"mode":"url","url":"https://ok.example/","elicitationId":"2","message":"b"}]}}}"#,
            ),
            "follow foreign https://ok.example/ dropped",
        ),
        (
            "an elicitation of no use",
            message(
                r#"{"jsonrpc":"2.0","id":2,"error":{"code":-32042,"message":"m","data":{"elicitations":[{"mode":"url","url":"http://plain.example/","elicitationId":"1","message":"a"}]}}}"#,
            ),
            "hint",
        ),
        ("prose, gateway", message(GATEWAY_PROSE), "hint"),
        ("prose, an error", message(SOLVAPAY), "hint"),
        (
            "prose, gateway newest",
            message(&rpc_error(
                -32603,
                "token validation failed: userinfo request failed: 401: not authorized",
            )),
            "hint",
        ),
        ("prose, a code", message(&result(true, "AUTH_REQUIRED: no credential")), "hint"),
    ]);
}

#[test]
fn what_no_sign_in_mends_passes() {
    let link = "[auth](http://127.0.0.1:9191/oauth/authorize?mcp_session=498d4287-a059-4b5f-8ed7-6be9f488f608)";
    let two = GATEWAY_TOOL.replace("[{", "[{\"type\":\"image\",\"data\":\"\"},{");
    let code = |code: &str, recovery: &str| {
        message(&adcp(&format!(
            r#"{{"code":"{code}","message":"not authorized","recovery":"{recovery}"}}"#
        )))
    };
    check(&[
        ("a success", message(ADCP_SUCCESS), "nothing"),
        ("capabilities", message(ADCP_CAPABILITIES), "nothing"),
        ("ACCOUNT_NOT_FOUND", code("ACCOUNT_NOT_FOUND", "terminal"), "nothing"),
        ("ACCOUNT_REQUIRED", code("ACCOUNT_REQUIRED", "correctable"), "nothing"),
        ("PERMISSION_DENIED", code("PERMISSION_DENIED", "correctable"), "nothing"),
        ("SCOPE_INSUFFICIENT, of tasks", code("SCOPE_INSUFFICIENT", "correctable"), "nothing"),
        ("CREDENTIAL_IN_ARGS", code("CREDENTIAL_IN_ARGS", "correctable"), "nothing"),
        ("INVALID_REQUEST", code("INVALID_REQUEST", "correctable"), "nothing"),
        ("RATE_LIMITED", code("RATE_LIMITED", "transient"), "nothing"),
        ("AUTHORIZATION_DENIED", code("AUTHORIZATION_DENIED", "terminal"), "nothing"),
        ("an unknown code, passing", code("AUTH_UPSTREAM_DOWN", "transient"), "nothing"),
        ("an unknown code, no recovery", message(&adcp(r#"{"code":"AUTH_X"}"#)), "nothing"),
        ("a code in lower case", code("auth_required", "correctable"), "nothing"),
        ("a code that is a number", message(&adcp(r#"{"code":401}"#)), "nothing"),
        (
            "a paywall",
            message(&result(true, "Payment required: buy a plan at https://pay.example/checkout")),
            "nothing",
        ),
        (
            "GitHub's error",
            message(&result(
                true,
                r#"{"message":"Bad credentials","documentation_url":"https://docs.github.com/rest","status":"401"}"#,
            )),
            "nothing",
        ),
        (
            "Slack's error",
            message(&result(true, r#"{"ok":false,"error":"not_authed"}"#)),
            "nothing",
        ),
        (
            "Slack's error in a success",
            message(&result(false, r#"{"ok":false,"error":"invalid_auth"}"#)),
            "nothing",
        ),
        ("a refused good token", message(&result(true, "unable to authorize: claims")), "nothing"),
        ("prose in a success", message(&result(false, "You are not authorized.")), "nothing"),
        (
            "a success that quotes a refusal",
            message(&result(false, r#"{"adcp_error":{"code":"AUTH_REQUIRED"}}"#)),
            "nothing",
        ),
        (
            "structure of a refusal in a success",
            message(&ADCP_MISSING.replace("\"isError\":true", "\"isError\":false")),
            "nothing",
        ),
        (
            "a refusal that does not say so",
            message(&ADCP_MISSING.replace(",\"isError\":true", "")),
            "nothing",
        ),
        (
            "isError is no boolean",
            message(&ADCP_MISSING.replace("\"isError\":true", "\"isError\":\"true\"")),
            "nothing",
        ),
        (
            "isError deeper down",
            message(
                r#"{"jsonrpc":"2.0","id":1,"result":{"content":[],"structuredContent":{"isError":true,"adcp_error":{"code":"AUTH_REQUIRED"}}}}"#,
            ),
            "nothing",
        ),
        (
            "a document about OAuth",
            message(&result(
                false,
                "RFC 6749: the client opens [authorize](https://as.example/authorize?x=1); error invalid_token",
            )),
            "nothing",
        ),
        (
            "a document that quotes another gateway",
            message(&result(false, "[auth](https://gw.example/oauth/authorize?mcp_session=1)")),
            "nothing",
        ),
        (
            "a long document that quotes this one",
            message(&result(false, &format!("{}{link}", "word ".repeat(2000)))),
            "nothing",
        ),
        ("a link among other content", message(&two), "nothing"),
        (
            "a failure that quotes a foreign link",
            message(&result(
                true,
                "bad page: [auth](https://evil.example/authorize?mcp_session=1)",
            )),
            "nothing",
        ),
        (
            "a link to documentation",
            message(&rpc_error(-32603, "rate limit, see [docs](https://docs.example/limits)")),
            "nothing",
        ),
        (
            "a foreign address as it is",
            message(&rpc_error(-32603, "upstream https://as.example/authorize?x=1 is down")),
            "nothing",
        ),
        ("a tool that is hidden", message(&rpc_error(-32602, "Tool not found: query")), "nothing"),
        ("no session", message(&rpc_error(-32602, "Missing sessionId")), "nothing"),
        (
            "a bad request with a link",
            message(&rpc_error(-32600, "[auth](https://a.example/authorize)")),
            "nothing",
        ),
        (
            "an elicitation without data",
            message(&rpc_error(-32042, "This request requires more information.")),
            "nothing",
        ),
        (
            "a server's own request",
            message(
                r#"{"jsonrpc":"2.0","id":1,"method":"elicitation/create","params":{"mode":"url","url":"https://a.example/"},"error":{"code":-32603,"message":"[auth](https://a.example/)"}}"#,
            ),
            "nothing",
        ),
        (
            "a result and an error",
            message(&ADCP_MISSING.replace(
                "\"jsonrpc\"",
                "\"error\":{\"code\":-32603,\"message\":\"Unauthorized\"},\"jsonrpc\"",
            )),
            "nothing",
        ),
        (
            "isError twice",
            message(&ADCP_MISSING.replace("\"isError\":true", "\"isError\":true,\"isError\":true")),
            "nothing",
        ),
        (
            "a code twice",
            message(&adcp(r#"{"code":"AUTH_INVALID","code":"AUTH_MISSING"}"#)),
            "nothing",
        ),
        (
            "far too long",
            message(&result(
                true,
                &format!(
                    r#"{{"adcp_error":{{"code":"AUTH_REQUIRED"}},"a":"{}"}}"#,
                    "a".repeat(300_000)
                ),
            )),
            "nothing",
        ),
        ("cut off", message(&ADCP_MISSING[..ADCP_MISSING.len() - 1]), "nothing"),
        ("more behind it", message(&format!("{ADCP_MISSING}{{}}")), "nothing"),
        ("two in an array", message(&format!("[{ADCP_MISSING},{ADCP_TEXT}]")), "nothing"),
        ("a text", message("\"isError\":true"), "nothing"),
        ("empty", message(""), "nothing"),
    ]);
}

#[test]
fn what_is_not_utf_8_is_no_signal() {
    let mut bytes = ADCP_MISSING.as_bytes().to_vec();
    let at = ADCP_MISSING.find("jsonrpc").unwrap();
    bytes[at + 1] = 0xff;
    assert_eq!(of_message(&bytes, &server()), Signal::Nothing);
}

#[test]
fn depth_is_no_harm() {
    for (open, close) in [("[", "]"), (r#"{"a":"#, "}"), (r#"{"missing_connections":["#, "]}")] {
        let deep = format!("{}0{}", open.repeat(200_000), close.repeat(200_000));
        let texts = [
            ADCP_MISSING.replace("\"id\":1", &format!("\"id\":{deep}")),
            adcp(&format!(r#"{{"code":"AUTHORIZATION_REQUIRED","details":{deep}}}"#)),
            format!(r#"{{"error":{deep}}}"#),
            format!(r#"{{"result":{{"isError":true,"content":{deep}}}}}"#),
            result(true, &format!(r#"{{"adcp_error":{deep}}}"#)),
        ];
        let found = texts.map(|text| message(&text));
        assert_eq!(found, ["missing", "nothing", "nothing", "nothing", "nothing"], "{open}");
    }
}

#[test]
fn a_text_with_ten_thousand_links_is_read() {
    for piece in
        ["[auth](https://a.example/", "](", "[auth]( ", "https://a.example/ ", "sessionId="]
    {
        message(&rpc_error(-32603, &piece.repeat(10_000)));
    }
}

#[test]
fn a_refusal_says_to_people_what_it_says() {
    let Signal::Missing(demand) = of_message(ADCP_MISSING.as_bytes(), &server()) else { panic!() };
    let said = demand.said.unwrap();
    assert!(said.starts_with("Single-tenant agent requires"), "{said}");
    let hostile = adcp(
        r#"{"code":"AUTH_MISSING","message":"\u001b[31mred","suggestion":"?mcp_session=abc-123&x"}"#,
    );
    let Signal::Missing(demand) = of_message(hostile.as_bytes(), &server()) else { panic!() };
    let said = demand.said.unwrap();
    assert!(said.starts_with("\u{fffd}[31mred ?mcp_session=#") && said.ends_with("&x"), "{said}");
}

#[test]
fn an_elicitation_keeps_its_id_and_message() {
    let Signal::Follow(found) = of_message(ELICITATION.as_bytes(), &server()) else { panic!() };
    let invitation = &found.links[0];
    assert_eq!(invitation.elicitation_id.as_deref(), Some("550e8400-e29b-41d4-a716-446655440000"));
    assert_eq!(invitation.message, "Authorization is required to access your Example Co files.");
}
