//! The server that is measured against: `DATABASE_URL`, or a private one, or the compose
//! file's where PostgreSQL's programs aren't on the machine.

use std::process::Command;

use xtask::server::{Binaries, Private, Role, Server};

use super::Transport;
use crate::Result;
use crate::driver::{self, Target};
#[cfg(feature = "tls")]
use crate::tls::Certificate;
use crate::work;

/// A server, and how to reach it.
pub(super) enum Place {
    /// Somebody else's.
    External(String),
    Private {
        server: Box<Private>,
        #[cfg(feature = "tls")]
        certificate: Certificate,
    },
}

/// The processor that client and server share where they share one.
pub(super) const THE_CORE: &str = "0";

/// What says how fast a server can be.
const SETTINGS: [&str; 6] = [
    "shared_buffers",
    "fsync",
    "synchronous_commit",
    "jit",
    "max_connections",
    "ssl",
];

impl Place {
    pub(super) fn find() -> Result<Self> {
        let url = std::env::var("DATABASE_URL").unwrap_or_default();
        if !url.is_empty() {
            return Ok(Self::External(url));
        }
        if Binaries::find(None).is_none() {
            let server = Server::find(None)?;
            if !server.is_cluster() {
                return Ok(Self::External(server.url()));
            }
        }
        let settings = ["max_connections = 300", "shared_buffers = 256MB"].map(str::to_owned);
        #[cfg(feature = "tls")]
        let certificate = Certificate::make()?;
        #[cfg(feature = "tls")]
        let settings = [&settings[..], &certificate.settings()].concat();
        let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
        Ok(Self::Private {
            server: Box::new(Server::private("bench", &settings)?),
            #[cfg(feature = "tls")]
            certificate,
        })
    }

    /// The URL over this transport, and the certificate to trust.
    pub(super) fn reach(&self, transport: Transport) -> Option<(String, Option<String>)> {
        match (self, transport) {
            (Self::External(url), _) => {
                let is_unix = matches!(Target::parse(url).ok()?.place, driver::Place::Socket(_));
                let fits = match transport {
                    Transport::Unix => is_unix,
                    Transport::Tcp => !is_unix,
                    // Whose certificate it would be isn't known.
                    Transport::Tls => false,
                };
                fits.then(|| (url.clone(), None))
            }
            (Self::Private { server, .. }, Transport::Unix) => {
                Some((server.role_url_socket(Role::Scram), None))
            }
            (Self::Private { server, .. }, Transport::Tcp) => {
                Some((server.role_url(Role::Scram), None))
            }
            #[cfg(feature = "tls")]
            (
                Self::Private {
                    server,
                    certificate,
                },
                Transport::Tls,
            ) => {
                let root = certificate.root().display().to_string();
                Some((server.role_url(Role::Scram), Some(root)))
            }
            #[cfg(not(feature = "tls"))]
            (Self::Private { .. }, Transport::Tls) => None,
        }
    }

    /// Moves the server, and all that it will start, to one processor or to all; says whether
    /// that could be done.
    pub(super) fn pin(&self, one_core: bool) -> Result<bool> {
        let Self::Private { server, .. } = self else {
            return Ok(!one_core);
        };
        let cores = if one_core { THE_CORE } else { "0-1023" };
        let output = Command::new("taskset")
            .args(["--all-tasks", "--cpu-list", "--pid", cores])
            .arg(server.postmaster().to_string())
            .output()?;
        if output.status.success() {
            Ok(true)
        } else {
            Err(String::from_utf8_lossy(&output.stderr).into_owned().into())
        }
    }

    /// Makes the tables; returns the server's version and settings.
    pub(super) fn set_up(&self, rows: i64) -> Result<(String, Vec<(String, String)>)> {
        let grant = "grant usage on schema kornak_bench to public; \
             grant all on all tables in schema kornak_bench to public";
        self.ask(async |client| {
            client.batch_execute(&work::setup(rows)).await?;
            client.batch_execute(grant).await?;
            let version = client.query_one("select version()", &[]).await?;
            let mut settings = Vec::new();
            for name in SETTINGS {
                let row = client
                    .query_one("select current_setting($1)", &[&name])
                    .await?;
                settings.push((name.to_owned(), row.try_get(0)?));
            }
            Ok((version.try_get(0)?, settings))
        })
    }

    /// Empties the tables that are written to, so that each driver finds the same.
    pub(super) fn empty_sinks(&self) -> Result<()> {
        self.ask(async |client| Ok(client.batch_execute(work::EMPTY_SINKS).await?))
    }

    /// Does something as the owner of the tables.
    fn ask<T>(&self, what: impl AsyncFnOnce(&tokio_postgres::Client) -> Result<T>) -> Result<T> {
        let url = match self {
            Self::External(url) => url.clone(),
            Self::Private { server, .. } => server.url(),
        };
        let url = Target::parse(&url)?.url();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(async {
            let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await?;
            let task = tokio::spawn(connection);
            let result = what(&client).await?;
            drop(client);
            task.await??;
            Ok(result)
        })
    }
}
