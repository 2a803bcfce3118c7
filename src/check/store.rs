//! Whether the store can be written, and whether this version can read it. Read-only: creates no file
//! and migrates nothing.

use std::path::Path;

use rustix::fs::{Access, access};

use super::finding::Finding;
use crate::store::{Examined, StoreError, VERSION, examine};

const SUBJECT: &str = "store";

/// Less free space is a warning: a job and its runner take some kilobytes, for as long as `retention`.
const LITTLE: u64 = 200 << 20;
/// With less free space SQLite may be unable to write at all.
const NONE: u64 = 8 << 20;

/// `to_come` is a folder that is created when the service starts.
pub fn check(path: &Path, to_come: Option<&Path>) -> Vec<Finding> {
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    if to_come.is_some_and(|to_come| folder == to_come) && !folder.exists() {
        let message = format!(
            "{} does not exist yet: systemd creates its folder, and serve creates it",
            path.display()
        );
        return vec![Finding::ok(SUBJECT, message)];
    }
    let room = rustix::fs::statvfs(folder).ok().and_then(|room| {
        let bytes = room.f_bavail.saturating_mul(room.f_frsize);
        // Some file systems do not count their files.
        let files = (room.f_files > 0).then_some(room.f_favail);
        little(folder, bytes, files)
    });
    [database(path, folder)].into_iter().chain(room).collect()
}

/// Free space on the file system; `files` if it counts them.
fn little(folder: &Path, bytes: u64, files: Option<u64>) -> Option<Finding> {
    let shown = folder.display();
    const FIX: &str = "free some space, use another path in store.url, or keep ended jobs for less time (store.retention)";
    if files == Some(0) {
        let message = format!("the file system of {shown} has no room for another file");
        return Some(Finding::fail(SUBJECT, message, FIX));
    }
    let message = format!("only {} MB are free in {shown}", bytes >> 20);
    match bytes {
        _ if bytes < NONE => Some(Finding::fail(SUBJECT, message, FIX)),
        _ if bytes < LITTLE => Some(Finding::warn(SUBJECT, message, FIX)),
        _ => None,
    }
}

fn database(path: &Path, folder: &Path) -> Finding {
    if let Some(trouble) = folder_trouble(folder) {
        return trouble;
    }
    let shown = path.display();
    if !path.exists() {
        let message =
            format!("{shown} does not exist yet; serve creates it, its folder is writable");
        return Finding::ok(SUBJECT, message + as_root());
    }
    if access(path, Access::READ_OK | Access::WRITE_OK).is_err() {
        return Finding::fail(
            SUBJECT,
            format!("{shown} is not writable for this user"),
            "make the user that roustabout runs as the owner of it and of its -wal and -shm files",
        );
    }
    let examined = match examine(path) {
        Ok(examined) => examined,
        Err(StoreError::Damaged { why, .. }) => return damaged(path, &why),
        Err(error) => {
            let why = match error {
                StoreError::Open { why, .. } => why,
                other => other.to_string(),
            };
            return Finding::fail(
                SUBJECT,
                format!("{shown} cannot be read: {why}"),
                "make the user that roustabout runs as its owner, or use another file in store.url",
            );
        }
    };
    match examined {
        Examined { damage: Some(damage), .. } => damaged(path, &damage),
        Examined { version, .. } if version > VERSION => Finding::fail(
            SUBJECT,
            format!(
                "{shown} was written by a newer roustabout (schema {version}, this one knows {VERSION})"
            ),
            "run that version, or use another file in store.url",
        ),
        Examined { version: 0, tables, .. } if tables > 0 => Finding::fail(
            SUBJECT,
            format!("{shown} is another program's database"),
            "use another file in store.url",
        ),
        Examined { version, .. } => {
            let state = match version == VERSION {
                true => "is up to date and writable".to_owned(),
                false => format!(
                    "has schema {version}, which serve migrates to {VERSION}: this cannot be undone, so copy it first"
                ),
            };
            Finding::ok(SUBJECT, format!("{shown} {state}{}", as_root()))
        }
    }
}

fn damaged(path: &Path, what: &str) -> Finding {
    Finding::fail(
        SUBJECT,
        format!("{} is damaged, or is not an SQLite database: {what}", path.display()),
        "restore a backup, or move it away with its -wal and -shm files and start with a new one (docs/operations.md, Backup): waiting jobs are found again, history is lost; if it belongs to another program, use another file in store.url",
    )
}

fn folder_trouble(folder: &Path) -> Option<Finding> {
    let shown = folder.display();
    if !folder.is_dir() {
        let message = format!("the folder {shown} does not exist");
        let fix = format!("create it (mkdir -p {shown}), or use another path in store.url");
        return Some(Finding::fail(SUBJECT, message, fix));
    }
    // SQLite creates more files beside the database.
    access(folder, Access::WRITE_OK | Access::EXEC_OK).is_err().then(|| {
        Finding::fail(
            SUBJECT,
            format!("the folder {shown} is not writable for this user"),
            "make the user that roustabout runs as its owner, or use another path in store.url",
        )
    })
}

