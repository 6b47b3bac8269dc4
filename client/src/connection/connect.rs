//! [`Connector`]: how a session is made, over hosts, addresses, encryption and startup, under
//! one deadline.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

use super::advice::advise;
use super::endpoint::{Address, Endpoint, TlsSetup, Unopened};
use super::hosts::{HostMemory, Standing, share};
use super::login::log_in;
use super::resolver::Resolver;
use super::roles::Fitness;
use super::{Connection, observe};
use crate::config::{self, Config, Resolution, ResolvedConfig, Secret};
use crate::error::{Error, ErrorKind, Outcome, Result, SqlState};
use crate::startup::scram::ScramKeys;
use crate::statement::Knowledge;
use crate::transport::TlsProvider;

/// Makes connections of one configuration, and keeps between them what spares work: the
/// resolved configuration, the set up TLS, the keys of SCRAM, and which hosts failed of late.
///
/// Files are looked at anew for each connection, so that a changed password file or
/// certificate counts; environment variables are those of the moment that it was made in.
pub(crate) struct Connector {
    config: Config,
    provider: Option<&'static dyn TlsProvider>,
    resolved: Mutex<Option<Resolved>>,
    tls: Mutex<Option<TlsSetup>>,
    keys: KeyCache,
    hosts: HostMemory,
    resolver: Resolver,
    /// What the connections to each address know together.
    knowledge: Mutex<HashMap<String, Arc<Knowledge>>>,
}

/// What the configuration was resolved to last, and the user and password that counted instead
/// of its own.
struct Resolved {
    user: Option<String>,
    password: Option<Secret>,
    resolution: Resolution,
}

/// The keys of SCRAM exchanges that went well, for one password of one user at one host
/// each.
#[derive(Default)]
pub(super) struct KeyCache {
    kept: Mutex<Vec<Kept>>,
}

/// The keys for one host, whose name they are kept under.
#[derive(Clone, Copy)]
pub(super) struct HostKeys<'a> {
    kept: &'a Mutex<Vec<Kept>>,
    host: &'a str,
}

struct Kept {
    host: String,
    user: String,
    password: Secret,
    keys: ScramKeys,
}

/// One attempt to make a connection.
struct Attempt<'a> {
    connector: &'a Connector,
    config: &'a ResolvedConfig,
    tls: TlsSetup,
}

/// One address of a host, as errors name it.
struct Place<'a> {
    host: &'a config::Endpoint,
    address: &'a Address,
}

/// How many keys are kept: more hosts, users and passwords than one configuration has at a
/// time.
const MAX_KEYS: usize = 16;

/// The message where a name server is silent.
const UNRESOLVED: &str = "its address was not found within connect_timeout";

/// The message where a server is silent.
const UNANSWERED: &str = "no connection was made within connect_timeout";

/// At how many addresses the connections tell each other what they learn.
const MAX_ADDRESSES: usize = 64;

/// How many of the earlier failures an error tells.
const MAX_NOTES: usize = 8;

impl Connector {
    pub(crate) fn new(config: &Config, provider: Option<&'static dyn TlsProvider>) -> Self {
        Self {
            config: config.with_variables_of_now(),
            provider,
            resolved: Mutex::default(),
            tls: Mutex::default(),
            keys: KeyCache::default(),
            hosts: HostMemory::default(),
            resolver: Resolver::default(),
            knowledge: Mutex::default(),
        }
    }

    /// Connects. One deadline, `connect_timeout`, covers names, addresses, hosts, encryption,
    /// authentication and the look at the server's role together; with several hosts each has
    /// an equal share of what is left, so that a dead one leaves time for the others.
    ///
    /// A `password` that is given counts instead of the configuration's.
    ///
    /// # Errors
    ///
    /// If the configuration is wrong, no server can be reached in time, none is of the kind
    /// that is wanted, or one refuses.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future closes the socket.
    pub(crate) async fn connect(&self, password: Option<Secret>) -> Result<Connection> {
        self.connect_as(None, password).await
    }

