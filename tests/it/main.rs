//! The integration tests: they run the real binary against loopback servers in a home of its own. One crate,
//! so that it is linked once.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::too_many_lines,
    reason = "a test ends where something unexpected happens, and says where; its table of cases is long"
)]

#[cfg(unix)]
mod accounts;
#[cfg(unix)]
mod acp;
#[cfg(unix)]
mod acp_away;
#[cfg(unix)]
mod acp_chain;
mod acp_deserted;
mod acp_doctor;
#[cfg(unix)]
mod acp_helper;
#[cfg(target_os = "linux")]
mod acp_hostile;
#[cfg(unix)]
mod acp_parameter;
#[cfg(unix)]
mod acp_playback;
#[cfg(unix)]
mod acp_servers;
#[cfg(unix)]
mod acp_sign_in;
#[cfg(unix)]
mod acp_sign_out;
#[cfg(unix)]
mod acp_surroundings;
#[cfg(target_os = "linux")]
mod audit;
#[cfg(unix)]
mod bad_input;
mod binding;
#[cfg(unix)]
mod client_keys;
#[cfg(unix)]
mod client_refusals;
#[cfg(unix)]
mod client_round_trips;
#[cfg(unix)]
mod conform;
#[cfg(target_os = "linux")]
mod damage;
mod dpop;
mod fakes;
#[cfg(unix)]
mod files;
mod generated;
mod given;
#[cfg(unix)]
mod headless;
#[cfg(unix)]
mod hostile;
#[cfg(unix)]
mod import;
mod interruptions;
#[cfg(unix)]
mod json_output;
#[cfg(unix)]
mod key_flow;
#[cfg(target_os = "linux")]
mod keychain;
mod layers;
mod login;
mod machine;
#[cfg(unix)]
mod manifest;
#[cfg(unix)]
mod mcp_auth;
#[cfg(unix)]
mod mcp_brakes;
#[cfg(unix)]
mod mcp_child;
mod mcp_child_faults;
#[cfg(unix)]
mod mcp_clients;
#[cfg(unix)]
mod mcp_clients_asked;
#[cfg(unix)]
mod mcp_convert;
#[cfg(unix)]
mod mcp_faults;
#[cfg(unix)]
mod mcp_gates;
#[cfg(unix)]
mod mcp_hostile;
#[cfg(unix)]
mod mcp_import;
#[cfg(target_os = "linux")]
mod mcp_keychain;
#[cfg(unix)]
mod mcp_legacy;
#[cfg(unix)]
mod mcp_links;
#[cfg(target_os = "linux")]
mod mcp_listen;
#[cfg(target_os = "linux")]
mod mcp_long;
#[cfg(unix)]
mod mcp_modern;
#[cfg(unix)]
mod mcp_rejected;
#[cfg(unix)]
mod mcp_session;
#[cfg(unix)]
mod mcp_settings;
#[cfg(unix)]
mod mcp_signals;
#[cfg(unix)]
mod one_login;
mod origin;
#[cfg(target_os = "linux")]
mod persistence;
#[cfg(unix)]
mod processes;
#[cfg(unix)]
mod prompts;
mod provider_add;
#[cfg(unix)]
mod proxy_bound;
#[cfg(target_os = "linux")]
mod proxy_crowd;
#[cfg(unix)]
mod proxy_faults;
#[cfg(unix)]
mod proxy_forward;
#[cfg(unix)]
mod proxy_fresh;
#[cfg(unix)]
mod proxy_hostile;
#[cfg(unix)]
mod proxy_inside;
#[cfg(target_os = "linux")]
mod proxy_limits;
#[cfg(unix)]
mod proxy_long;
#[cfg(target_os = "linux")]
mod proxy_names;
#[cfg(target_os = "linux")]
mod proxy_office;
#[cfg(unix)]
mod proxy_options;
#[cfg(unix)]
mod proxy_reflection;
#[cfg(unix)]
mod proxy_reverse;
#[cfg(target_os = "linux")]
mod proxy_secrets;
#[cfg(target_os = "linux")]
mod proxy_streams;
mod pushed;
#[cfg(target_os = "linux")]
mod real_acp;
#[cfg(target_os = "linux")]
mod real_acp_rust;
mod real_conformance;
mod real_dpop;
mod real_keychain;
mod real_machine;
mod real_mcp;
mod real_mcp_listen;
mod real_mcp_local;
mod real_mcp_sdks;
mod real_mcp_sign_in;
mod real_oidc;
mod real_parts;
mod real_proxy;
mod real_proxy_page;
mod real_ssh;
mod refresh;
#[cfg(unix)]
mod secrecy;
mod status;
mod support;
#[cfg(unix)]
mod terminal;
#[cfg(unix)]
mod transcripts;

/// A test file that is not named above would silently never run.
#[test]
fn every_test_file_is_listed() {
    let directory = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it");
    let main = std::fs::read_to_string(directory.join("main.rs")).unwrap();
    for entry in std::fs::read_dir(directory).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let module = name.trim_end_matches(".rs");
        let is_listed = main.lines().any(|line| line == format!("mod {module};"));
        assert!(module == "main" || is_listed, "tests/it/main.rs does not list {name}");
    }
}
