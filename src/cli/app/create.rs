//! `app create`: the manifest flow. A page on loopback leads the browser to GitHub and back with a code;
//! from a machine without a browser the code is pasted. It is exchanged for the App's key and secret,
//! which are written to files and never printed.

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use rand::{Rng, SeedableRng};
use secrecy::SecretString;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use transport::Server;
use url::Url;

use super::super::Failed;
use super::{kept, page};
use crate::config::Settings;
use crate::github::{Created, Error, LONGEST_APP_NAME, Manifest, Stranger};

/// How long GitHub takes a code.
const PATIENCE: Duration = Duration::from_secs(3600);
/// What the App asks for: runners of repositories and organizations, and to read and cancel runs.
const PERMISSIONS: [(&str, &str); 3] =
    [("actions", "write"), ("administration", "write"), ("metadata", "read")];
const OF_ORGANIZATIONS: (&str, &str) = ("organization_self_hosted_runners", "write");

#[derive(clap::Args)]
pub struct Options {
    /// User or organization that will own the App, and on which it can be installed.
    #[arg(long, value_name = "LOGIN")]
    owner: String,
    /// Folder for the private key and the webhook secret (mode 0600); default: the current folder.
    #[arg(long, value_name = "DIR", default_value = ".")]
    output: PathBuf,
    /// Public address of the webhook; default: [webhook] public_url of the config.
    #[arg(long, value_name = "URL")]
    webhook_url: Option<Url>,
    /// API of GitHub; default: [github] api_url of the config, else https://api.github.com.
    #[arg(long, value_name = "URL")]
    api_url: Option<Url>,
    /// Name of the App, which must be unique at GitHub; default: roustabout-LOGIN.
    #[arg(long)]
    name: Option<String>,
    /// Print the result as one JSON object.
    #[arg(long)]
    json: bool,
}

pub async fn run(config: Option<PathBuf>, options: Options) -> Result<(), Failed> {
    // There may be no config yet, or none that has a credential.
    let settings = super::super::load(config).ok().map(|loaded| loaded.settings);
    let hook_url = hook_url(&options, settings.as_ref())?;
    let api_url = api_url(&options, settings.as_ref())?;
    let name = options.name.clone().unwrap_or_else(|| format!("roustabout-{}", options.owner));
    if name.is_empty() || name.len() > LONGEST_APP_NAME {
        return Err(Failed::Wrong(format!(
            "roustabout app create: the name {name:?} is not 1 to {LONGEST_APP_NAME} characters long; set another with --name"
        )));
    }
    let folder = kept::writable(&options.output)?;
    let ca_cert_pem = settings.as_ref().and_then(|it| it.github.ca_cert_pem.clone());
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
    let mut created = exchange(&github, listener, served, &state).await?;
    created.slug = as_file_name(&created.slug);
    let secret = created.webhook_secret.clone();
    let key_file = kept::write_new(&folder, &format!("{}.pem", created.slug), &created.pem)?;
    let secret_file = match &secret {
        Some(secret) => {
            Some(kept::write_new(&folder, &format!("{}-webhook-secret", created.slug), secret)?)
        }
        None => None,
    };
    let text = match options.json {
        true => json(&owner, &created, &key_file, secret_file.as_ref()),
        false => next_steps(&owner, &created, &key_file, secret_file.as_ref()),
    };
    Ok(write!(std::io::stdout(), "{text}").context("cannot write")?)
}

fn hook_url(options: &Options, settings: Option<&Settings>) -> Result<Url, Failed> {
    let configured = settings.and_then(|settings| settings.webhook.public_url.clone());
    let url = options.webhook_url.clone().or(configured).ok_or_else(|| {
        Failed::Wrong(
            "roustabout app create: the address of the webhook is not known; set [webhook] public_url in the config, or --webhook-url https://HOST/webhook"
                .to_owned(),
        )
    })?;
    match matches!(url.scheme(), "http" | "https") && url.has_host() {
        true => Ok(url),
        false => {
            Err(Failed::Wrong(format!("roustabout app create: {url} is not an https address")))
        }
    }
}