    /// As [`connect`](Self::connect); a `user` that is given counts, too.
    ///
    /// # Errors
    ///
    /// As there.
    ///
    /// # Cancel safety
    ///
    /// As there.
    pub(crate) async fn connect_as(
        &self,
        user: Option<String>,
        password: Option<Secret>,
    ) -> Result<Connection> {
        let config = self.resolve(user, password)?;
        let deadline = config
            .connect_timeout()
            .and_then(|timeout| Instant::now().checked_add(timeout));
        let attempt = Attempt {
            connector: self,
            tls: self.tls_setup(&config)?,
            config: &config,
        };
        let result = observe::connecting(&config, Box::pin(attempt.run(deadline))).await;
        result.map_err(|error| advise(error, &config))
    }

    /// The configuration with nothing left open: the one that was made before, unless a file
    /// that it depends on has changed since.
    fn resolve(
        &self,
        user: Option<String>,
        password: Option<Secret>,
    ) -> Result<Arc<ResolvedConfig>> {
        let mut last = lock(&self.resolved);
        if let Some(last) = &*last {
            let is_same = last.user == user && last.password == password;
            if is_same && last.resolution.is_current() {
                return Ok(Arc::clone(last.resolution.config()));
            }
        }
        let resolution = match (&user, &password) {
            (None, None) => self.config.resolution()?,
            (user, password) => {
                let mut config = self.config.clone();
                if let Some(user) = user {
                    config = config.user(user.clone());
                }
                if let Some(password) = password {
                    config = config.password(password.clone());
                }
                config.resolution()?
            }
        };
        let config = Arc::clone(resolution.config());
        *last = Some(Resolved {
            user,
            password,
            resolution,
        });
        Ok(config)
    }

    /// What the connections to this address know together. A server's types are its own: other
    /// hosts of the configuration may have others.
    fn knowledge(&self, address: &str) -> Arc<Knowledge> {
        let mut knowledge = lock(&self.knowledge);
        if let Some(known) = knowledge.get(address) {
            return Arc::clone(known);
        }
        if knowledge.len() == MAX_ADDRESSES {
            // Those that no connection is at.
            knowledge.retain(|_, known| Arc::strong_count(known) > 1);
        }
        let new = Arc::new(Knowledge::default());
        if knowledge.len() < MAX_ADDRESSES {
            knowledge.insert(address.to_owned(), Arc::clone(&new));
        }
        new
    }

    /// The TLS that the configuration asks for: the one that was made before, unless options
    /// or files have changed since.
    fn tls_setup(&self, config: &ResolvedConfig) -> Result<TlsSetup> {
        let mut kept = lock(&self.tls);
        match &*kept {
            Some(setup) if setup.is_current(config, self.provider) => Ok(setup.clone()),
            _ => Ok(kept.insert(TlsSetup::new(config, self.provider)?).clone()),
        }
    }
}

