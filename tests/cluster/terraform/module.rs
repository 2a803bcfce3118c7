//! The module as it is written: its form, its validity, and what the example plans.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use simulated::github::Visibility;

use crate::support::daemon::{GITHUB_TOKEN, roustabout};
use crate::support::parts::{Part, is_missing};
use crate::support::world::Parts;
use crate::terraform::tofu::Tofu;

#[test]
fn its_files_are_formatted_and_its_modules_are_valid() {
    if is_missing(Part::OpenTofu, "the form and the validity of deploy/terraform") {
        return;
    }
    let form = Tofu::at(".").run(&["fmt", "-check", "-recursive", "-diff"]);
    assert_eq!((form.code, form.text.as_str()), (0, ""));
    for root in [".", "webhooks", "example"] {
        let tofu = Tofu::at(root);
        tofu.run(&["init", "-backend=false"]).good();
        tofu.run(&["validate"]).good();
    }
}

/// The example as a user has it, but for the backend.
#[tokio::test(flavor = "multi_thread")]
async fn the_example_plans_its_resources_and_a_config_that_the_daemon_takes() {
    if is_missing(Part::OpenTofu, "a plan of deploy/terraform/example") {
        return;
    }
    let parts = Parts::start().await;
    parts.github.with(|github, now| {
        let user = github.add_user("octocat");
        github.add_full_token(GITHUB_TOKEN, user);
        for (name, topic) in
            [("octocat/app", ""), ("octocat/site", ""), ("octocat/cli", "self-hosted")]
        {
            let id = github.add_repository(name, Visibility::Private, now);
            github.repository_mut(id).unwrap().topics = vec![topic.to_owned()];
        }
    });
    let mut tofu = Tofu::at("example");
    tofu.set("GITHUB_BASE_URL", parts.github.url().to_string());
    tofu.set("GITHUB_TOKEN", GITHUB_TOKEN);
    tofu.set("NOMAD_ADDR", parts.agent.address().as_str().trim_end_matches('/'));
    tofu.set("VAULT_ADDR", "http://127.0.0.1:1");
    tofu.set("VAULT_TOKEN", "none");
    tofu.set("TF_VAR_webhook_secret", "a long random text");
    let secrets = json!({
        "admin_token": "a", "github_token": "b", "my_org_app_key": "c", "my_org_webhook_secret": "d",
    });
    tofu.set("TF_VAR_secrets", secrets.to_string());
    tofu.init();
    tofu.run(&["plan", "-out=plan"]).good();
    let plan = tofu.json(&["show", "-json", "plan"]);
    let wanted = [
        "module.roustabout.nomad_acl_policy.daemon[0]",
        "module.roustabout.nomad_acl_policy.runner[\"arm64\"]",
        "module.roustabout.nomad_job.daemon[0]",
        "module.roustabout.nomad_job.runner[\"arm64\"]",
        "module.roustabout.nomad_job.runner[\"x64\"]",
        "module.roustabout.nomad_job.runner_home[\"github-runner-home\"]",
        "module.roustabout.nomad_namespace.runners[0]",
        "module.roustabout.terraform_data.daemon",
        "module.roustabout.terraform_data.runner[\"arm64\"]",
        "module.roustabout.terraform_data.runner[\"x64\"]",
        "module.roustabout.vault_jwt_auth_backend_role.daemon[0]",
        "module.roustabout.vault_kv_secret_v2.secrets[0]",
        "module.roustabout.vault_policy.daemon[0]",
        "module.webhooks.github_repository_webhook.roustabout[\"app\"]",
        "module.webhooks.github_repository_webhook.roustabout[\"cli\"]",
        "module.webhooks.github_repository_webhook.roustabout[\"site\"]",
    ];
    assert_eq!(created(&plan), BTreeSet::from(wanted));
    judge_config(&tofu, &plan);
    let refused = tofu.run(&["plan", "-var=secrets={}"]);
    assert_eq!(refused.code, 1, "secrets that the config names are missing: {}", refused.text);
    assert!(refused.text.contains("my_org_app_key"), "{}", refused.text);
}

const POOL: &str = r#""labels": ["x64"], "repositories": ["octocat/*"]"#;

