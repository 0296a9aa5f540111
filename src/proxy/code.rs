//! The words by which programs tell the proxy's own answers apart: stable, and explained in authctl-config(5).

use hyper::StatusCode;

macro_rules! codes {
    ($($code:ident = $status:ident $name:literal,)*) => {
        /// What stands in the way of a request.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Code { $($code,)* }

        impl Code {
            #[cfg(test)]
            const ALL: &[Code] = &[$(Code::$code,)*];

            /// Goes with it always.
            pub fn status(self) -> StatusCode {
                match self { $(Code::$code => StatusCode::$status,)* }
            }

            pub fn as_str(self) -> &'static str {
                match self { $(Code::$code => $name,)* }
            }
        }
    };
}

codes! {
    KeyUnknown = UNAUTHORIZED "key_unknown",
    AccountOpen = UNAUTHORIZED "account_open",
    ProxyKeyUnknown = PROXY_AUTHENTICATION_REQUIRED "proxy_key_unknown",
    KeyOfAnother = FORBIDDEN "key_of_another",
    HostOfAnother = FORBIDDEN "host_of_another",
    HostDenied = FORBIDDEN "host_denied",
    RuleDenied = FORBIDDEN "rule_denied",
    OriginForeign = FORBIDDEN "origin_foreign",
    AddressForbidden = FORBIDDEN "address_forbidden",
    HostForeign = MISDIRECTED_REQUEST "host_foreign",
    RouteUnknown = NOT_FOUND "route_unknown",
    PathUnsafe = BAD_REQUEST "path_unsafe",
    PathUnfit = BAD_REQUEST "path_unfit",
    TargetUnfit = BAD_REQUEST "target_unfit",
    Framing = BAD_REQUEST "framing",
    RequestIncomplete = BAD_REQUEST "request_incomplete",
    HeadTooLong = REQUEST_HEADER_FIELDS_TOO_LARGE "head_too_long",
    CredentialUnavailable = SERVICE_UNAVAILABLE "credential_unavailable",
    CredentialUnfit = SERVICE_UNAVAILABLE "credential_unfit",
    UpstreamUnreachable = BAD_GATEWAY "upstream_unreachable",
    UpstreamCertificate = BAD_GATEWAY "upstream_certificate",
    UpstreamInterrupted = BAD_GATEWAY "upstream_interrupted",
    UpstreamInvalid = BAD_GATEWAY "upstream_invalid",
    UpstreamFailed = BAD_GATEWAY "upstream_failed",
    UpstreamTimeout = GATEWAY_TIMEOUT "upstream_timeout",
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_explained_in_the_manual_with_its_status() {
        let manual = include_str!("../../man/authctl-config.5");
        let explained = manual.lines().filter(|line| line.starts_with(".It Sy ")).count();
        for code in Code::ALL {
            let line = format!("\n.It Sy {} {}\n", code.status().as_u16(), code.as_str());
            assert!(manual.contains(&line), "{line}");
        }
        assert_eq!(explained, Code::ALL.len());
    }
}
