//! The proxy for a URL, by the usual variables of the environment.
//!
//! `ureq` reaches every host by a tunnel (`CONNECT`), also for `http` URLs, where other programs ask the proxy for the
//! whole URL: a proxy must allow tunnels to the port.

use ureq::Proxy;
use url::Url;

use crate::error::{Error, ErrorKind};

/// `HTTPS_PROXY` or `HTTP_PROXY` by the URL's scheme, else `ALL_PROXY`, unless `NO_PROXY` names the host. Lower-case
/// names come first, empty values count as unset.
pub(crate) fn for_url(url: &Url, variable: impl Fn(&str) -> Option<String>) -> Result<Option<Proxy>, Error> {
    let set = |name: &&'static str| variable(name).filter(|value| !value.is_empty()).map(|value| (*name, value));
    let excluded = ["no_proxy", "NO_PROXY"].iter().find_map(set).map(|(_, value)| value).unwrap_or_default();
    if bypasses(url.host_str().unwrap_or_default(), &excluded) {
        return Ok(None);
    }
    let names = match url.scheme() {
        "https" => ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"],
        _ => ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"],
    };
    let Some((variable, value)) = names.iter().find_map(set) else { return Ok(None) };
    Proxy::new(&value).map(Some).map_err(|_| Error::new("", ErrorKind::Proxy { variable }))
}

/// Whether a `NO_PROXY` list has the host: by its name or a parent domain, or `*`.
fn bypasses(host: &str, list: &str) -> bool {
    list.split(',').map(|entry| entry.trim().trim_start_matches("*.").trim_start_matches('.')).any(|entry| {
        let matches = |rest: &str| rest.is_empty() || rest.ends_with('.');
        entry == "*" || !entry.is_empty() && host.strip_suffix(entry).is_some_and(matches)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxy(url: &str, variables: &[(&str, &str)]) -> Option<String> {
        let lookup = |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        for_url(&Url::parse(url).unwrap(), lookup).unwrap().map(|proxy| proxy.host().to_owned())
    }

    #[test]
    fn the_scheme_decides() {
        let all = [("HTTP_PROXY", "http://p:1"), ("HTTPS_PROXY", "http://s:1"), ("ALL_PROXY", "socks5://a:1")];
        assert_eq!(proxy("http://h/", &all).as_deref(), Some("p"));
        assert_eq!(proxy("https://h/", &all).as_deref(), Some("s"));
        assert_eq!(proxy("https://h/", &all[2..]).as_deref(), Some("a"));
        assert_eq!(proxy("https://h/", &[("https_proxy", ""), ("HTTPS_PROXY", "s:1")]).as_deref(), Some("s"));
        assert_eq!(proxy("https://h/", &all[..1]), None);
    }

    #[test]
    fn excluded_hosts_are_reached_directly() {
        for (host, list, direct) in [
            ("a.example.org", "example.org", true),
            ("a.example.org", "b.org, .example.org", true),
            ("a.example.org", "*.example.org", true),
            ("badexample.org", "example.org", false),
            ("127.0.0.1", "localhost,127.0.0.1", true),
            ("h", "*", true),
            ("h", ",", false),
        ] {
            assert_eq!(bypasses(host, list), direct, "{host} {list}");
        }
    }

    #[test]
    fn an_unusable_proxy_is_an_error_without_its_password() {
        let url = Url::parse("http://h/").unwrap();
        let error =
            for_url(&url, |name| (name == "HTTP_PROXY").then(|| "http://u:secret@:x:/".to_owned())).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Proxy { variable: "HTTP_PROXY" }), "{error}");
        assert!(!error.report().contains("secret"));
    }
}