fn api_url(options: &Options, settings: Option<&Settings>) -> Result<Url, Failed> {
    let configured = settings.map(|settings| settings.github.api_url.clone());
    match options.api_url.clone().or(configured) {
        Some(url) => Ok(url),
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

/// Waits for a code from the browser or from standard input, and exchanges it.
async fn exchange(
    github: &Stranger,
    listener: TcpListener,
    served: page::Page,
    state: &str,
) -> Result<Created, Failed> {
    let (codes, mut came) = mpsc::channel(1);
    let page = page::serve(listener, served, codes);
    let asked = async {
        let mut lines = lines_of_standard_input();
        let mut reads = true;
        loop {
            let code = tokio::select! {
                code = came.recv() => code,
                line = lines.recv(), if reads => match line {
                    Some(line) if line.trim().is_empty() => continue,
                    Some(line) => match code_in(line.trim(), state) {
                        Ok(code) => Some(code),
                        Err(why) => { tell(why)?; continue }
                    },
                    // Nobody types here: the browser is waited for.
                    None => { reads = false; continue }
                },
            };
            let Some(code) = code else { continue };
            match github.exchange(&code).await {
                Ok(created) => return Ok(created),
                Err(Error::NotFound { .. } | Error::Unprocessable { .. }) => tell(
                    "GitHub does not accept this code: it was used before, is older than an hour, or is incomplete. \
                     Open the page again to get a new one.",
                )?,
                Err(error) => {
                    return Err(anyhow::Error::from(error)
                        .context("cannot exchange the code")
                        .into());
                }
            }
        }
    };
    tokio::select! {
        () = page => Err(anyhow::anyhow!("the page on loopback ended").into()),
        asked = tokio::time::timeout(PATIENCE, asked) => asked.unwrap_or_else(|_| {
            Err(anyhow::anyhow!("nobody confirmed the App within an hour, after which GitHub accepts no code; start again").into())
        }),
    }
}

/// A thread reads them, which ends with the input or the process.
fn lines_of_standard_input() -> mpsc::Receiver<String> {
    let (sender, lines) = mpsc::channel(1);
    std::thread::spawn(move || {
        for line in std::io::stdin().lines().map_while(Result::ok) {
            if sender.blocking_send(line).is_err() {
                return;
            }
        }
    });
    lines
}

/// The code in what was pasted: the address of the browser, or the code alone.
fn code_in(pasted: &str, state: &str) -> Result<String, &'static str> {
    if !pasted.contains("code=") {
        return match page::is_code(pasted) {
            true => Ok(pasted.to_owned()),
            false => Err("This is neither a code nor an address with code=; paste it once more."),
        };
    }
    let query = pasted.split_once('?').map_or(pasted, |(_, query)| query);
    let pairs: Vec<(String, String)> =
        form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    let value = |name: &str| pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value);
    if value("state").is_some_and(|given| given != state) {
        return Err("This address belongs to another run of this command.");
    }
    match value("code").filter(|code| page::is_code(code)) {
        Some(code) => Ok(code.clone()),
        None => Err("There is no code in this address; paste it once more."),
    }
}

fn json(
    owner: &str,
    created: &Created,
    key_file: &std::path::Path,
    secret_file: Option<&PathBuf>,
) -> String {
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
    key_file: &std::path::Path,
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
fn tell(text: &str) -> anyhow::Result<()> {
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
    fn a_code_is_found_in_what_is_pasted() {
        let found = |text| code_in(text, "s1").ok();
        assert_eq!(found("abc123").as_deref(), Some("abc123"));
        let address = "http://127.0.0.1:5/created?code=abc123&state=s1";
        assert_eq!(found(address).as_deref(), Some("abc123"));
        assert_eq!(found("code=abc123").as_deref(), Some("abc123"));
        for wrong in ["http://127.0.0.1:5/created?code=abc123&state=s2", "code=", "a b", "code=a/b"]
        {
            assert_eq!(found(wrong), None, "{wrong}");
        }
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
