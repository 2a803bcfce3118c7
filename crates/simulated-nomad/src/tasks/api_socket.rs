//! The API that a task has for itself: the socket `api.sock` among its secrets. Everybody who asks
//! there says who he is, or is told nothing.
//!
//! What is answered is `answers/`' business; here is only the listening.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tokio::net::UnixListener;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::http::Server;

pub(super) const NAME: &str = "api.sock";

/// Served until this is dropped; the file is gone then.
pub(super) struct ApiSocket {
    path: PathBuf,
    _open: DropGuard,
}

impl ApiSocket {
    /// `for_all`: also for other users than the agent's.
    pub fn open(server: &Server, secrets: &Path, for_all: bool) -> io::Result<Self> {
        let path = secrets.join(NAME);
        // Left by an agent that was killed.
        let _ = fs::remove_file(&path);
        // The path of a socket has at most 107 bytes: this way round it is short in any folder.
        let folder = File::open(secrets)?;
        let listener = UnixListener::bind(format!("/proc/self/fd/{}/{NAME}", folder.as_raw_fd()))?;
        fs::set_permissions(&path, Permissions::from_mode(if for_all { 0o666 } else { 0o600 }))?;
        let closed = CancellationToken::new();
        server.serve_task(listener, closed.clone());
        Ok(Self { path, _open: closed.drop_guard() })
    }
}

impl Drop for ApiSocket {
    fn drop(&mut self) {
        // Gone already where somebody has removed the folder.
        let _ = fs::remove_file(&self.path);
    }
}
