//! [`Credential`]: what a provider gives a pool to log in with, and how long it holds.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::Mutex;
use tokio::time::Instant;

use super::options::{BoxError, Hook, ProviderHook};
use crate::config::Secret;

/// A password or token for new connections, given by a
/// [`credential_provider`](super::PoolBuilder::credential_provider).
///
/// One that says when it expires is used for all connections that are made until then; one
/// that doesn't is used once. Connections that are open stay open: what they may do is between
/// the server and its `VALID UNTIL`, and [`Pool::expire_all`](crate::pool::Pool::expire_all) closes
/// them.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use kornak::pool::Credential;
///
/// let credential = Credential::new("a token").user("app").expires_in(Duration::from_secs(900));
/// assert!(!format!("{credential:?}").contains("token"));
/// ```
#[derive(Clone)]
#[must_use = "a credential is returned by a provider"]
pub struct Credential {
    pub(super) user: Option<String>,
    pub(super) password: Secret,
    expires: Option<Instant>,
}

/// The provider, and what it gave last.
pub(super) struct Credentials {
    provider: Hook<ProviderHook>,
    /// Locked while the provider is asked, so that connects that begin together ask once.
    kept: Mutex<Option<Kept>>,
}

struct Kept {
    credential: Arc<Credential>,
    until: Instant,
}

impl Credential {
    /// A password or token.
    pub fn new(password: impl Into<Secret>) -> Self {
        Self {
            user: None,
            password: password.into(),
            expires: None,
        }
    }

    /// The user to log in as, where it isn't the configuration's.
    pub fn user(mut self, user: impl Into<String>) -> Self {
        self.user = Some(user.into());
        self
    }

    /// How long it can be used, from now on. A tenth before the end a new one is asked for.
    pub fn expires_in(mut self, time: Duration) -> Self {
        self.expires = Instant::now().checked_add(time);
        self
    }

    /// Until when it can be used. A tenth before the end a new one is asked for.
    pub fn expires_at(self, time: SystemTime) -> Self {
        let left = time.duration_since(SystemTime::now());
        self.expires_in(left.unwrap_or_default())
    }
}

impl From<Secret> for Credential {
    fn from(password: Secret) -> Self {
        Self::new(password)
    }
}

impl From<String> for Credential {
    fn from(password: String) -> Self {
        Self::new(password)
    }
}

impl From<&str> for Credential {
    fn from(password: &str) -> Self {
        Self::new(password)
    }
}

impl Credentials {
    pub(super) fn new(provider: Hook<ProviderHook>) -> Self {
        Self {
            provider,
            kept: Mutex::new(None),
        }
    }

    /// A credential that holds, and whether it was just given.
    ///
    /// # Errors
    ///
    /// The provider's.
    ///
    /// # Cancel safety
    ///
    /// May be dropped: the provider is asked again.
    pub(super) async fn current(&self) -> Result<(Arc<Credential>, bool), BoxError> {
        let mut kept = self.kept.lock().await;
        if let Some(kept) = kept.as_ref().filter(|kept| Instant::now() < kept.until) {
            return Ok((Arc::clone(&kept.credential), false));
        }
        *kept = None;
        let credential = Arc::new((self.provider.0)().await?);
        if let Some(expires) = credential.expires {
            let now = Instant::now();
            let until = now + expires.saturating_duration_since(now).mul_f64(USED_SHARE);
            let credential = Arc::clone(&credential);
            *kept = Some(Kept { credential, until });
        }
        Ok((credential, true))
    }

    /// The server refuses the credential: it isn't used again.
    pub(super) async fn forget(&self, refused: &Arc<Credential>) {
        let mut kept = self.kept.lock().await;
        if kept
            .as_ref()
            .is_some_and(|kept| Arc::ptr_eq(&kept.credential, refused))
        {
            *kept = None;
        }
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential")
            .field("user", &self.user)
            .field("expires", &self.expires)
            .finish_non_exhaustive()
    }
}

/// The share of its time for which a credential is used, so that none expires on the way.
const USED_SHARE: f64 = 0.9;
