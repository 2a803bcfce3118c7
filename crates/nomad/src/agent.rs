//! Questions about Nomad itself: is there a leader, which version, who are we.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use super::endpoint::Endpoint;
use super::error::Error;
use super::transport::{Call, Client};
use super::wire;

/// What Nomad says of the token in use; not the token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AclToken {
    pub accessor_id: String,
    pub name: String,
    /// `client` or `management`.
    pub kind: String,
    pub policies: Vec<String>,
    pub expires_at: Option<Timestamp>,
}

/// The accessor of the token that everybody has where ACLs are off (Nomad `nomad/structs/acl.go`
/// `ACLsDisabledToken`; seen on 1.11.3).
const ACLS_DISABLED: &str = "acls-disabled";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct WireToken {
    #[serde(rename = "AccessorID", default, deserialize_with = "wire::or_default")]
    accessor_id: String,
    #[serde(default, deserialize_with = "wire::or_default")]
    name: String,
    #[serde(default, deserialize_with = "wire::or_default")]
    r#type: String,
    #[serde(default, deserialize_with = "wire::or_default")]
    policies: Vec<String>,
    expiration_time: Option<String>,
}

impl Client {
    /// `GET /v1/status/leader`: the leader's address. Needs no token, except on a task's socket.
    pub async fn leader(&self) -> Result<String, Error> {
        let call = Call::to(Endpoint::Leader);
        let request = call.name();
        let (leader, _) = self.read::<String>(call).await?;
        if leader.is_empty() {
            return Err(Error::Unavailable { request, reason: "no cluster leader".to_owned() });
        }
        Ok(leader)
    }

    /// The agent's version, such as `1.11.3`, from `GET /v1/agent/self`. None where the token may
    /// not see it (capability `agent { policy = "read" }`).
    pub async fn agent_version(&self) -> Result<Option<String>, Error> {
        let Some(agent) = self.agent_self().await? else { return Ok(None) };
        let version = agent.pointer("/config/Version/Version");
        let version = version.or_else(|| agent.pointer("/member/Tags/build"));
        Ok(version.and_then(Value::as_str).map(wire::text))
    }

    /// What the agent says of itself, `GET /v1/agent/self`: `config`, `member` and `stats` as they come.
    /// None where the token may not see it, as in [`Client::agent_version`].
    pub async fn agent_self(&self) -> Result<Option<Value>, Error> {
        match self.read::<Value>(Call::to(Endpoint::Agent)).await {
            Ok((agent, _)) => Ok(Some(agent)),
            Err(Error::Forbidden { .. }) => Ok(None),
            Err(other) => Err(other),
        }
    }

    /// `GET /v1/acl/token/self`. None where ACLs are off.
    ///
    /// # Errors
    /// [`Error::Forbidden`] for an unknown or expired token, and for a workload identity, which
    /// is no ACL token: for that one, ask for a job instead.
    pub async fn acl_token_self(&self) -> Result<Option<AclToken>, Error> {
        let call = Call::to(Endpoint::OwnToken);
        let wire = match self.read::<WireToken>(call).await {
            Ok((wire, _)) => wire,
            Err(Error::Rejected { status: 400, text, .. })
                if text.contains("ACL support disabled") =>
            {
                return Ok(None);
            }
            Err(other) => return Err(other),
        };
        if wire.accessor_id == ACLS_DISABLED {
            return Ok(None);
        }
        Ok(Some(AclToken {
            accessor_id: wire.accessor_id,
            name: wire::text(&wire.name),
            kind: wire::text(&wire.r#type),
            policies: wire.policies.iter().map(|policy| wire::text(policy)).collect(),
            expires_at: wire.expiration_time.and_then(|t| t.parse().ok()),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Address, Connection, testing};
    use serde_json::json;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use wiremock::{Mock, MockServer, ResponseTemplate, matchers::path};

    async fn client(at: &str, status: u16, body: &str) -> (Client, MockServer) {
        let server = MockServer::start().await;
        Mock::given(path(at))
            .respond_with(ResponseTemplate::new(status).set_body_string(body))
            .mount(&server)
            .await;
        (testing::client(&server.uri()), server)
    }

    #[tokio::test]
    async fn a_cluster_without_leader_is_unavailable() {
        let (ours, _server) = client("/v1/status/leader", 200, "\"127.0.0.1:4647\"").await;
        assert_eq!(ours.leader().await.unwrap(), "127.0.0.1:4647");
        for (status, body) in [(200, "\"\""), (500, "No cluster leader")] {
            let (ours, _server) = client("/v1/status/leader", status, body).await;
            assert!(matches!(ours.leader().await, Err(Error::Unavailable { .. })));
        }
    }

    #[tokio::test]
    async fn a_tasks_socket_is_asked_like_any_agent() {
        testing::install_provider();
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("api.sock");
        let listener = tokio::net::UnixListener::bind(&socket).unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut buffer = vec![0; 4096];
            let read = stream.read(&mut buffer).await.unwrap();
            let asked = String::from_utf8_lossy(&buffer[..read]).to_ascii_lowercase();
            let known = asked.starts_with("get /v1/status/leader http/1.1")
                && asked.contains("x-nomad-token: jwt");
            let body = if known { "\"l:1\"" } else { "\"?\"" };
            let head = "HTTP/1.1 200 OK\r\ncontent-length: ";
            let answer = format!("{head}{}\r\n\r\n{body}", body.len());
            stream.write_all(answer.as_bytes()).await.unwrap();
        });
        let client = Client::new(Connection {
            address: Address::Unix(socket),
            token: Some("jwt".into()),
            ..testing::connection("http://unused")
        });
        assert_eq!(client.unwrap().leader().await.unwrap(), "l:1");
    }

    #[tokio::test]
    async fn a_version_that_may_not_be_seen_is_none() {
        let body = json!({"config": {"Version": {"Version": "1.11.3"}}}).to_string();
        let (ours, _server) = client("/v1/agent/self", 200, &body).await;
        assert_eq!(ours.agent_version().await.unwrap().as_deref(), Some("1.11.3"));
        let (ours, _server) = client("/v1/agent/self", 403, "Permission denied").await;
        assert_eq!(ours.agent_version().await.unwrap(), None);
    }

    #[tokio::test]
    async fn tokens_are_told_without_the_secret() {
        let body = json!({"AccessorID": "a", "SecretID": "s3cr3t", "Name": "n", "Type": "client",
            "Policies": null, "ExpirationTime": "2030-01-01T00:00:00Z"});
        let (ours, _server) = client("/v1/acl/token/self", 200, &body.to_string()).await;
        let token = ours.acl_token_self().await.unwrap().unwrap();
        assert_eq!(token.expires_at, "2030-01-01T00:00:00Z".parse().ok());
        assert!(!format!("{token:?}").contains("s3cr3t"));
        for (status, body) in [
            (404, "ACL token not found"),
            (500, "ACL token expired"),
            (500, "failed to parse signed token: go-jose/go-jose: compact JWS format must …"),
        ] {
            let (ours, _server) = client("/v1/acl/token/self", status, body).await;
            assert!(matches!(ours.acl_token_self().await, Err(Error::Forbidden { .. })));
        }
        let off = json!({"AccessorID": "acls-disabled", "Name": "ACLs disabled token"}).to_string();
        for (status, body) in [(400, "ACL support disabled"), (200, off.as_str())] {
            let (ours, _server) = client("/v1/acl/token/self", status, body).await;
            assert_eq!(ours.acl_token_self().await.unwrap(), None);
        }
    }
}