/// Without Vault, ACLs, claims and a daemon on Nomad; and what is refused in a plan already.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_left_out_is_not_planned_and_what_cannot_be_is_refused() {
    if is_missing(Part::OpenTofu, "plans of parts of deploy/terraform") {
        return;
    }
    let parts = Parts::start().await;
    let mut tofu = Tofu::at(".");
    tofu.set("NOMAD_ADDR", parts.agent.address().as_str().trim_end_matches('/'));
    tofu.init();
    let pool = |more: &str| format!("{{{POOL}, {more}}}");
    let x64 = pool(
        r#""name": "x64", "delivery": "payload", "events": ["push"], "config": "[pools.meta]\nA = \"{owner}\"""#,
    );
    tofu.set("TF_VAR_pools", format!("[{x64}]"));
    for (name, value) in
        [("acl", "false"), ("create_runner_namespace", "false"), ("daemon", "null")]
    {
        tofu.set(&format!("TF_VAR_{name}"), value);
    }
    tofu.set("TF_VAR_config", "[report]\nplan = \"team\"");
    tofu.run(&["plan", "-out=plan"]).good();
    let plan = tofu.json(&["show", "-json", "plan"]);
    let wanted =
        ["nomad_job.runner[\"x64\"]", "terraform_data.daemon", "terraform_data.runner[\"x64\"]"];
    assert_eq!(created(&plan), BTreeSet::from(wanted));
    judge_config(&tofu, &plan);

    let image = tofu
        .run(&["plan", r#"-var=daemon={"from": "image", "variables": {"image": "registry/it"}}"#]);
    assert!(image.good().contains("nomad_job.daemon[0]"));

    let own = pool(r#""name": "a", "jobspec": null"#);
    for (name, value, why) in [
        ("pools", "[]".to_owned(), "At least one pool is required."),
        ("pools", format!("[{x64}, {x64}]"), "Each pool needs a name of its own."),
        ("pools", format!("[{own}]"), "needs the variable claims"),
        (
            "pools",
            format!("[{}]", pool(r#""name": "a", "jobspec": "dokcer""#)),
            "jobspec is docker, podman, exec",
        ),
        (
            "pools",
            format!(
                "[{}]",
                pool(r#""name": "a", "delivery": "payload", "variables": {"cup": "2"}"#)
            ),
            "cup",
        ),
        ("daemon", r#"{"from": "source"}"#.to_owned(), "binary or image"),
        ("daemon", r#"{"variables": {"image": "x"}}"#.to_owned(), "\"image\""),
        ("secrets_version", "1".to_owned(), "secrets_version without vault"),
        ("credentials", r#"[{"owners": ["*"]}]"#.to_owned(), "either a token or an app"),
    ] {
        let refused = tofu.run(&["plan", &format!("-var={name}={value}")]);
        // Long lines are broken.
        let text: Vec<&str> = refused.text.split_whitespace().filter(|word| *word != "│").collect();
        assert_eq!(refused.code, 1, "{name} {value}: {}", refused.text);
        assert!(text.join(" ").contains(why), "{name} {value}: {}", refused.text);
    }
}

/// The addresses of what a plan creates.
fn created(plan: &Value) -> BTreeSet<&str> {
    let changes = plan["resource_changes"].as_array().unwrap().iter();
    let created = changes.filter(|one| one["change"]["actions"] == json!(["create"]));
    created.map(|one| one["address"].as_str().unwrap()).collect()
}

/// As the daemon reads it, where its job's template has been filled in.
fn judge_config(tofu: &Tofu, plan: &Value) {
    let config = plan["planned_values"]["outputs"]["config"]["value"].as_str().unwrap();
    let secrets = tofu.folder().join("secrets");
    std::fs::create_dir(&secrets).unwrap();
    let files = [
        "claims-cert",
        "claims-key",
        "nomad_vault.jwt",
        "webhook-secret",
        "github-token",
        "admin-token",
    ];
    for file in files {
        std::fs::write(secrets.join(file), "a-text-of-a-secret-file").unwrap();
    }
    let config = config.replace("{{ env `NOMAD_SECRETS_DIR` }}", secrets.to_str().unwrap());
    let file = tofu.folder().join("roustabout.toml");
    std::fs::write(&file, &config).unwrap();
    let check =
        roustabout().args(["check", "--config-only", "--config"]).arg(file).output().unwrap();
    let said = String::from_utf8_lossy(&[check.stdout, check.stderr].concat()).into_owned();
    assert!(check.status.success(), "{said}\n{config}");
}
