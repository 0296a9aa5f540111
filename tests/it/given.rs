//! What the environment gives, for every provider of the catalog: a key from CI needs neither store nor
//! prompt, and reaches the child where the provider's programs look for it.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::support::sandbox::{Output, Sandbox};

/// Every provider, with the variables of each of its kinds.
fn providers(sandbox: &Sandbox) -> Vec<(String, Vec<Vec<String>>)> {
    let list = sandbox.run(["provider", "list", "--json"]).json();
    let texts = |list: &Value| -> Vec<String> {
        list.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
    };
    let kinds = |provider: &Value| {
        provider["kinds"].as_array().unwrap().iter().map(|kind| texts(&kind["variables"])).collect()
    };
    let providers = list["providers"].as_array().unwrap();
    providers.iter().map(|p| (p["id"].as_str().unwrap().to_owned(), kinds(p))).collect()
}

/// `exec --with PROVIDER -- env` where `variable` gives a key.
fn exec(sandbox: &Sandbox, provider: &str, variable: &str) -> Output {
    let mut command = sandbox.command(["exec", "--with", provider, "--", "env"]);
    command.env(variable, "g1ven").env("CI", "true");
    sandbox.start(command).finish()
}

#[test]
fn a_given_key_reaches_the_first_variable_of_its_kind_whoever_the_provider_is() {
    let sandbox = Sandbox::new();
    let providers = providers(&sandbox);
    assert!(providers.len() >= 47, "{providers:?}");
    for (provider, kinds) in &providers {
        let given = format!("AUTHCTL_{}_TOKEN", provider.to_uppercase().replace(['-', '.'], "_"));
        let output = exec(&sandbox, provider, &given);
        if kinds.iter().all(Vec::is_empty) {
            let stderr = output.failure(125);
            let hint = format!("authctl exec --with {provider}=VARIABLE");
            assert!(stderr.contains(&hint), "{stderr}");
            continue;
        }
        let child = output.success();
        let set = |child: &str| -> BTreeSet<String> {
            let firsts = kinds.iter().filter_map(|variables| variables.first());
            let is_set = |own: &&String| child.lines().any(|line| line == format!("{own}=g1ven"));
            firsts.filter(is_set).cloned().collect()
        };
        assert_eq!(set(&child).len(), 1, "{provider}: {child}");
        for own in kinds.iter().flatten() {
            let child = exec(&sandbox, provider, own).success();
            let reads = kinds.iter().find(|variables| variables.contains(own)).unwrap();
            assert_eq!(set(&child), BTreeSet::from([reads[0].clone()]), "{provider}, {own}");
        }
    }
    assert!(!sandbox.path("home/.local/share/authctl").exists(), "a store was made");
}

#[test]
fn a_password_without_its_user_makes_no_header() {
    let sandbox = Sandbox::new();
    let mut command = sandbox.command(["token", "atlassian", "--header"]);
    command.env("ATLASSIAN_API_TOKEN", "g1ven");
    let stderr = sandbox.start(command).finish().failure(2);
    assert!(stderr.contains("without the user name"), "{stderr}");
    let mut command = sandbox.command(["token", "gitlab", "--header"]);
    command.env("AUTHCTL_GITLAB_TOKEN", "g1ven");
    assert_eq!(sandbox.start(command).finish().success(), "PRIVATE-TOKEN: g1ven\n");
}
