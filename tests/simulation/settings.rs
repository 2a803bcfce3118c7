//! The config that the daemon of a seed is started with, as an operator would write it: text, read by
//! the real reader.

use std::fmt::Write as _;
use std::sync::Arc;

use ledger::deposit::{DepositRule, Keeper};
use ledger::pool::{CredentialKind, Delivery};
use ledger::{Pool, Rules, ScopeKind};
use roustabout::config::{self, Settings};

use crate::door::SECRET;
use crate::stage::{REFUSED_ACTOR, REFUSED_EVENT};

/// The daemon's access token.
pub const TOKEN: &str = "ghp_simulated";

/// As the App, or by the token.
pub fn settings(rules: &Rules, gitea: bool, app: Option<u64>) -> Arc<Settings> {
    let text = text(rules, gitea, app);
    let mut secrets = vec![("ROUSTABOUT_WEBHOOK_SECRET", SECRET)];
    secrets.extend(app.is_none().then_some(("ROUSTABOUT_GITHUB_TOKEN", TOKEN)));
    let loaded = config::from_text(&text, "simulated", &secrets.into_iter().collect());
    Arc::new(loaded.unwrap_or_else(|errors| panic!("{errors}\n{text}")).settings)
}

fn text(rules: &Rules, gitea: bool, app: Option<u64>) -> String {
    let mut text = String::new();
    match gitea {
        true => {
            text.push_str("[github]\nkind = \"gitea\"\napi_url = \"http://github.test/api/v1\"\n")
        }
        false => text.push_str("[github]\napi_url = \"http://github.test\"\n"),
    }
    if let Some(app) = app {
        let _ = write!(
            text,
            "[[github.credentials]]\nowners = [\"octo\"]\n[github.credentials.app]\nid = {app}\n\
             private_key = '''{}'''\nwebhook_secret = \"{}\"\n",
            simulated::app_key(),
            crate::app::SECRET,
        );
    }
    // Where nobody claims, nobody is there.
    text.push_str("[claims]\nlisten = \"127.0.0.1:9191\"\nurl = \"http://127.0.0.1:9191\"\n");
    let _ = writeln!(text, "[nomad]\naddress = \"http://nomad.test:4646\"");
    let _ = writeln!(text, "[runners]\nmax = {}\nrobots = {:?}", rules.max, rules.robots);
    let in_vault = |pool: &Pool| matches!(&pool.delivery, Delivery::Deposit(rule) if rule.keeper == Keeper::Vault);
    if rules.pools.iter().any(in_vault) {
        text.push_str(crate::vault::SECTION);
    }
    for pool in &rules.pools {
        add(&mut text, pool);
    }
    text
}

fn add(text: &mut String, pool: &Pool) {
    let Pool { name, nomad_job, labels, max_runners, .. } = pool;
    let _ = writeln!(text, "[[pools]]\nname = \"{name}\"\nnomad_job = \"{nomad_job}\"");
    let _ = writeln!(text, "repositories = [\"octo/*\"]\nlabels = {labels:?}");
    let _ = writeln!(text, "max_runners = {max_runners}");
    for (key, value) in [
        ("namespace", pool.namespace.as_ref().map(|it| format!("{it:?}"))),
        ("max_runners_per_repository", pool.max_runners_per_repository.map(|it| it.to_string())),
        ("robots_per_repository", pool.robots_per_repository.map(|it| it.to_string())),
    ] {
        if let Some(value) = value {
            let _ = writeln!(text, "{key} = {value}");
        }
    }
    for (key, refused, patterns) in
        [("events", REFUSED_EVENT, &pool.events), ("actors", REFUSED_ACTOR, &pool.actors)]
    {
        if !patterns.is_any() {
            let _ = writeln!(text, "{key} = [\"*\", \"!{refused}\"]");
        }
    }
    let delivery = match pool.delivery {
        Delivery::None => "none",
        Delivery::Deposit(DepositRule { keeper: Keeper::Vault, .. }) => "vault",
        Delivery::Deposit(_) => "variable",
        Delivery::Claim => "claim",
        _ => "payload",
    };
    if pool.credential == CredentialKind::Jit {
        let _ = writeln!(text, "credential = \"jit\"");
    }
    let organization = pool.scope == ScopeKind::Organization;
    let scope = if organization { "organization" } else { "repository" };
    let _ = writeln!(text, "delivery = \"{delivery}\"\nscope = \"{scope}\"");
    for warm in &pool.warm {
        let names = if organization { "owners" } else { "repositories" };
        let _ = writeln!(text, "[[pools.warm]]\ncount = {}\n{names} = {:?}", warm.count, warm.of);
        if let Some(schedule) = &warm.schedule {
            let _ = writeln!(text, "schedule = \"{schedule}\"");
        }
    }
}
