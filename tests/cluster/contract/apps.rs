//! What an App asks, by its JWT and as an installation, by GitHub's descriptions, in both directions.

use std::collections::BTreeSet;

use roustabout::github::{
    App, AppKey, Conditional, Error, Grant, LogOf, Pages, RunnersOf, Stranger,
};
use serde_json::json;
use simulated::github::{AppSpec, FaultKind, FaultRule, JobSpec, RunSpec};

use crate::contract::calls::OF_APPS;
use crate::contract::description::Api;
use crate::contract::judge::Judge;
use crate::contract::stage::Stage;
use crate::support::daemon::here;
use crate::support::parts::{self, Part};

/// The methods of `crates/github/src` that are tried here.
const TRIED: [&str; 9] = [
    "account",
    "deliver_again",
    "exchange",
    "hook_config",
    "installation",
    "installation_repositories_again",
    "installations",
    "registered",
    "set_hook_secret",
];

#[tokio::test(flavor = "multi_thread")]
async fn what_an_app_asks_keeps_to_githubs_description() {
    try_everything(Api::GitHubCom).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_app_asks_keeps_to_the_description_of_enterprise_server_3_17() {
    try_everything(Api::EnterpriseServer317).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_app_asks_keeps_to_the_description_of_enterprise_server_3_19() {
    try_everything(Api::EnterpriseServer319).await;
}

async fn try_everything(api: Api) {
    if parts::is_missing(Part::Descriptions, &format!("an App by the description of {api:?}")) {
        return;
    }
    let mut source: Vec<String> = Vec::new();
    for file in OF_APPS {
        let text = std::fs::read_to_string(here("crates/github/src").join(file)).unwrap();
        let names = text.split("pub async fn ").skip(1);
        source.extend(names.map(|rest| rest.split(['(', '<']).next().unwrap().to_owned()));
    }
    let known: BTreeSet<&str> = source.iter().map(String::as_str).collect();
    assert_eq!(BTreeSet::from(TRIED), known, "tried here (left) and in crates/github/src (right)");

    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let stage = Stage::set("http://127.0.0.1:1/").await;
    let (id, code, installation) = stage.server.with(|github, now| {
        github.knobs.kind = api.kind();
        let octo = github.account("octo").unwrap().id;
        let spec = AppSpec { public: true, ..AppSpec::new("runners", octo) };
        let id = github.add_app(spec.hook("http://127.0.0.1:1/", "secret"), now);
        let manifest = json!({"name": "made", "url": "https://hooks.test",
            "hook_attributes": {"url": "https://hooks.test/webhook"}});
        let code = github.confirm_manifest(&manifest.to_string(), "octocat", now).unwrap();
        github.install(id, github.account("octocat").unwrap().id, None, now);
        (id, code, github.install(id, octo, None, now))
    });
    let judge = Judge::before(&stage.server.url(), api).await;
    judge.name_repository(stage.app, "octo/app");
    let url = || judge.url().parse().unwrap();
    let key = AppKey::from_pem(simulated::app_key().into()).unwrap();
    let app = || App::new(url(), &id.to_string(), key.clone()).unwrap();
    let it = app();

    assert_eq!(it.registered().await.unwrap().id, id);
    assert_eq!(it.installations().await.unwrap().len(), 2);
    assert_eq!(it.installation("octo").await.unwrap().id, installation);
    assert!(it.installation("octocat").await.unwrap().all_repositories);
    it.hook_config().await.unwrap();
    it.set_hook_secret(&"another secret".into()).await.unwrap();
    let stranger = Stranger::at(url()).unwrap();
    assert_eq!(stranger.account("octocat").await.unwrap(), ("octocat".to_owned(), false));
    let made = stranger.exchange(&code).await.unwrap();
    assert!(made.webhook_secret.is_some());
    let again = stranger.exchange(&code).await;
    assert!(matches!(again, Err(Error::NotFound { .. })), "{again:?}");

    // As an installation, by tokens that are narrowed in every way.
    let read = it.client("octo", Grant::Read);
    let mut pages = Pages::default();
    read.installation_repositories_again(&mut pages, drop).await.unwrap();
    read.installation_repositories_again(&mut pages, drop).await.unwrap();
    assert_eq!(read.repository("octo/old").await.unwrap().full_name, "octo/app");
    read.runs("octo/app", "queued").await.unwrap();
    read.rate_limit().await.unwrap();
    let of = RunnersOf::Repository("octo/app");
    let narrow = it.client("octo/app", Grant::RunnersOfRepository("octo/app".to_owned()));
    narrow.registration_token(of).await.unwrap();
    narrow.runners(of, None).await.unwrap();
    let refused = narrow.runs("octo/inner", "queued").await;
    assert!(
        matches!(refused, Err(Error::Forbidden { .. } | Error::NotFound { .. })),
        "{refused:?}"
    );
    let of = RunnersOf::Organization("octo");
    it.client("octo", Grant::RunnersOfOrganization).registration_token(of).await.unwrap();

    // The log: something fails, is read, and sent once more.
    stage.server.with(|github, now| {
        github.add_run(stage.app, RunSpec::default(), vec![JobSpec::new("j", &["x"])], now);
    });
    let failed = async || {
        let log = it.own().deliveries_after(&LogOf::App, None, None, 1).await.unwrap();
        let Conditional::Fresh { value, .. } = log else { panic!("{log:?}") };
        value.deliveries
    };
    crate::support::until(
        "a delivery has failed",
        std::time::Duration::from_secs(20),
        async || failed().await.iter().any(|one| one.event == "workflow_job"),
    )
    .await;
    let one = failed().await.into_iter().find(|one| one.event == "workflow_job").unwrap();
    it.own().delivered_payload(&LogOf::App, one.id).await.unwrap().unwrap();
    it.deliver_again(one.id).await.unwrap();

    // Every refusal of a token, in GitHub's words.
    stage.server.with(|github, now| github.suspend(installation, true, now));
    let suspended = app().client("octo", Grant::Read).repository("octo/app").await;
    assert!(matches!(suspended, Err(Error::Suspended { .. })), "{suspended:?}");
    stage.server.with(|github, now| github.suspend(installation, false, now));
    let only = [stage.app];
    stage.server.with(|github, now| github.select_repositories(installation, Some(&only), now));
    let unseen = Grant::RunnersOfRepository("octocat/site".to_owned());
    // Public, so it is seen, and of another owner.
    let refused = app()
        .client("octo", unseen)
        .registration_token(RunnersOf::Repository("octocat/site"))
        .await;
    assert!(matches!(refused, Err(Error::NotGranted { .. })), "{refused:?}");
    let next = |status: u16| {
        let body = json!({"message": "no", "documentation_url": "https://docs.github.com/rest", "status": status.to_string()});
        let kind = FaultKind::Status(status, body);
        let rule = FaultRule { method: "*".into(), path_contains: String::new(), times: 1, kind };
        stage.server.with(|github, _| github.fault(rule));
    };
    for status in [401, 502] {
        next(status);
        let told = it.registered().await.unwrap_err();
        assert!(matches!(told, Error::AppRefused { .. } | Error::Unavailable { .. }), "{told}");
    }
    stage.server.with(|github, now| github.uninstall(installation, now));
    let gone = it.client("octo", Grant::Read).repository("octo/app").await;
    assert!(matches!(gone, Err(Error::NotInstalled { .. })), "{gone:?}");

    let breaches = judge.breaches();
    assert!(breaches.is_empty(), "{breaches:#?}");
}
