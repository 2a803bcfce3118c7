//! JWTs of GitHub Apps against an independent implementation: Octokit's are taken by the simulated
//! GitHub, and ours by Octokit, from keys of both forms.

use crate::support;

use roustabout::github::{App, AppKey};
use simulated::AppKeys;
use simulated::github::{AppSpec, Server};
use support::daemon::here;
use support::parts::{self, Part};
use tokio::net::TcpListener;
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, ResponseTemplate};

/// What our client sends to prove who it is.
async fn our_jwt(issuer: &str, pem: &str) -> String {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let listening = MockServer::start().await;
    Mock::given(any()).respond_with(ResponseTemplate::new(404)).mount(&listening).await;
    let key = AppKey::from_pem(pem.into()).unwrap();
    let app = App::new(listening.uri().parse().unwrap(), issuer, key).unwrap();
    app.registered().await.unwrap_err();
    let asked = listening.received_requests().await.unwrap();
    let header = asked[0].headers["authorization"].to_str().unwrap();
    header.strip_prefix("Bearer ").unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn octokits_jwts_are_taken_and_octokit_takes_ours() {
    let Some(modules) = parts::folder("ROUSTABOUT_TEST_OCTOKIT") else {
        assert!(parts::is_missing(Part::Octokit, "JWTs of Apps by Octokit"));
        return;
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let github = Server::start(listener, 5).unwrap();
    let (app, installation) = github.with(|github, now| {
        let user = github.add_user("octocat");
        let app = github.add_app(AppSpec::new("runners", user), now);
        (app, github.install(app, user, None, now))
    });
    let keys = AppKeys::usual();
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(modules, folder.path().join("node_modules")).unwrap();
    let script = folder.path().join("octokit.mjs");
    std::fs::copy(here("tests/program/octokit.mjs"), &script).unwrap();
    let public = folder.path().join("public.pem");
    std::fs::write(&public, keys.public_pem()).unwrap();
    for pem in [&keys.pkcs1, &keys.pkcs8] {
        let key = folder.path().join("key.pem");
        std::fs::write(&key, pem).unwrap();
        let mut node = tokio::process::Command::new("node");
        node.arg(&script).arg(github.url()).args([app.to_string(), installation.to_string()]);
        node.arg(&key).arg(&public).arg(our_jwt(&app.to_string(), pem).await);
        let output = node.output().await.unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{errors}");
        let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(told["slug"], "runners");
        assert_eq!(told["byKey"], "ghs_");
        assert_eq!(told["byJwt"]["administration"], "write");
        assert_eq!(told["good"], true);
        assert_eq!(told["head"], serde_json::json!({"alg": "RS256", "typ": "JWT"}));
        assert_eq!(told["ours"]["iss"], told["theirs"]["iss"]);
        let times = |of: &str| {
            let at = |claim: &str| told[of][claim].as_i64().unwrap();
            at("exp") - at("iat")
        };
        assert!(times("ours") <= times("theirs"), "both at most ten minutes");
    }
}