impl Attempt<'_> {
    /// The first host that lets us in and is of the kind that is wanted.
    async fn run(self, deadline: Option<Instant>) -> Result<Connection> {
        let hosts = self.config.hosts().iter().collect();
        let hosts = self.order(hosts, ToString::to_string)?;
        let mut failures = Vec::new();
        // A connection that will do if nothing better is found.
        let mut spare = None;
        for (index, host) in hosts.iter().enumerate() {
            let deadline = share(deadline, hosts.len() - index);
            let found = self.host(host, deadline, &mut spare, &mut failures).await;
            let found = found.map_err(|error| with_earlier(error, &failures))?;
            if let Some(connection) = found {
                return Ok(connection);
            }
        }
        match (spare, failures.pop()) {
            (Some(spare), _) => Ok(spare),
            (None, Some(last)) => Err(with_earlier(last, &failures)),
            (None, None) => Err(Error::new(ErrorKind::Config, "no host is configured")),
        }
    }

    /// The first address of a host that lets us in and is of the kind that is wanted; `None`
    /// where there is none, and why not is in `failures`, or where only a `spare` one was
    /// found.
    ///
    /// # Errors
    ///
    /// One that no other host would mend.
    async fn host(
        &self,
        host: &config::Endpoint,
        deadline: Option<Instant>,
        spare: &mut Option<Connection>,
        failures: &mut Vec<Error>,
    ) -> Result<Option<Connection>> {
        let name = host.name();
        let found = within(deadline, name, UNRESOLVED, self.addresses(host)).await;
        let addresses = match found {
            Ok(addresses) => self.order(addresses, ToString::to_string)?,
            Err(error) => {
                self.note(name, Standing::Bad);
                failures.push(error);
                return Ok(None);
            }
        };
        let mut standing = Standing::Good;
        for (index, address) in addresses.iter().enumerate() {
            let deadline = share(deadline, addresses.len() - index);
            let place = Place { host, address };
            // The name of a Unix socket's host is its path.
            let shown = match address {
                Address::Tcp { .. } => address.to_string().into(),
                Address::Unix { .. } => Cow::Borrowed(name),
            };
            let session = self.address(host, address, &shown);
            let found = within(deadline, &place, UNANSWERED, session).await;
            let found = found.and_then(|(connection, fitness)| match fitness {
                Fitness::Fit => Ok(Some(connection)),
                Fitness::Spare => {
                    spare.get_or_insert(connection);
                    Ok(None)
                }
                Fitness::Unfit(why) => Err(Error::new(
                    ErrorKind::NoSuitableServer,
                    format!(
                        "target_session_attrs={} rules the server out: {why}",
                        self.config.target_session_attrs()
                    ),
                )
                .with_place(&place)),
            });
            standing = match &found {
                Ok(Some(_)) => Standing::Good,
                // A spare connection is none of the kind that is wanted.
                Ok(None) => Standing::Unsuitable,
                Err(error) if error.kind() == ErrorKind::NoSuitableServer => Standing::Unsuitable,
                // That it refuses this user says nothing of the server, and another host would
                // refuse the same password and database, or worse, not.
                Err(error) if is_final(error) => return found,
                Err(_) => Standing::Bad,
            };
            self.note(&shown, standing);
            match found {
                Ok(None) => {}
                Ok(Some(connection)) => {
                    self.note(name, standing);
                    return Ok(Some(connection));
                }
                Err(error) => failures.push(error),
            }
        }
        self.note(name, standing);
        Ok(None)
    }

    /// One address, with or without TLS as `sslmode` allows.
    async fn address(
        &self,
        host: &config::Endpoint,
        address: &Address,
        shown: &str,
    ) -> Result<(Connection, Fitness)> {
        let place = Place { host, address };
        let attempts = self.tls.attempts(host);
        let last = attempts.len() - 1;
        for (index, encryption) in attempts.into_iter().enumerate() {
            let endpoint = Endpoint::new(address.clone(), encryption);
            match self.session(host, endpoint).await {
                Ok(mut connection) => {
                    connection.share_knowledge(self.connector.knowledge(shown));
                    let wish = self.config.target_session_attrs();
                    let fitness = connection.fitness(wish).await;
                    return match fitness {
                        Ok(fitness) => Ok((connection, fitness)),
                        Err(error) => Err(error.with_place(&place)),
                    };
                }
                Err(unopened) if index < last && unopened.is_about_tls => {}
                Err(unopened) => return Err(unopened.error.with_place(&place)),
            }
        }
        Err(Error::new(
            ErrorKind::Config,
            "sslmode leaves no way to connect",
        ))
    }

    async fn session(
        &self,
        host: &config::Endpoint,
        endpoint: Endpoint,
    ) -> Result<Connection, Unopened> {
        let stream = endpoint.open().await?;
        let endpoint = endpoint.settled(&stream);
        let keys = self.connector.keys.of(host.name());
        let session = log_in(self.config, keys, host, endpoint, stream).await;
        session.map_err(|error| Unopened {
            // No entry of pg_hba.conf fits (28000), but one may with the other choice of
            // encryption. libpq tries again after any error; a wrong password stays wrong.
            is_about_tls: error.kind() == ErrorKind::Tls
                || error.sqlstate() == Some(SqlState::INVALID_AUTHORIZATION_SPECIFICATION),
            error,
        })
    }

    fn order<T>(&self, places: Vec<T>, name: impl Fn(&T) -> String) -> Result<Vec<T>> {
        let balance = self.config.load_balance_hosts();
        self.connector.hosts.order(places, balance, name)
    }

    /// Remembers how a host or address was found.
    fn note(&self, place: &str, standing: Standing) {
        self.connector.hosts.note(place, standing);
    }

    /// The addresses of a host, in the order of the resolver.
    async fn addresses(&self, host: &config::Endpoint) -> Result<Vec<Address>> {
        if host.is_unix() {
            let path = host.host().socket_path(host.port());
            return Ok(path
                .map(|path| Address::unix(path.into(), self.config))
                .into_iter()
                .collect());
        }
        let found = match host.address() {
            Some(address) => vec![(address, host.port()).into()],
            None => {
                let resolver = &self.connector.resolver;
                resolver
                    .addresses(&host.host().to_string(), host.port())
                    .await?
            }
        };
        Ok(found
            .into_iter()
            .map(|address| Address::tcp(address, self.config))
            .collect())
    }
}

