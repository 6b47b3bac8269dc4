//! [`Held`]: the connection that something with a destructor works on.
//!
//! What has none takes the borrow or the guard as a type of its own, so that one that borrows
//! its connection can lie about unused while the connection is used again.

use std::ops::{Deref, DerefMut};

use super::Connection;

/// A connection that is borrowed from its owner, or one that the holder itself was lent and
/// gives back when it is dropped.
pub(crate) enum Held<'c> {
    Borrowed(&'c mut Connection),
    Lent(Box<dyn Lent + 'c>),
}

/// The guard of a connection that somebody lends.
pub(crate) trait Lent: DerefMut<Target = Connection> + Send {}

impl<G: DerefMut<Target = Connection> + Send> Lent for G {}

impl<'c> From<&'c mut Connection> for Held<'c> {
    fn from(connection: &'c mut Connection) -> Self {
        Self::Borrowed(connection)
    }
}

impl Deref for Held<'_> {
    type Target = Connection;

    #[inline]
    fn deref(&self) -> &Connection {
        match self {
            Self::Borrowed(connection) => connection,
            Self::Lent(guard) => guard,
        }
    }
}

impl DerefMut for Held<'_> {
    #[inline]
    fn deref_mut(&mut self) -> &mut Connection {
        match self {
            Self::Borrowed(connection) => connection,
            Self::Lent(guard) => guard,
        }
    }
}
