//! `[github]`: which forge, how often it is polled, and the credentials for it.

use std::time::Duration;

use ::config::ValueKind;
use secrecy::SecretString;
use transport::Server;
use url::Url;

use super::Origin;
use super::app::{self, App};
use super::ca_cert;
use super::environment::SecretLookup;
use super::secrets::{self, Found, OfSystemd};
use super::section::Section;

/// What kind of forge it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ForgeKind {
    GitHub,
    Gitea,
}

impl ForgeKind {
    /// What people call it.
    pub fn name(self) -> &'static str {
        match self {
            ForgeKind::GitHub => "GitHub",
            ForgeKind::Gitea => "Gitea",
        }
    }
}

/// `[github]`.
#[derive(Debug, Clone)]
pub struct GitHub {
    pub kind: ForgeKind,
    /// The base URL of its REST API. [`GitHub::api_base`] returns it as text to append paths to.
    pub api_url: Url,
    /// Trusted there besides the bundled certificates and those of the system.
    pub ca_cert_pem: Option<Vec<u8>>,
    /// How often repositories with demand, now or within a day, are listed.
    pub sweep_interval: Duration,
    /// How often all served repositories are listed.
    pub full_sweep_interval: Duration,
    /// At least one; the first whose owners match is used.
    pub credentials: Vec<Credential>,
}

/// `[[github.credentials]]`.
#[derive(Debug, Clone)]
pub struct Credential {
    /// Logins of users and organizations; `*` matches all. At least one.
    pub owners: Vec<String>,
    pub by: By,
}

/// What the requests for these owners are made by.
#[derive(Debug, Clone)]
pub enum By {
    Token(SecretString),
    App(Box<App>),
}

/// The path of a Gitea's API below its root URL.
const GITEA_API: &str = "/api/v1";

impl GitHub {
    /// Where its API is asked.
    pub fn server(&self) -> Server {
        Server { base: self.api_url.clone(), ca_cert_pem: self.ca_cert_pem.clone() }
    }

    /// `api_url` without a trailing slash.
    pub fn api_base(&self) -> &str {
        self.api_url.as_str().trim_end_matches('/')
    }

    /// The root URL of the forge, without a trailing slash: where Gitea's runners register.
    pub fn root(&self) -> &str {
        let base = self.api_base();
        match self.kind {
            ForgeKind::GitHub => base,
            ForgeKind::Gitea => base.strip_suffix(GITEA_API).unwrap_or(base),
        }
    }

    /// The credential for an owner's repositories, and its index in the list. Ignores case.
    pub fn credential_for(&self, owner: &str) -> Option<(usize, &Credential)> {
        self.credentials.iter().enumerate().find(|(_, credential)| credential.matches(owner))
    }
}

impl Credential {
    pub fn token(&self) -> Option<&SecretString> {
        match &self.by {
            By::Token(token) => Some(token),
            By::App(_) => None,
        }
    }

    pub fn app(&self) -> Option<&App> {
        match &self.by {
            By::Token(_) => None,
            By::App(app) => Some(app),
        }
    }

    /// Whether it is for what `owner` owns, if no earlier one is.
    pub fn matches(&self, owner: &str) -> bool {
        self.owners.iter().any(|mine| mine == "*" || mine.eq_ignore_ascii_case(owner))
    }
}

pub(super) fn read(section: &Section) -> Option<GitHub> {
    let kinds = [("github", ForgeKind::GitHub), ("gitea", ForgeKind::Gitea)];
    let kind = section.choice("kind", &kinds);
    let api_url = api_url(section, kind);
    let ca_cert_pem = ca_cert::read(section).and_then(|(_, pem)| pem);
    let sweep_interval = section.interval("sweep_interval");
    let full_sweep_interval = section.interval("full_sweep_interval");
    let credentials = credentials(section, kind);
    Some(GitHub {
        kind: kind?,
        api_url: api_url?,
        ca_cert_pem,
        sweep_interval: sweep_interval?,
        full_sweep_interval: full_sweep_interval?,
        credentials: credentials?,
    })
}

