//! Whether a JWT proves what it claims: signed here, in time, and of an allocation that still runs.
//! Every refusal is in Nomad's words, which are its library's ([V]).

use std::fmt;

use serde::Deserialize;

use super::base64url;
use super::claims::Claims;
use super::keys::Keyring;
use crate::model::{Millis, SECOND};

/// How wrong clocks may be, in seconds: an identity is good that much longer than it says ([V]).
const LEEWAY: i64 = 60;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NotProven(pub String);

impl fmt::Display for NotProven {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What is known of the allocation of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    Running,
    Over,
    Unknown,
}

#[derive(Deserialize)]
struct Head {
    #[serde(default)]
    kid: String,
}

impl Keyring {
    /// The claims of a JWT that this key has signed.
    ///
    /// # Errors
    /// When it has not, or the claims are not good now. `allocation` says what is known of one.
    pub fn proven(
        &self,
        jwt: &str,
        now: Millis,
        allocation: impl FnOnce(&str) -> Standing,
    ) -> Result<Claims, NotProven> {
        let unread = |why: &str| NotProven(format!("failed to parse signed token: {why}"));
        let parts: Vec<&str> = jwt.split('.').collect();
        let [head, body, signature] = parts[..] else {
            return Err(unread("go-jose/go-jose: compact JWS format must have three parts"));
        };
        let decoded = |part| base64url::decode(part).map_err(|why| unread(&why));
        let (read_head, body_bytes, signature) =
            (decoded(head)?, decoded(body)?, decoded(signature)?);
        let read_head: Head = serde_json::from_slice(&read_head)
            .map_err(|_| unread("go-jose/go-jose: invalid character in the header"))?;
        if read_head.kid.is_empty() {
            return Err(NotProven("missing key ID header".to_owned()));
        }
        if !self.holds(&read_head.kid) {
            return Err(NotProven("public key not found".to_owned()));
        }
        if !self.has_signed(&jwt[..head.len() + 1 + body.len()], &signature) {
            let why = "invalid signature: go-jose/go-jose: error in cryptographic primitive";
            return Err(NotProven(why.to_owned()));
        }
        let claims: Claims = serde_json::from_slice(&body_bytes)
            .map_err(|error| NotProven(format!("invalid claims: {error}")))?;
        in_time(&claims, now.div_euclid(SECOND))?;
        match allocation(&claims.nomad_allocation_id) {
            Standing::Running => Ok(claims),
            Standing::Over => Err(NotProven("allocation is terminal".to_owned())),
            Standing::Unknown => Err(NotProven("allocation does not exist".to_owned())),
        }
    }
}

fn in_time(claims: &Claims, now: i64) -> Result<(), NotProven> {
    let why = if claims.exp.is_some_and(|exp| exp < now - LEEWAY) {
        "token is expired (exp)"
    } else if claims.nbf > now + LEEWAY {
        "token not valid yet (nbf)"
    } else {
        return Ok(());
    };
    let library = "invalid claims: go-jose/go-jose/jwt: validation failed";
    Err(NotProven(format!("{library}, {why}")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::IdentitySpec;
    use super::super::claims::Workload;
    use super::*;

    fn workload() -> Workload {
        let own = str::to_owned;
        Workload {
            region: own("global"),
            namespace: own("default"),
            job: own("who"),
            group: own("g"),
            task: own("t"),
            allocation: own("a"),
        }
    }

    fn claims() -> Claims {
        let spec = json!({"Name": "x", "Audience": ["y", "z"], "TTL": 10_000_000_000_i64});
        let spec: IdentitySpec = serde_json::from_value(spec).unwrap();
        Claims::of(&workload(), &spec, "1".to_owned(), 5 * SECOND)
    }

    #[test]
    fn what_is_signed_is_proven_until_a_minute_after_its_end() {
        let keys = Keyring::new("k".to_owned()).unwrap();
        let jwt = keys.sign(&claims()).unwrap();
        let at = |seconds: i64| keys.proven(&jwt, seconds * SECOND, |_| Standing::Running);
        assert_eq!(at(5), Ok(claims()));
        assert_eq!(at(75), Ok(claims()));
        assert!(at(76).unwrap_err().0.ends_with("token is expired (exp)"));
        assert_eq!(claims().sub, "global:default:who:g:t:x");
        let over = keys.proven(&jwt, 0, |_| Standing::Over).unwrap_err();
        assert_eq!(over.0, "allocation is terminal");
    }

    #[test]
    fn what_is_not_signed_here_is_refused_in_words() {
        let keys = Keyring::new("k".to_owned()).unwrap();
        let jwt = keys.sign(&claims()).unwrap();
        let why = |jwt: &str| keys.proven(jwt, 0, |_| Standing::Running).unwrap_err().0;
        let spoilt = format!("{}AAAAAAAA", &jwt[..jwt.len() - 8]);
        assert!(why(&spoilt).starts_with("invalid signature: "));
        let foreign = Keyring::new("k".to_owned()).unwrap().sign(&claims()).unwrap();
        assert!(why(&foreign).starts_with("invalid signature: "));
        assert!(why("a").ends_with("must have three parts"));
        assert!(why("eyJh.eyJh.x").ends_with("illegal base64 data at input byte 0"));
        let without = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln";
        assert_eq!(why(without), "missing key ID header");
    }
}
