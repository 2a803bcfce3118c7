//! The certificates of a cluster, as `nomad tls` makes them.

use std::path::{Path, PathBuf};
use std::process::Command;

use roustabout::demo::agent::Tls;

use super::world::nomad_binary;

/// What `nomad tls` makes for a cluster, in a folder of its own.
pub struct Certificates(pub tempfile::TempDir);

impl Certificates {
    pub fn make() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for arguments in [
            &["ca", "create"][..],
            &["cert", "create", "-server", "-region", "global"],
            &["cert", "create", "-client"],
        ] {
            let mut command = Command::new(nomad_binary());
            command.arg("tls").args(arguments).current_dir(folder.path());
            let output = command.output().unwrap();
            assert!(output.status.success(), "{output:?}");
        }
        Self(folder)
    }

    pub fn ca(&self) -> PathBuf {
        self.0.path().join("nomad-agent-ca.pem")
    }

    pub fn client_cert(&self) -> PathBuf {
        self.0.path().join("global-client-nomad.pem")
    }

    pub fn client_key(&self) -> PathBuf {
        self.0.path().join("global-client-nomad-key.pem")
    }

    pub fn client_identity(&self) -> Vec<u8> {
        [read(&self.client_cert()), read(&self.client_key())].concat()
    }

    pub fn of_server(&self, verify_clients: bool) -> Tls {
        Tls {
            ca_cert: self.ca(),
            cert: self.0.path().join("global-server-nomad.pem"),
            key: self.0.path().join("global-server-nomad-key.pem"),
            verify_clients,
        }
    }
}

pub fn read(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap()
}
