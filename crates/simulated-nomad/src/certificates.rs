//! `tls ca create` and `tls cert create`: an authority and certificates for a cluster, in the files
//! and with the names that `nomad tls` gives them.
//!
//! Elliptic curves, PEM, in the current folder; an existing file is not overwritten. Read next:
//! `tls.rs` (what uses them).

use std::fs::File;
use std::io::Write as _;
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType, SerialNumber,
};

const USAGE: &str = "usage: tls ca create [-days N] [-domain D] | \
    tls cert create -server|-client|-cli [-region R] [-days N] [-domain D] [-ca FILE] [-key FILE] \
    [-additional-dnsname NAME]… [-additional-ipaddress ADDRESS]…";

/// `tls ARGUMENTS…`
pub(crate) fn main(arguments: &[String]) -> ExitCode {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let made = match words.as_slice() {
        ["ca", "create", rest @ ..] => Wanted::read(rest).and_then(|wanted| authority(&wanted)),
        ["cert", "create", rest @ ..] => Wanted::read(rest).and_then(|wanted| one(&wanted)),
        _ => Err(USAGE.to_owned()),
    };
    match made {
        Ok(files) => {
            for (what, file) in files {
                println!("==> {what} saved to {}", file.display());
            }
            ExitCode::SUCCESS
        }
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

/// Whose certificate it is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Server,
    Client,
    Cli,
}

impl Role {
    fn name(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Client => "client",
            Self::Cli => "cli",
        }
    }
}

#[derive(Debug)]
struct Wanted {
    role: Option<Role>,
    region: String,
    domain: String,
    days: Option<i64>,
    authority: PathBuf,
    key: PathBuf,
    more: Vec<SanType>,
}

impl Wanted {
    fn read(arguments: &[&str]) -> Result<Self, String> {
        let mut wanted = Self {
            role: None,
            region: "global".to_owned(),
            domain: "nomad".to_owned(),
            days: None,
            authority: "nomad-agent-ca.pem".into(),
            key: "nomad-agent-ca-key.pem".into(),
            more: Vec::new(),
        };
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            let argument = argument.strip_prefix("--").or_else(|| argument.strip_prefix('-'));
            let (name, value) = match argument.ok_or(USAGE)?.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (argument.ok_or(USAGE)?, None),
            };
            let mut value = || value.or_else(|| rest.next().copied()).ok_or(USAGE);
            match name {
                "server" => wanted.role = Some(Role::Server),
                "client" => wanted.role = Some(Role::Client),
                "cli" => wanted.role = Some(Role::Cli),
                "region" | "cluster-region" => value()?.clone_into(&mut wanted.region),
                "domain" => value()?.clone_into(&mut wanted.domain),
                "days" => wanted.days = Some(value()?.parse().map_err(|_| USAGE)?),
                "ca" => wanted.authority = value()?.into(),
                "key" => wanted.key = value()?.into(),
                "additional-dnsname" => wanted.more.push(host(value()?)?),
                "additional-ipaddress" => wanted.more.push(address(value()?)?),
                _ => return Err(USAGE.to_owned()),
            }
        }
        Ok(wanted)
    }
}

fn host(name: &str) -> Result<SanType, String> {
    let name = name.try_into().map_err(|_| format!("{name:?} is no name of a host"))?;
    Ok(SanType::DnsName(name))
}

fn address(text: &str) -> Result<SanType, String> {
    let address: IpAddr = text.parse().map_err(|_| format!("{text:?} is no IP address"))?;
    Ok(SanType::IpAddress(address))
}

type Files = Vec<(&'static str, PathBuf)>;

fn authority(wanted: &Wanted) -> Result<Files, String> {
    let serial: u128 = rand::random();
    let mut params = parameters(&format!("Nomad Agent CA {serial}"), wanted.days.unwrap_or(1_825));
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![
        KeyUsagePurpose::KeyCertSign,
        KeyUsagePurpose::CrlSign,
        KeyUsagePurpose::DigitalSignature,
    ];
    let key = KeyPair::generate().map_err(in_words)?;
    let certificate = params.self_signed(&key).map_err(in_words)?;
    let name = format!("{}-agent-ca", wanted.domain);
    write(&name, "CA certificate", &certificate.pem(), &key)
}

fn one(wanted: &Wanted) -> Result<Files, String> {
    let role = wanted.role.ok_or("Please provide either -server, -client, or -cli")?;
    let read = |file: &Path| {
        std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))
    };
    let authority = read(&wanted.authority)?;
    let signer = KeyPair::from_pem(&read(&wanted.key)?).map_err(in_words)?;
    let issuer = Issuer::from_ca_cert_pem(&authority, signer).map_err(in_words)?;
    let name = format!("{}.{}.{}", role.name(), wanted.region, wanted.domain);
    let mut params = parameters(&name, wanted.days.unwrap_or(365));
    params.subject_alt_names = vec![host(&name)?, host("localhost")?, address("127.0.0.1")?];
    params.subject_alt_names.extend(wanted.more.iter().cloned());
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
    params.extended_key_usages = match role {
        Role::Server | Role::Client => {
            vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth]
        }
        Role::Cli => vec![ExtendedKeyUsagePurpose::ClientAuth],
    };
    params.use_authority_key_identifier_extension = true;
    let key = KeyPair::generate().map_err(in_words)?;
    let certificate = params.signed_by(&key, &issuer).map_err(in_words)?;
    let name = format!("{}-{}-{}", wanted.region, role.name(), wanted.domain);
    write(&name, "Certificate", &certificate.pem(), &key)
}

fn parameters(name: &str, days: i64) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    // Positive, so that its first bit is not set.
    let serial: u128 = rand::random::<u128>() >> 1;
    params.serial_number = Some(SerialNumber::from_slice(&serial.to_be_bytes()));
    let now = std::time::SystemTime::now();
    let hour = std::time::Duration::from_secs(3_600);
    params.not_before = (now - hour).into();
    params.not_after = (now + hour * 24 * u32::try_from(days).unwrap_or(1)).into();
    params
}

/// `NAME.pem` and `NAME-key.pem`.
fn write(
    name: &str,
    what: &'static str,
    certificate: &str,
    key: &KeyPair,
) -> Result<Files, String> {
    let files = [PathBuf::from(format!("{name}.pem")), PathBuf::from(format!("{name}-key.pem"))];
    if let Some(there) = files.iter().find(|file| file.exists()) {
        return Err(format!("{} already exists", there.display()));
    }
    let [public, private] = files;
    for (file, mode, text) in
        [(&public, 0o644, certificate), (&private, 0o600, key.serialize_pem().as_str())]
    {
        let mut options = File::options();
        let opened = options.write(true).create_new(true).mode(mode).open(file);
        opened
            .and_then(|mut file| file.write_all(text.as_bytes()))
            .map_err(|error| format!("{}: {error}", file.display()))?;
    }
    Ok(vec![(what, public), ("Key", private)])
}

fn in_words(error: rcgen::Error) -> String {
    error.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read_as_go_reads_them() {
        let wanted = Wanted::read(&["-server", "-region", "eu", "--days=3", "-ca=x.pem"]).unwrap();
        assert_eq!((wanted.role, wanted.region.as_str()), (Some(Role::Server), "eu"));
        assert_eq!((wanted.days, wanted.authority.as_path()), (Some(3), Path::new("x.pem")));
        assert!(Wanted::read(&["-region"]).is_err() && Wanted::read(&["what"]).is_err());
    }
}
