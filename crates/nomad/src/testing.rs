//! What the tests of this room share: a client for a mock server, and ports that misbehave.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::{Address, Client, Connection};

pub fn install_provider() {
    // Another test may have been first.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}

pub fn connection(address: &str) -> Connection {
    Connection::to(Address::Http(address.parse().unwrap()))
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

/// Answers every request with 200 and this beginning of a body, and then says nothing more.
pub async fn stays_open_after(body: &'static str) -> String {
    answers_and_waits(move |_| Some(format!("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{body}")))
        .await
}

/// Answers the first request of a connection, and no other: as a client agent that loses its servers.
pub async fn never_answers() -> String {
    answers_and_waits(|nth| {
        (nth == 0).then(|| "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n\"l\"\n".to_owned())
    })
    .await
}

/// A client whose connection to [`never_answers`] is open already, so that only the answer is missing.
pub async fn warm(address: &str) -> Client {
    let client = client(address);
    client.leader().await.unwrap();
    client
}

async fn answers_and_waits(
    answer: impl Fn(usize) -> Option<String> + Send + Copy + 'static,
) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut buffer = [0; 16384];
                let mut nth = 0;
                while socket.read(&mut buffer).await.is_ok_and(|read| read > 0) {
                    if let Some(answer) = answer(nth) {
                        let _ = socket.write_all(answer.as_bytes()).await;
                    }
                    nth += 1;
                }
            });
        }
    });
    address
}
