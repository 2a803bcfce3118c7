//! `hooks list`, `sync` and `remove` against the simulated GitHub, which forgets what a change leaves out.

use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use simulated::github::{
    ContentType, FaultKind, FaultRule, HookSpec, Level, Scope, Server, Visibility,
};
use tokio::net::TcpListener;

use crate::support::daemon::{SECRET, roustabout};

const TOKEN: &str = "ghp_hooks";
const URL: &str = "http://127.0.0.1:1/webhook";

struct Stage {
    github: Server,
    folder: tempfile::TempDir,
}

struct Said {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Stage {
    /// A user's repositories `app` (a topic), `lib` (public), `site`, and one of nobody's business; an
    /// organization with `octo/one` and `octo/two`.
    async fn set(pools: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let github = Server::start(listener, 7).unwrap();
        github.with(|github, now| {
            let user = github.add_user("me");
            github.add_organization("octo", &[user]);
            github.add_full_token(TOKEN, user);
            let app = github.add_repository("me/app", Visibility::Private, now);
            github.repository_mut(app).unwrap().topics = vec!["ci".to_owned()];
            github.add_repository("me/lib", Visibility::Public, now);
            github.add_repository("me/site", Visibility::Private, now);
            github.add_repository("me/other", Visibility::Private, now);
            let old = github.add_repository("me/old", Visibility::Private, now);
            github.repository_mut(old).unwrap().archived = true;
            github.add_repository("octo/one", Visibility::Private, now);
            github.add_repository("octo/two", Visibility::Private, now);
        });
        let folder = tempfile::tempdir().unwrap();
        let config = format!(
            "[webhook]\nsecret = \"{SECRET}\"\npublic_url = \"{URL}\"\n\
             [github]\napi_url = \"{}\"\n[[github.credentials]]\nowners = [\"*\"]\ntoken = \"{TOKEN}\"\n{pools}",
            github.url()
        );
        std::fs::write(folder.path().join("c.toml"), config).unwrap();
        Self { github, folder }
    }

    /// A pool for these repositories.
    fn pool(name: &str, repositories: &str, more: &str) -> String {
        format!(
            "[[pools]]\nname = \"{name}\"\nnomad_job = \"runner\"\nlabels = [\"linux\"]\n\
             repositories = {repositories}\ndelivery = \"payload\"\n{more}\n"
        )
    }

