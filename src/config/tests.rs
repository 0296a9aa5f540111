//! The catalog as a whole, the user's file over it, and the file that remembers.

use super::*;
use crate::credential::{Grant, Kind};

const IDS: [&str; 55] = [
    "adcp",
    "amp",
    "anthropic",
    "asana",
    "atlassian",
    "audiostack",
    "augment",
    "aws-bedrock",
    "azure-openai",
    "brave",
    "canva",
    "cline",
    "cloudflare",
    "cohere",
    "cursor",
    "dashscope",
    "deepseek",
    "elevenlabs",
    "exa",
    "factory",
    "figma",
    "firecrawl",
    "fireworks",
    "github",
    "gitlab",
    "google",
    "groq",
    "hubspot",
    "huggingface",
    "intercom",
    "linear",
    "mistral",
    "moonshot",
    "neon",
    "netlify",
    "notion",
    "openai",
    "openrouter",
    "paypal",
    "perplexity",
    "qoder",
    "replicate",
    "sentry",
    "slack",
    "solvapay",
    "square",
    "stability",
    "stripe",
    "supabase",
    "tavily",
    "together",
    "vercel",
    "webflow",
    "xai",
    "zapier",
];

fn parse(text: &str) -> Config {
    Config::parse(Path::new("config.toml"), text).unwrap()
}

#[test]
fn the_catalog_has_every_provider() {
    let config = Config::default();
    let ids: Vec<&str> = config.providers().map(|provider| provider.id.as_str()).collect();
    assert_eq!(ids, IDS);
    assert!(config.providers().all(|provider| provider.source == Source::Catalog));
}

#[test]
fn the_catalog_names_no_client_and_only_https() {
    for provider in Config::default().providers() {
        let id = &provider.id;
        let mut urls = vec![&provider.base_url, &provider.mcp_url];
        let mut flows = Vec::new();
        for scheme in &provider.schemes {
            let verify = scheme.verify.as_ref().map(|verify| &verify.url);
            assert!(verify.is_none_or(|url| url.starts_with("https://")), "{id}");
            urls.push(&scheme.create_at);
            flows.extend(scheme.flow.iter().flat_map(|flow| match flow {
                KeyFlow::Pkce(flow) => [flow.page.clone(), flow.exchange.clone()],
                KeyFlow::Poll(flow) => [flow.start.clone(), flow.exchange.clone()],
            }));
            if let Some(oauth) = &scheme.oauth {
                assert_eq!(oauth.client_id, None, "{id}");
                urls.extend([
                    &oauth.issuer,
                    &oauth.authorization_endpoint,
                    &oauth.token_endpoint,
                    &oauth.refresh_endpoint,
                    &oauth.device_authorization_endpoint,
                    &oauth.revocation_endpoint,
                    &oauth.registration_endpoint,
                    &oauth.resource,
                ]);
            }
        }
        let urls = urls.into_iter().flatten().chain(&flows);
        assert!(urls.into_iter().all(|url| url.starts_with("https://")), "{id}");
        assert!(
            provider.hosts.iter().all(|host| host.contains('.') && !host.contains(':')),
            "{id}"
        );
    }
}

#[test]
fn the_catalog_is_consistent() {
    for provider in Config::default().providers() {
        let id = &provider.id;
        for scheme in &provider.schemes {
            assert_eq!(scheme.oauth.is_some(), scheme.kind == Kind::OAuth, "{id}");
            assert_eq!(scheme.header.format.matches('{').count(), 1, "{id}");
            assert!(scheme.header.format.contains(value::placeholder(scheme.kind)), "{id}");
            let Some(oauth) = &scheme.oauth else {
                continue;
            };
            // Without metadata, PKCE is either known to be checked or a named exception.
            let browser = oauth.grants.contains(&Grant::AuthorizationCode);
            assert!(!browser || oauth.issuer.is_some() || oauth.pkce.is_some(), "{id}");
            // Whoever must bring a client cannot be at a server that has an issuer only for us.
            if oauth.client == ClientRule::Register {
                assert!(oauth.issuer.is_some(), "{id}");
            }
        }
    }
}

