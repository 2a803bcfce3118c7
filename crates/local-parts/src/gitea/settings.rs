//! Gitea's `app.ini`: loopback only, nothing that asks the internet, and clocks that are quick
//! where a demo or a test would wait for them.

use std::path::Path;
use std::time::Duration;

use crate::random;

pub(super) fn text(
    folder: &Path,
    static_files: &Path,
    port: u16,
    zombie_timeout: Duration,
) -> String {
    let folder = folder.display();
    format!(
        "\
APP_NAME = roustabout
WORK_PATH = {folder}

[server]
PROTOCOL = http
HTTP_ADDR = 127.0.0.1
HTTP_PORT = {port}
ROOT_URL = http://127.0.0.1:{port}/
DISABLE_SSH = true
OFFLINE_MODE = true
STATIC_ROOT_PATH = {static_files}
APP_DATA_PATH = {folder}/data
; It is asked to end where somebody waits for that.
GRACEFUL_HAMMER_TIME = 3s

[database]
DB_TYPE = sqlite3
PATH = {folder}/gitea.db
SQLITE_JOURNAL_MODE = WAL

[repository]
ROOT = {folder}/repositories
DEFAULT_BRANCH = main

[security]
INSTALL_LOCK = true
SECRET_KEY = {secret_key}

[service]
DISABLE_REGISTRATION = true

[webhook]
; Else hooks to loopback are refused.
ALLOWED_HOST_LIST = loopback

[actions]
ENABLED = true
ZOMBIE_TASK_TIMEOUT = {zombie_timeout}s

[cron.stop_zombie_tasks]
SCHEDULE = @every 5s

[cron.update_checker]
ENABLED = false

[indexer]
ISSUE_INDEXER_TYPE = db

[mailer]
ENABLED = false

[log]
MODE = console
LEVEL = Info
; Where errors and last words are looked for.
[log.console]
STDERR = true
",
        static_files = static_files.display(),
        secret_key = hex::encode(random::<32>()),
        zombie_timeout = zombie_timeout.as_secs(),
    )
}
