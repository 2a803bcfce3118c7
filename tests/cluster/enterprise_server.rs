//! GitHub elsewhere than at github.com: an Enterprise Server, whose API is below `/api/v3`, by HTTPS with a
//! certificate that nobody else trusts and without rate limits; an enterprise with data residency.

use crate::support;

use std::sync::Arc;
use std::time::Duration;

use simulated::github::Kind;
use support::certificates::{Certificates, read};
use support::daemon::roustabout;
use support::world::{Parts, Plan, World};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// TLS before the simulated GitHub; the port it listens on. As a `proxy` it is asked for that host first.
async fn with_tls(
    certificates: &Certificates,
    github: std::net::SocketAddr,
    proxy: Option<&'static str>,
) -> u16 {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let tls = certificates.of_server(false);
    let chain = vec![CertificateDer::from_pem_slice(&read(&tls.cert)).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(&read(&tls.key)).unwrap();
    let config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key);
    let acceptor = TlsAcceptor::from(Arc::new(config.unwrap()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let mut stream = stream;
                if let Some(host) = proxy {
                    connect(&mut stream, host).await?;
                }
                // Ends when either side goes, or with a client that does not trust it.
                let mut client = acceptor.accept(stream).await?;
                let mut server = TcpStream::connect(github).await?;
                tokio::io::copy_bidirectional(&mut client, &mut server).await
            });
        }
    });
    port
}

/// Answers `CONNECT host:443`, and nothing else.
async fn connect(stream: &mut TcpStream, host: &str) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    let asked = head.starts_with(format!("CONNECT {host}:443 ").as_bytes());
    let answer = if asked { "200 OK" } else { "403 Forbidden" };
    stream.write_all(format!("HTTP/1.1 {answer}\r\n\r\n").as_bytes()).await
}

/// At ghe.com, whose names nobody resolves here: a proxy leads to it, and to no other host.
#[tokio::test(flavor = "multi_thread")]
async fn jobs_of_an_enterprise_with_data_residency_run() {
    const HOST: &str = "api.octo.ghe.com";
    let parts = Parts::start().await;
    let certificates = Certificates::also_for(&[HOST]);
    let port = with_tls(&certificates, parts.github.address(), Some(HOST)).await;
    let plan = Plan {
        github: Some(format!("https://{HOST}")),
        github_keys: format!("ca_cert_file = {:?}", certificates.ca()),
        ..Plan::default()
    };
    let mut world = World::around(parts, plan).await;
    let proxy = format!("http://127.0.0.1:{port}");
    let by_proxy = |command: &mut std::process::Command| {
        command.env("HTTPS_PROXY", &proxy);
    };
    world.daemon.start_with(&[], by_proxy).await;
    let job = world.queue(world.app, 1, 200)[0];
    world.until_nothing_is_left(Duration::from_secs(120)).await;
    let ended = world.github.with(|github, _| github.job(job).unwrap().conclusion);
    assert_eq!(ended.unwrap().as_str(), "success");
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_of_an_enterprise_server_with_a_certificate_of_its_own_run() {
    let parts = Parts::start().await;
    parts.github.with(|github, _| {
        github.knobs.kind = Kind::EnterpriseServer;
        github.knobs.limits = false;
    });
    let certificates = Certificates::make();
    let port = with_tls(&certificates, parts.github.address(), None).await;
    let plan = Plan {
        github: Some(format!("https://127.0.0.1:{port}/api/v3")),
        github_keys: format!("ca_cert_file = {:?}\nsweep_interval = \"2s\"", certificates.ca()),
        ..Plan::default()
    };
    let mut world = World::around(parts, plan).await;
    world.daemon.start().await;
    let jobs = world.queue(world.app, 2, 200);
    world.until_nothing_is_left(Duration::from_secs(120)).await;
    for job in jobs {
        let ended = world.github.with(|github, _| github.job(job).unwrap().conclusion);
        assert_eq!(ended.unwrap().as_str(), "success");
    }

    let check = async |config: std::path::PathBuf| {
        let mut check = roustabout();
        check.arg("check").arg("--config").arg(config);
        let output = tokio::task::spawn_blocking(move || check.output().unwrap()).await.unwrap();
        (output.status.success(), String::from_utf8(output.stdout).unwrap())
    };
    let (good, said) = check(world.daemon.config()).await;
    assert!(good, "{said}");
    // Without the authority nobody is believed.
    world.daemon.configure(|config| config.replace("ca_cert_file", "#ca_cert_file"));
    let (good, said) = check(world.daemon.config()).await;
    assert!(!good && said.contains("set ca_cert_file"), "{said}");
}
