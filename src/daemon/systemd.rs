//! What a service manager passes (sockets that it keeps open over restarts) and is told (ready,
//! reloading, stopping). The protocols are systemd's, `sd_listen_fds(3)` and `sd_notify(3)`;
//! without it nothing happens here.

use std::time::Duration;

use anyhow::{Context, bail};
use listenfd::ListenFd;
use sd_notify::NotifyState;
use tokio::net::TcpListener;
use tracing::warn;

/// The name (`FileDescriptorName=`) of a socket for the private door; all others are the public
/// one's.
const PRIVATE: &str = "admin";

/// Sockets that were open before this process began, by door.
#[derive(Default)]
pub struct Sockets {
    pub public: Vec<TcpListener>,
    pub private: Vec<TcpListener>,
}

impl Sockets {
    /// Those that were passed to this process, once: its variables are taken away, for they are
    /// meant for nobody that it starts.
    pub fn passed() -> anyhow::Result<Self> {
        let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
        let mut names = names.split(':');
        let mut passed = ListenFd::from_env();
        let mut sockets = Self::default();
        for index in 0..passed.len() {
            let name = names.next().unwrap_or_default();
            let socket = passed.take_tcp_listener(index).with_context(|| {
                format!("the socket \"{name}\" that was passed (LISTEN_FDS) cannot be used")
            })?;
            let Some(socket) = socket else {
                bail!("the socket \"{name}\" was passed twice");
            };
            socket.set_nonblocking(true)?;
            let socket = TcpListener::from_std(socket)?;
            match name {
                PRIVATE => sockets.private.push(socket),
                _ => sockets.public.push(socket),
            }
        }
        Ok(sockets)
    }
}

/// The doors listen and unfinished work is picked up; `status` is for people.
pub fn ready(status: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// The start is not over, and will not be before that time.
pub fn starting(status: &str, more: Duration) {
    let more = u32::try_from(more.as_micros()).unwrap_or(u32::MAX);
    tell(&[NotifyState::ExtendTimeoutUsec(more), NotifyState::Status(status)]);
}

/// The config is being read again; [`ready`] follows.
pub fn reloading() {
    let status = NotifyState::Status("reloading the config");
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now, status]),
        Err(_) => tell(&[NotifyState::Reloading, status]),
    }
}

pub fn stopping() {
    tell(&[NotifyState::Stopping, NotifyState::Status("finishing what is in flight")]);
}

fn tell(what: &[NotifyState]) {
    if let Err(error) = sd_notify::notify(what) {
        warn!(%error, "cannot notify the service manager ($NOTIFY_SOCKET)");
    }
}
