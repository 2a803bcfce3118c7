//! The ways to log in that need no person: a token, AppRole, a JWT. What they need may be in files, which
//! are read at each login, for somebody else may write new ones.

use std::io::Read;
use std::path::PathBuf;

use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use serde::ser::Serializer;

use crate::error::Error;

/// The longest file that is one: tokens and JWTs have some kilobytes at most.
const LONGEST: u64 = 64 * 1024;

/// A secret, or the file that has it.
#[derive(Clone, Debug)]
pub enum Secret {
    Value(SecretString),
    File(PathBuf),
}

/// How to log in. `mount` is the path of the auth method, as in `approle`.
#[derive(Clone, Debug)]
pub enum Login {
    /// With a token that somebody else made.
    Token(Secret),
    /// `secret_id`: a role may want none.
    AppRole {
        mount: String,
        role_id: String,
        secret_id: Option<Secret>,
    },
    Jwt {
        mount: String,
        role: String,
        jwt: Secret,
    },
}

impl Secret {
    /// What it is now, without spaces and line breaks around it.
    pub(crate) fn read(&self) -> Result<SecretString, Error> {
        let path = match self {
            Secret::Value(value) => return Ok(value.clone()),
            Secret::File(path) => path,
        };
        let failed = |reason: String| Error::File { path: path.clone(), reason };
        let mut text = Zeroizing::new(String::new());
        let file = std::fs::File::open(path);
        file.and_then(|file| file.take(LONGEST + 1).read_to_string(&mut text))
            .map_err(|error| failed(error.to_string()))?;
        match text.trim() {
            "" => Err(failed("it is empty".to_owned())),
            long if long.len() as u64 > LONGEST => {
                Err(failed(format!("it is longer than {LONGEST} bytes")))
            }
            text => Ok(text.into()),
        }
    }
}

/// The body of a login.
#[derive(Serialize)]
pub(crate) struct Body<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    role_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "exposed")]
    secret_id: Option<SecretString>,
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "exposed")]
    jwt: Option<SecretString>,
}

fn exposed<S: Serializer>(secret: &Option<SecretString>, to: S) -> Result<S::Ok, S::Error> {
    match secret {
        Some(secret) => to.serialize_some(secret.expose_secret()),
        None => to.serialize_none(),
    }
}

impl Login {
    /// The file that a token is read from.
    pub(crate) fn token_file(&self) -> Option<PathBuf> {
        match self {
            Login::Token(Secret::File(path)) => Some(path.clone()),
            _ => None,
        }
    }

    /// The auth method's path and the body; `None` for a token, which is there already.
    pub(crate) fn request(&self) -> Result<Option<(&str, Body<'_>)>, Error> {
        let none = Body { role_id: None, secret_id: None, role: None, jwt: None };
        Ok(match self {
            Login::Token(_) => None,
            Login::AppRole { mount, role_id, secret_id } => {
                let secret_id = secret_id.as_ref().map(Secret::read).transpose()?;
                Some((mount, Body { role_id: Some(role_id), secret_id, ..none }))
            }
            Login::Jwt { mount, role, jwt } => {
                Some((mount, Body { role: Some(role), jwt: Some(jwt.read()?), ..none }))
            }
        })
    }
}
