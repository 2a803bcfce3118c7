//! The certificates of a cluster, by the names that Nomad gives them: of an authority, of a server and of
//! a client. Made here; what `nomad tls` makes is tried where there is a Nomad.

use std::path::{Path, PathBuf};
use std::process::Command;

use local_parts::agent::Tls;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

/// In a folder of its own.
pub struct Certificates(pub tempfile::TempDir);

impl Certificates {
    pub fn make() -> Self {
        Self::also_for(&[])
    }

    /// The server also has these names.
    pub fn also_for(hosts: &[&str]) -> Self {
        let made = Self(tempfile::tempdir().unwrap());
        let key = KeyPair::generate().unwrap();
        let mut authority = CertificateParams::new(Vec::new()).unwrap();
        // Its own, or whoever trusts two of them takes one for the other.
        let name = format!("authority {}", hex::encode(&key.public_key_raw()[1..9]));
        authority.distinguished_name.push(DnType::CommonName, name);
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        made.write("nomad-agent-ca.pem", &authority.self_signed(&key).unwrap().pem());
        let authority = Issuer::new(authority, key);
        for role in ["server", "client"] {
            let name = format!("{role}.global.nomad");
            let mut names = vec![name, "localhost".to_owned(), "127.0.0.1".to_owned()];
            names.extend(hosts.iter().map(|host| (*host).to_owned()));
            let mut leaf = CertificateParams::new(names).unwrap();
            // Agents ask each other as clients.
            leaf.extended_key_usages =
                vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
            let key = KeyPair::generate().unwrap();
            let leaf = leaf.signed_by(&key, &authority).unwrap();
            made.write(&format!("global-{role}-nomad.pem"), &leaf.pem());
            made.write(&format!("global-{role}-nomad-key.pem"), &key.serialize_pem());
        }
        made
    }

    /// What `nomad tls` makes.
    pub fn made_by(nomad: &Path) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for arguments in [
            &["ca", "create"][..],
            &["cert", "create", "-server", "-region", "global"],
            &["cert", "create", "-client"],
        ] {
            let mut command = Command::new(nomad);
            command.arg("tls").args(arguments).current_dir(folder.path());
            let output = command.output().unwrap();
            assert!(output.status.success(), "{output:?}");
        }
        Self(folder)
    }

    fn write(&self, name: &str, pem: &str) {
        std::fs::write(self.0.path().join(name), pem).unwrap();
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
