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
    let created: BTreeSet<&str> = plan["resource_changes"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|one| one["change"]["actions"] == json!(["create"]))
        .map(|one| one["address"].as_str().unwrap())
        .collect();
    let wanted = [
        "module.roustabout.nomad_acl_policy.daemon[0]",
        "module.roustabout.nomad_acl_policy.runner[\"arm64\"]",
        "module.roustabout.nomad_job.daemon[0]",
        "module.roustabout.nomad_job.runner[\"arm64\"]",
        "module.roustabout.nomad_job.runner[\"x64\"]",
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
    assert_eq!(created, BTreeSet::from(wanted));
    judge_config(&tofu, &plan);
    let refused = tofu.run(&["plan", "-var=secrets={}"]);
    assert_eq!(refused.code, 1, "secrets that the config names are missing: {}", refused.text);
    assert!(refused.text.contains("my_org_app_key"), "{}", refused.text);
}

/// As the daemon reads it, where its job's template has been filled in.
fn judge_config(tofu: &Tofu, plan: &Value) {
    let config = plan["planned_values"]["outputs"]["config"]["value"].as_str().unwrap();
    let secrets = tofu.folder().join("secrets");
    std::fs::create_dir(&secrets).unwrap();
    for file in ["claims-cert", "claims-key", "nomad_vault.jwt"] {
        std::fs::write(secrets.join(file), "a file").unwrap();
    }
    let config = config.replace("{{ env `NOMAD_SECRETS_DIR` }}", secrets.to_str().unwrap());
    let file = tofu.folder().join("roustabout.toml");
    std::fs::write(&file, &config).unwrap();
    let check =
        roustabout().args(["check", "--config-only", "--config"]).arg(file).output().unwrap();
    let said = String::from_utf8_lossy(&[check.stdout, check.stderr].concat()).into_owned();
    assert!(check.status.success(), "{said}\n{config}");
}
