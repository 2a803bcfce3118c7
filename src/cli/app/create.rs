//! `app create`: the manifest flow. A page on loopback leads the browser to GitHub and back with a code;
//! from a machine without a browser the code is pasted. It is exchanged for the App's key and secret
//! (`exchange`), which are written to files and never printed.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use rand::{Rng, SeedableRng};
use secrecy::SecretString;
use tokio::net::TcpListener;
use transport::{Server, is_loopback};
use url::Url;

use super::super::Failed;
use super::super::output::print;
use super::{exchange, kept, page};
use crate::config::{ForgeKind, Settings, github_api_url, webhook_url};
use crate::github::{Created, Error, LONGEST_APP_NAME, Manifest, Stranger};

/// Between two tries to write what GitHub tells only once.
const AGAIN: Duration = Duration::from_secs(5);
/// What the App asks for: runners of repositories, and to look at them and their runs.
const PERMISSIONS: [(&str, &str); 2] = [("administration", "write"), ("metadata", "read")];
const OF_ORGANIZATIONS: (&str, &str) = ("organization_self_hosted_runners", "write");

#[derive(clap::Args)]
pub struct Options {
    /// User or organization that will own the App, and on which it can be installed.
    #[arg(long, value_name = "LOGIN", value_parser = login)]
    owner: String,
    /// Folder for the private key and the webhook secret (mode 0600); default: the current folder.
    #[arg(long, value_name = "DIR", default_value = ".")]
    output: PathBuf,
    /// Public address of the webhook; default: [webhook] public_url of the config.
    #[arg(long, value_name = "URL", value_parser = webhook_url)]
    webhook_url: Option<Url>,
    /// API of GitHub; default: [github] api_url of the config, else https://api.github.com.
    #[arg(long, value_name = "URL", value_parser = github_api_url)]
    api_url: Option<Url>,
    /// Name of the App, which must be unique at GitHub; default: roustabout-LOGIN.
    #[arg(long)]
    name: Option<String>,
    /// Print the result as one JSON object.
    #[arg(long)]
    json: bool,
}

