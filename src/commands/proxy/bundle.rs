//! What leads a child's requests to the proxy, and has it believe what it meets there.

use super::lend::Loan;
use crate::commands::environment::Environment;
use crate::context::{Context, raw_environment};
use crate::error::{CommandError, Kind, chain};
use crate::interact::Interact;
use crate::proxy::{Authority, Bundle};
use crate::secret::Secret;

/// Variables that name a proxy, in both cases: programs read one or the other.
const PROXIES: [&str; 6] =
    ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"];
const NO_PROXY: [&str; 2] = ["NO_PROXY", "no_proxy"];
/// Node's own clients read the variables only if they are told to.
const NODE: &str = "NODE_USE_ENV_PROXY";

/// Names of this computer, which no proxy is asked for.
const OWN: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// Writes the roots that a child is to believe.
pub fn write(context: &Context, authority: &Authority) -> Result<Bundle, CommandError> {
    let bundle = Bundle::write(authority.certificate_pem(), raw_environment)
        .map_err(|error| CommandError::new(Kind::Failed, chain(&error)))?;
    for (variable, path) in bundle.unread() {
        context.ui.warn(&format!(
            "{variable} names {}, in which there are no certificates: it is left out",
            path.display()
        ));
    }
    Ok(bundle)
}

/// The variables of a child.
pub fn put(
    environment: &mut Environment,
    bundle: &Bundle,
    port: u16,
    key: &Secret,
    loans: &[Loan],
) {
    for (variable, file) in bundle.variables() {
        environment.add(variable, &file.to_string_lossy());
    }
    let proxy = proxy_url(port, key);
    for variable in PROXIES {
        environment.add(variable, &proxy);
    }
    let is_bound = |own: &&str| {
        let own = if own.contains(':') { format!("[{own}]") } else { (*own).to_owned() };
        let mut hosts = loans.iter().flat_map(|loan| &loan.provider.hosts);
        hosts.any(|host| {
            *host == own || host.strip_prefix(&own).is_some_and(|rest| rest.starts_with(':'))
        })
    };
    let direct: Vec<&str> = OWN.into_iter().filter(|own| !is_bound(own)).collect();
    for variable in NO_PROXY {
        environment.add(variable, &direct.join(","));
    }
    environment.add(NODE, "1");
}

/// Where programs find the proxy, with its key.
pub fn proxy_url(port: u16, key: &Secret) -> String {
    format!("http://authctl:{}@127.0.0.1:{port}", key.expose())
}
