//! The client that `[vault]` describes.

use anyhow::Context;

use crate::config::{OneSecret, Vault, VaultLogin};
use crate::vault::{Client, Connection, Login, Secret};

pub fn client(vault: &Vault) -> anyhow::Result<Client> {
    let ca_cert_pem = vault
        .ca_cert_file
        .as_deref()
        .map(|path| std::fs::read(path).with_context(|| format!("cannot read {}", path.display())));
    Client::new(Connection {
        address: vault.address.clone(),
        namespace: vault.namespace.clone(),
        ca_cert_pem: ca_cert_pem.transpose()?,
        login: login(&vault.login),
    })
    .context("cannot set up the connection to Vault ([vault])")
}

fn login(login: &VaultLogin) -> Login {
    let secret = |one: &OneSecret| match one {
        OneSecret::Value(value) => Secret::Value(value.clone()),
        OneSecret::File(file) => Secret::File(file.clone()),
    };
    match login {
        VaultLogin::Token(token) => Login::Token(secret(token)),
        VaultLogin::AppRole { auth_path, role_id, secret_id } => Login::AppRole {
            mount: auth_path.clone(),
            role_id: role_id.clone(),
            secret_id: secret_id.as_ref().map(secret),
        },
        VaultLogin::Jwt { auth_path, role, jwt_file } => Login::Jwt {
            mount: auth_path.clone(),
            role: role.clone(),
            jwt: Secret::File(jwt_file.clone()),
        },
    }
}
