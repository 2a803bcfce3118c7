//! What a systemd unit gives to its service: credentials, variables, the state directory and the
//! config file. Reads unit files and their drop-ins as in systemd.unit(5), as far as our unit needs it;
//! starts nothing and does not contact systemd. Read next: `service.rs`.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::config::{Environment, SystemdCredential};

/// Where systemd looks for units, in order of precedence.
const PLACES: [&str; 5] = [
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
];
/// Where it looks for credentials that are named without a path.
const STORES: [&str; 3] = ["/etc/credstore", "/run/credstore", "/usr/lib/credstore"];
const DEFAULT_CONFIG: &str = "/etc/roustabout/roustabout.toml";

/// A service as its unit describes it.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Unit {
    pub name: String,
    /// The unit file; its drop-ins count too.
    pub file: PathBuf,
    pub credentials: BTreeMap<String, SystemdCredential>,
    /// With `STATE_DIRECTORY` where the unit has one.
    pub variables: BTreeMap<String, String>,
    /// What systemd makes when the service starts.
    pub state: Option<PathBuf>,
    /// What `roustabout serve` is started with.
    pub config: PathBuf,
    pub user: User,
}

/// Whom a service runs as.
#[derive(Debug, Default, PartialEq, Eq)]
pub enum User {
    #[default]
    Root,
    /// One that owns nothing else, and so can read only what is readable by everybody.
    Dynamic,
    /// As of the Debian package.
    Named(String),
}

impl Unit {
    /// The installed unit of that name, if it runs `roustabout serve`.
    pub fn installed(name: &str, env: &Environment) -> Option<Self> {
        let given = env
            .get("SYSTEMD_UNIT_PATH")
            .map(|path| path.split(':').filter(|one| !one.is_empty()).map(PathBuf::from).collect());
        let places: Vec<PathBuf> = given.unwrap_or_else(|| PLACES.map(PathBuf::from).to_vec());
        let file = places.iter().map(|place| place.join(name)).find(|file| file.is_file())?;
        let mut texts = vec![std::fs::read_to_string(&file).ok()?];
        texts.extend(
            drop_ins(&places, name).iter().filter_map(|one| std::fs::read_to_string(one).ok()),
        );
        let mut lines = Lines::default();
        for text in &texts {
            lines.read(text);
        }
        lines.unit(name, file)
    }
}

/// Sorted by name; of several with one name, the one in the place with the highest precedence.
fn drop_ins(places: &[PathBuf], name: &str) -> Vec<PathBuf> {
    let mut found: BTreeMap<OsString, PathBuf> = BTreeMap::new();
    for place in places {
        let entries = std::fs::read_dir(place.join(format!("{name}.d")));
        for entry in entries.into_iter().flatten().flatten() {
            let path = entry.path();
            if path.extension().is_some_and(|extension| extension == "conf") {
                found.entry(entry.file_name()).or_insert(path);
            }
        }
    }
    found.into_values().collect()
}

/// The settings of `[Service]`, in order. An empty value resets those before it.
#[derive(Default)]
struct Lines(Vec<(String, String)>);

impl Lines {
    fn read(&mut self, text: &str) {
        let mut service = false;
        let mut whole = String::new();
        for line in text.lines() {
            let line = line.trim();
            if line.starts_with(['#', ';']) {
                continue;
            }
            if let Some(begun) = line.strip_suffix('\\') {
                whole += begun;
                whole.push(' ');
                continue;
            }
            let line = std::mem::take(&mut whole) + line;
            if line.starts_with('[') {
                service = line == "[Service]";
            } else if let Some((key, value)) = line.split_once('=').filter(|_| service) {
                let (key, value) = (key.trim(), value.trim().replace("%%", "%"));
                match value.is_empty() {
                    true => self.0.retain(|(known, _)| known != key),
                    false => self.0.push((key.to_owned(), value)),
                }
            }
        }
    }

