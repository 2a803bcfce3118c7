//! With whose environment `check` runs: that of an installed systemd unit's service, of the service
//! that it is called in, or of the shell. The daemon sees neither the variables nor the proxies of the
//! shell, so a check with those says nothing about the service. Read next: `unit.rs`.

use std::ffi::OsStr;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Command;

use super::finding::Finding;
use super::unit::{Unit, User};
use crate::config::{Environment, Loaded, Origin, SecretPlace, SystemdCredential, find_file};

const SUBJECT: &str = "service";
pub const UNIT: &str = "roustabout.service";
/// Variables for the terminal and for finding units are kept; all others are those of the unit.
const KEPT: [&str; 3] = ["NO_COLOR", "TERM", "SYSTEMD_UNIT_PATH"];

/// Whose environment is used.
pub enum View {
    /// That of this command.
    Here,
    /// That of the service in which this command runs.
    Within,
    Unit(Box<Unit>),
}

impl View {
    /// The unit that is named; else [`UNIT`], if it runs this config.
    pub fn find(
        config: Option<&Path>,
        unit: Option<&str>,
        env: &Environment,
    ) -> Result<Self, String> {
        if let Some(name) = unit {
            let name = if name.contains('.') { name.to_owned() } else { format!("{name}.service") };
            let unit = Unit::installed(&name, env).ok_or_else(|| {
                format!("--unit {name}: no unit of that name runs roustabout serve; systemctl cat {name} shows what it runs")
            })?;
            return Ok(Self::Unit(Box::new(unit)));
        }
        // systemd and Nomad set these for a service, and for a command that is run beside it.
        let credentials = env.get("CREDENTIALS_DIRECTORY");
        if env.get("NOMAD_ALLOC_ID").is_some()
            || credentials.is_some_and(|folder| folder.starts_with("/run/credentials/"))
        {
            return Ok(Self::Within);
        }
        let found = Unit::installed(UNIT, env)
            .filter(|unit| find_file(config, env).is_ok_and(|file| is_same(&file, &unit.config)));
        Ok(found.map_or(Self::Here, |unit| Self::Unit(Box::new(unit))))
    }

    pub fn unit(&self) -> Option<&Unit> {
        match self {
            Self::Unit(unit) => Some(unit),
            Self::Here | Self::Within => None,
        }
    }

    /// What the config is loaded with.
    pub fn environment(&self) -> Environment {
        match self {
            Self::Here => Environment::of_process().with_credentials_first(),
            Self::Within => Environment::of_process(),
            Self::Unit(unit) => {
                Environment::of_unit(unit.variables.clone(), unit.credentials.clone())
            }
        }
    }

    pub(super) fn findings(&self, loaded: &Loaded) -> Vec<Finding> {
        match self {
            Self::Here => by_hand(loaded, std::env::var_os("CREDENTIALS_DIRECTORY").as_deref()),
            Self::Within => vec![Finding::ok(SUBJECT, "checked from within the service")],
            Self::Unit(unit) => of_unit(unit, loaded.file.as_deref()),
        }
    }
}

/// Who sets `$CREDENTIALS_DIRECTORY` by hand means a service, which does not have the variables of this
/// shell.
fn by_hand(loaded: &Loaded, credentials: Option<&OsStr>) -> Vec<Finding> {
    let message = format!(
        "checked with the environment of this command: no {UNIT} that runs this config is installed here"
    );
    let mut findings = vec![Finding::ok(SUBJECT, message)];
    let Some(folder) = credentials.filter(|folder| !folder.is_empty()) else { return findings };
    for SecretPlace { key, from } in &loaded.secrets {
        if let Origin::Variable(name) = from {
            findings.push(Finding::warn(
                SUBJECT,
                format!("{key} comes from the variable {name}, and no credential in {} provides it: a service without that variable will not have it", folder.display()),
                format!("write it to a file there, or unset {name} before running check"),
            ));
        }
    }
    findings
}

/// Also for two paths of one file, and for the same path of a file that does not exist.
fn is_same(a: &Path, b: &Path) -> bool {
    match (a.canonicalize(), b.canonicalize()) {
        (Ok(a), Ok(b)) => a == b,
        _ => a == b,
    }
}

