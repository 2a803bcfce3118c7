//! Opens the database and migrates it. A migration that has been released is never edited;
//! a new one is appended.
//!
//! WAL with `synchronous=FULL`: a commit that returned survives power loss (SQLite,
//! "PRAGMA synchronous").

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::StoreError;

const MIGRATIONS: &[&str] = &[
    // 1: the first tables. What is searched for has a column; the rest of a row is JSON.
    "CREATE TABLE deliveries (
         id TEXT PRIMARY KEY, received_at INTEGER NOT NULL,
         inbox TEXT -- NULL once it is folded
     ) WITHOUT ROWID;
     CREATE INDEX deliveries_inbox ON deliveries (received_at) WHERE inbox IS NOT NULL;
     CREATE INDEX deliveries_received ON deliveries (received_at);
     CREATE TABLE jobs (
         id INTEGER PRIMARY KEY, repository TEXT NOT NULL, run INTEGER NOT NULL,
         status TEXT NOT NULL, pool TEXT, reason TEXT,
         received_at INTEGER NOT NULL, ended_at INTEGER, body TEXT NOT NULL
     );
     CREATE INDEX jobs_open ON jobs (id) WHERE ended_at IS NULL;
     CREATE INDEX jobs_ended ON jobs (ended_at) WHERE ended_at IS NOT NULL;
     CREATE INDEX jobs_run ON jobs (run);
     CREATE TABLE runners (
         name TEXT PRIMARY KEY, pool TEXT NOT NULL, phase TEXT NOT NULL, child TEXT, reason TEXT,
         hired_at INTEGER NOT NULL, ended_at INTEGER, body TEXT NOT NULL
     ) WITHOUT ROWID;
     CREATE INDEX runners_open ON runners (name) WHERE ended_at IS NULL;
     CREATE INDEX runners_ended ON runners (ended_at) WHERE ended_at IS NOT NULL;
     CREATE TABLE repositories (id INTEGER PRIMARY KEY, full_name TEXT NOT NULL, body TEXT NOT NULL);
     CREATE TABLE waits (class TEXT PRIMARY KEY, pool TEXT NOT NULL, reason TEXT NOT NULL) WITHOUT ROWID;
     CREATE TABLE unparsed (
         sequence INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT, received_at INTEGER NOT NULL,
         event TEXT, error TEXT NOT NULL, body BLOB NOT NULL
     );
     CREATE TABLE pauses (pool TEXT PRIMARY KEY, until INTEGER) WITHOUT ROWID;
     CREATE TABLE timeline (
         sequence INTEGER PRIMARY KEY, at INTEGER NOT NULL, job INTEGER, runner TEXT,
         warn INTEGER NOT NULL, what TEXT NOT NULL
     );
     CREATE INDEX timeline_job ON timeline (job) WHERE job IS NOT NULL;
     CREATE INDEX timeline_runner ON timeline (runner) WHERE runner IS NOT NULL;
     CREATE TABLE cursors (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
     CREATE TABLE probe (one INTEGER PRIMARY KEY CHECK (one = 1), count INTEGER NOT NULL);
     INSERT INTO probe VALUES (1, 0);",
    // 2: what nobody reads, or only an hourly look at everything, is not written with each webhook.
    "DROP TABLE waits;
     DROP INDEX deliveries_received;
     DROP INDEX jobs_run;",
    // 3: what people ask for and what is pruned is found by an index on a store of any size. A runner's
    // jobs stay in its body: a column would mean writing every row anew.
    "CREATE INDEX jobs_run ON jobs (run);
     CREATE INDEX runners_cause ON runners (json_extract(body, '$.cause'));
     CREATE INDEX runners_took ON runners (json_extract(body, '$.took.job'));
     CREATE INDEX deliveries_received ON deliveries (received_at);
     CREATE INDEX timeline_at ON timeline (at);
     -- A pause says since when, so that one that was made while the clock was wrong ends in time.
     ALTER TABLE pauses ADD COLUMN since INTEGER;
     -- What people call a run by; only listings of runs tell it.
     CREATE INDEX jobs_run_number ON jobs (json_extract(body, '$.report.details.run_number'))
         WHERE json_extract(body, '$.report.details.run_number') IS NOT NULL;
     -- Ends without a job are counted over a restart: what stands against a pool or a scope.
     CREATE TABLE breakers (key TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID;",
    // 4: what happened is kept as data, and put into words when it is read. Older rows keep theirs.
    "ALTER TABLE timeline ADD COLUMN event TEXT;",
    // 5: an index on what is inside a body has the body parsed at each write, and the timeline is in the
    // order of time already.
    "ALTER TABLE jobs ADD COLUMN run_number INTEGER;
     UPDATE jobs SET run_number = json_extract(body, '$.report.details.run_number')
         WHERE json_extract(body, '$.report.details.run_number') IS NOT NULL;
     DROP INDEX jobs_run_number;
     CREATE INDEX jobs_run_number ON jobs (run_number) WHERE run_number IS NOT NULL;
     ALTER TABLE runners ADD COLUMN cause INTEGER;
     ALTER TABLE runners ADD COLUMN took INTEGER;
     UPDATE runners SET cause = json_extract(body, '$.cause'), took = json_extract(body, '$.took.job');
     DROP INDEX runners_cause;
     DROP INDEX runners_took;
     CREATE INDEX runners_cause ON runners (cause) WHERE cause IS NOT NULL;
     CREATE INDEX runners_took ON runners (took) WHERE took IS NOT NULL;
     DROP INDEX timeline_at;",
    // 6: a report over a million jobs reads a tenth of each (`store::brief`), in the order in which they ended.
    // What ended before has none.
    "ALTER TABLE jobs ADD COLUMN brief TEXT;
     DROP INDEX jobs_ended;
     CREATE INDEX jobs_ended ON jobs (ended_at, id, brief) WHERE ended_at IS NOT NULL;",
];

/// The schema that this program writes.
pub const VERSION: i64 = MIGRATIONS.len() as i64;

/// The cache of each connection, in kB (negative for SQLite). The rest is in the system's cache, and the
/// rows of 20 runners are few.
const CACHE: i64 = -512;

/// How long a write waits for another process that has locked the database. Short, because GitHub waits
/// only 10 s for an answer.
const BUSY: Duration = Duration::from_secs(1);

pub(super) fn open(path: &Path) -> Result<Connection, StoreError> {
    let failed = |error| StoreError::unopened(path, &error);
    let mut connection = Connection::open(path).map_err(failed)?;
    prepare(&connection).map_err(failed)?;
    let found: i64 =
        connection.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(failed)?;
    if found > VERSION {
        return Err(StoreError::Newer { path: path.to_owned(), found });
    }
    if (1..VERSION).contains(&found) {
        keep_copy(&connection, path, found).map_err(failed)?;
    }
    migrate(&mut connection, found).map_err(failed)?;
    Ok(connection)
}

/// A copy that the older version can still read; an existing one is not overwritten.
fn keep_copy(connection: &Connection, path: &Path, schema: i64) -> rusqlite::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".schema-{schema}"));
    let copy = path.with_file_name(name);
    if copy.exists() {
        return Ok(());
    }
    connection.execute("VACUUM INTO ?1", [copy.to_string_lossy()])?;
    // The folder is its owner's too; where this fails the copy is there all the same.
    let _ = std::fs::set_permissions(&copy, std::fs::Permissions::from_mode(0o600));
    Ok(())
}