    fn all<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(known, _)| known == key).map(|(_, value)| value.as_str())
    }

    fn unit(&self, name: &str, file: PathBuf) -> Option<Unit> {
        let command = self.all("ExecStart").map(words).find(|words| {
            words.iter().any(|word| word == "serve")
                && words.first().is_some_and(|program| program.contains("roustabout"))
        })?;
        let mut variables = BTreeMap::new();
        for line in self.all("Environment") {
            variables.extend(words(line).iter().filter_map(|word| variable(word)));
        }
        for path in self.all("EnvironmentFile") {
            let text = std::fs::read_to_string(path.trim_start_matches('-')).unwrap_or_default();
            variables.extend(text.lines().map(str::trim).filter_map(|line| {
                let (name, value) = variable(line).filter(|_| !line.starts_with(['#', ';']))?;
                Some((name, words(&value).into_iter().next().unwrap_or_default()))
            }));
        }
        let state =
            self.all("StateDirectory").last().and_then(|line| words(line).into_iter().next());
        let state = state
            .map(|folder| Path::new("/var/lib").join(folder.split(':').next().unwrap_or_default()));
        if let Some(state) = &state {
            variables.insert("STATE_DIRECTORY".to_owned(), state.display().to_string());
        }
        let config = command.iter().enumerate().find_map(|(index, word)| {
            match word.strip_prefix("--config") {
                Some("") => command.get(index + 1).cloned(),
                Some(rest) => rest.strip_prefix('=').map(str::to_owned),
                None => None,
            }
        });
        let config = config.or_else(|| variables.get("ROUSTABOUT_CONFIG").cloned());
        Some(Unit {
            name: name.to_owned(),
            file,
            credentials: self.credentials(),
            variables,
            state,
            config: config.map_or_else(|| DEFAULT_CONFIG.into(), PathBuf::from),
            user: match self.all("User").last() {
                _ if self.all("DynamicUser").last().is_some_and(is_yes) => User::Dynamic,
                None | Some("root" | "0") => User::Root,
                Some(name) => User::Named(name.to_owned()),
            },
        })
    }

    fn credentials(&self) -> BTreeMap<String, SystemdCredential> {
        let mut credentials = BTreeMap::new();
        for line in self.all("LoadCredential") {
            let (name, path) = line.split_once(':').unwrap_or((line, line));
            let path = Path::new(path);
            if path.is_dir() {
                for entry in std::fs::read_dir(path).into_iter().flatten().flatten() {
                    if let Ok(file) = entry.file_name().into_string() {
                        let at = SystemdCredential::At(entry.path());
                        credentials.insert(format!("{name}_{file}"), at);
                    }
                }
                continue;
            }
            let at = match path.is_absolute() {
                true => path.to_owned(),
                false => {
                    let places = STORES.map(|store| Path::new(store).join(path));
                    let there = places.iter().find(|place| place.exists());
                    there.unwrap_or(&places[0]).clone()
                }
            };
            credentials.insert(name.to_owned(), SystemdCredential::At(at));
        }
        for key in ["LoadCredentialEncrypted", "SetCredential", "SetCredentialEncrypted"] {
            for line in self.all(key) {
                let name = line.split_once(':').map_or(line, |(name, _)| name);
                credentials.insert(name.to_owned(), SystemdCredential::Unseen);
            }
        }
        credentials
    }
}

fn is_yes(text: &str) -> bool {
    ["yes", "true", "on", "1"].contains(&text.to_ascii_lowercase().as_str())
}

fn variable(text: &str) -> Option<(String, String)> {
    let (name, value) = text.split_once('=')?;
    Some((name.trim().to_owned(), value.trim().to_owned()))
}

