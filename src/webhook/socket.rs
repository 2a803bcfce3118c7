//! What a door listens on: an address, or a Unix socket that its mode guards.

use std::fs::{self, Permissions};
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio_util::either::Either;

/// Its owner and its group may connect.
const MODE: u32 = 0o660;

/// Where a door accepts connections.
#[derive(Debug)]
pub enum Listener {
    Tcp(TcpListener),
    Socket(Socket),
}

pub(super) type Stream = Either<TcpStream, UnixStream>;

/// How a connection came: an extension of each request on it.
#[derive(Debug, Clone, Copy)]
pub enum CameBy {
    /// To this address of this machine.
    Tcp(SocketAddr),
    Socket,
}

impl Listener {
    pub(super) async fn accept(&self) -> io::Result<Stream> {
        Ok(match self {
            Listener::Tcp(listener) => Either::Left(listener.accept().await?.0),
            Listener::Socket(socket) => Either::Right(socket.listener.accept().await?.0),
        })
    }
}

impl From<TcpListener> for Listener {
    fn from(listener: TcpListener) -> Self {
        Listener::Tcp(listener)
    }
}

/// `None` where the system does not say.
pub(super) fn came_by(stream: &Stream) -> Option<CameBy> {
    match stream {
        Either::Left(stream) => stream.local_addr().ok().map(CameBy::Tcp),
        Either::Right(_) => Some(CameBy::Socket),
    }
}

/// A Unix socket with mode 0660. Its file goes with it.
#[derive(Debug)]
pub struct Socket {
    listener: UnixListener,
    path: PathBuf,
    /// Device and inode: another daemon's socket in its place is not taken away.
    is: (u64, u64),
}

impl Socket {
    /// A socket that nobody listens on any more is replaced; anything else at that path stays.
    ///
    /// # Errors
    /// When it cannot be made, or the path is taken.
    pub fn bind(path: &Path) -> io::Result<Self> {
        match fs::symlink_metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
            Ok(found) if !found.file_type().is_socket() => {
                let what = "there is a file that is no socket; remove it, or use another path";
                return Err(io::Error::new(io::ErrorKind::AlreadyExists, what));
            }
            Ok(_) if std::os::unix::net::UnixStream::connect(path).is_ok() => {
                let what = "another process listens on it";
                return Err(io::Error::new(io::ErrorKind::AddrInUse, what));
            }
            Ok(_) => {}
        }
        let folder = path.parent().unwrap_or(Path::new("/"));
        // In a folder of its own until it has its mode: nobody connects before.
        let hidden = tempfile::Builder::new().prefix(".").rand_bytes(4).tempdir_in(folder)?;
        let new = hidden.path().join("s");
        let listener = UnixListener::bind(&new)?;
        fs::set_permissions(&new, Permissions::from_mode(MODE))?;
        let found = fs::symlink_metadata(&new)?;
        fs::rename(&new, path)?;
        Ok(Self { listener, path: path.to_owned(), is: (found.dev(), found.ino()) })
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        let found = fs::symlink_metadata(&self.path);
        if found.is_ok_and(|found| (found.dev(), found.ino()) == self.is) {
            // What stays is replaced by the next start.
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_has_its_mode_and_goes_with_its_owner() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("admin.sock");
        let socket = Socket::bind(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, MODE);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing else is left");
        assert_eq!(Socket::bind(&path).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        drop(socket);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn what_a_killed_daemon_left_is_replaced_and_a_file_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("admin.sock");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        let before = Socket::bind(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let after = Socket::bind(&path).unwrap();
        drop(before);
        assert!(path.exists(), "that of another is not taken away");
        drop(after);
        fs::write(&path, "x").unwrap();
        assert_eq!(Socket::bind(&path).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert!(path.exists());
    }
}