/// The last error, which tells of those before it.
fn with_earlier(last: Error, earlier: &[Error]) -> Error {
    earlier.iter().take(MAX_NOTES).fold(last, |last, earlier| {
        last.with_note(format!("before that: {earlier}"))
    })
}

/// What `future` gives, if it does so in time; else an error with this message.
async fn within<T>(
    deadline: Option<Instant>,
    place: impl fmt::Display,
    late: &'static str,
    future: impl Future<Output = Result<T>>,
) -> Result<T> {
    let Some(deadline) = deadline else {
        return future.await;
    };
    match tokio::time::timeout_at(deadline, future).await {
        Ok(result) => result,
        Err(_) => Err(Error::new(ErrorKind::Timeout, late)
            .with_place(place)
            .with_outcome(Outcome::NotRun)),
    }
}

/// Whether trying another address, or trying again, would be wrong or pointless: the server
/// knows us and refuses, or the configuration can't be right.
pub(crate) fn is_final(error: &Error) -> bool {
    match error.kind() {
        ErrorKind::Server => !error.sqlstate().is_some_and(is_about_this_server),
        ErrorKind::Config | ErrorKind::Authentication | ErrorKind::Unsupported => true,
        _ => false,
    }
}

/// Whether the server has no room for us now, starts up, shuts down or is in trouble, or stands
/// before one that does: connection exceptions (class 08, of poolers), insufficient resources
/// (53), operator intervention (57) but for a dropped database, system errors (58), an error
/// in its configuration files (F0), internal errors (XX), and what somebody else holds (55006,
/// 55P03: a database that is being copied, for example).
fn is_about_this_server(state: SqlState) -> bool {
    let code = state.code();
    let classes = ["08", "53", "57", "58", "F0", "XX", "55006", "55P03"];
    state != SqlState::DATABASE_DROPPED && classes.iter().any(|class| code.starts_with(class))
}

impl KeyCache {
    /// Those of one host.
    pub(super) fn of<'a>(&'a self, host: &'a str) -> HostKeys<'a> {
        HostKeys {
            kept: &self.kept,
            host,
        }
    }
}

impl HostKeys<'_> {
    pub(super) fn find(&self, user: &str, password: &Secret) -> Option<ScramKeys> {
        let kept = lock(self.kept);
        let found = kept
            .iter()
            .find(|kept| kept.host == self.host && kept.user == user && kept.password == *password);
        found.map(|kept| kept.keys.clone())
    }

    pub(super) fn keep(&self, user: &str, password: &Secret, keys: ScramKeys) {
        let mut kept = lock(self.kept);
        // A password that was changed, or a salt, is of no more use.
        kept.retain(|kept| kept.host != self.host || kept.user != user);
        if kept.len() == MAX_KEYS {
            kept.remove(0);
        }
        kept.push(Kept {
            host: self.host.to_owned(),
            user: user.to_owned(),
            password: password.clone(),
            keys,
        });
    }
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.address)?;
        let name = self.host.host().to_string();
        match self.address {
            Address::Tcp { address, .. } if address.ip().to_string() != name => {
                write!(f, " ({name})")
            }
            _ => Ok(()),
        }
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connector")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
