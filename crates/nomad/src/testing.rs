//! What the tests of this room share: a client for a mock server, and ports that misbehave.

use secrecy::SecretString;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::{Address, Client, Connection};

pub fn install_provider() {
    // Another test may have been first.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}

pub fn connection(address: &str) -> Connection {
    Connection {
        address: Address::Http(address.parse().unwrap()),
        namespace: "default".to_owned(),
        region: None,
        token: None::<SecretString>,
        token_file: None,
        ca_cert_pem: None,
        client_identity_pem: None,
        tls_server_name: None,
        tls_skip_verify: false,
    }
}

pub fn client(address: &str) -> Client {
    install_provider();
    Client::new(connection(address)).unwrap()
}

/// An address where nobody listens.
pub async fn closed_port() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

/// Reads one request, answers `reply` (which may be the beginning of an answer, or nothing), and
/// hangs up.
pub async fn hangs_up_after(reply: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let mut buffer = [0; 16384];
            let _ = socket.read(&mut buffer).await;
            let _ = socket.write_all(reply.as_bytes()).await;
        }
    });
    address
}
