//! Judges an App's JWT as GitHub does, in its words (docs, "Generating a JSON Web Token (JWT) for a
//! GitHub App"; octokit/auth-app.js, `src/hook.ts`).

use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use crate::github::model::{GitHub, Millis, SECOND};

/// A JWT may not be good for longer.
const LONGEST: i64 = 600;

/// Status and message.
pub type NoApp = (u16, &'static str);

const UNDECODABLE: NoApp = (401, "A JSON web token could not be decoded");

impl GitHub {
    /// Whose JWT it is.
    ///
    /// # Errors
    /// GitHub's answer to one that is none.
    pub fn app_of_jwt(&self, jwt: &str, now: Millis) -> Result<u64, NoApp> {
        let now = (now + self.knobs.clock_ahead).div_euclid(SECOND);
        let decode = |text: &str| URL_SAFE_NO_PAD.decode(text).ok();
        let part =
            |text: &str| decode(text).and_then(|it| serde_json::from_slice::<Value>(&it).ok());
        let (signed, signature) = jwt.rsplit_once('.').ok_or(UNDECODABLE)?;
        let (head, claims) = signed.split_once('.').ok_or(UNDECODABLE)?;
        let (head, claims) = part(head).zip(part(claims)).ok_or(UNDECODABLE)?;
        if head["alg"] != "RS256" {
            return Err(UNDECODABLE);
        }
        let issuer = match &claims["iss"] {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            _ => return Err((401, "'Issuer' claim ('iss') must be an Integer or String")),
        };
        let is_it = |id: u64, client_id: &str| issuer == id.to_string() || issuer == client_id;
        let app = self.apps.values().find(|app| is_it(app.id, &app.client_id));
        let app = app.ok_or((404, "Integration not found"))?;
        let signature = decode(signature).ok_or(UNDECODABLE)?;
        let fits = |key: &Vec<u8>| {
            UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key)
                .verify(signed.as_bytes(), &signature)
                .is_ok()
        };
        if !app.keys.iter().any(fits) {
            return Err(UNDECODABLE);
        }
        match claims["exp"].as_i64() {
            Some(ends) if ends > now + LONGEST => {
                Err((401, "'Expiration time' claim ('exp') is too far in the future"))
            }
            Some(ends) if ends > now => match claims["iat"].as_i64() {
                Some(began) if began <= now => Ok(app.id),
                _ => Err((
                    401,
                    "'Issued at' claim ('iat') must be an Integer representing the time that the assertion was issued",
                )),
            },
            _ => Err((
                401,
                "'Expiration time' claim ('exp') must be a numeric value representing the future time at which the assertion expires",
            )),
        }
    }
}