/// Whether each credential is an App whose webhook has a secret of its own; or one is an App, where
/// they are wrong.
pub(super) fn apps_sign(section: &Section, github: Option<&GitHub>) -> bool {
    let has_own = |one: &Credential| one.app().is_some_and(|app| app.webhook.is_some());
    match github {
        Some(github) => github.credentials.iter().all(has_own),
        None => section.given("credentials").is_some_and(|listed| match &listed.kind {
            ValueKind::Array(all) => all.iter().any(|one| match &one.kind {
                ValueKind::Table(one) => one.contains_key("app"),
                _ => false,
            }),
            _ => false,
        }),
    }
}

/// An address that is GitHub's own and not its API's.
fn beside_the_api(url: &Url) -> Option<&'static str> {
    let host = url.host_str()?;
    let of_tenant = host.ends_with(".ghe.com") && !host.starts_with("api.");
    match host {
        "github.com" | "www.github.com" => Some("use https://api.github.com"),
        _ if of_tenant => Some("with data residency the API is at https://api.SUBDOMAIN.ghe.com"),
        _ => None,
    }
}

/// The address of GitHub's API, as a command line gives it.
pub fn github_api_url(text: &str) -> Result<Url, String> {
    let url = web_url(text, &["http", "https"])?;
    let of_gitea = url.path().trim_end_matches('/').ends_with(GITEA_API);
    match beside_the_api(&url) {
        Some(fix) => Err(format!("not the address of an API; {fix}")),
        None if of_gitea => Err("the API of a Gitea, which is not GitHub".to_owned()),
        None => Ok(url),
    }
}

fn api_url(section: &Section, kind: Option<ForgeKind>) -> Option<Url> {
    const KEY: &str = "api_url";
    let url = section.parsed(KEY, |text| web_url(text, &["http", "https"]))?;
    let of_gitea = url.path().trim_end_matches('/').ends_with(GITEA_API);
    if kind != Some(ForgeKind::Gitea) {
        if of_gitea && kind.is_some() {
            let what = format!("{url} is the API address of a Gitea, but kind is \"github\"");
            let fix = "set kind = \"gitea\" in [github]; GitHub Enterprise Server has its API at https://HOST/api/v3";
            section.report(KEY, what, fix);
            return None;
        }
        if let Some(fix) = beside_the_api(&url) {
            section.report(KEY, format!("{url} is not the address of an API"), fix);
            return None;
        }
        return Some(url);
    }
    if section.given(KEY).is_none() {
        section.report(KEY, "missing", "kind = \"gitea\" requires it: https://HOST/api/v1");
        return None;
    }
    if !of_gitea {
        let what = format!("{url} is not the API address of a Gitea");
        section.report(KEY, what, "use the address of your Gitea followed by /api/v1");
        return None;
    }
    Some(url)
}

/// The listed credentials and the implied last one; `None` where one is bad or none is given.
fn credentials(section: &Section, kind: Option<ForgeKind>) -> Option<Vec<Credential>> {
    let listed = section.sections("credentials", "");
    for section in &listed {
        if kind == Some(ForgeKind::Gitea) && section.given("app").is_some() {
            section.report(
                "app",
                "is only supported for GitHub",
                "set token or token_file instead",
            );
        }
    }
    let mut credentials: Vec<Option<Credential>> =
        listed.iter().map(|section| credential(section, kind)).collect();
    never_used(&listed, &credentials);
    credentials.extend(implied(section));
    if credentials.is_empty() && section.given("credentials").is_none() {
        section.report(
            "credentials",
            "missing",
            "add [[github.credentials]] with owners and token_file, set the variable ROUSTABOUT_GITHUB_TOKEN, or pass the systemd credential github-token",
        );
        return None;
    }
    credentials.into_iter().collect()
}

/// The first credential whose owners match is used, so an owner in a later one has no effect.
fn never_used(sections: &[Section], credentials: &[Option<Credential>]) {
    let mut before: Vec<&str> = Vec::new();
    for (section, credential) in sections.iter().zip(credentials) {
        let Some(credential) = credential else { continue };
        for owner in &credential.owners {
            if before.iter().any(|one| *one == "*" || one.eq_ignore_ascii_case(owner)) {
                let what = format!("{owner:?} is never used: an earlier entry matches it");
                section.warn(
                    "owners",
                    what,
                    "remove it or move it up: the first entry that matches is used",
                );
            }
            before.push(owner);
        }
    }
}

