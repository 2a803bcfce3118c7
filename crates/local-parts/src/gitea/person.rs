//! Somebody at work at a Gitea: makes repositories and hooks, pushes files, cancels and reruns.
//!
//! This is what stands outside of the daemon, so it shares no code with the daemon's own client:
//! a mistake there must not be made here as well.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{COOKIE, LOCATION, SET_COOKIE};
use reqwest::{Client, Method, Response, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use url::Url;

use crate::random;

/// What Gitea did not do.
#[derive(Debug, thiserror::Error)]
#[error("{method} {path} at Gitea: {trouble}")]
pub struct PersonError {
    pub method: Method,
    pub path: String,
    pub trouble: Trouble,
}

/// Why.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// No answer, or one that cannot be read.
    #[error("{0}")]
    NoAnswer(#[from] reqwest::Error),
    /// An answer that is no success.
    #[error("{status}: {body}")]
    Refused { status: StatusCode, body: String },
}

impl PersonError {
    /// Gitea's status, where it answered.
    #[must_use]
    pub fn status(&self) -> Option<StatusCode> {
        match &self.trouble {
            Trouble::NoAnswer(_) => None,
            Trouble::Refused { status, .. } => Some(*status),
        }
    }
}

/// An account with its password and a token of every scope.
#[derive(Debug, Clone)]
pub struct Person {
    root: Url,
    http: Client,
    pub name: String,
    password: SecretString,
    pub token: SecretString,
    /// Of the web page; each log-in costs Gitea a slow hash.
    session: Arc<tokio::sync::Mutex<Option<String>>>,
}

impl Person {
    pub(super) fn new(root: Url, name: &str, password: SecretString, token: SecretString) -> Self {
        let http = Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(std::time::Duration::from_secs(60))
            .build()
            .expect("a client without certificates and proxies of its own");
        Self { root, http, name: name.to_owned(), password, token, session: Arc::default() }
    }

    /// What `git` needs as an HTTP header, for repositories of this Gitea.
    pub fn git_header(&self) -> SecretString {
        let login = format!("{}:{}", self.name, self.token.expose_secret());
        format!("Authorization: Basic {}", STANDARD.encode(login)).into()
    }

    pub fn password(&self) -> &SecretString {
        &self.password
    }

    /// Any call of the API, of which only success is an answer; `path` begins with `/repos` or such.
    ///
    /// # Errors
    /// As every method here: no answer, or no success.
    pub async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, PersonError> {
        let text = self.text(method, path, body).await?;
        Ok(serde_json::from_str(&text).unwrap_or(Value::Null))
    }

    pub async fn get(&self, path: &str) -> Result<Value, PersonError> {
        self.call(Method::GET, path, None).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Result<Value, PersonError> {
        self.call(Method::POST, path, Some(body)).await
    }

    async fn text(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<String, PersonError> {
        let url = format!("{}api/v1{path}", self.root);
        let mut request = self.http.request(method.clone(), url);
        request = request.bearer_auth(self.token.expose_secret());
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer =
            async { success(request.send().await?).await?.text().await.map_err(Trouble::from) };
        answer.await.map_err(|trouble| PersonError { method, path: path.to_owned(), trouble })
    }

    /// Another account. Only the administrator may.
    pub async fn add_user(&self, name: &str) -> Result<Self, PersonError> {
        let password = hex::encode(random::<16>());
        let path = "/admin/users";
        let body = json!({
            "username": name, "email": format!("{name}@example.com"), "password": &password,
            "must_change_password": false,
        });
        self.post(path, &body).await?;
        let user = Self::new(self.root.clone(), name, password.into(), String::new().into());
        let token = user.new_token("all", &["all"]).await?;
        Ok(Self { token, ..user })
    }

    /// A token of these scopes: `write:repository`, `read:organization`, …
    pub async fn new_token(
        &self,
        name: &str,
        scopes: &[&str],
    ) -> Result<SecretString, PersonError> {
        let path = format!("/users/{}/tokens", self.name);
        let request = self
            .http
            .post(format!("{}api/v1{path}", self.root))
            // Tokens make no tokens.
            .basic_auth(&self.name, Some(self.password.expose_secret()))
            .json(&json!({ "name": name, "scopes": scopes }));
        let answer = async { Ok(success(request.send().await?).await?.json::<Value>().await?) };
        let answer = answer.await;
        let answer =
            answer.map_err(|trouble| PersonError { method: Method::POST, path, trouble })?;
        Ok(answer["sha1"].as_str().unwrap_or_default().into())
    }

    pub async fn add_organization(&self, name: &str) -> Result<(), PersonError> {
        self.post("/orgs", &json!({ "username": name })).await.map(drop)
    }

    /// `repository` is `OWNER/NAME`, of this person or of an organization; it has a first commit.
    pub async fn add_repository(&self, repository: &str, private: bool) -> Result<(), PersonError> {
        let (owner, name) = repository.split_once('/').unwrap_or((&self.name, repository));
        let path = match owner == self.name {
            true => "/user/repos".to_owned(),
            false => format!("/orgs/{owner}/repos"),
        };
        let body = json!({ "name": name, "private": private, "auto_init": true, "default_branch": "main" });
        self.post(&path, &body).await.map(drop)
    }

    /// A hook for `workflow_job`; `place` is `repos/OWNER/NAME` or `orgs/NAME`. Its id.
    pub async fn add_hook(&self, place: &str, url: &str, secret: &str) -> Result<u64, PersonError> {
        let body = json!({
            "type": "gitea", "active": true, "events": ["workflow_job"],
            "config": { "url": url, "content_type": "json", "secret": secret },
        });
        let hook = self.post(&format!("/{place}/hooks"), &body).await?;
        Ok(hook["id"].as_u64().unwrap_or_default())
    }

    /// Adds or changes a file on a branch, which is a push; the commit's id.
    pub async fn push(
        &self,
        repository: &str,
        branch: &str,
        file: &str,
        text: &str,
    ) -> Result<String, PersonError> {
        let path = format!("/repos/{repository}/contents/{file}");
        let mut body = json!({
            "branch": branch, "content": STANDARD.encode(text), "message": format!("Put {file}"),
        });
        let there = match self.get(&format!("{path}?ref={branch}")).await {
            Ok(there) => there["sha"].as_str().map(str::to_owned),
            Err(error) if error.status() == Some(StatusCode::NOT_FOUND) => None,
            Err(error) => return Err(error),
        };
        let method = match there {
            Some(sha) => {
                body["sha"] = sha.into();
                Method::PUT
            }
            None => Method::POST,
        };
        let pushed = self.call(method, &path, Some(&body)).await?;
        Ok(pushed["commit"]["sha"].as_str().unwrap_or_default().to_owned())
    }

    /// Adds new files to `main` in one push. Of two pushes one after the other Gitea may take the
    /// first for both of them, and start the second's workflows twice.
    pub async fn push_new(
        &self,
        repository: &str,
        files: &[(String, String)],
    ) -> Result<(), PersonError> {
        let files: Vec<Value> = files
            .iter()
            .map(|(path, text)| {
                json!({ "operation": "create", "path": path, "content": STANDARD.encode(text) })
            })
            .collect();
        let body = json!({ "branch": "main", "message": "Put workflows", "files": files });
        self.post(&format!("/repos/{repository}/contents"), &body).await.map(drop)
    }

    /// The repository's runs, newest first.
    pub async fn runs(&self, repository: &str) -> Result<Vec<Value>, PersonError> {
        let path = format!("/repos/{repository}/actions/runs?limit=50");
        let mut answer = self.get(&path).await?;
        Ok(list(&mut answer["workflow_runs"]))
    }

    /// Every job of the repository, over all pages.
    pub async fn jobs(&self, repository: &str) -> Result<Vec<Value>, PersonError> {
        let mut jobs = Vec::new();
        for page in 1.. {
            let path = format!("/repos/{repository}/actions/jobs?limit=50&page={page}");
            let mut answer = self.get(&path).await?;
            let here = list(&mut answer["jobs"]);
            let last = here.is_empty();
            jobs.extend(here);
            let all = answer["total_count"].as_u64().unwrap_or_default();
            if last || jobs.len() as u64 >= all {
                break;
            }
        }
        Ok(jobs)
    }

    /// As the forge has it now.
    pub async fn job(&self, repository: &str, job: u64) -> Result<Value, PersonError> {
        self.get(&format!("/repos/{repository}/actions/jobs/{job}")).await
    }

    /// What its steps wrote.
    pub async fn log(&self, repository: &str, job: u64) -> Result<String, PersonError> {
        let path = format!("/repos/{repository}/actions/jobs/{job}/logs");
        self.text(Method::GET, &path, None).await
    }

    /// The registered runners of `repos/OWNER/NAME`, `orgs/NAME`, `user` or, all of them, `admin`.
    pub async fn runners(&self, place: &str) -> Result<Vec<Value>, PersonError> {
        let mut answer = self.get(&format!("/{place}/actions/runners?limit=50")).await?;
        Ok(list(&mut answer["runners"]))
    }

    /// The registration token of a place.
    pub async fn registration_token(&self, place: &str) -> Result<SecretString, PersonError> {
        let path = format!("/{place}/actions/runners/registration-token");
        let answer = self.call(Method::POST, &path, None).await?;
        Ok(answer["token"].as_str().unwrap_or_default().into())
    }

    /// Forks the repository under the same name; the fork's `OWNER/NAME`.
    pub async fn fork(&self, repository: &str) -> Result<String, PersonError> {
        let fork = self.post(&format!("/repos/{repository}/forks"), &json!({})).await?;
        Ok(fork["full_name"].as_str().unwrap_or_default().to_owned())
    }

    /// A pull request to `main`, from `OWNER:BRANCH`; its number.
    pub async fn open_pull(&self, repository: &str, head: &str) -> Result<u64, PersonError> {
        let body = json!({ "title": format!("From {head}"), "head": head, "base": "main" });
        let pull = self.post(&format!("/repos/{repository}/pulls"), &body).await?;
        Ok(pull["number"].as_u64().unwrap_or_default())
    }

    /// All jobs of a run once more.
    pub async fn rerun(&self, repository: &str, run: u64) -> Result<(), PersonError> {
        let path = format!("/repos/{repository}/actions/runs/{run}/rerun");
        self.call(Method::POST, &path, None).await.map(drop)
    }

    /// Cancels a run: a button of the web page, which the API has not.
    pub async fn cancel(&self, repository: &str, run: u64) -> Result<(), PersonError> {
        self.press(&format!("{repository}/actions/runs/{run}/cancel")).await
    }

    /// Lets a run of a stranger's pull request start: a button, too.
    pub async fn approve(&self, repository: &str, run: u64) -> Result<(), PersonError> {
        self.press(&format!("{repository}/actions/runs/{run}/approve")).await
    }

    async fn press(&self, path: &str) -> Result<(), PersonError> {
        let url = format!("{}{path}", self.root);
        let press = async {
            let mut session = self.session.lock().await;
            // A Gitea that was restarted knows no session from before.
            let mut fresh = false;
            loop {
                let cookies = match session.clone() {
                    Some(cookies) => cookies,
                    None => {
                        fresh = true;
                        session.insert(self.log_in().await?).clone()
                    }
                };
                let answer = self.http.post(&url).header(COOKIE, cookies).send().await?;
                match pressed(answer).await {
                    Err(_) if !fresh => *session = None,
                    answer => return answer,
                }
            }
        };
        let path = format!("/{path}");
        press.await.map_err(|trouble| PersonError { method: Method::POST, path, trouble })
    }

    async fn log_in(&self) -> Result<String, Trouble> {
        let form = form_urlencoded::Serializer::new(String::new())
            .append_pair("user_name", &self.name)
            .append_pair("password", self.password.expose_secret())
            .finish();
        let request = self
            .http
            .post(format!("{}user/login", self.root))
            .header("Content-Type", "application/x-www-form-urlencoded")
            .body(form);
        let answer = request.send().await?;
        let status = answer.status();
        let cookies = answer.headers().get_all(SET_COOKIE).iter();
        let cookies = cookies.filter_map(|it| it.to_str().ok()?.split(';').next()?.split_once('='));
        // One name comes twice, and the last is right.
        let cookies: BTreeMap<&str, &str> = cookies.collect();
        if !status.is_redirection() || cookies.is_empty() {
            let body = "the log-in was refused".to_owned();
            return Err(Trouble::Refused { status, body });
        }
        let cookies = cookies.into_iter().map(|(name, value)| format!("{name}={value}"));
        Ok(cookies.collect::<Vec<_>>().join("; "))
    }
}

async fn success(answer: Response) -> Result<Response, Trouble> {
    let status = answer.status();
    if status.is_success() {
        return Ok(answer);
    }
    let body = answer.text().await.unwrap_or_default();
    let body = body.chars().take(500).collect();
    Err(Trouble::Refused { status, body })
}

/// A button sends its presser on to another page, but not to the log-in.
async fn pressed(answer: Response) -> Result<(), Trouble> {
    let to = answer.headers().get(LOCATION).and_then(|to| to.to_str().ok()).map(str::to_owned);
    match to {
        Some(to) if !to.contains("/user/login") => Ok(()),
        Some(to) => Err(Trouble::Refused { status: answer.status(), body: format!("go to {to}") }),
        None => success(answer).await.map(drop),
    }
}

fn list(value: &mut Value) -> Vec<Value> {
    match value.take() {
        Value::Array(list) => list,
        _ => Vec::new(),
    }
}
