//! Apps from a manifest: a person confirms it on GitHub's page, which leads back with a code; the code
//! is exchanged once, within an hour (docs, "Registering a GitHub App from a manifest").

use serde_json::Value;

use super::AppSpec;
use crate::AppKeys;
use crate::github::model::{GitHub, HOUR, Millis};
use crate::github::tokens::Level;

/// A code that has not been exchanged.
#[derive(Clone, Debug)]
pub struct Pending {
    pub app: u64,
    pub made_at: Millis,
    pub pem: String,
}

/// What an exchange gives, once.
#[derive(Clone, Debug)]
pub struct Conversion {
    pub app: u64,
    pub pem: String,
    pub webhook_secret: Option<String>,
    pub client_secret: String,
}

impl GitHub {
    /// What GitHub's page does when the person presses the button: the code that it leads back with.
    ///
    /// # Errors
    /// What GitHub does not take of the manifest.
    pub fn confirm_manifest(
        &mut self,
        manifest: &str,
        owner: &str,
        now: Millis,
    ) -> Result<String, String> {
        let manifest: Value = serde_json::from_str(manifest).map_err(|it| it.to_string())?;
        let text = |key: &str| manifest[key].as_str().map(str::to_owned);
        if text("url").is_none() {
            return Err("url is required".to_owned());
        }
        let name = text("name").ok_or("name is required")?;
        if name.len() > 34 {
            return Err("name is too long (34 characters)".to_owned());
        }
        if self.apps.values().any(|app| app.name == name) {
            return Err("name is already taken".to_owned());
        }
        let owner = self.account(owner).ok_or("no such account")?.id;
        let permission = |(name, level): (&String, &Value)| match level.as_str() {
            Some("read") => Ok((name.clone(), Level::Read)),
            Some("write") => Ok((name.clone(), Level::Write)),
            _ => Err(format!("default_permissions: {name}")),
        };
        let permissions = manifest["default_permissions"].as_object().into_iter().flatten();
        let permissions = permissions.map(permission).collect::<Result<Vec<_>, _>>()?;
        let events = manifest["default_events"].as_array().into_iter().flatten();
        let events = events.filter_map(|one| one.as_str().map(str::to_owned)).collect();
        let keys = AppKeys::generate();
        let secret = self.draw_text(b"0123456789abcdef", 40);
        let hook = manifest["hook_attributes"]["url"].as_str();
        let spec = AppSpec {
            name,
            owner,
            public: manifest["public"].as_bool().unwrap_or(false),
            key: keys.public,
            permissions,
            events,
            hook: hook.map(|url| (url.to_owned(), Some(secret))),
        };
        let app = self.add_app(spec, now);
        let code = self.draw_text(b"0123456789abcdef", 40);
        self.manifests.insert(code.clone(), Pending { app, made_at: now, pem: keys.pkcs1 });
        Ok(code)
    }

    /// Exchanges a code; `None`: it was used before, is too old, or never was one.
    pub fn convert_manifest(&mut self, code: &str, now: Millis) -> Option<Conversion> {
        let Pending { app, made_at, pem } = self.manifests.remove(code)?;
        if made_at + HOUR <= now {
            return None;
        }
        let hook = self.apps.get(&app)?.hook.and_then(|hook| self.hooks.get(&hook));
        let webhook_secret = hook.and_then(|hook| hook.spec.secret.clone());
        let client_secret = self.draw_text(b"0123456789abcdef", 40);
        Some(Conversion { app, pem, webhook_secret, client_secret })
    }
}
