//! The listing of models that an agent asks its provider for by way of authctl's proxy: whether the person's rules
//! for the proxy let it pass.

use hyper::{Method, Uri};

use crate::config::{ProxyRule, RequestPattern};
use crate::context::Context;
use crate::credential::Name;
use crate::error::CommandError;
use crate::proxy::Rules;

/// The request, and what keeps it from passing.
pub struct Listing {
    pub path: String,
    /// The line of `config.toml` that lets it pass; `None`: it does.
    pub mend: Option<String>,
}

impl Listing {
    /// Of an agent that has the models listed at `path`, below the provider's base URL.
    pub fn of(context: &Context, name: &Name, path: &str) -> Result<Option<Self>, CommandError> {
        let Some(base) = &context.provider(name)?.base_url else { return Ok(None) };
        let Ok(uri) = format!("{}{path}", base.trim_end_matches('/')).parse::<Uri>() else {
            return Ok(None);
        };
        let written = context.config()?.written_proxy(name);
        let mend = written.and_then(|(section, rule)| mend(section, rule, &uri));
        Ok(Some(Self { path: uri.path().to_owned(), mend }))
    }
}

fn mend(section: &str, rule: &ProxyRule, uri: &Uri) -> Option<String> {
    let passes = |allow: &[RequestPattern], deny: &[RequestPattern]| {
        let rule = ProxyRule { allow: allow.to_vec(), deny: deny.to_vec(), ..ProxyRule::default() };
        Rules::new(&rule).check(section, &Method::GET, uri).is_ok()
    };
    let list = |patterns: Vec<String>| {
        let quoted: Vec<String> = patterns.iter().map(|it| format!("\"{it}\"")).collect();
        format!("[{}]", quoted.join(", "))
    };
    let mut lines = Vec::new();
    if !passes(&rule.allow, &[]) {
        let asked = format!("GET {}", uri.path());
        let allowed = rule.allow.iter().map(RequestPattern::to_string).chain([asked]);
        lines.push(format!("allow = {}", list(allowed.collect())));
    }
    if !passes(&[], &rule.deny) {
        let kept = rule.deny.iter().filter(|it| passes(&[], std::slice::from_ref(it)));
        lines.push(format!("deny = {}", list(kept.map(RequestPattern::to_string).collect())));
    }
    (!lines.is_empty()).then(|| format!("[proxy.\"{section}\"] {}", lines.join(" ")))
}
