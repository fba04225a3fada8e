//! Open requests in an SQLite file of the broker's own: one of each key, few of each address, so many in all.
//!
//! One request too many makes another go, and never one of somebody who holds less: first the oldest of its own address, then the
//! oldest of the network that holds most. So who has one address pushes out nobody else; who has many pushes out others once they hold
//! a place from more networks than there are places, and the institution sends its request again.
//!
//! Brokers do not share it: whoever leaves a request leaves it with all of them, and whoever fetches asks all of them.

use std::net::{IpAddr, Ipv6Addr};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use policy::Rules;
use rusqlite::{Connection, OptionalExtension as _, params};
use terms::{Problem, Report, UtcTime};
use trust::Verified;
use wire::{Code, Enrolment};

/// Open requests at once, each of a few hundred bytes: more than there are addresses that one stranger has at hand.
pub(super) const OPEN_MAX: i64 = 2048;

/// Open requests of one address: an office may ask for several data holders.
pub(super) const OPEN_PER_ADDRESS_MAX: i64 = 8;

/// The bits of an IPv6 address that name what one customer may have in all.
const SITE: u128 = !(u128::MAX >> 48);

const SCHEMA: &str = "
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = FULL;
    -- of an earlier version; whoever waits in it sends again
    DROP TABLE IF EXISTS enrolment;
    CREATE TABLE IF NOT EXISTS open_request (
        -- in the order in which they came
        id      INTEGER PRIMARY KEY AUTOINCREMENT,
        -- another key under the same name is another request: strangers could else keep an institution out
        key     TEXT NOT NULL UNIQUE,
        member  TEXT NOT NULL,
        code    BLOB NOT NULL,
        sealed  BLOB NOT NULL,
        -- seconds since 1970, UTC
        issued  INTEGER NOT NULL,
        expires INTEGER NOT NULL,
        -- from where it came, and the network that this is in
        address TEXT NOT NULL,
        network TEXT NOT NULL
    ) STRICT;
    CREATE INDEX IF NOT EXISTS open_request_by_code ON open_request (code);
    CREATE INDEX IF NOT EXISTS open_request_by_member ON open_request (member);
    CREATE INDEX IF NOT EXISTS open_request_by_address ON open_request (address);
    CREATE INDEX IF NOT EXISTS open_request_by_network ON open_request (network);
";

const KEEP: &str = "
    INSERT INTO open_request (key, member, code, sealed, issued, expires, address, network)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
    ON CONFLICT (key) DO UPDATE SET member = excluded.member, code = excluded.code, sealed = excluded.sealed,
        issued = excluded.issued, expires = excluded.expires
    WHERE excluded.issued >= open_request.issued
";

const MAKE_ROOM_OF_ADDRESS: &str = "
    DELETE FROM open_request WHERE id IN (
        SELECT id FROM open_request WHERE address = ?1 ORDER BY id DESC LIMIT -1 OFFSET ?2)
";

const MAKE_ROOM: &str = "
    DELETE FROM open_request WHERE id = (
        SELECT min(id) FROM open_request GROUP BY network ORDER BY count(*) DESC, min(id) LIMIT 1)
";

/// The open requests.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    connection: Arc<Mutex<Connection>>,
}

impl Store {
    /// The store in an SQLite file, which is made if there is none.
    pub(crate) fn in_file(path: &Path) -> Result<Self, Report> {
        let opened = Connection::open(path).and_then(|connection| {
            connection.busy_timeout(std::time::Duration::from_secs(5))?;
            connection.execute_batch(SCHEMA)?;
            Ok(connection)
        });
        let connection = opened.map_err(|error| failed(&error))?;
        Ok(Self {
            connection: Arc::new(Mutex::new(connection)),
        })
    }

    /// Keeps a request in place of an earlier one of the same key. Those that expired or are used go.
    pub(super) async fn keep(
        &self,
        opened: Verified<Enrolment>,
        sealed: Vec<u8>,
        from: IpAddr,
        now: UtcTime,
        rules: Arc<Rules>,
    ) -> Result<(), Report> {
        let code = Code::of(&sealed);
        let kept = self.with(move |db| {
            let db = db.unchecked_transaction()?;
            db.execute("DELETE FROM open_request WHERE expires <= ?1", [now.as_second()])?;
            remove_used(&db, &rules)?;
            let (key, member) = (opened.key.to_string(), opened.member.as_str());
            let (issued, expires) = (opened.issued.as_second(), opened.expires.as_second());
            let (address, network) = (from.to_string(), network(from).to_string());
            let values = params![key, member, code.bytes(), sealed, issued, expires, address, network];
            let changed = db.execute(KEEP, values)?;
            db.execute(MAKE_ROOM_OF_ADDRESS, params![address, OPEN_PER_ADDRESS_MAX])?;
            let all: i64 = db.query_row("SELECT count(*) FROM open_request", [], |row| row.get(0))?;
            if all > OPEN_MAX {
                db.execute(MAKE_ROOM, [])?;
            }
            db.commit()?;
            Ok(changed == 1)
        });
        if kept.await? {
            return Ok(());
        }
        Err(Problem::Answer
            .report("a later request of the same key is kept already")
            .remedy("check the clock of the node's machine"))
    }

    /// The sealed request with this code, be it used or expired.
    pub(super) async fn find(&self, code: Code) -> Result<Option<Vec<u8>>, Report> {
        let select = "SELECT sealed FROM open_request WHERE code = ?1";
        self.with(move |db| db.query_row(select, [code.bytes()], |row| row.get(0)).optional())
            .await
    }

    /// Runs `work` where it may wait for the disk.
    async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, Report> {
        let connection = Arc::clone(&self.connection);
        let working = move || work(&connection.lock().unwrap_or_else(PoisonError::into_inner));
        let worked = tokio::task::spawn_blocking(working).await;
        let worked = worked.map_err(|_| Problem::Internal.report("the store of enrolments stopped"))?;
        worked.map_err(|error| failed(&error))
    }
}

/// Lets go of the requests of those whom the roster names.
fn remove_used(db: &Connection, rules: &Rules) -> rusqlite::Result<()> {
    let mut delete = db.prepare_cached("DELETE FROM open_request WHERE member = ?1 OR key = ?2")?;
    for (id, member) in &rules.members {
        delete.execute([id.as_str(), &member.key.to_string()])?;
    }
    Ok(())
}

/// What one customer of a network may have in all, as far as an address tells.
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & SITE)),
        address => address,
    }
}

fn failed(error: &rusqlite::Error) -> Report {
    tracing::error!(%error, "the store of enrolments failed");
    let remedy = "check the disk of the broker and its permissions";
    Problem::Internal
        .report("requests for enrolment cannot be read or written")
        .remedy(remedy)
}
