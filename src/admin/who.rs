//! Who may use the private door: whoever shows its token, at an address that is its own, and not by
//! the browser of somebody who visits another page.
//!
//! Loopback is no exception: a job on `raw_exec` and any page in the operator's browser reach it
//! too. Read next: `door.rs`.

use std::net::IpAddr;

use axum::http::{HeaderMap, Method, header};
use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq;

use super::session::{self, Session, Sessions, SignedOut};

/// What requests are judged by.
#[derive(Clone)]
pub struct Guard {
    token: SecretString,
    /// `[admin] hosts`: names under which browsers may reach the door.
    hosts: Vec<String>,
    pub(super) sessions: Sessions,
}

/// Who asks, as it has shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Who {
    /// By the token.
    Bearer,
    /// A browser that has signed in.
    Browser(Session),
    /// A process that may open the socket.
    Socket,
}

/// How a request came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// By TCP, to this address where it is known.
    Tcp(Option<IpAddr>),
    /// Through the Unix socket, whose mode says who may.
    Socket,
}

/// What a request that changes something has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Posted {
    Json,
    /// A button of the door's own pages.
    Form,
}

/// Why a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// A name that is none of the door's: most likely a page whose name was pointed here.
    Host,
    /// Another page's script or form.
    Origin,
    /// Not JSON, so a form of any page could have sent it; or for a page's button, no form.
    ContentType,
    /// No token, or a wrong one.
    Token,
}

impl Posted {
    fn content_type(self) -> &'static str {
        match self {
            Posted::Json => "application/json",
            Posted::Form => "application/x-www-form-urlencoded",
        }
    }
}

impl Guard {
    pub fn new(token: SecretString, hosts: Vec<String>, signed_out: SignedOut) -> Self {
        let sessions = Sessions::new(token.clone(), signed_out);
        Self { token, hosts, sessions }
    }

    /// # Errors
    /// The first reason to refuse.
    pub fn judge(
        &self,
        method: &Method,
        headers: &HeaderMap,
        way: Way,
        posted: Posted,
        now: u64,
    ) -> Result<Who, Refused> {
        self.judge_page(method, headers, way, posted)?;
        if way == Way::Socket {
            return Ok(Who::Socket);
        }
        if self.shows_token(headers) {
            return Ok(Who::Bearer);
        }
        let session = session::cookie(headers).and_then(|value| self.sessions.judge(value, now));
        let session = session.ok_or(Refused::Token)?;
        // Cookies are sent for every port of a host: what they allow is for the door's own pages.
        match changes(method) {
            true if !says_where_from(headers) => Err(Refused::Origin),
            false if !self.is_own_page(headers) && !is_visit(headers) => Err(Refused::Origin),
            _ => Ok(Who::Browser(session)),
        }
    }

    /// The same for whoever has shown nothing yet: where it was sent, and from which page.
    ///
    /// # Errors
    /// The first reason to refuse.
    pub fn judge_page(
        &self,
        method: &Method,
        headers: &HeaderMap,
        way: Way,
        posted: Posted,
    ) -> Result<(), Refused> {
        let local = match way {
            Way::Tcp(local) => local,
            Way::Socket => None,
        };
        if !self.is_own_host(headers, local) {
            return Err(Refused::Host);
        }
        if changes(method) {
            if !self.is_own_page(headers) {
                return Err(Refused::Origin);
            }
            if !has_content_type(headers, posted.content_type()) {
                return Err(Refused::ContentType);
            }
        }
        Ok(())
    }

    /// Whether this is the token, of a form.
    pub fn is_token(&self, given: &str) -> bool {
        given.as_bytes().ct_eq(self.token.expose_secret().as_bytes()).into()
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

fn changes(method: &Method) -> bool {
    *method != Method::GET && *method != Method::HEAD
}

fn has_content_type(headers: &HeaderMap, wanted: &str) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let kind = kind.and_then(|kind| kind.split(';').next());
    kind.is_some_and(|kind| kind.trim().eq_ignore_ascii_case(wanted))
}

/// A browser that says nothing of it is too old for `SameSite` as well.
fn says_where_from(headers: &HeaderMap) -> bool {
    headers.contains_key(header::ORIGIN) || headers.contains_key("sec-fetch-site")
}

/// Somebody follows a link: the answer is shown as a page of its own, and no other page reads it.
fn is_visit(headers: &HeaderMap) -> bool {
    let says = |name: &str, value: &str| headers.get(name).is_some_and(|it| it == value);
    says("sec-fetch-mode", "navigate") && says("sec-fetch-dest", "document")
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
        Guard::new("t0ken".into(), vec!["ci.example.org".to_owned()], SignedOut::default())
    }

    fn headers(all: &[(&str, &str)]) -> HeaderMap {
        let pair = |(name, value): &(&str, &str)| {
            (name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap())
        };
        all.iter().map(pair).collect()
    }

    fn judged(method: Method, all: &[(&str, &str)]) -> Result<(), Refused> {
        let way = Way::Tcp(Some("10.0.0.7".parse().unwrap()));
        guard().judge(&method, &headers(all), way, Posted::Json, 0).map(drop)
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

    #[test]
    fn a_cookie_is_for_the_doors_own_pages() {
        let cookie = format!("roustabout-9090={}", guard().sessions.begin(0).unwrap());
        let base = [("host", "localhost:9090"), ("cookie", cookie.as_str())];
        let get = |more: &[(&str, &str)]| judged(Method::GET, &[&base, more].concat());
        assert_eq!(get(&[]), Ok(()));
        assert_eq!(get(&[("sec-fetch-site", "same-origin")]), Ok(()));
        for other in ["cross-site", "same-site"] {
            let site = ("sec-fetch-site", other);
            assert_eq!(get(&[site]), Err(Refused::Origin), "a picture or a script");
            let visit = [site, ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")];
            assert_eq!(get(&visit), Ok(()), "somebody follows a link");
            let frame = [site, ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "iframe")];
            assert_eq!(get(&frame), Err(Refused::Origin));
        }
        let json = ("content-type", "application/json");
        let post = |more: &[(&str, &str)]| judged(Method::POST, &[&base, more].concat());
        assert_eq!(post(&[json, ("origin", "http://localhost:9090")]), Ok(()));
        assert_eq!(post(&[json, ("sec-fetch-site", "same-origin")]), Ok(()));
        assert_eq!(post(&[json]), Err(Refused::Origin), "nobody knows from where");
        assert_eq!(post(&[json, ("origin", "http://localhost:8080")]), Err(Refused::Origin));
    }

    #[test]
    fn whoever_may_open_the_socket_needs_no_token_and_its_host_is_judged_all_the_same() {
        let judge = |host| {
            let headers = headers(&[("host", host)]);
            guard().judge(&Method::GET, &headers, Way::Socket, Posted::Json, 0)
        };
        assert_eq!(judge("localhost"), Ok(Who::Socket));
        assert_eq!(judge("evil.example.org"), Err(Refused::Host));
    }
}
