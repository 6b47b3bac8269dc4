//! What the server knows of the sessions under test, asked from outside of them.

use std::time::{Duration, Instant};

use super::address::Target;
use super::deadline::blocking;
use super::raw::{RawClient, Rows};

/// Looks at the sessions that a test has open, through a plain session of its own.
#[derive(Debug)]
pub struct Observer {
    client: Option<RawClient>,
    scope: Scope,
}

/// Which sessions belong to a test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Those whose `application_name` at connect was this; it must be the test's own.
    Application(String),
    /// Those in this database; it must be the test's own.
    Database(String),
    /// Those that these processes serve.
    Processes(Vec<i32>),
}

/// A session, as `pg_stat_activity` shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Activity {
    /// The process that serves it.
    pub process: i32,
    /// `idle`, `active`, `idle in transaction`, …
    pub state: String,
    /// Whether a transaction is open, that of a statement that runs included.
    pub in_transaction: bool,
    /// The last statement.
    pub query: String,
}

impl Observer {
    /// An observer of these sessions.
    ///
    /// # Panics
    ///
    /// If it cannot connect.
    pub async fn new(target: &Target, scope: Scope) -> Self {
        let target = target.clone();
        let client = blocking(move || RawClient::connect(&target)).await;
        Self {
            client: Some(client.unwrap_or_else(|error| panic!("the observer: {error}"))),
            scope,
        }
    }

    /// Runs a query of the test's own.
    ///
    /// # Panics
    ///
    /// If it fails.
    pub async fn query(&mut self, sql: &str) -> Rows {
        let mut client = self.client.take().expect("one query at a time");
        let statement = sql.to_owned();
        let (client, rows) = blocking(move || {
            let rows = client.query(&statement);
            (client, rows)
        })
        .await;
        self.client = Some(client);
        rows.unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    /// The sessions now.
    pub async fn sessions(&mut self) -> Vec<Activity> {
        let rows = self
            .query(&format!(
                "select pid, coalesce(state, ''), xact_start is not null, query \
                 from pg_stat_activity \
                 where backend_type = 'client backend' and pid <> pg_backend_pid() and {} \
                 order by backend_start, pid",
                self.scope.condition()
            ))
            .await;
        rows.into_iter()
            .map(|row| {
                let mut fields = row.into_iter().map(Option::unwrap_or_default);
                let mut field = || fields.next().expect("four columns");
                Activity {
                    process: field().parse().expect("a process"),
                    state: field(),
                    in_transaction: field() == "t",
                    query: field(),
                }
            })
            .collect()
    }

    /// Waits until no session has a transaction open or a statement under way.
    ///
    /// # Panics
    ///
    /// If one still has after `limit`.
    pub async fn until_idle(&mut self, limit: Duration) {
        let busy = |session: &Activity| session.in_transaction || session.state != "idle";
        self.until(limit, "every session should be idle", |sessions| {
            !sessions.iter().any(busy)
        })
        .await;
    }

    /// Waits until there are at most so many sessions.
    ///
    /// # Panics
    ///
    /// If there are more after `limit`.
    pub async fn until_at_most(&mut self, count: usize, limit: Duration) {
        let what = format!("there should be at most {count} sessions");
        self.until(limit, &what, |sessions| sessions.len() <= count)
            .await;
    }

    /// Waits until the sessions are as they should be.
    ///
    /// # Panics
    ///
    /// If they are not after `limit`; `what` says what they should be.
    pub async fn until(
        &mut self,
        limit: Duration,
        what: &str,
        reached: impl Fn(&[Activity]) -> bool,
    ) {
        let started = Instant::now();
        loop {
            let sessions = self.sessions().await;
            if reached(&sessions) {
                return;
            }
            assert!(started.elapsed() < limit, "{what}: {sessions:#?}");
            tokio::task::yield_now().await;
        }
    }

    /// Ends the session that this process serves, and waits until it is gone.
    ///
    /// # Panics
    ///
    /// If there is none.
    pub async fn terminate(&mut self, process: i32) {
        let sql = format!("select pg_terminate_backend({process}, 30000)");
        let rows = self.query(&sql).await;
        assert_eq!(rows, [[Some("t".to_owned())]], "process {process} is gone");
    }
}

impl Scope {
    fn condition(&self) -> String {
        let quoted = |text: &str| text.replace('\'', "''");
        match self {
            Self::Application(name) => format!("application_name = '{}'", quoted(name)),
            Self::Database(name) => format!("datname = '{}'", quoted(name)),
            Self::Processes(processes) => {
                let list: Vec<String> = processes.iter().map(i32::to_string).collect();
                format!("pid = any ('{{{}}}')", list.join(","))
            }
        }
    }
}