#[test]
fn a_variable_belongs_to_one_provider() {
    let mut owners: BTreeMap<String, String> = BTreeMap::new();
    for provider in Config::default().providers() {
        for variable in provider.variables() {
            let owner = owners.entry(variable.to_owned()).or_insert_with(|| provider.id.clone());
            assert_eq!(*owner, provider.id, "{variable}");
        }
    }
}

#[test]
fn known_traps_of_precedence_are_in_the_catalog() {
    let config = Config::default();
    let first =
        |id: &str, kind| config.provider(id).unwrap().scheme(kind).unwrap().variables[0].clone();
    let rivals =
        |id: &str| config.provider(id).unwrap().variables().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(first("google", Kind::ApiKey), "GEMINI_API_KEY");
    assert!(rivals("google").contains(&"GOOGLE_API_KEY".to_owned()));
    assert_eq!(first("github", Kind::OAuth), "GH_TOKEN");
    assert!(rivals("github").contains(&"GITHUB_TOKEN".to_owned()));
    assert!(rivals("cloudflare").contains(&"CLOUDFLARE_API_KEY".to_owned()));
    assert_eq!(first("azure-openai", Kind::ApiKey), "AZURE_OPENAI_API_KEY");
    assert_eq!(first("azure-openai", Kind::Bearer), "AZURE_OPENAI_AD_TOKEN");
}

#[test]
fn a_provider_of_the_file_replaces_the_built_in_one_whole() {
    let config = parse("\n[provider.github.bearer]\n\n[provider.mine.api_key]\n");
    let github = config.provider("github").unwrap();
    assert_eq!(github.source, Source::File { path: "config.toml".into(), line: 2 });
    assert!(github.base_url.is_none() && github.scheme(Kind::OAuth).is_none());
    assert_eq!(config.providers().count(), IDS.len() + 1);
    assert!(config.provider("openai").is_ok());
}

#[test]
fn an_unknown_provider_is_answered_with_names_like_it() {
    let config = parse("[provider.internal-api.api_key]\n");
    let nearest = |name: &str| match config.provider(name).unwrap_err() {
        Error::UnknownProvider { nearest, .. } => nearest,
        other => panic!("{other}"),
    };
    assert_eq!(nearest("githbu")[0], "github");
    assert_eq!(nearest("open-ai"), ["openai"]);
    assert_eq!(nearest("azure"), ["azure-openai"]);
    assert_eq!(nearest("gemini"), Vec::<String>::new());
    assert_eq!(nearest("hugging"), ["huggingface"]);
    assert_eq!(nearest("internal"), ["internal-api"]);
    assert!(nearest("").is_empty() && nearest("zzzzzzzzzzzz").is_empty());
    assert!(nearest(&"g".repeat(100_000)).is_empty());
    let message = config.provider("a\u{1b}[31mb").unwrap_err().to_string();
    assert!(!message.contains('\u{1b}'), "{message:?}");
}

#[test]
fn a_file_that_is_not_there_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let config =
        Config::load(&directory.path().join("config.toml"), Path::new("/nowhere")).unwrap();
    assert_eq!((config.store, config.passphrase), (None, false));
}

#[test]
fn a_file_that_is_not_text_is_refused_with_its_line() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("config.toml");
    std::fs::write(&path, b"# one\nstore = \"\xff\"\n").unwrap();
    let message = Config::load(&path, Path::new("/nowhere")).unwrap_err().to_string();
    assert!(message.contains("config.toml:2: is not UTF-8"), "{message}");
}

#[test]
fn the_store_is_remembered_beside_what_people_wrote() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sub/config.toml");
    remember_store(&path, StoreChoice::File).unwrap();
    let config = Config::load(&path, Path::new("/nowhere")).unwrap();
    assert_eq!((config.store, config.passphrase), (Some(StoreChoice::File), false));

    let written = "# mine\n[provider.x.api_key] # a key\nvariables = [ 'X' ]\n";
    std::fs::write(&path, written).unwrap();
    remember_store(&path, StoreChoice::Keychain).unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    assert_eq!(text, format!("store = \"keychain\"\n{written}"));
    remember_store(&path, StoreChoice::File).unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    assert_eq!(text, format!("store = \"file\"\n{written}"));

    std::fs::write(&path, "# a\nstore = \"file\" # b\npassphrase = true\n# c\n").unwrap();
    remember_store(&path, StoreChoice::Keychain).unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    assert_eq!(text, "# a\nstore = \"keychain\" # b\npassphrase = true\n# c\n");
}

