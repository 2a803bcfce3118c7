//! A client over a server that a test plays.

use wiremock::MockServer;

use crate::{Client, Connection, Login, Secret};

pub fn client(server: &MockServer, login: Login) -> Client {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    Client::new(Connection {
        address: server.uri().parse().unwrap(),
        namespace: None,
        ca_cert_pem: None,
        login,
    })
    .unwrap()
}

pub fn token(token: &str) -> Login {
    Login::Token(Secret::Value(token.into()))
}
