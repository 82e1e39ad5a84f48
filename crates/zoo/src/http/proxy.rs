//! The proxy for a URL, from the usual environment variables.
//!
//! `ureq` connects through a tunnel (`CONNECT`) even for `http` URLs, so a proxy must allow tunnels to the port. Its own
//! reading of the environment prefers `ALL_PROXY` whatever the scheme, and a domain in its `NO_PROXY` does not include
//! subdomains; curl and Python behave as this module does.

use ureq::Proxy;
use url::Url;

use crate::error::{Error, ErrorKind};

/// `HTTPS_PROXY` or `HTTP_PROXY` depending on the scheme, else `ALL_PROXY`, unless `NO_PROXY` contains the host.
/// Lowercase names take precedence, and empty values count as unset.
pub(crate) fn for_url(url: &Url, variable: impl Fn(&str) -> Option<String>) -> Result<Option<Proxy>, Error> {
    if let Some((_, excluded)) = first_set(&["no_proxy", "NO_PROXY"], &variable)
        && is_excluded(url.host_str().unwrap_or_default(), &excluded)
    {
        return Ok(None);
    }
    let names = match url.scheme() {
        "https" => ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"],
        _ => ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"],
    };
    let Some((variable, value)) = first_set(&names, &variable) else { return Ok(None) };
    match Proxy::new(&value) {
        Ok(proxy) => Ok(Some(proxy)),
        Err(_) => Err(Error::new("", ErrorKind::Proxy { variable })),
    }
}

/// The first variable that is set, and its value.
fn first_set(names: &[&'static str], variable: &impl Fn(&str) -> Option<String>) -> Option<(&'static str, String)> {
    for name in names {
        match variable(name) {
            Some(value) if !value.is_empty() => return Some((name, value)),
            _ => {}
        }
    }
    None
}

/// Whether a `NO_PROXY` list contains the host or a parent domain of it, or `*`.
fn is_excluded(host: &str, list: &str) -> bool {
    for entry in list.split(',') {
        let entry = entry.trim();
        if entry == "*" {
            return true;
        }
        let domain = entry.trim_start_matches("*.").trim_start_matches('.');
        if domain.is_empty() {
            continue;
        }
        if let Some(rest) = host.strip_suffix(domain)
            && (rest.is_empty() || rest.ends_with('.'))
        {
            return true;
        }
    }
    false
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
            assert_eq!(is_excluded(host, list), direct, "{host} {list}");
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
