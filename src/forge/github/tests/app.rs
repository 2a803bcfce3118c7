//! A GitHub App in place of a token, against the simulated GitHub, which judges its JWTs, narrows its
//! tokens and has every refusal that GitHub has.

use simulated::AppKeys;
use simulated::github::http::Server;
use simulated::github::repositories::Visibility;
use simulated::github::{AppSpec, Level};
use tokio::net::TcpListener;

use super::*;
use crate::config::App as AppSettings;

struct Stage {
    server: Server,
    app: u64,
    octocat: u64,
    installation: u64,
    repository: u64,
}

impl Stage {
    async fn new() -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let server = Server::start(TcpListener::bind("127.0.0.1:0").await.unwrap(), 1).unwrap();
        let (app, octocat, installation, repository) = server.with(|github, now| {
            let octocat = github.add_user("octocat");
            github.add_organization("octo", &[octocat]);
            let repository = github.add_repository("octocat/app", Visibility::Private, now);
            github.add_repository("octocat/lib", Visibility::Private, now);
            let spec = AppSpec { public: true, ..AppSpec::new("runners", octocat) };
            let app = github.add_app(spec, now);
            (app, octocat, github.install(app, octocat, None, now), repository)
        });
        Self { server, app, octocat, installation, repository }
    }

    fn forge(&self) -> GitHub {
        self.forge_with(&AppKeys::usual().pkcs1)
    }

    fn forge_with(&self, pem: &str) -> GitHub {
        let key = github::AppKey::from_pem(pem.into()).unwrap();
        let issuer = self.server.with(|github, _| github.app(self.app).unwrap().client_id.clone());
        let app = AppSettings { issuer, key, webhook: None, previous_webhook: None };
        let owners = vec!["Octocat".to_owned(), "octo".to_owned()];
        let credential = Credential { owners, by: By::App(Box::new(app)) };
        GitHub::new(self.server.url().parse().unwrap(), &credential).unwrap()
    }

    fn count(&self, method: &str, path: &str) -> usize {
        self.server.with(|github, _| github.count_requests(method, path))
    }
}

const HOUR: Duration = Duration::from_secs(600);