/// Root can write anywhere, so the check says nothing about other users.
fn as_root() -> &'static str {
    match rustix::process::geteuid().is_root() {
        true => " (checked as root, who can write anywhere)",
        false => "",
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::time::Duration;

    use rusqlite::Connection;

    use super::*;
    use crate::check::Level;
    use crate::store::Store;

    fn check(path: &Path) -> Finding {
        let mut found = super::check(path, None);
        assert_eq!(found.len(), 1, "there is room: {found:?}");
        found.remove(0)
    }

    #[test]
    fn a_full_disk_is_told() {
        let of = |bytes, files| little(Path::new("/var/lib"), bytes, files);
        assert_eq!(of(LITTLE, None), None);
        assert_eq!(of(LITTLE, Some(1)), None);
        let level = |bytes, files| of(bytes, files).unwrap().level;
        assert_eq!(level(LITTLE - 1, Some(9)), Level::Warn);
        assert_eq!(level(NONE, Some(9)), Level::Warn);
        assert_eq!(level(NONE - 1, None), Level::Fail);
        assert_eq!(level(LITTLE, Some(0)), Level::Fail);
        assert_eq!(of(NONE, None).unwrap().message, "only 8 MB are free in /var/lib");
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(folder).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn nothing_is_made() {
        let folder = tempfile::tempdir().unwrap();
        let found = check(&folder.path().join("r.db"));
        assert_eq!(found.level, Level::Ok);
        assert!(found.message.contains("does not exist yet; serve creates it"), "{found:?}");
        assert_eq!(names(folder.path()), [""; 0]);
    }

    #[test]
    fn a_folder_that_systemd_makes_need_not_be_there() {
        let state = Path::new("/nowhere/roustabout");
        let found = super::check(&state.join("r.db"), Some(state));
        assert_eq!(found[0].level, Level::Ok);
        assert!(found[0].message.contains("systemd creates its folder"), "{found:?}");
        let found = super::check(Path::new("/nowhere/else/r.db"), Some(state));
        assert_eq!(found[0].level, Level::Fail);
    }

    #[test]
    fn a_missing_folder_is_no_place() {
        let found = check(Path::new("/nowhere at all/r.db"));
        assert_eq!(found.level, Level::Fail);
        assert_eq!(found.message, "the folder /nowhere at all does not exist");
    }

    #[tokio::test]
    async fn a_store_is_looked_at_and_stays_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("r #1?%.db");
        let store = Store::open(&path).unwrap();
        store.probe().await.unwrap();
        // Also while its daemon runs.
        assert!(check(&path).message.contains("is up to date"), "{:?}", check(&path));
        drop(store);
        while names(folder.path()).len() > 2 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let before = std::fs::read(&path).unwrap();
        assert!(check(&path).message.contains("is up to date"), "{:?}", check(&path));
        assert_eq!(names(folder.path()), ["r #1?%.db", "r #1?%.db.lock"]);
        assert_eq!(std::fs::read(&path).unwrap(), before);
    }

    fn holding(sql: &str) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("r.db");
        Connection::open(&path).unwrap().execute_batch(sql).unwrap();
        (folder, path)
    }

    #[test]
    fn an_older_schema_is_not_brought_up_to_date() {
        // Of schema 0 without tables, as a file that was only touched.
        let (_folder, path) = holding("VACUUM");
        let found = check(&path);
        assert!(found.message.contains("has schema 0, which serve migrates to"), "{found:?}");
        let version: i64 = Connection::open(&path)
            .unwrap()
            .query_row("PRAGMA user_version", [], |row| row.get(0))
            .unwrap();
        assert_eq!(version, 0);
    }

    #[test]
    fn what_cannot_be_used_is_told() {
        let (_folder, path) = holding("PRAGMA user_version = 99");
        let found = check(&path);
        assert_eq!(found.level, Level::Fail);
        assert!(found.message.contains("newer roustabout (schema 99"), "{found:?}");
        let (_folder, path) = holding("CREATE TABLE theirs (x)");
        assert!(check(&path).message.ends_with("is another program's database"));
        std::fs::write(&path, "this is a text, long enough to be taken for a header".repeat(9))
            .unwrap();
        assert!(check(&path).message.contains("is damaged, or is not an SQLite database"));
    }

    #[test]
    fn a_damaged_database_is_told() {
        let (_folder, path) = holding(
            "CREATE TABLE t (x); WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000) \
             INSERT INTO t SELECT hex(randomblob(40)) FROM n; PRAGMA user_version = 2",
        );
        assert_eq!(check(&path).level, Level::Ok);
        let mut bytes = std::fs::read(&path).unwrap();
        let middle = bytes.len() / 2 / 4096 * 4096;
        bytes[middle..middle + 4096].fill(0xa5);
        std::fs::write(&path, bytes).unwrap();
        let found = check(&path);
        assert_eq!(found.level, Level::Fail, "{found:?}");
        assert!(found.message.contains("is damaged"), "{found:?}");
        assert!(found.fix.as_ref().unwrap().starts_with("restore a backup"), "{found:?}");
    }
}
