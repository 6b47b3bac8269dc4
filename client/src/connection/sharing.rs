//! What the connections of a pool tell each other: what statements take and return, and what
//! types are made of.

use std::sync::Arc;

use super::Connection;
use super::catalog::{Catalog, KnownTypes};
use super::cold::Executed;
use super::execute::declared;
use super::sinks::{Collector, Reply};
use crate::codec::DeclaredType;
use crate::error::{Error, ErrorKind, Result};
use crate::params::Params;
use crate::statement::{Description, Knowledge, Prepared};
use crate::types::Format;
use crate::wire::TransactionStatus;

/// What a transaction has learnt of a statement.
pub(super) struct Unshared {
    sql: Box<str>,
    declared: Box<[DeclaredType]>,
    description: Description,
}

/// How many descriptions wait for a COMMIT.
const MAX_UNSHARED: usize = 64;

impl Connection {
    /// Forgets what was learnt of the database's own types, here and on all connections of the
    /// pool to the same server. The next statement with such a type describes it anew.
    ///
    /// It is hardly ever needed: what this pool alters is seen by the answers to its commands, and
    /// what others alter when a value no longer fits. One thing never shows in a value: two
    /// attributes of a composite type, both of the same type, that swap their names by another
    /// program's `ALTER TYPE … RENAME ATTRIBUTE`. The server tells no client of it, and values of
    /// composite types have the types of their fields in them, not the names (`record_send` in
    /// `rowtypes.c`). After such a migration, call this on one connection of each pool.
    ///
    /// # Example
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> kornak::Result<()> {
    /// # let url = xtask::server::Server::for_tests().url();
    /// # let mut connection = kornak::Connection::connect(&url).await?;
    /// connection.forget_types();
    /// let three: i32 = connection.fetch_one("select 1 + 2", ()).await?;
    /// assert_eq!(three, 3);
    /// # Ok(())
    /// # }
    /// ```
    pub fn forget_types(&mut self) {
        self.catalog.forget();
    }

    /// Has the connection learn with others.
    pub(super) fn share_knowledge(&mut self, knowledge: Arc<Knowledge>) {
        self.catalog = Catalog::new(knowledge);
    }

    /// The types that are known as a statement is about to be described.
    pub(super) fn known_types(&mut self) -> KnownTypes {
        self.catalog.refresh();
        self.catalog.types().clone()
    }

    /// Runs a statement that is new to this connection and known to another, in one round
    /// trip. It is described in the same flight, and its rows are read as that says.
    ///
    /// `None` if nobody knows it, or what they know turns out not to fit: then nothing was
    /// sent, or the server has refused the statement before it ran, outside a transaction.
    pub(super) async fn execute_shared<P: Params, C: Collector>(
        &mut self,
        sql: &str,
        params: &P,
        collector: &mut C,
    ) -> Result<Option<Executed>> {
        let Some(known) = self.shared_description(sql, params) else {
            return Ok(None);
        };
        let in_transaction = self.is_in_transaction();
        let executed = match self
            .execute_cold(sql, params, collector, Some(&known))
            .await
        {
            Ok(executed) => executed,
            Err(error) if error.kind() == ErrorKind::Encode => {
                self.forget_shared(sql, params);
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let is_refused = executed.reply.was_refused();
        if is_refused || executed.reply.lacks_binary_form() {
            self.forget_shared(sql, params);
        }
        if is_refused && !in_transaction {
            return Ok(None);
        }
        Ok(Some(executed))
    }

    /// What another connection knows of a statement that this one has not prepared, if it can
    /// be relied on: all its types are known here, it goes in binary, and no statement has
    /// changed what it may mean in this session.
    pub(super) fn shared_description<P: Params>(
        &mut self,
        sql: &str,
        params: &P,
    ) -> Option<Description> {
        if !self.may_share() || !self.hygiene.is_pristine() {
            return None;
        }
        if self.statements.lookup(sql, params).is_some() {
            return None;
        }
        let known = self.catalog.knowledge().description(sql, params)?;
        self.catalog.refresh();
        let in_binary = |column: &crate::row::Column| column.format() == Format::Binary;
        (known.is_of(self.catalog.epoch()) && known.columns().iter().all(in_binary))
            .then_some(known)
    }

    /// What another connection knows of a statement doesn't fit.
    pub(super) fn forget_shared<P: Params>(&mut self, sql: &str, params: &P) {
        self.forget_known(sql, &declared(params));
    }

    /// As [`forget_shared`](Self::forget_shared), for parameters that are declared so.
    pub(super) fn forget_known(&mut self, sql: &str, declared: &[DeclaredType]) {
        self.catalog.knowledge().forget(sql, declared);
    }

    /// Rows could not be read as it says: its types may be others by now.
    pub(super) fn misread_shared<P: Params>(&mut self, sql: &str, params: &P, known: &Description) {
        self.misread_known(sql, &declared(params), known);
    }

    /// As [`misread_shared`](Self::misread_shared), for parameters that are declared so.
    pub(super) fn misread_known(
        &mut self,
        sql: &str,
        declared: &[DeclaredType],
        known: &Description,
    ) {
        self.forget_known(sql, declared);
        if known.epoch() != 0 {
            self.catalog.doubt();
        }
    }

    /// Tells the others what a statement takes and returns; of one that was described in a
    /// transaction, after its COMMIT.
    pub(super) fn share_description(
        &mut self,
        sql: &str,
        declared: &[DeclaredType],
        description: &Description,
    ) {
        if !self.may_share() {
            return;
        }
        if self.link.core.transaction_status() == TransactionStatus::Idle {
            let knowledge = self.catalog.knowledge();
            knowledge.learn(sql, declared, description);
        } else if self.unshared.len() < MAX_UNSHARED {
            self.unshared.push(Unshared {
                sql: sql.into(),
                declared: declared.into(),
                description: description.clone(),
            });
        }
    }

    /// Behind a pooler there are servers, and not one; in a transaction that has altered the
    /// schema, statements are what they are nowhere else.
    fn may_share(&self) -> bool {
        self.catalog.is_shared() && !self.is_pooled && !self.catalog.is_private()
    }

    /// Something was altered, or a transaction has ended: looks after what was learnt in it.
    #[cold]
    pub(super) fn note_commands(&mut self) {
        let commands = std::mem::take(&mut self.link.session.commands);
        if commands.rolled_back {
            self.unshared.clear();
            if self.catalog.forget_own() {
                self.statements.evict_custom();
            }
        }
        if commands.altered {
            self.unshared.clear();
            self.catalog.alter();
        }
        let is_idle = self.link.core.transaction_status() == TransactionStatus::Idle;
        if is_idle || commands.committed {
            self.catalog.settle();
            self.catalog.publish();
            for learnt in std::mem::take(&mut self.unshared) {
                let knowledge = self.catalog.knowledge();
                knowledge.learn(&learnt.sql, &learnt.declared, &learnt.description);
            }
        }
    }

    /// A statement went wrong: if a value didn't fit a type that was looked up, the type may
    /// have been altered by somebody else. It is looked up anew with the next statement.
    #[cold]
    pub(super) fn doubt_types(&mut self, prepared: &Arc<Prepared>, reply: &Reply) {
        let is_unread = |failure: &Error| failure.kind() == ErrorKind::Decode;
        let misfits = reply.was_refused() || reply.failure.as_ref().is_some_and(is_unread);
        if misfits && prepared.description().epoch() != 0 {
            self.statements.evict(prepared);
            self.catalog.doubt();
        }
    }

    /// Whether a value could not be written as the types are known here, which may not be what
    /// they are by now: nothing was sent. The statement is given up then, to be described anew
    /// once before that is an error.
    #[cold]
    pub(super) fn is_misfit(&mut self, prepared: &Arc<Prepared>, error: &Error) -> bool {
        let is_custom = prepared.description().epoch() != 0;
        let is_misfit = error.kind() == ErrorKind::Encode && (is_custom || prepared.is_inferred());
        if is_misfit {
            self.statements.evict(prepared);
            if is_custom {
                self.catalog.doubt();
            }
        }
        is_misfit
    }
}