/// Words as systemd splits them: at spaces, except within quotes.
fn words(text: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for c in text.chars() {
        match quote {
            Some(open) if c == open => quote = None,
            None if c == '"' || c == '\'' => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            None if c.is_whitespace() => words.extend(word.take()),
            _ => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(texts: &[&str]) -> Option<Unit> {
        let mut lines = Lines::default();
        for text in texts {
            lines.read(text);
        }
        lines.unit("roustabout.service", "/etc/systemd/system/roustabout.service".into())
    }

    #[test]
    fn ours_is_read() {
        let text = include_str!("../../deploy/systemd/roustabout.service");
        let unit = unit(&[text]).unwrap();
        assert_eq!(unit.config, Path::new("/etc/roustabout/roustabout.toml"));
        assert_eq!(unit.state.as_deref(), Some(Path::new("/var/lib/roustabout")));
        assert_eq!(unit.variables["STATE_DIRECTORY"], "/var/lib/roustabout");
        assert_eq!(unit.user, User::Dynamic);
        let names: Vec<&str> = unit.credentials.keys().map(String::as_str).collect();
        assert_eq!(names, ["github-token", "nomad-token", "webhook-secret"]);
        assert_eq!(
            unit.credentials["nomad-token"],
            SystemdCredential::At("/etc/roustabout/nomad-token".into())
        );
    }

    #[test]
    fn a_drop_in_adds_and_takes_back() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("env");
        std::fs::write(&file, "# theirs\nNOMAD_REGION=\"eu west\"\nNOMAD_ADDR=https://b\n")
            .unwrap();
        let text = "[Unit]\nEnvironment=NO=1\n[Service]\nExecStart=/opt/roustabout serve\n\
                    LoadCredential=nomad-token:/a\nLoadCredential=github-token:/b\n\
                    Environment=\"A=b c\" NOMAD_ADDR=https://a \\\n  D=e\nDynamicUser=yes\n";
        let drop_in = format!(
            "[Service]\nLoadCredential=\nLoadCredential=github-token:/c\nSetCredential=x:y:z\n\
             LoadCredentialEncrypted=webhook-secret:/w\nEnvironmentFile=-{}\nDynamicUser=no\nUser=ci\n",
            file.display()
        );
        let unit = unit(&[text, &drop_in]).unwrap();
        assert_eq!(unit.config, Path::new(DEFAULT_CONFIG));
        assert_eq!((unit.state, unit.user), (None, User::Named("ci".to_owned())));
        let told: Vec<String> =
            unit.variables.iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(told, ["A=b c", "D=e", "NOMAD_ADDR=https://b", "NOMAD_REGION=eu west"]);
        let names: Vec<&str> = unit.credentials.keys().map(String::as_str).collect();
        assert_eq!(names, ["github-token", "webhook-secret", "x"]);
        assert_eq!(unit.credentials["github-token"], SystemdCredential::At("/c".into()));
        assert_eq!(unit.credentials["webhook-secret"], SystemdCredential::Unseen);
    }

    #[test]
    fn only_a_unit_that_serves_is_one() {
        assert_eq!(unit(&["[Service]\nExecStart=/bin/sh serve\n"]), None);
        assert_eq!(unit(&["[Service]\nExecStart=/bin/roustabout status\n"]), None);
        let other = unit(&["[Service]\nExecStart=/bin/roustabout --config=/x.toml serve\n"]);
        assert_eq!(other.unwrap().config, Path::new("/x.toml"));
    }

    #[test]
    fn it_is_found_with_its_drop_ins() {
        let folder = tempfile::tempdir().unwrap();
        let (strong, weak) = (folder.path().join("etc"), folder.path().join("lib"));
        std::fs::create_dir_all(strong.join("r.service.d")).unwrap();
        std::fs::create_dir_all(weak.join("r.service.d")).unwrap();
        let serve = |more: &str| format!("[Service]\nExecStart=/bin/roustabout serve\n{more}");
        std::fs::write(weak.join("r.service"), serve("Environment=A=unit\n")).unwrap();
        std::fs::write(weak.join("r.service.d/1.conf"), "[Service]\nEnvironment=A=weak\n").unwrap();
        std::fs::write(strong.join("r.service.d/1.conf"), "[Service]\nEnvironment=B=1\n").unwrap();
        let path = format!("{}:{}", strong.display(), weak.display());
        let env = Environment::from_iter([("SYSTEMD_UNIT_PATH", path)]);
        let unit = Unit::installed("r.service", &env).unwrap();
        assert_eq!(unit.file, weak.join("r.service"));
        assert_eq!((unit.variables["A"].as_str(), unit.variables["B"].as_str()), ("unit", "1"));
        assert_eq!(Unit::installed("s.service", &env), None);
    }
}
