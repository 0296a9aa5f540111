//! Ways to a key through the browser that follow no standard, as data: the code that is exchanged for a key
//! with PKCE, and the page that a person goes to while we ask whether they are done.

use std::collections::BTreeMap;
use std::time::Duration;

use toml::Spanned;

use super::file::{PkceTable, PollTable, Problem};
use super::value;

/// How a provider gives a key to a person's browser.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyFlow {
    Pkce(PkceKey),
    Poll(BrowserPoll),
}

/// `[provider.ID.KIND.pkce]`: the page sends the browser back with a code, which brings the key together
/// with the verifier (RFC 7636) that only we have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PkceKey {
    /// Where the browser is sent, with the challenge.
    pub page: String,
    /// Where code and verifier go (POST, JSON).
    pub exchange: String,
    /// The page's parameter for the address to come back to.
    pub callback: String,
    /// The member of the answer that is the key.
    pub answer: String,
    /// Further parameters of the page.
    pub parameters: BTreeMap<String, String>,
}

/// `[provider.ID.KIND.poll]`: a session is started, the browser goes to its page, and the key is asked for
/// until it is there. In addresses, `{member}` stands for that member of the session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrowserPoll {
    /// Makes a session (POST).
    pub start: String,
    /// Where the browser is sent.
    pub page: String,
    /// Says whether the person is done (GET); without it the exchange itself does.
    pub ready: Option<Ready>,
    /// Gives the key (POST).
    pub exchange: String,
    /// The member of the session that is sent as `Authorization: Bearer`.
    pub bearer: Option<String>,
    /// The member of the answer that is the key.
    pub answer: String,
    /// Between two questions.
    pub interval: Duration,
}

/// The address that says it, and the member that is true then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ready {
    pub address: String,
    pub member: String,
}

/// Checks the tables of one kind of credential, of which at most one can be there.
pub fn key_flow(
    pkce: Option<&Spanned<PkceTable>>,
    poll: Option<&Spanned<PollTable>>,
) -> Result<Option<KeyFlow>, Problem> {
    match (pkce, poll) {
        (None, None) => Ok(None),
        (Some(table), None) => pkce_key(table.get_ref()).map(KeyFlow::Pkce).map(Some),
        (None, Some(table)) => browser_poll(table.get_ref()).map(KeyFlow::Poll).map(Some),
        (Some(_), Some(table)) => {
            Err(Problem::new(table.span(), "one way through the browser is enough: pkce or poll"))
        }
    }
}

fn pkce_key(table: &PkceTable) -> Result<PkceKey, Problem> {
    let callback = table.callback.as_ref().map_or(Ok("callback_url".to_owned()), value::visible)?;
    let mut parameters = BTreeMap::new();
    for (name, text) in &table.parameters {
        if ["code_challenge", "code_challenge_method", &*callback].contains(&&**name.get_ref()) {
            return Err(Problem::new(name.span(), "is a parameter that authctl sets itself"));
        }
        parameters.insert(value::visible(name)?, text.get_ref().clone());
    }
    Ok(PkceKey {
        page: value::url(&table.page)?,
        exchange: value::url(&table.exchange)?,
        callback,
        answer: table.answer.as_ref().map_or(Ok("key".to_owned()), value::visible)?,
        parameters,
    })
}

fn browser_poll(table: &PollTable) -> Result<BrowserPoll, Problem> {
    let ready = match (&table.ready, &table.until) {
        (None, None) => None,
        (Some(address), Some(member)) => {
            Some(Ready { address: value::template(address)?, member: value::visible(member)? })
        }
        (Some(lonely), None) | (None, Some(lonely)) => {
            return Err(Problem::new(lonely.span(), "ready and until belong together"));
        }
    };
    let page = &table.page;
    let interval = match &table.interval {
        None => 2,
        Some(seconds) if (1..=60).contains(seconds.get_ref()) => *seconds.get_ref(),
        Some(seconds) => {
            return Err(Problem::new(seconds.span(), "is not between 1 and 60 seconds"));
        }
    };
    Ok(BrowserPoll {
        start: value::url(&table.start)?,
        // The session may name the page itself; then it is checked when it comes.
        page: if value::is_placeholder(page.get_ref()) {
            page.get_ref().clone()
        } else {
            value::template(page)?
        },
        ready,
        exchange: value::template(&table.exchange)?,
        bearer: table.bearer.as_ref().map(value::visible).transpose()?,
        answer: value::visible(&table.answer)?,
        interval: Duration::from_secs(interval),
    })
}

#[cfg(test)]
mod tests {
    use crate::config::{Config, KeyFlow};

    fn read(text: &str) -> Result<Option<KeyFlow>, String> {
        let config = Config::parse("c.toml".as_ref(), text).map_err(|error| error.to_string())?;
        Ok(config.provider("x").unwrap().schemes[0].flow.clone())
    }

    const PKCE: &str = "[provider.x.api_key.pkce]\npage = \"https://x.example/auth\"\n\
                        exchange = \"https://x.example/keys\"\n";
    const POLL: &str = "[provider.x.bearer.poll]\nstart = \"https://x.example/s\"\n\
                        page = \"{authUrl}\"\nexchange = \"https://x.example/s/{id}/e?a={b}\"\n\
                        answer = \"key\"\n";

    #[test]
    fn what_is_left_out_is_as_most_have_it() {
        let Ok(Some(KeyFlow::Pkce(flow))) = read(PKCE) else { panic!() };
        assert_eq!((flow.callback.as_str(), flow.answer.as_str()), ("callback_url", "key"));
        let Ok(Some(KeyFlow::Poll(flow))) = read(POLL) else { panic!() };
        assert_eq!((flow.interval.as_secs(), flow.ready, flow.bearer), (2, None, None));
    }

    #[test]
    fn every_value_is_checked_where_it_stands() {
        for (text, line, key, part) in [
            (
                PKCE,
                "parameters = { code_challenge = \"x\" }",
                "parameters.code_challenge",
                "itself",
            ),
            (PKCE, "parameters = { callback_url = \"x\" }", "parameters.callback_url", "itself"),
            (PKCE, "answer = \"\"", "answer", "empty"),
            (PKCE, "client_id = \"x\"", "client_id", "unknown"),
            (POLL, "interval = 0", "interval", "between 1 and 60"),
            (POLL, "interval = 61", "interval", "between 1 and 60"),
            (POLL, "until = \"done\"", "until", "belong together"),
            (POLL, "ready = \"https://x.example/{id}\"", "ready", "belong together"),
            (POLL, "until = \"done\"\nready = \"{id}\"", "ready", "no host"),
            (POLL, "until = \"done\"\nready = \"https://{id}.example/\"", "ready", "no host"),
            (POLL, "until = \"done\"\nready = \"https://x.example/{a b}\"", "ready", "{member}"),
            (POLL, "until = \"done\"\nready = \"https://x.example/{id\"", "ready", "{member}"),
            (POLL, "until = \"done\"\nready = \"http://x.example/{id}\"", "ready", "https"),
        ] {
            let message = read(&format!("{text}{line}\n")).unwrap_err();
            assert!(message.contains(key) && message.contains(part), "{line}: {message}");
        }
    }

    #[test]
    fn one_way_is_enough_and_passwords_have_none() {
        let both = format!("{PKCE}{}", POLL.replace("bearer", "api_key"));
        assert!(read(&both).unwrap_err().contains("pkce or poll"));
        let basic = PKCE.replace("api_key", "basic");
        assert!(read(&basic).unwrap_err().contains("name and password"));
    }
}