/// The command that runs this program in the environment of the unit, so that its requests also use the
/// proxies of the service.
pub fn entered(unit: &Unit, program: &Path) -> Command {
    let mut command = Command::new(program);
    command.env_clear().envs(&unit.variables);
    for name in KEPT {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command
}

fn of_unit(unit: &Unit, file: Option<&Path>) -> Vec<Finding> {
    let Unit { name, file: shown, .. } = unit;
    let mut findings = vec![Finding::ok(
        SUBJECT,
        format!(
            "checked with the environment of {name} ({}), not with that of this shell",
            shown.display()
        ),
    )];
    for (credential, at) in &unit.credentials {
        if let SystemdCredential::At(at) = at
            && at.try_exists().is_ok_and(|there| !there)
        {
            findings.push(Finding::fail(
                SUBJECT,
                format!(
                    "{name} loads the credential {credential} from {}, which does not exist: the service will not start (243/CREDENTIALS)",
                    at.display()
                ),
                "write the secret to that file, or remove its LoadCredential line from the unit",
            ));
        }
    }
    if let Some(file) = file.filter(|file| !reads(&unit.user, file)) {
        findings.push(Finding::fail(
            SUBJECT,
            format!("{} cannot be read by the user that {name} runs as", file.display()),
            format!(
                "chmod 644 {}, and 755 the folders above it; it need not contain secrets",
                file.display()
            ),
        ));
    }
    findings
}

/// Whether that user can read the file; one that is in no `/etc/passwd` is believed to.
fn reads(user: &User, file: &Path) -> bool {
    let ids = match user {
        User::Root => return true,
        User::Dynamic => None,
        User::Named(name) => match ids_of(name) {
            None => return true,
            ids => ids,
        },
    };
    // 4 is to read, 1 to pass through a folder.
    let has = |path: &Path, right: u32| {
        std::fs::metadata(path).is_ok_and(|found| {
            let mode = found.permissions().mode();
            let of_these = match ids {
                Some((uid, _)) if uid == found.uid() => mode >> 6,
                Some((_, gid)) if gid == found.gid() => mode >> 3,
                _ => mode,
            };
            of_these & right != 0
        })
    };
    let Ok(file) = file.canonicalize() else { return false };
    has(&file, 4) && file.ancestors().skip(1).all(|folder| has(folder, 1))
}

/// User and main group.
fn ids_of(name: &str) -> Option<(u32, u32)> {
    let users = std::fs::read_to_string("/etc/passwd").ok()?;
    let mut fields = users.lines().map(|line| line.split(':'));
    let mut its = fields.find(|fields| fields.clone().next() == Some(name))?.skip(2);
    Some((its.next()?.parse().ok()?, its.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::testing::loaded;
    use crate::check::{Level, Report, render};

    /// A place with our unit, which runs `config`, as `SYSTEMD_UNIT_PATH`.
    fn installed(folder: &Path, config: &Path) -> Environment {
        let text = format!(
            "[Service]\nExecStart=/bin/roustabout serve --config {}\nDynamicUser=yes\n\
             LoadCredential=nomad-token:{}\n",
            config.display(),
            folder.join("nomad-token").display()
        );
        std::fs::write(folder.join(UNIT), text).unwrap();
        Environment::from_iter([("SYSTEMD_UNIT_PATH", folder.to_str().unwrap())])
    }

    #[test]
    fn the_installed_unit_counts_where_it_runs_this_config() {
        let folder = tempfile::tempdir().unwrap();
        let (config, other) = (folder.path().join("a.toml"), folder.path().join("b.toml"));
        std::fs::write(&config, "").unwrap();
        let env = installed(folder.path(), &config);
        let unit = |config: &Path, name: Option<&str>, env: &Environment| {
            View::find(Some(config), name, env).map(|view| view.unit().is_some())
        };
        assert_eq!(unit(&config, None, &env), Ok(true));
        assert_eq!(unit(&other, None, &env), Ok(false));
        assert_eq!(unit(&other, Some("roustabout"), &env), Ok(true));
        assert_eq!(unit(&config, None, &Environment::default()), Ok(false));
        let told = unit(&config, Some("else"), &env).unwrap_err();
        assert!(told.starts_with("--unit else.service: no unit of that name runs"), "{told}");
        // Within the service there is nothing to guess.
        let path = folder.path().to_str().unwrap();
        for within in
            [("CREDENTIALS_DIRECTORY", "/run/credentials/r.service"), ("NOMAD_ALLOC_ID", "a")]
        {
            let env = Environment::from_iter([("SYSTEMD_UNIT_PATH", path), within]);
            assert!(matches!(View::find(Some(&config), None, &env), Ok(View::Within)));
        }
    }

    #[test]
    fn a_variable_that_stands_in_for_a_credential_is_told() {
        // Both secrets of that config are variables.
        assert_eq!(by_hand(&loaded(""), None).len(), 1);
        let found = by_hand(&loaded(""), Some(OsStr::new("/etc/roustabout")));
        let told = render::text(&Report(found), false);
        assert!(told.contains("warn  service  webhook.secret comes from the variable ROUSTABOUT_WEBHOOK_SECRET, and no credential in /etc/roustabout provides it"), "{told}");
        assert!(told.ends_with("1 ok, 2 warn, 0 fail\n"), "{told}");
    }

    #[test]
    fn what_keeps_the_service_from_starting_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("a.toml");
        std::fs::write(&config, "").unwrap();
        std::fs::set_permissions(&config, std::fs::Permissions::from_mode(0o640)).unwrap();
        let env = installed(folder.path(), &config);
        let view = View::find(Some(&config), None, &env).unwrap();
        let loaded = Loaded { file: Some(config.clone()), ..loaded("") };
        let found = view.findings(&loaded);
        let told = render::text(&Report(found), false);
        assert!(
            told.contains(
                "nomad-token, which does not exist: the service will not start (243/CREDENTIALS); write"
            ),
            "{told}"
        );
        assert!(
            told.contains(
                "a.toml cannot be read by the user that roustabout.service runs as; chmod 644"
            ),
            "{told}"
        );
        std::fs::write(folder.path().join("nomad-token"), "t").unwrap();
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        std::fs::set_permissions(&config, std::fs::Permissions::from_mode(0o644)).unwrap();
        let found = view.findings(&loaded);
        assert!(found.iter().all(|one| one.level == Level::Ok), "{found:?}");
    }

    #[test]
    fn a_user_of_the_system_reads_what_is_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.toml");
        std::fs::write(&file, "").unwrap();
        let mode = |path: &Path, mode| {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        mode(folder.path(), 0o755);
        mode(&file, 0o600);
        let (nobody, unknown) = (User::Named("nobody".into()), User::Named("no-such-user".into()));
        let uid = ids_of("nobody").unwrap().0;
        assert!(reads(&User::Root, &file) && reads(&unknown, &file));
        if file.metadata().unwrap().uid() != uid {
            assert!(!reads(&nobody, &file));
        }
        if std::os::unix::fs::chown(&file, Some(uid), None).is_ok() {
            assert!(reads(&nobody, &file) && !reads(&User::Dynamic, &file));
        }
        mode(&file, 0o644);
        assert!(reads(&nobody, &file) && reads(&User::Dynamic, &file));
    }
}