    async fn usual() -> Self {
        Self::set(&Self::pool("x64", r#"["me/*", "!me/other"]"#, "")).await
    }

    async fn hooks(&self, arguments: &[&str]) -> Said {
        let mut command: Command = roustabout();
        command.arg("hooks").args(arguments).arg("--config").arg(self.folder.path().join("c.toml"));
        command.stdin(std::process::Stdio::null());
        let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Said { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }

    fn scope(&self, name: &str) -> Scope {
        self.github.with(|github, _| match github.repository(name) {
            Some(found) => Scope::Repository(found.id),
            None => Scope::Organization(github.account(name).unwrap().id),
        })
    }

    fn add(&self, name: &str, spec: HookSpec) -> u64 {
        let scope = self.scope(name);
        self.github.with(|github, now| github.add_hook(scope, spec, now))
    }

    fn has(&self, name: &str) -> Vec<HookSpec> {
        let scope = self.scope(name);
        self.github.with(|github, _| github.hooks_at(scope))
    }
}

impl Said {
    /// State and scope of each line.
    fn lines(&self) -> Vec<(String, String)> {
        let lines = self.out.lines().map(|line| line.split_whitespace());
        lines.map(|mut it| (it.next().unwrap().into(), it.next().unwrap().into())).collect()
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|_| panic!("{}{}", self.out, self.err))
    }
}

fn pairs(of: &[(&str, &str)]) -> Vec<(String, String)> {
    of.iter().map(|(state, scope)| ((*state).to_owned(), (*scope).to_owned())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_is_made_what_is_wrong_is_changed_and_what_is_others_stays() {
    let it = Stage::usual().await;
    let wrong = HookSpec {
        content_type: ContentType::Form,
        events: vec!["workflow_job".to_owned(), "push".to_owned()],
        active: false,
        ..HookSpec::new(URL, "an old secret")
    };
    let changed = it.add("me/lib", wrong);
    it.add("me/lib", HookSpec::new("http://127.0.0.1:1/other", "others"));
    it.add("me/site", HookSpec::new(URL, "nobody sees it"));
    let plan = pairs(&[("create", "me/app"), ("update", "me/lib"), ("ok", "me/site")]);

    let listed = it.hooks(&["list"]).await;
    assert_eq!((listed.code, listed.lines()), (Some(0), plan.clone()), "{}", listed.err);
    assert!(listed.out.contains("differs in events, content_type, active"), "{}", listed.out);
    for (arguments, code) in [(&["sync"][..], 2), (&["sync", "--dry-run"], 0)] {
        let said = it.hooks(arguments).await;
        assert_eq!((said.code, said.lines()), (Some(code), plan.clone()));
    }
    assert!(it.has("me/app").is_empty(), "nothing is changed unasked");

    let done = it.hooks(&["sync", "--yes", "--json"]).await;
    assert_eq!(done.code, Some(0), "{}", done.err);
    let told = done.json();
    assert_eq!(told[1]["hook_id"], changed);
    assert_eq!(told[1]["differs"], json!(["events", "content_type", "active"]));
    assert_eq!(told[0]["state"], "create");
    assert!(told[0]["hook_id"].is_u64() && told[0]["error"].is_null());
    for name in ["me/app", "me/lib"] {
        let ours: Vec<HookSpec> = it.has(name).into_iter().filter(|it| it.url == URL).collect();
        let [hook] = ours.as_slice() else { panic!("{name}: {ours:?}") };
        assert_eq!(hook.events, ["workflow_job"]);
        assert!(hook.active && hook.content_type == ContentType::Json);
        assert_eq!(hook.secret.as_deref(), Some(SECRET));
    }
    assert_eq!(it.has("me/site")[0].secret.as_deref(), Some("nobody sees it"));
    let again = it.hooks(&["sync"]).await;
    assert_eq!(again.code, Some(0), "nothing is left to ask about");
    assert!(again.lines().iter().all(|line| line.0 == "ok"));

    assert_eq!(
        it.hooks(&["sync", "--yes", "--set-secret", "--repository", "site"]).await.code,
        Some(0)
    );
    assert_eq!(it.has("me/site")[0].secret.as_deref(), Some(SECRET));

    let removal = it.hooks(&["remove", "--owner", "me"]).await;
    assert_eq!((removal.code, removal.lines().len()), (Some(2), 3));
    assert_eq!(it.hooks(&["remove", "--yes"]).await.code, Some(0));
    assert!(it.has("me/app").is_empty() && it.has("me/site").is_empty());
    assert_eq!(it.has("me/lib").len(), 1, "the other's");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_narrows() {
    let it = Stage::usual().await;
    for (arguments, scopes) in [
        (&["--topic", "CI"][..], &["me/app"][..]),
        (&["--visibility", "public"], &["me/lib"]),
        (&["--visibility", "private", "--visibility", "public"], &["me/app", "me/lib", "me/site"]),
        (&["--repository", "me/l*", "--repository", "app"], &["me/app", "me/lib"]),
        (&["--owner", "ME", "--visibility", "private"], &["me/app", "me/site"]),
        (&["--owner", "octo"], &[]),
    ] {
        let said = it.hooks(&[&["list"], arguments].concat()).await;
        let found: Vec<String> = said.lines().into_iter().map(|line| line.1).collect();
        assert_eq!((said.code, found.as_slice()), (Some(0), scopes.map_owned().as_slice()));
    }
    let elsewhere =
        it.hooks(&["sync", "--yes", "--repository", "app", "--url", "http://x.test/y"]).await;
    assert_eq!(elsewhere.code, Some(0));
    assert_eq!(it.has("me/app")[0].url, "http://x.test/y");
    assert_eq!(it.hooks(&["list", "--url", "ftp://x"]).await.code, Some(2));
}

trait MapOwned {
    fn map_owned(&self) -> Vec<String>;
}

impl MapOwned for [&str] {
    fn map_owned(&self) -> Vec<String> {
        self.iter().map(|text| (*text).to_owned()).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_organization_has_one_for_all_and_a_topic_picks() {
    let pools = [
        Stage::pool("org", r#"["octo/*"]"#, "scope = \"organization\""),
        Stage::pool("own", r#"["octo/one", "me/*"]"#, "topics = [\"ci\"]"),
    ];
    let it = Stage::set(&pools.concat()).await;
    let said = it.hooks(&["sync", "--yes", "--json"]).await;
    assert_eq!(said.code, Some(0), "{}", said.err);
    let told = said.json();
    let kinds: Vec<(&str, &str)> = told
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (one["scope"].as_str().unwrap(), one["kind"].as_str().unwrap()))
        .collect();
    assert_eq!(kinds, [("me/app", "repository"), ("octo", "organization")]);
    assert_eq!(it.has("octo").len(), 1);
    assert!(it.has("octo/one").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_is_told_and_the_rest_is_done() {
    let it = Stage::usual().await;
    let rule = |kind| FaultRule {
        method: "POST".to_owned(),
        path_contains: "/me/lib/hooks".to_owned(),
        times: 1,
        kind,
    };
    let refusal = json!({ "message": "Hook already exists on this repository" });
    it.github.with(|github, _| github.fault(rule(FaultKind::Status(422, refusal))));
    let said = it.hooks(&["sync", "--yes"]).await;
    assert_eq!(said.code, Some(1));
    let failed = "failed      me/lib  POST /repos/me/lib/hooks: 422 Hook already exists on this repository\n";
    assert!(said.out.ends_with(failed), "{}", said.out);
    assert_eq!((it.has("me/app").len(), it.has("me/site").len()), (1, 1));

    // It was made, and the answer was lost.
    it.github.with(|github, _| github.fault(rule(FaultKind::ActThenDrop)));
    let said = it.hooks(&["sync", "--yes", "--json"]).await;
    assert_eq!((said.code, it.has("me/lib").len()), (Some(0), 1), "{}", said.out);

    // GitHub asks to wait a moment.
    it.hooks(&["remove", "--yes"]).await;
    it.github
        .with(|github, _| github.fault(rule(FaultKind::RetryAfter { status: 429, seconds: 1 })));
    assert_eq!(it.hooks(&["sync", "--yes"]).await.code, Some(0));

    it.github.with(|github, _| {
        let user = github.account("me").unwrap().id;
        github.add_token(
            TOKEN,
            user,
            &[("metadata", Level::Read), ("repository_hooks", Level::Read)],
        );
    });
    let said = it.hooks(&["remove", "--yes", "--json"]).await;
    assert_eq!(said.code, Some(1));
    let told = said.json();
    assert!(told.as_array().unwrap().iter().all(|one| one["state"] == "failed"), "{told}");
    assert!(told[0]["error"].as_str().unwrap().contains("\"Webhooks: write\" on the repository"));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_address_nothing_can_be_said() {
    let it = Stage::usual().await;
    let config = it.folder.path().join("c.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, text.replace("public_url", "#public_url")).unwrap();
    let said = it.hooks(&["sync", "--yes"]).await;
    assert_eq!(said.code, Some(2));
    assert!(said.err.contains("webhook.public_url: missing"), "{}", said.err);
    let patience = Duration::from_secs(1);
    assert!(it.github.until(patience, |github| github.requests().is_empty()).await.is_ok());
}
