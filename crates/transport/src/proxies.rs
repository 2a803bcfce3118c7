//! Which proxy of the environment a request goes through, for who wants to tell. The requests
//! themselves find it by the same rules (`http`).

use hyper_util::client::proxy::matcher::Matcher;
use url::Url;

use crate::http::is_loopback;

/// Who stands between this process and an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proxy {
    /// Without user and password.
    pub address: String,
    /// The variable that says so.
    pub variable: &'static str,
}

/// The proxy through which `url` is asked; never one for this machine.
pub fn proxy_of(url: &Url) -> Option<Proxy> {
    if is_loopback(url) {
        return None;
    }
    let found = Matcher::from_env().intercept(&url.as_str().parse().ok()?)?;
    let uri = found.uri();
    let port = uri.port().map(|port| format!(":{port}")).unwrap_or_default();
    let scheme = uri.scheme_str().unwrap_or("http");
    let names = match url.scheme() {
        "https" => ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"],
        _ => ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"],
    };
    let is_set = |name: &&str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    Some(Proxy {
        address: format!("{scheme}://{}{port}", uri.host().unwrap_or_default()),
        variable: names.into_iter().find(is_set).unwrap_or(names[2]),
    })
}

/// Whether any proxy is named at all.
pub fn any_proxy() -> bool {
    let names =
        ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];
    names.iter().any(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()))
}
