//! Who may use the private door: whoever shows its token, at an address that is its own, and not by
//! the browser of somebody who visits another page.
//!
//! Loopback is no exception: a job on `raw_exec` and any page in the operator's browser reach it
//! too. Read next: `door.rs`.

use std::net::IpAddr;

use axum::http::{HeaderMap, Method, header};
use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq;

/// What requests are judged by.
#[derive(Clone)]
pub struct Guard {
    pub token: SecretString,
    /// `[admin] hosts`: names under which browsers may reach the door.
    pub hosts: Vec<String>,
}

/// Why a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// A name that is none of the door's: most likely a page whose name was pointed here.
    Host,
    /// Another page's script or form.
    Origin,
    /// Not JSON, so a form of any page could have sent it.
    ContentType,
    /// No token, or a wrong one.
    Token,
}

impl Guard {
    /// # Errors
    /// The first reason to refuse.
    pub fn judge(
        &self,
        method: &Method,
        headers: &HeaderMap,
        local: Option<IpAddr>,
    ) -> Result<(), Refused> {
        if !self.is_own_host(headers, local) {
            return Err(Refused::Host);
        }
        if *method != Method::GET && *method != Method::HEAD {
            if !self.is_own_page(headers) {
                return Err(Refused::Origin);
            }
            if !is_json(headers) {
                return Err(Refused::ContentType);
            }
        }
        if self.shows_token(headers) { Ok(()) } else { Err(Refused::Token) }
    }

    /// Loopback, the address that was reached, or a name from the config.
    fn is_own_host(&self, headers: &HeaderMap, local: Option<IpAddr>) -> bool {
        // A client that says no host is no browser.
        let Some(host) = headers.get(header::HOST) else { return true };
        let Some(name) = host.to_str().ok().and_then(without_port) else { return false };
        if name.eq_ignore_ascii_case("localhost")
            || self.hosts.iter().any(|known| known.eq_ignore_ascii_case(name))
        {
            return true;
        }
        let address = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        address.is_ok_and(|ip| {
            ip.is_loopback() || local.is_some_and(|local| local.to_canonical() == ip.to_canonical())
        })
    }

    /// Browsers say where a request that changes something comes from; other programs do not.
    fn is_own_page(&self, headers: &HeaderMap) -> bool {
        let site = headers.get("sec-fetch-site").map(|site| site.as_bytes());
        if site.is_some_and(|site| site != b"same-origin" && site != b"none") {
            return false;
        }
        let Some(origin) = headers.get(header::ORIGIN) else { return true };
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
        let of = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
        of.zip(host).is_some_and(|((_, of), host)| of.eq_ignore_ascii_case(host))
    }

    fn shows_token(&self, headers: &HeaderMap) -> bool {
        const BEARER: &[u8] = b"Bearer ";
        let given = headers.get(header::AUTHORIZATION).map(|value| value.as_bytes());
        let given = given.and_then(|value| value.split_at_checked(BEARER.len()));
        let given = given.filter(|(scheme, _)| scheme.eq_ignore_ascii_case(BEARER));
        given.is_some_and(|(_, given)| given.ct_eq(self.token.expose_secret().as_bytes()).into())
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let kind = kind.and_then(|kind| kind.split(';').next());
    kind.is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
}

/// `None` where it is no host at all.
fn without_port(host: &str) -> Option<&str> {
    let end = match host.strip_prefix('[') {
        Some(rest) => rest.find(']')? + 2,
        None => host.find(':').unwrap_or(host.len()),
    };
    let (name, port) = host.split_at_checked(end)?;
    let port = port.strip_prefix(':').unwrap_or(port);
    port.bytes().all(|byte| byte.is_ascii_digit()).then_some(name)
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};

    use super::*;

    fn guard() -> Guard {
        Guard { token: "t0ken".into(), hosts: vec!["ci.example.org".to_owned()] }
    }

    fn headers(all: &[(&str, &str)]) -> HeaderMap {
        let pair = |(name, value): &(&str, &str)| {
            (name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap())
        };
        all.iter().map(pair).collect()
    }

    fn judged(method: Method, all: &[(&str, &str)]) -> Result<(), Refused> {
        guard().judge(&method, &headers(all), Some("10.0.0.7".parse().unwrap()))
    }

    const TOKEN: (&str, &str) = ("authorization", "Bearer t0ken");

    #[test]
    fn whoever_shows_the_token_may_and_nobody_else() {
        assert_eq!(judged(Method::GET, &[TOKEN]), Ok(()));
        for wrong in ["Bearer t0keN", "Bearer t0ken ", "Bearer", "t0ken", "Basic t0ken"] {
            let given = [("authorization", wrong)];
            assert_eq!(judged(Method::GET, &given), Err(Refused::Token), "{wrong}");
        }
        assert_eq!(judged(Method::GET, &[]), Err(Refused::Token), "loopback or not");
    }

    #[test]
    fn the_host_is_the_doors_own() {
        for own in ["localhost:9090", "127.0.0.1", "[::1]:9090", "10.0.0.7:9090", "CI.example.org"]
        {
            assert_eq!(judged(Method::GET, &[("host", own), TOKEN]), Ok(()), "{own}");
        }
        for foreign in ["evil.example.org", "10.0.0.8", "localhost.evil.org", "[::1", "a:b", ""] {
            let given = [("host", foreign), TOKEN];
            assert_eq!(judged(Method::GET, &given), Err(Refused::Host), "{foreign}");
        }
    }

    #[test]
    fn what_changes_something_comes_from_no_other_page() {
        let json = ("content-type", "application/json; charset=utf-8");
        let host = ("host", "localhost:9090");
        let post = |more: &[(&str, &str)]| judged(Method::POST, &[&[host, TOKEN], more].concat());
        assert_eq!(post(&[json]), Ok(()), "a program");
        assert_eq!(post(&[json, ("origin", "http://localhost:9090")]), Ok(()));
        for other in ["http://evil.example.org", "http://localhost:8080", "null"] {
            assert_eq!(post(&[json, ("origin", other)]), Err(Refused::Origin), "{other}");
        }
        for site in ["cross-site", "same-site"] {
            assert_eq!(post(&[json, ("sec-fetch-site", site)]), Err(Refused::Origin), "{site}");
        }
        for form in ["text/plain", "application/x-www-form-urlencoded"] {
            assert_eq!(post(&[("content-type", form)]), Err(Refused::ContentType), "{form}");
        }
        assert_eq!(post(&[]), Err(Refused::ContentType));
    }
}