#[test]
fn nothing_is_remembered_in_a_broken_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("config.toml");
    std::fs::write(&path, "stor = \"file\"\n").unwrap();
    assert!(remember_store(&path, StoreChoice::File).is_err());
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "stor = \"file\"\n");
}

#[cfg(unix)]
#[test]
fn remembering_writes_through_a_link() {
    let directory = tempfile::tempdir().unwrap();
    let target = directory.path().join("dotfiles.toml");
    std::fs::write(&target, "").unwrap();
    let path = directory.path().join("config.toml");
    std::os::unix::fs::symlink("dotfiles.toml", &path).unwrap();
    remember_store(&path, StoreChoice::File).unwrap();
    assert!(path.is_symlink());
    assert_eq!(std::fs::read_to_string(&target).unwrap(), "store = \"file\"\n");
}

/// The manual page, in which every quoted example is a file of its own.
const PAGE: &str = include_str!("../../man/authctl-config.5");

#[test]
fn the_examples_of_the_manual_page_load() {
    let examples: Vec<&str> = PAGE
        .split(".Bd -literal -offset indent\n")
        .skip(1)
        .map(|rest| rest.split(".Ed").next().unwrap_or_default())
        .collect();
    assert_eq!(examples.len(), 12);
    for example in examples {
        Config::parse(Path::new("example"), example).unwrap_or_else(|error| panic!("{error}"));
    }
}

#[test]
fn the_manual_page_names_every_key() {
    let tables = [
        "",
        "[provider.x]\n",
        "[provider.x.api_key]\n",
        "[provider.x.api_key.pkce]\n",
        "[provider.x.api_key.poll]\n",
        "[provider.x.oauth]\n",
        "[provider.x.oauth.identity]\n",
        "[provider.x.oauth.exchange]\n",
        "[agent.x]\n",
        "[acp_agent.x]\n",
        "[[acp_agent.x.providers]]\n",
        "[credential.x]\n",
        "[log]\n",
    ];
    let mut count = 0;
    for table in tables {
        let message = Config::parse(Path::new("x"), &format!("{table}nothing = 1\n"))
            .unwrap_err()
            .to_string();
        let known = message.split("expected one of ").nth(1);
        let known = known.or_else(|| message.split("expected ").nth(1)).unwrap_or_default();
        for key in known.split('`').skip(1).step_by(2) {
            count += 1;
            let tables = [format!("[{key}]"), format!("[{key}."), format!("[provider.ID.{key}]")];
            let is_named = |written: &str| PAGE.contains(&format!("Ic {written}"));
            assert!(is_named(key) || tables.iter().any(|table| is_named(table)), "{table}{key}");
        }
    }
    assert!(count > 35, "{count}");
}

#[test]
fn deep_nesting_is_refused_and_does_not_exhaust_the_stack() {
    for unit in ["[", "{a=", "a.", "[{a="] {
        let text = format!("x = {}", unit.repeat(200_000));
        assert!(Config::parse(Path::new("x"), &text).is_err(), "{unit}");
        let text = format!("[{}b]\n", "a.".repeat(1_000));
        assert!(Config::parse(Path::new("x"), &text).is_err());
    }
}

proptest::proptest! {
    #[test]
    fn any_text_is_read_or_refused_in_one_clean_line(text in ".*|(\\PC|\n){0,80}") {
        if let Err(error) = Config::parse(Path::new("x"), &text) {
            let message = error.to_string();
            proptest::prop_assert!(!message.chars().any(char::is_control), "{:?}", message);
        }
    }

    #[test]
    fn a_damaged_catalog_is_read_or_refused(
        at in proptest::prelude::any::<proptest::sample::Index>(),
        length in 0usize..60,
        inserted in "[\\[\\]{}=\".,a-z_\n]{0,6}",
    ) {
        let catalog = include_str!("catalog.toml");
        // The catalog is ASCII, so every position is a boundary.
        let start = at.index(catalog.len());
        let end = (start + length).min(catalog.len());
        let text = format!("{}{inserted}{}", &catalog[..start], &catalog[end..]);
        if let Err(error) = Config::parse(Path::new("x"), &text) {
            proptest::prop_assert!(error.to_string().starts_with("x:"), "{}", error);
        }
    }
}