fn at(name: &str) -> Target {
    Target::Repository(name.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn each_use_has_a_token_of_its_own_that_is_asked_for_once() {
    let stage = Stage::new().await;
    let forge = stage.forge();
    for _ in 0..3 {
        let (one, two) = (at("octocat/app"), at("octocat/app"));
        let (a, b) = tokio::join!(forge.mint(&one, HOUR), forge.mint(&two, HOUR));
        a.and(b).unwrap();
        forge.repository("octocat/app").await.unwrap();
        forge.repository("octocat/lib").await.unwrap();
    }
    // One that reads, for the whole installation, and one for runners of the one repository.
    assert_eq!(stage.count("POST", "access_tokens"), 2);
    assert_eq!(stage.count("GET", "/users/octocat/installation"), 1);
    forge.mint(&at("octocat/lib"), HOUR).await.unwrap();
    assert_eq!(stage.count("POST", "access_tokens"), 3);
    // What reads may not write: the narrow ones are used where something is done.
    let seen = forge.repositories(&mut ListMemory::default()).await;
    let error = seen.unwrap_err();
    assert!(error.what.contains("not installed on octo"), "{error}");
    assert!(error.mend.unwrap().contains("install the App on octo"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_of_the_other_form_signs_as_well() {
    let stage = Stage::new().await;
    let forge = stage.forge_with(&AppKeys::usual().pkcs8);
    forge.mint(&at("octocat/app"), HOUR).await.unwrap();
    let other = stage.forge_with(&AppKeys::generate().pkcs1);
    let error = other.mint(&at("octocat/app"), HOUR).await.unwrap_err();
    assert_eq!(error.kind, Kind::Unauthorized);
    assert!(error.what.contains("not of this GitHub App"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_wrong_goes_by_githubs() {
    for ahead in [-20 * 60_000, 20 * 60_000] {
        let stage = Stage::new().await;
        stage.server.with(|github, _| github.knobs.clock_ahead = ahead);
        stage.forge().repository("octocat/app").await.unwrap();
        assert_eq!(stage.count("GET", "/users/octocat/installation"), 2, "refused, and once more");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_was_installed_anew_is_found_by_its_new_id() {
    let stage = Stage::new().await;
    let forge = stage.forge();
    forge.mint(&at("octocat/app"), HOUR).await.unwrap();
    stage.server.with(|github, now| {
        github.uninstall(stage.installation, now);
        github.install(stage.app, stage.octocat, None, now);
    });
    // The old token is refused, the old id too, and then the new one is found.
    forge.repository("octocat/app").await.unwrap();
    forge.mint(&at("octocat/app"), HOUR).await.unwrap();
    let now_on =
        stage.server.with(|github, _| github.installation_on(stage.app, stage.octocat).unwrap().id);
    stage.server.with(|github, now| github.uninstall(now_on, now));
    let error = forge.mint(&at("octocat/app"), HOUR).await.unwrap_err();
    assert!(error.what.to_lowercase().contains("not installed on octocat"), "{error}");
    assert!(error.refuses() && error.is_trouble());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_one_is_told_as_that() {
    let stage = Stage::new().await;
    let forge = stage.forge();
    forge.repository("octocat/app").await.unwrap();
    stage.server.with(|github, now| github.suspend(stage.installation, true, now));
    for error in [
        forge.repository("octocat/app").await.unwrap_err(),
        forge.mint(&at("octocat/app"), HOUR).await.unwrap_err(),
        forge.probe().await.unwrap_err(),
        stage.forge().repository("octocat/app").await.unwrap_err(),
    ] {
        assert!(error.what.to_lowercase().contains("on octocat is suspended"), "{error}");
        assert_eq!(error.kind, Kind::Unauthorized);
    }
    stage.server.with(|github, now| github.suspend(stage.installation, false, now));
    forge.repository("octocat/app").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_permission_or_a_repository_that_is_not_granted_is_named() {
    let stage = Stage::new().await;
    stage.server.with(|github, now| {
        github.app_mut(stage.app).unwrap().permissions.insert("administration".into(), Level::Read);
        github.accept_permissions(stage.installation, now);
    });
    let error = stage.forge().mint(&at("octocat/app"), HOUR).await.unwrap_err();
    assert!(error.what.contains("does not grant administration: write"), "{error}");
    assert!(error.mend.unwrap().contains("accept it for octocat"));
    stage.server.with(|github, now| {
        github
            .app_mut(stage.app)
            .unwrap()
            .permissions
            .insert("administration".into(), Level::Write);
        github.accept_permissions(stage.installation, now);
    });
    let forge = stage.forge();
    forge.mint(&at("octocat/lib"), HOUR).await.unwrap();
    let only = [stage.repository];
    stage
        .server
        .with(|github, now| github.select_repositories(stage.installation, Some(&only), now));
    let listed = {
        let owner = Credential { owners: vec!["octocat".to_owned()], by: by_app(&stage) };
        let forge = GitHub::new(stage.server.url().parse().unwrap(), &owner).unwrap();
        forge.repositories(&mut ListMemory::default()).await.unwrap()
    };
    assert_eq!(
        listed.iter().map(|one| one.full_name.as_str()).collect::<Vec<_>>(),
        ["octocat/app"]
    );
    // Its name is known from before, and it is out of reach.
    let error = stage.forge().mint(&at("octocat/lib"), HOUR).await.unwrap_err();
    assert_eq!(error.kind, Kind::NotFound, "{error}");
}

fn by_app(stage: &Stage) -> By {
    let key = github::AppKey::from_pem(simulated::app_key().into()).unwrap();
    let issuer = stage.app.to_string();
    By::App(Box::new(AppSettings { issuer, key, webhook: None, previous_webhook: None }))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_seconds_old_and_not_known_everywhere_is_tried_again() {
    let stage = Stage::new().await;
    stage.server.with(|github, _| github.knobs.token_lag = 1_500);
    stage.forge().repository("octocat/app").await.unwrap();
    assert_eq!(stage.count("POST", "access_tokens"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renamed_repository_is_still_minted_for() {
    let stage = Stage::new().await;
    let forge = stage.forge();
    stage.server.with(|github, _| github.rename_repository(stage.repository, "application"));
    forge.mint(&at("octocat/app"), HOUR).await.unwrap();
    forge.mint(&at("octocat/application"), HOUR).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn another_github_does_not_know_the_app() {
    let stage = Stage::new().await;
    let elsewhere = Stage::new().await;
    let key = github::AppKey::from_pem(simulated::app_key().into()).unwrap();
    let app = AppSettings {
        issuer: "Iv23nowhere".to_owned(),
        key,
        webhook: None,
        previous_webhook: None,
    };
    let credential = Credential { owners: vec!["octocat".to_owned()], by: By::App(Box::new(app)) };
    let forge = GitHub::new(elsewhere.server.url().parse().unwrap(), &credential).unwrap();
    let error = forge.mint(&at("octocat/app"), HOUR).await.unwrap_err();
    assert!(error.what.contains("this GitHub has no such App"), "{error}");
    assert!(error.mend.unwrap().contains("github.api_url"));
    drop(stage);
}
