//! What a new config may change while the daemon runs. Keys that are only read at the start keep their
//! value and are listed; everything else takes effect.

use crate::config::{Pool, Settings};

/// A new config, as far as it can take effect now.
pub struct Changes {
    pub settings: Settings,
    /// Keys that have changed and take effect after a restart.
    pub wait_for_restart: Vec<&'static str>,
    /// Pools by name.
    pub added: Vec<String>,
    pub gone: Vec<String>,
    pub changed: Vec<String>,
}

pub fn between(before: &Settings, mut new: Settings) -> Changes {
    let mut waiting = Vec::new();
    let mut stays = |key, changed| {
        if changed {
            waiting.push(key);
        }
        changed
    };
    if stays("webhook.enabled", before.webhook.enabled != new.webhook.enabled) {
        // A config without a webhook has no secrets for it, but the running one needs them.
        new.webhook = before.webhook.clone();
    }
    if stays("webhook.listen", before.webhook.listen != new.webhook.listen) {
        new.webhook.listen = before.webhook.listen;
    }
    if stays("admin.listen", before.admin.listen != new.admin.listen) {
        new.admin.listen.clone_from(&before.admin.listen);
    }
    let listens = |settings: &Settings| settings.claims.as_ref().map(|it| it.listen);
    if stays("claims.listen", listens(before) != listens(&new)) {
        match (&before.claims, &mut new.claims) {
            (Some(before), Some(new)) => new.listen = before.listen,
            (before, new) => new.clone_from(before),
        }
    }
    if stays("store.url", before.store.path != new.store.path) {
        new.store.path.clone_from(&before.store.path);
    }
    if stays("log.format", before.log.format != new.log.format) {
        new.log.format = before.log.format;
    }
    // Tokens in memory, and all known jobs and repositories, belong to one forge. The credentials
    // stay too: those of one forge are not sent to another.
    let kind = stays("github.kind", before.github.kind != new.github.kind);
    if stays("github.api_url", before.github.api_url != new.github.api_url) || kind {
        new.github = before.github.clone();
    }
    let prefixes = (&before.runners.name_prefix, &new.runners.name_prefix);
    if stays("runners.name_prefix", prefixes.0 != prefixes.1) {
        // Runners and jobs with the old prefix are alive, and are recognized by it.
        new.runners.name_prefix.clone_from(&before.runners.name_prefix);
    }
    let named = |pools: &[Pool], name: &str| pools.iter().find(|p| p.name == name).cloned();
    let names = |pools: &[Pool], keep: &dyn Fn(&Pool) -> bool| {
        pools.iter().filter(|pool| keep(pool)).map(|pool| pool.name.clone()).collect()
    };
    Changes {
        added: names(&new.pools, &|pool| named(&before.pools, &pool.name).is_none()),
        gone: names(&before.pools, &|pool| named(&new.pools, &pool.name).is_none()),
        changed: names(&new.pools, &|pool| {
            named(&before.pools, &pool.name).is_some_and(|old| old != *pool)
        }),
        settings: new,
        wait_for_restart: waiting,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Environment, from_text};

    const USUAL: &str = "[webhook]\nsecret = \"0123456789abcdef\"\n\
        [[github.credentials]]\nowners = [\"*\"]\ntoken = \"t\"\n";

    fn loaded(top: &str, pools: &[&str]) -> Settings {
        let pools = pools.iter().map(|pool| {
            format!(
                "[[pools]]\nnomad_job = \"r\"\ndelivery = \"payload\"\nlabels = [\"linux\"]\n\
                 repositories = [\"octo/*\"]\n{pool}\n"
            )
        });
        let text = format!("{top}\n{USUAL}{}", pools.collect::<String>());
        from_text(&text, "test", &Environment::default()).expect("it is right").settings
    }

    #[test]
    fn pools_are_told_by_name() {
        let before = loaded("", &["name = \"a\"", "name = \"b\"", "name = \"c\""]);
        let new = loaded("", &["name = \"d\"", "name = \"b\"\nforks = true", "name = \"c\""]);
        let changes = between(&before, new);
        assert_eq!(changes.added, ["d"]);
        assert_eq!(changes.gone, ["a"]);
        assert_eq!(changes.changed, ["b"]);
        assert!(changes.wait_for_restart.is_empty());
    }

    #[test]
    fn what_is_bound_to_the_start_stays_and_is_named() {
        let pools = &["name = \"a\""][..];
        let before = loaded("[admin]\nlisten = \"0.0.0.0:1\"\ntoken = \"secret\"", pools);
        let new =
            loaded("[admin]\nlisten = \"127.0.0.1:2\"\n[runners]\nname_prefix = \"x\"", pools);
        let changes = between(&before, new);
        assert_eq!(changes.wait_for_restart, ["admin.listen", "runners.name_prefix"]);
        assert_eq!(changes.settings.admin.listen, before.admin.listen);
        assert_eq!(changes.settings.runners.name_prefix, before.runners.name_prefix);
    }

    #[test]
    fn the_credentials_of_another_forge_wait_with_it() {
        let pools = &["name = \"a\""][..];
        let before = loaded("", pools);
        let mut new = loaded("[github]\napi_url = \"https://ghes.example/api/v3\"", pools);
        new.github.credentials[0].owners = vec!["new".to_owned()];
        let changes = between(&before, new);
        assert_eq!(changes.wait_for_restart, ["github.api_url"]);
        assert_eq!(changes.settings.github.api_url, before.github.api_url);
        assert_eq!(changes.settings.github.credentials[0].owners, ["*"]);
    }

    #[test]
    fn a_door_that_is_to_go_keeps_its_secrets_until_then() {
        let pools = &["name = \"a\""][..];
        let before = loaded("", pools);
        let mut new = before.clone();
        new.webhook.enabled = false;
        new.webhook.secret = None;
        let changes = between(&before, new);
        assert_eq!(changes.wait_for_restart, ["webhook.enabled"]);
        assert!(changes.settings.webhook.secret.is_some());
    }
}