fn credential(section: &Section, kind: Option<ForgeKind>) -> Option<Credential> {
    let owners = section.required("owners", Section::filled_list);
    let wrong = owners.iter().flatten().find(|owner| !is_owner(owner, kind));
    if let Some(owner) = wrong {
        section.refuse(
            "owners",
            format!("{owner:?} is neither the login of a user or organization nor \"*\""),
        );
    }
    let has_app = section.given("app").is_some();
    let by = match secrets::find_token(section, "token", None) {
        Found::Absent if has_app => by_app(section),
        Found::Absent => {
            section.report("token", "missing", "set token, token_file or app here");
            None
        }
        Found::Secret(..) if has_app => {
            section.report("app", "token and app are both set", "keep one of them");
            None
        }
        found => found.secret().map(By::Token),
    };
    if let (Some(By::App(_)), Some(owners)) = (&by, &owners) {
        warn_of_strangers(section, owners);
    }
    Some(Credential { owners: owners?, by: by? })
}

fn by_app(section: &Section) -> Option<By> {
    match app::read(&section.section("app"))? {
        Some(app) => Some(By::App(Box::new(app))),
        // Nothing is asked with it.
        None => Some(By::Token(secrets::taken_as_given())),
    }
}

/// Who installs a public App is served, if nobody says whose webhooks count.
fn warn_of_strangers(section: &Section, owners: &[String]) {
    if owners.iter().any(|owner| owner == "*") {
        section.warn(
            "owners",
            "is \"*\", so webhooks of everyone who installs this App are accepted",
            "list the users and organizations that may use it",
        );
    }
}

/// `ROUSTABOUT_GITHUB_TOKEN`, else the systemd credential `github-token`, for all owners. The
/// outer `None`: there is none; the inner: it is invalid.
fn implied(section: &Section) -> Option<Option<Credential>> {
    const VARIABLE: &str = "ROUSTABOUT_GITHUB_TOKEN";
    const NAME: &str = "github-token";
    let env = section.context.env;
    let credential = secrets::of_systemd(env, NAME);
    let variable = env
        .get(VARIABLE)
        .filter(|_| credential.is_none() || !matches!(env.lookup, SecretLookup::CredentialsFirst));
    let (origin, token) = if let Some(token) = variable {
        section.note_secret("credentials", Origin::Variable(VARIABLE.to_owned()));
        (VARIABLE, Ok(SecretString::from(token)))
    } else {
        let token = match credential? {
            OfSystemd::File(file) => {
                let of_unit = matches!(env.lookup, SecretLookup::OfUnit(_));
                let token = match of_unit && file.try_exists().is_ok_and(|there| !there) {
                    true => {
                        let (what, fix) = secrets::not_loaded(NAME, &file);
                        Err((what, fix.to_owned()))
                    }
                    false => secrets::read_file(&file),
                };
                section
                    .note_secret("credentials", Origin::Credential { name: NAME.to_owned(), file });
                token
            }
            OfSystemd::TakenAsGiven(token) => Ok(token),
            OfSystemd::Unseen => {
                let (what, fix) = secrets::unseen(NAME);
                Err((what, fix.to_owned()))
            }
        };
        ("the systemd credential github-token", token)
    };
    let token = token.and_then(|token| {
        secrets::checked_token(token)
            .map_err(|what| (what.to_owned(), "write only the token, on one line".to_owned()))
    });
    match token {
        Ok(token) => Some(Some(Credential { owners: vec!["*".to_owned()], by: By::Token(token) })),
        Err((what, fix)) => {
            section.report("credentials", format!("{origin}: {what}"), fix);
            Some(None)
        }
    }
}

fn is_owner(text: &str, kind: Option<ForgeKind>) -> bool {
    // Logins of enterprise managed users contain an underscore; a Gitea allows dots.
    let fits = |c: char| {
        c.is_ascii_alphanumeric()
            || c == '-'
            || c == '_'
            || (c == '.' && kind == Some(ForgeKind::Gitea))
    };
    text == "*" || text.chars().all(fits)
}

