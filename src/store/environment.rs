//! Credentials given in the environment: read only, for the account `default`, and without any
//! keychain, browser or prompt.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use super::error::Error;
use crate::credential::variable_part;
use crate::private_file;
use crate::secret::{Secret, Unfit};

/// A credential that the environment gave.
#[derive(Debug)]
pub struct Given {
    /// Where it stood.
    pub variable: String,
    pub secret: Secret,
}

/// What decides whether a given credential counts.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::struct_excessive_bools, reason = "five independent facts, no states")]
pub struct GivenRule {
    /// The account was named: in the name, by a flag, a variable or a manifest.
    pub account_named: bool,
    /// It is the account `default`.
    pub default_account: bool,
    /// Something is stored under the name.
    pub stored: bool,
    /// `CI` is set.
    pub ci: bool,
    /// Inside another `exec`: the provider's own variable then is that one's injection.
    pub nested: bool,
}

/// `AUTHCTL_<PROVIDER>_TOKEN`: upper case, with `_` for `-` and `.`.
pub fn token_variable(provider_id: &str) -> String {
    format!("AUTHCTL_{}_TOKEN", variable_part(provider_id))
}

/// The credential that `environment` gives for a provider. [`token_variable`] always wins for the default
/// account, and is an error when empty. The provider's `own_variables`, in their order, count when
/// nothing is stored or in CI, but never when nested or when an account was named; empty is unset.
pub fn given(
    provider_id: &str,
    own_variables: &[String],
    rule: GivenRule,
    environment: &dyn Fn(&str) -> Option<OsString>,
) -> Result<Option<Given>, Error> {
    if !rule.default_account {
        return Ok(None);
    }
    let variable = token_variable(provider_id);
    if let Some(value) = environment(&variable) {
        return parse(variable, &value).map(Some);
    }
    if rule.nested || rule.account_named || (rule.stored && !rule.ci) {
        return Ok(None);
    }
    own_variables
        .iter()
        .find_map(|own| Some((own, environment(own).filter(|value| !value.is_empty())?)))
        .map(|(own, value)| parse(own.clone(), &value))
        .transpose()
}

/// The id of a provider's given credential: random, made at first use and kept in `state`, so that it
/// stays the same from run to run and while the key is replaced. Where nothing can be kept, a new one.
pub fn given_id(state: &Path, provider_id: &str) -> String {
    let file = state.join("given").join(provider_id);
    let kept = private_file::read(&file, 256).ok().flatten();
    if let Some(id) = kept.and_then(|bytes| String::from_utf8(bytes).ok()) {
        return crate::text::clean(&id);
    }
    let id = crate::credential::new_id();
    // A read-only home, as in many CI containers, is no reason to stop.
    let _ = private_file::make_directory(&state.join("given"))
        .and_then(|()| private_file::replace(&file, id.as_bytes()));
    id
}

fn parse(variable: String, value: &OsStr) -> Result<Given, Error> {
    let parsed = match value.to_str() {
        Some(text) => Secret::parse_token(text),
        None => Err(Unfit::NotAscii(first_foreign(value))),
    };
    match parsed {
        Ok(secret) => Ok(Given { variable, secret }),
        Err(source) => Err(Error::Given { variable, source }),
    }
}

/// Position, from 1, of the first byte outside ASCII.
fn first_foreign(value: &OsStr) -> usize {
    value.as_encoded_bytes().iter().take_while(|byte| byte.is_ascii()).count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: GivenRule = GivenRule {
        account_named: false,
        default_account: true,
        stored: false,
        ci: false,
        nested: false,
    };

    fn variable_given(rule: GivenRule, environment: &[(&str, &str)]) -> Option<String> {
        let look = |name: &str| {
            environment.iter().find(|(own, _)| *own == name).map(|(_, value)| value.into())
        };
        let own = ["GH_TOKEN".to_owned(), "GITHUB_TOKEN".to_owned()];
        given("git-hub.com", &own, rule, &look).unwrap().map(|given| given.variable)
    }

    #[test]
    fn authctls_own_variable_wins_for_the_default_account_alone() {
        let both = [("AUTHCTL_GIT_HUB_COM_TOKEN", "a"), ("GH_TOKEN", "b")];
        let expected = Some("AUTHCTL_GIT_HUB_COM_TOKEN".to_owned());
        assert_eq!(variable_given(PLAIN, &both), expected);
        let everything = GivenRule { account_named: true, stored: true, nested: true, ..PLAIN };
        assert_eq!(variable_given(everything, &both), expected);
        assert_eq!(variable_given(GivenRule { default_account: false, ..PLAIN }, &both), None);
    }

    #[test]
    fn the_providers_variable_counts_when_nothing_is_stored_or_in_ci() {
        let own = [("GITHUB_TOKEN", "b"), ("GH_TOKEN", "")];
        let found = Some("GITHUB_TOKEN".to_owned());
        assert_eq!(variable_given(PLAIN, &own), found);
        assert_eq!(variable_given(GivenRule { stored: true, ..PLAIN }, &own), None);
        assert_eq!(variable_given(GivenRule { stored: true, ci: true, ..PLAIN }, &own), found);
        assert_eq!(variable_given(GivenRule { nested: true, ..PLAIN }, &own), None);
        assert_eq!(variable_given(GivenRule { account_named: true, ..PLAIN }, &own), None);
    }

    #[test]
    fn the_first_of_the_providers_variables_is_taken() {
        let own = [("GITHUB_TOKEN", "b"), ("GH_TOKEN", "a")];
        assert_eq!(variable_given(PLAIN, &own), Some("GH_TOKEN".to_owned()));
    }

    #[test]
    fn an_unfit_value_is_named_by_its_variable_only() {
        let wrong = |value: &'static str| {
            let look = move |name: &str| (name == "AUTHCTL_X_TOKEN").then(|| value.into());
            given("x", &[], PLAIN, &look).unwrap_err().to_string()
        };
        assert!(wrong("").contains("AUTHCTL_X_TOKEN cannot be a credential: it is empty"));
        let line = wrong("hunter2\n");
        assert!(line.contains("control character at position 8"), "{line}");
        assert!(!line.contains("hunter2"), "{line}");
    }

    #[cfg(unix)]
    #[test]
    fn bytes_that_are_no_text_are_refused() {
        use std::os::unix::ffi::OsStringExt;
        let look = |name: &str| {
            (name == "AUTHCTL_X_TOKEN").then(|| OsString::from_vec(vec![b'a', 0xff, b'b']))
        };
        let error = given("x", &[], PLAIN, &look).unwrap_err();
        assert!(matches!(error, Error::Given { source: Unfit::NotAscii(2), .. }), "{error}");
    }
}
