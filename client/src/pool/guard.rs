//! [`PoolConnection`]: a connection on loan.

use std::fmt;
use std::ops::{Deref, DerefMut};

use super::turns::Lease;
use crate::connection::{Connection, Held};

/// A connection of a [`Pool`](super::Pool). It dereferences to [`Connection`] and comes back
/// to the pool when it is dropped, in whatever state it is.
#[must_use = "a connection that is dropped goes back to the pool at once"]
pub struct PoolConnection {
    lease: Option<Lease>,
    /// The connection that was lent: safe code can swap another into its place.
    id: u64,
}

impl PoolConnection {
    pub(super) fn new(lease: Lease) -> Self {
        Self {
            id: lease.connection().id(),
            lease: Some(lease),
        }
    }

    /// So many uses of it are one loan.
    pub(super) fn note_uses(&mut self, uses: u64) {
        if let Some(lease) = &mut self.lease {
            lease.note_uses(uses);
        }
    }

    fn lease(&self) -> &Lease {
        match &self.lease {
            Some(lease) => lease,
            None => unreachable!("the lease is taken when the guard is dropped"),
        }
    }
}

impl Deref for PoolConnection {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        self.lease().connection()
    }
}

impl DerefMut for PoolConnection {
    fn deref_mut(&mut self) -> &mut Connection {
        match &mut self.lease {
            Some(lease) => lease.connection_mut(),
            None => unreachable!("the lease is taken when the guard is dropped"),
        }
    }
}

/// Kept until the holder is dropped.
impl From<PoolConnection> for Held<'static> {
    fn from(connection: PoolConnection) -> Self {
        Self::Lent(Box::new(connection))
    }
}

impl Drop for PoolConnection {
    fn drop(&mut self) {
        let Some(mut lease) = self.lease.take() else {
            return;
        };
        if lease.connection().id() != self.id {
            lease
                .connection_mut()
                .poison("the connection was swapped for another while it was lent");
        }
        lease.release();
    }
}

impl fmt::Debug for PoolConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PoolConnection")
            .field(self.lease().connection())
            .finish()
    }
}