/// A URL that paths can be appended to, and that contains no secret: it is shown in logs.
pub(super) fn web_url(text: &str, schemes: &[&str]) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| format!("is not a URL ({error})"))?;
    if !schemes.contains(&url.scheme()) || !url.has_host() {
        return Err(format!("is not an {} URL", schemes.join(" or ")));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("contains a user name or password".to_owned());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("contains a ? or a #".to_owned());
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::ForgeKind;
    use crate::config::testing::{errors, loaded, loaded_with, no_token};

    const TWO: &str = "[[github.credentials]]\nowners = [\"Octo\"]\ntoken = \"t1\"\n[[github.credentials]]\nowners = [\"*\"]\ntoken = \"t2\"\n";

    #[test]
    fn an_address_of_githubs_that_is_no_api_is_refused_with_the_right_one() {
        for (url, fix) in [
            ("https://github.com", "use https://api.github.com"),
            ("https://octo.ghe.com", "https://api.SUBDOMAIN.ghe.com"),
        ] {
            let told = errors(&format!("[github]\napi_url = {url:?}\n"));
            assert!(told.contains(fix), "{told}");
        }
        for url in ["https://api.octo.ghe.com", "https://ghe.example.org/api/v3"] {
            loaded(&format!("[github]\napi_url = {url:?}\n"));
        }
    }

    #[test]
    fn the_first_credential_whose_owners_match_is_used() {
        let github = loaded(TWO).settings.github;
        let place = |owner| github.credential_for(owner).map(|(place, _)| place);
        assert_eq!((place("octo"), place("OCTO"), place("else")), (Some(0), Some(0), Some(1)));
    }

    #[test]
    fn a_variable_implies_the_last_credential() {
        let github = loaded_with(TWO, &[("ROUSTABOUT_GITHUB_TOKEN", "0123456")]).settings.github;
        assert_eq!(github.credentials.len(), 3);
        assert_eq!(github.credentials[2].owners, ["*"]);
        assert_eq!(github.credentials[2].token().unwrap().expose_secret(), "0123456");
    }

    #[test]
    fn without_any_credential_nothing_goes() {
        assert!(
            no_token("")
                .starts_with("f.toml: github.credentials: missing; add [[github.credentials]]")
        );
    }

    #[test]
    fn credentials_are_checked() {
        let one = |text: &str| errors(&format!("[[github.credentials]]\n{text}\n"));
        assert!(
            one("owners = []\ntoken = \"t\"").contains("github.credentials[#1].owners: is empty")
        );
        assert!(one("token = \"t\"").contains("github.credentials[#1].owners: missing"));
        assert!(one("owners = [\"a/b\"]\ntoken = \"t\"").contains("\"a/b\" is neither the login"));
        assert!(
            one("owners = [\"a\"]").contains("token: missing; set token, token_file or app here")
        );
        assert!(errors("[github]\ncredentials = 5\n").contains("must be sections, not a number"));
    }

    #[test]
    fn urls() {
        let url = |url: &str| format!("[github]\napi_url = \"{url}\"\n");
        assert_eq!(loaded("").settings.github.api_base(), "https://api.github.com");
        assert_eq!(
            loaded(&url("https://ghes.example/api/v3/")).settings.github.api_base(),
            "https://ghes.example/api/v3"
        );
        for wrong in ["api.github.com", "ftp://x", "https://u:hunter2@x", "https://x?y"] {
            let text = errors(&url(wrong));
            assert!(text.starts_with("f.toml: github.api_url: "), "{text}");
            assert!(!text.contains("hunter2"), "{text}");
        }
    }

    #[test]
    fn another_kind_is_not_yet_or_unknown() {
        assert!(errors("[github]\nkind = \"gitlab\"\n").contains("use \"github\""));
    }

    const GITEA: &str = "[github]\nkind = \"gitea\"\n";

    #[test]
    fn a_gitea_needs_its_address_and_has_a_page_of_its_own() {
        assert!(errors(GITEA).contains("github.api_url: missing; kind = \"gitea\" requires it"));
        let with = |url: &str| format!("{GITEA}api_url = \"{url}\"\n");
        for wrong in ["https://git.test", "https://git.test/api/v3", "https://git.test/xapi/v1x"] {
            let told = errors(&with(wrong));
            assert!(told.contains("is not the API address of a Gitea; use the address"), "{told}");
        }
        for (url, root) in [
            ("https://git.test/api/v1", "https://git.test"),
            ("http://10.0.0.1:3000/git/api/v1/", "http://10.0.0.1:3000/git"),
        ] {
            let github = loaded(&with(url)).settings.github;
            assert_eq!((github.kind, github.root()), (ForgeKind::Gitea, root));
        }
    }

    #[test]
    fn a_gitea_without_its_kind_says_so() {
        for url in ["https://git.test/api/v1", "http://10.0.0.1:3000/git/api/v1/"] {
            let told = errors(&format!("[github]\napi_url = {url:?}\n"));
            assert!(told.starts_with("f.toml: github.api_url: "), "{told}");
            assert!(
                told.contains("is the API address of a Gitea, but kind is \"github\""),
                "{told}"
            );
            assert!(told.contains("set kind = \"gitea\" in [github]"), "{told}");
            assert_eq!(told.lines().count(), 1, "{told}");
        }
    }

    #[test]
    fn owners_that_no_request_is_for_are_told() {
        let one =
            |owners: &str| format!("[[github.credentials]]\nowners = {owners}\ntoken = \"t\"\n");
        let told = |text: String| {
            let warnings = loaded(&text).warnings.into_iter();
            warnings.map(|one| format!("{}: {}", one.key, one.what)).collect::<Vec<_>>().join("\n")
        };
        assert_eq!(
            told(one("[\"octo\"]") + &one("[\"else\", \"OCTO\"]")),
            "github.credentials[#2].owners: \"OCTO\" is never used: an earlier entry matches it"
        );
        assert!(told(one("[\"*\"]") + &one("[\"octo\"]")).contains("[#2].owners: \"octo\""));
        assert_eq!(told(one("[\"octo\"]") + &one("[\"*\"]")), "");
    }

    #[test]
    fn owners_at_a_gitea_may_have_dots() {
        let text = format!(
            "{GITEA}api_url = \"https://git.test/api/v1\"\n\
             [[github.credentials]]\nowners = [\"a.b\"]\ntoken = \"t\"\n"
        );
        assert_eq!(loaded(&text).settings.github.credentials[0].owners, ["a.b"]);
        let github = "[[github.credentials]]\nowners = [\"a.b\"]\ntoken = \"t\"\n";
        assert!(errors(github).contains("\"a.b\" is neither the login"));
    }

    #[test]
    fn what_only_github_has_is_refused_with_gitea() {
        let gitea = format!("{GITEA}api_url = \"https://git.test/api/v1\"\n");
        let told = errors(&format!(
            "{gitea}[[pools]]\nname = \"p\"\nscope = \"organization\"\nrunner_group = \"g\"\n\
             credential = \"jit\"\n"
        ));
        for wanted in [
            "pools[p].runner_group: is only supported for GitHub; remove it",
            "pools[p].credential: \"jit\" is only supported for GitHub",
        ] {
            assert!(told.contains(wanted), "{wanted}\n{told}");
        }
        let app = "[[github.credentials]]\nowners = [\"o\"]\napp = { id = 1 }\n";
        let told = errors(&format!("{gitea}{app}"));
        assert!(
            told.contains("app: is only supported for GitHub; set token or token_file"),
            "{told}"
        );
    }

    #[test]
    fn a_policy_that_a_gitea_cannot_keep_is_refused() {
        let pool = |lines: &str| {
            let pool = crate::config::testing::pool_with(lines);
            format!("{GITEA}api_url = \"https://git.test/api/v1\"\n{pool}")
        };
        let told = errors(&pool("scope = \"organization\"\nrepositories = [\"octo/a\"]"));
        for wanted in [
            "repositories: cannot narrow an organization at a Gitea",
            "public_repositories: is false, but a Gitea may give",
            "forks: is false, but a Gitea may give",
        ] {
            assert!(told.contains(wanted), "{wanted}\n{told}");
        }
        let but = "scope = \"organization\"\nrepositories = [\"octo/*\", \"!octo/x\"]\n\
                   public_repositories = true\nforks = true";
        assert!(errors(&pool(but)).contains("cannot narrow"));
        loaded(&pool(&but.replace(", \"!octo/x\"", "")));
        // In repository scope a runner meets the jobs of its repository alone.
        loaded(&pool("repositories = [\"octo/a\"]"));
    }

    #[test]
    fn giteas_tokens_have_no_end_so_that_timeouts_may_be_long() {
        let pool = "[[pools]]\nname = \"p\"\nnomad_job = \"r\"\nlabels = [\"l\"]\n\
                    repositories = [\"o/*\"]\ndelivery = \"payload\"\nplacement_timeout = \"2h\"\n";
        assert!(errors(pool).contains("55m"));
        let gitea = format!("{GITEA}api_url = \"https://git.test/api/v1\"\n{pool}");
        assert_eq!(loaded(&gitea).settings.pools.len(), 1);
    }
}
