//! Makes the clients that commands need from the settings, with errors that name the file or
//! address at fault.

use anyhow::Context;

use crate::config::{NomadAddress, Settings};
use crate::nomad::{Address, Client, Connection};

pub fn nomad(settings: &Settings) -> anyhow::Result<Client> {
    let nomad = &settings.nomad;
    let read = |path: &std::path::Path| {
        std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))
    };
    let ca_cert_pem = nomad.ca_cert_file.as_deref().map(read).transpose()?;
    let client_identity_pem = match (&nomad.client_cert_file, &nomad.client_key_file) {
        (Some(cert), Some(key)) => {
            let mut pem = read(cert)?;
            pem.push(b'\n');
            pem.extend(read(key)?);
            Some(pem)
        }
        _ => None,
    };
    Client::new(Connection {
        address: match &nomad.address {
            NomadAddress::Http(url) => Address::Http(url.clone()),
            NomadAddress::Unix(path) => Address::Unix(path.clone()),
        },
        namespace: nomad.namespace.clone(),
        region: nomad.region.clone(),
        token: nomad.token.clone(),
        token_file: nomad.token_file.clone(),
        ca_cert_pem,
        client_identity_pem,
        tls_server_name: nomad.tls_server_name.clone(),
        tls_skip_verify: nomad.tls_skip_verify,
    })
    .context("cannot set up the connection to Nomad ([nomad])")
}