pub async fn run(config: Option<PathBuf>, options: Options) -> Result<(), Failed> {
    let loaded = settings(config).await?;
    let settings = loaded.as_ref().ok();
    let api_url = api_url(&options, settings)?;
    let hook_url = hook_url(&options, settings, &api_url)?;
    let name = options.name.clone().unwrap_or_else(|| format!("roustabout-{}", options.owner));
    if name.trim().is_empty() || name.len() > LONGEST_APP_NAME || name.contains(char::is_control) {
        return Err(Failed::Wrong(format!(
            "roustabout app create: the name {name:?} is not 1 to {LONGEST_APP_NAME} characters long; set another with --name"
        )));
    }
    let folder = kept::writable(&options.output)?;
    let ca_cert_pem = settings.and_then(|it| it.github.ca_cert_pem.clone());
    let server = Server { base: api_url.clone(), ca_cert_pem };
    let github = Stranger::at(server).context("cannot set up a connection to GitHub")?;
    let (owner, is_organization) = match github.account(&options.owner).await {
        Ok(account) => account,
        Err(Error::NotFound { .. }) => {
            let owner = &options.owner;
            return Err(
                anyhow::anyhow!("no user or organization {owner} exists at {api_url}").into()
            );
        }
        Err(error) => return Err(error.into()),
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.context("cannot listen on loopback")?;
    let at = listener.local_addr().context("cannot listen on loopback")?;
    let state = draw();
    let mut permissions = PERMISSIONS.to_vec();
    permissions.push(("actions", actions(settings)));
    permissions.extend(is_organization.then_some(OF_ORGANIZATIONS));
    let manifest = Manifest {
        name,
        url: web(&hook_url),
        hook_url: hook_url.to_string(),
        redirect_url: format!("{}created", page::address(at)),
        public: false,
        permissions,
        events: vec!["workflow_job", "repository"],
    };
    let action = action(&api_url, &owner, is_organization);
    let served = page::Page { action, manifest: manifest.json(), state: state.clone() };
    tell(&format!(
        "Open {0} in a browser on this machine, and confirm the App at GitHub.\n\
         If the browser is on another machine, either forward the port (ssh -L {1}:{2} …) and open the same\n\
         address there, or open the page with the forwarding, confirm, and paste here the address that the\n\
         browser cannot open afterwards (…/created?code=…), or only the code.",
        page::address(at),
        at.port(),
        at,
    ))?;
    if let Err(why) = &loaded {
        tell(&format!("No config is used, only options and defaults: {why}"))?;
    }
    let mut created = exchange::exchange(&github, listener, served, &state).await?;
    created.slug = as_file_name(&created.slug);
    let secret = created.webhook_secret.clone();
    let key_file = keep(&folder, &format!("{}.pem", created.slug), &created.pem).await?;
    let secret_file = match &secret {
        Some(secret) => {
            Some(keep(&folder, &format!("{}-webhook-secret", created.slug), secret).await?)
        }
        None => None,
    };
    let text = match options.json {
        true => json(&owner, &created, &key_file, secret_file.as_ref()),
        false => next_steps(&owner, &created, &key_file, secret_file.as_ref()),
    };
    print(&text)
}

/// There may be no config yet, or none that has a credential: what is not used is said.
async fn settings(config: Option<PathBuf>) -> Result<Result<Settings, String>, Failed> {
    match super::super::load(config).await {
        Ok(loaded) => Ok(Ok(loaded.settings)),
        Err(Failed::Wrong(why)) => Ok(Err(why)),
        Err(other) => Err(other),
    }
}

/// Writes what exists nowhere else, and does not give up where that fails.
async fn keep(folder: &Path, name: &str, secret: &SecretString) -> Result<PathBuf, Failed> {
    let mut told = None;
    loop {
        let why = match kept::write_new(folder, name, secret) {
            Ok(path) => return Ok(path),
            Err(error) => format!("{error:#}"),
        };
        if told.as_ref() != Some(&why) {
            tell(&format!(
                "{why}. GitHub tells this secret only once: leave this command running, and make the folder writable or free space there; trying again every {} s",
                AGAIN.as_secs()
            ))?;
            told = Some(why);
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// A pool that cancels superseded runs has to write; to look at runs is enough for all else.
fn actions(settings: Option<&Settings>) -> &'static str {
    let cancels = settings.is_some_and(|it| it.pools.iter().any(|pool| pool.cancel_superseded));
    if cancels { "write" } else { "read" }
}

/// A login as GitHub has them: managed users of an enterprise have an underscore.
fn login(text: &str) -> Result<String, String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let good = (1..=39).contains(&text.len()) && text.chars().all(fits) && !text.starts_with('-');
    match good {
        true => Ok(text.to_owned()),
        false => Err(
            "not the login of a user or organization; write it as in its address, such as octocat"
                .to_owned(),
        ),
    }
}

fn hook_url(options: &Options, settings: Option<&Settings>, api: &Url) -> Result<Url, Failed> {
    let wrong = |what: String| Failed::Wrong(format!("roustabout app create: {what}"));
    let configured = settings.and_then(|settings| settings.webhook.public_url.clone());
    let url = options.webhook_url.clone().or(configured).ok_or_else(|| {
        wrong("the address of the webhook is not known; set [webhook] public_url in the config, or --webhook-url https://HOST/webhook".to_owned())
    })?;
    if !url.username().is_empty() || url.password().is_some() {
        let what = "the address of the webhook contains a user name or password, which everybody who sees the App's settings could read; remove it";
        return Err(wrong(what.to_owned()));
    }
    if is_loopback(&url) && !is_loopback(api) {
        return Err(wrong(format!(
            "GitHub cannot reach {url}, an address of this machine alone; give the public address of the webhook"
        )));
    }
    Ok(url)
}

fn api_url(options: &Options, settings: Option<&Settings>) -> Result<Url, Failed> {
    if let Some(url) = &options.api_url {
        return Ok(url.clone());
    }
    match settings.map(|settings| &settings.github) {
        Some(github) if github.kind == ForgeKind::Gitea => Err(Failed::Wrong(
            "roustabout app create: [github] kind is \"gitea\", and only GitHub has Apps; for an App of GitHub set --api-url https://api.github.com"
                .to_owned(),
        )),
        Some(github) => Ok(github.api_url.clone()),
        None => Ok(Url::parse("https://api.github.com").context("a URL")?),
    }
}

/// The home page of the App, which GitHub asks for: where the webhook is.
fn web(hook_url: &Url) -> String {
    hook_url.origin().ascii_serialization()
}

/// GitHub's page for new Apps: of github.com, of an Enterprise Server (`/api/v3`) or of a host with
/// data residency (`api.NAME.ghe.com`).
fn action(api_url: &Url, owner: &str, is_organization: bool) -> String {
    let mut web = api_url.clone();
    let host = api_url.host_str().unwrap_or_default();
    if let Some(host) = host.strip_prefix("api.") {
        // It was part of a host's name before.
        let _ = web.set_host(Some(host));
    }
    let path = web.path().trim_end_matches('/').trim_end_matches("/api/v3").to_owned();
    let base = format!("{}{path}", web.origin().ascii_serialization());
    match is_organization {
        true => format!("{base}/organizations/{owner}/settings/apps/new"),
        false => format!("{base}/settings/apps/new"),
    }
}

fn json(owner: &str, created: &Created, key_file: &Path, secret_file: Option<&PathBuf>) -> String {
    let facts = serde_json::json!({
        "owner": owner,
        "id": created.id,
        "client_id": created.client_id,
        "slug": created.slug,
        "html_url": created.html_url,
        "install_url": format!("{}/installations/new", created.html_url),
        "private_key_file": key_file,
        "webhook_secret_file": secret_file,
    });
    format!("{facts}\n")
}

fn next_steps(
    owner: &str,
    created: &Created,
    key_file: &Path,
    secret_file: Option<&PathBuf>,
) -> String {
    let issuer = match &created.client_id {
        Some(client_id) => format!("client_id = {client_id:?}"),
        None => format!("id = {}", created.id),
    };
    let secret = match secret_file {
        Some(file) => format!("webhook_secret_file = {file:?}\n"),
        None => {
            "# The webhook has no secret yet: set one in the App's settings and here.\n".to_owned()
        }
    };
    format!(
        "Created the GitHub App {} of {owner}.\n\n\
         1. Install it: {}/installations/new\n\
         2. Add this to the config, and let the user that roustabout runs as read the files:\n\n\
         [[github.credentials]]\nowners = [{owner:?}]\n[github.credentials.app]\n{issuer}\n\
         private_key_file = {key_file:?}\n{secret}\n\
         3. Run roustabout app status\n",
        created.slug,
        strangers_text::harmless(&created.html_url),
    )
}

/// GitHub's name of the App, as files are called by it: nothing in it leads to another folder, or does
/// anything in a terminal.
fn as_file_name(slug: &str) -> String {
    let is_good = |c: &char| c.is_ascii_alphanumeric() || *c == '-';
    let name: String = slug.chars().filter(is_good).take(100).collect();
    if name.is_empty() { "github-app".to_owned() } else { name }
}

/// What is not the result: it goes to standard error.
pub(super) fn tell(text: &str) -> anyhow::Result<()> {
    writeln!(std::io::stderr(), "{text}").context("cannot write")
}

/// 128 bits in hex.
fn draw() -> String {
    format!("{:032x}", rand::rngs::StdRng::from_os_rng().random::<u128>())
}

/// As GitHub makes them: 160 bits in hex.
pub(super) fn draw_secret() -> SecretString {
    let mut rng = rand::rngs::StdRng::from_os_rng();
    let text: String = (0..20).map(|_| format!("{:02x}", rng.random::<u8>())).collect();
    text.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_for_new_apps_is_known_from_the_api() {
        let at = |api: &str, organization| action(&api.parse().unwrap(), "octo", organization);
        assert_eq!(at("https://api.github.com", false), "https://github.com/settings/apps/new");
        assert_eq!(
            at("https://ghes.test/api/v3", true),
            "https://ghes.test/organizations/octo/settings/apps/new"
        );
        assert_eq!(at("https://api.octo.ghe.com", false), "https://octo.ghe.com/settings/apps/new");
        assert_eq!(at("http://127.0.0.1:9/", false), "http://127.0.0.1:9/settings/apps/new");
    }

    #[test]
    fn an_owner_is_a_login() {
        for good in ["octocat", "my-org", "mona_octo", "a"] {
            assert_eq!(login(good).as_deref(), Ok(good));
        }
        let long = "a".repeat(40);
        for wrong in ["", "octo/app", "-a", "a b", "@octocat", "https://github.com/octocat", &long]
        {
            assert!(login(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn to_cancel_runs_is_asked_for_only_where_a_pool_does() {
        use crate::check::testing::{loaded, pools};
        let mut settings = loaded("").settings;
        assert_eq!((actions(None), actions(Some(&settings))), ("read", "read"));
        settings.pools = pools(&["name = \"a\"\ncancel_superseded = true"]);
        assert_eq!(actions(Some(&settings)), "write");
    }

    #[test]
    fn the_name_of_an_app_leads_to_no_other_folder() {
        for (slug, name) in [
            ("octo-ci", "octo-ci"),
            ("../../evil", "evil"),
            ("x\u{1b}[31m", "x31m"),
            ("/", "github-app"),
        ] {
            assert_eq!(as_file_name(slug), name);
        }
    }
}
