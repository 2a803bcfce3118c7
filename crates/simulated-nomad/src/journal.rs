//! What a server keeps on disk: everything that was written to it, in order, one line of JSON each.
//!
//! The model is pure, so the same writes at the same times with the same seed make the same state: a
//! server that starts again reads the journal and does everything once more, as Nomad's own does with
//! its Raft log. A line is written before its write is answered. What was only read is not here.
//! Read next: `http.rs` (`Server::change`), `restoring.rs` (how it is read again).

use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use axum::http::{HeaderMap, HeaderName, HeaderValue, Method};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::model::Millis;
use crate::nodes::NodeSpec;
use crate::tasks::Update;

/// One write.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Entry {
    /// A request to the HTTP API.
    Call(Request),
    /// What a client says of its allocations.
    Updates(Vec<Update>),
    /// A client has registered its node, for the first time or again.
    Node { id: String, spec: Box<NodeSpec>, anew: bool },
    /// The client of that node is heard no more.
    Silent { node: String },
}

/// As much of a request as decides what it does.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Request {
    method: String,
    /// With its escapes.
    pub path: String,
    pub query: String,
    headers: Vec<(String, String)>,
    /// In base64.
    body: String,
}

impl Request {
    pub fn new(method: &Method, path: &str, query: &str, headers: &HeaderMap, body: &[u8]) -> Self {
        let text = |(name, value): (&HeaderName, &HeaderValue)| {
            Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned()))
        };
        Self {
            method: method.as_str().to_owned(),
            path: path.to_owned(),
            query: query.to_owned(),
            headers: headers.iter().filter_map(text).collect(),
            body: STANDARD.encode(body),
        }
    }

    /// Method, heads and body; None: it was never written by [`Request::new`].
    pub fn parts(&self) -> Option<(Method, HeaderMap, Bytes)> {
        let header = |(name, value): &(String, String)| {
            Some((HeaderName::try_from(name).ok()?, HeaderValue::try_from(value).ok()?))
        };
        let headers = self.headers.iter().map(header).collect::<Option<HeaderMap>>()?;
        let body = STANDARD.decode(&self.body).ok()?;
        Some((self.method.parse().ok()?, headers, body.into()))
    }
}

/// A write and its time.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Line {
    pub at: Millis,
    pub entry: Entry,
}

#[derive(Serialize, Deserialize)]
struct Head {
    seed: u64,
}

#[derive(Debug)]
pub(crate) struct Journal {
    file: File,
}

/// What a journal holds.
pub(crate) struct Kept {
    pub journal: Journal,
    /// Of the model's random numbers.
    pub seed: u64,
    pub lines: Vec<Line>,
}

impl Journal {
    /// The journal in that folder, or a new one with that seed.
    ///
    /// # Errors
    /// A file that cannot be read or written, or was damaged before its end.
    pub fn open(folder: &Path, seed: u64) -> io::Result<Kept> {
        fs::create_dir_all(folder)?;
        let mut options = File::options();
        // Tokens are in it, as whoever wrote with them sent them.
        options.read(true).append(true).create(true).mode(0o600);
        let file = options.open(folder.join("journal"))?;
        file.set_permissions(fs::Permissions::from_mode(0o600))?;
        let mut reader = BufReader::new(&file);
        let (mut text, mut whole, mut seen) = (String::new(), 0, None);
        let mut lines = Vec::new();
        while reader.read_line(&mut text)? > 0 {
            // One that was cut off has not been answered.
            if !text.ends_with('\n') {
                break;
            }
            match seen {
                None => seen = Some(serde_json::from_str::<Head>(&text)?.seed),
                Some(_) => lines.push(serde_json::from_str(&text)?),
            }
            whole += text.len() as u64;
            text.clear();
        }
        file.set_len(whole)?;
        let mut journal = Self { file };
        if seen.is_none() {
            journal.line(&Head { seed })?;
        }
        Ok(Kept { journal, seed: seen.unwrap_or(seed), lines })
    }

    /// Writes it down, before it is done.
    pub fn add(&mut self, at: Millis, entry: Entry) -> io::Result<()> {
        self.line(&Line { at, entry })
    }

    fn line(&mut self, what: &impl Serialize) -> io::Result<()> {
        let mut text = serde_json::to_vec(what)?;
        text.push(b'\n');
        self.file.write_all(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn silent(node: &str) -> Entry {
        Entry::Silent { node: node.to_owned() }
    }

    #[test]
    fn it_says_again_what_it_was_told_with_the_seed_of_the_first_time() {
        let folder = tempfile::tempdir().unwrap();
        let mut kept = Journal::open(folder.path(), 7).unwrap();
        assert_eq!((kept.seed, kept.lines.len()), (7, 0));
        let headers = HeaderMap::from_iter([(
            HeaderName::from_static("x-nomad-token"),
            HeaderValue::from_static("t"),
        )]);
        let request = Request::new(&Method::PUT, "/v1/a%2Fb", "c=d", &headers, b"\xff");
        kept.journal.add(5, Entry::Call(request)).unwrap();
        kept.journal.add(6, silent("n")).unwrap();
        drop(kept);
        let kept = Journal::open(folder.path(), 8).unwrap();
        assert_eq!(kept.seed, 7);
        let [first, second] = kept.lines.as_slice() else { panic!("two lines") };
        assert_eq!((first.at, second.at), (5, 6));
        let Entry::Call(request) = &first.entry else { panic!("a call") };
        let (method, headers, body) = request.parts().unwrap();
        assert_eq!((method, &body[..]), (Method::PUT, &b"\xff"[..]));
        assert_eq!(headers["x-nomad-token"], "t");
        assert_eq!((request.path.as_str(), request.query.as_str()), ("/v1/a%2Fb", "c=d"));
    }

    #[test]
    fn it_is_its_owners_alone_also_where_an_older_one_was_not() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("journal");
        fs::write(&file, "").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        Journal::open(folder.path(), 7).unwrap();
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_line_that_was_cut_off_is_dropped_and_written_over() {
        let folder = tempfile::tempdir().unwrap();
        let mut kept = Journal::open(folder.path(), 7).unwrap();
        kept.journal.add(5, silent("n")).unwrap();
        kept.journal.file.write_all(b"{\"at\":6,\"ent").unwrap();
        drop(kept);
        let mut kept = Journal::open(folder.path(), 7).unwrap();
        assert_eq!(kept.lines.len(), 1);
        kept.journal.add(6, silent("m")).unwrap();
        drop(kept);
        assert_eq!(Journal::open(folder.path(), 7).unwrap().lines.len(), 2);
    }
}