fn prepare(connection: &Connection) -> rusqlite::Result<()> {
    limit(connection, 32)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")
}

/// How long it waits and how much it remembers.
fn limit(connection: &Connection, statements: usize) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY)?;
    connection.pragma_update(None, "cache_size", CACHE)?;
    connection.set_prepared_statement_cache_capacity(statements);
    Ok(())
}

fn migrate(connection: &mut Connection, found: i64) -> rusqlite::Result<()> {
    let done = usize::try_from(found).unwrap_or_default();
    for (number, sql) in MIGRATIONS.iter().enumerate().skip(done) {
        let transaction = connection.transaction()?;
        transaction.execute_batch(sql)?;
        transaction.pragma_update(None, "user_version", number as i64 + 1)?;
        transaction.commit()?;
    }
    Ok(())
}

pub(super) fn open_to_read(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    limit(&connection, 16)?;
    Ok(connection)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_database_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        std::fs::write(&path, "no database, and long enough to have a header".repeat(99)).unwrap();
        let told = open(&path).unwrap_err().to_string();
        assert!(
            told.contains("a.db is damaged, or is not an SQLite database (file is not a database)"),
            "{told}"
        );
        assert!(told.contains("restore a backup, or move it away"), "{told}");
        // The head is right, and the pages behind it are not.
        std::fs::remove_file(&path).unwrap();
        drop(open(&path).unwrap());
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[100..].fill(0xa5);
        std::fs::write(&path, bytes).unwrap();
        let told = open(&path).unwrap_err().to_string();
        assert!(told.contains("is damaged"), "{told}");
    }

    #[test]
    fn rows_of_every_earlier_schema_are_still_there_after_the_migration() {
        for earlier in 1..MIGRATIONS.len() {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("a.db");
            let old = Connection::open(&path).unwrap();
            MIGRATIONS[..earlier].iter().for_each(|sql| old.execute_batch(sql).unwrap());
            old.pragma_update(None, "user_version", earlier as i64).unwrap();
            let rows = r#"INSERT INTO deliveries (id, received_at) VALUES ('one', 1);
                INSERT INTO jobs (id, repository, run, status, received_at, body)
                VALUES (1, 'octo/app', 7, 'queued', 1, '{"report": {"details": {"run_number": 30}}}'),
                    (2, 'octo/app', 8, 'queued', 1, '{"report": {}}');
                INSERT INTO runners (name, pool, phase, hired_at, body)
                VALUES ('one', 'x64', 'gone', 1, '{"cause": 1, "took": {"job": 2}}'),
                    ('two', 'x64', 'gone', 1, '{"cause": null, "took": null}')"#;
            old.execute_batch(rows).unwrap();
            // From then on their writers fill these.
            if earlier >= 5 {
                let filled = "UPDATE jobs SET run_number = 30 WHERE id = 1;
                    UPDATE runners SET cause = 1, took = 2 WHERE name = 'one'";
                old.execute_batch(filled).unwrap();
            }
            drop(old);
            let now = open(&path).unwrap();
            let version = now.query_row("PRAGMA user_version", [], |row| row.get::<_, i64>(0));
            assert_eq!(version.unwrap(), VERSION);
            let kept =
                now.query_row("SELECT id FROM deliveries", [], |row| row.get::<_, String>(0));
            assert_eq!(kept.unwrap(), "one");
            let found = "SELECT (SELECT id FROM jobs WHERE run_number = 30),
                (SELECT name FROM runners WHERE cause = 1 AND took = 2)";
            let found = now.query_row(found, [], |row| Ok((row.get(0)?, row.get(1)?)));
            assert_eq!(found.unwrap(), (1, "one".to_owned()));
        }
    }
}
