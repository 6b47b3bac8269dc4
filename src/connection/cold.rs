//! How a statement that is new to a connection is run in one round trip.

use std::sync::Arc;

use super::Connection;
use super::catalog::KnownTypes;
use super::execute::declared;
use super::sinks::{ColdSink, Collector, Learnt, Reply};
use crate::codec::DeclaredType;
use crate::error::Result;
use crate::params::{Params, check_count};
use crate::protocol::{RowBytes, Unit};
use crate::row::Plans;
use crate::statement::{Description, Prepared, parameters_to_declare};
use crate::types::Format;

/// A statement that is described in the flight that executes it.
pub(super) struct Cold {
    /// As what its values are written, and its columns as far as they are known; all of them
    /// are asked for in binary.
    pub(super) prepared: Arc<Prepared>,
    pub(super) declared: Vec<DeclaredType>,
    /// The types to declare in Parse.
    oids: Vec<u32>,
    /// The types that were known when it was sent.
    pub(super) types: KnownTypes,
    is_pristine: bool,
}

impl Cold {
    pub(super) fn name(&self) -> &str {
        self.prepared.name()
    }

    /// Appends Parse and Describe.
    pub(super) fn prepare(&self, unit: &mut Unit<'_>, statement: u32, sql: &str) -> Result<()> {
        unit.prepare(statement, self.name(), sql, &self.oids)
    }
}

/// What became of a statement, and how it was prepared, if it was.
pub(super) struct Executed {
    pub(super) prepared: Option<Arc<Prepared>>,
    pub(super) reply: Reply,
}

impl Connection {
    /// Parse, Describe, Bind, Execute, Sync: a statement that is new to this connection, in
    /// one round trip. The caller has made sure that the type of each parameter is declared,
    /// text, or `known` from another connection, and without that, that no transaction is open
    /// which a failure could abort.
    pub(super) async fn execute_cold<P: Params, C: Collector>(
        &mut self,
        sql: &str,
        params: &P,
        collector: &mut C,
        known: Option<&Description>,
    ) -> Result<Executed> {
        let in_transaction = self.is_in_transaction();
        let cold = self.start_cold(sql, params, known)?;
        let mut sink = ColdSink::new(collector, &cold.types);
        let progress = self.exchange(&mut sink).await?;
        let (reply, learnt) = sink.into_parts();
        let reply = self.end_exchange(progress, reply)?;
        let refused = known.is_some() && reply.was_refused();
        let Some(learnt) = learnt.filter(|_| !refused) else {
            self.settle(cold.name(), &reply);
            return Ok(Executed {
                prepared: None,
                reply,
            });
        };
        let (prepared, held) = self.keep_cold(sql, &cold, learnt).await?;
        let columns = prepared.description().columns();
        let has_text = columns.iter().any(|column| column.format() == Format::Text);
        if reply.lacks_binary_form() && has_text && !in_transaction {
            // The server undid the statement. It is executed once more, with text for the
            // columns that have no binary form.
            self.begin_rows(sql, params, &prepared, collector)?;
            let reply = self.execute_prepared(&prepared, params, collector).await?;
            return Ok(Executed {
                prepared: Some(prepared),
                reply,
            });
        }
        if let (Some(held), None) = (held, &reply.error) {
            collector.begin(&columns.asked_in_binary(), &mut Plans::default())?;
            read_held(&held, collector)?;
        }
        Ok(Executed {
            prepared: Some(prepared),
            reply,
        })
    }

    /// Appends Parse, Describe, Bind, Execute and Sync.
    pub(super) fn start_cold<P: Params>(
        &mut self,
        sql: &str,
        params: &P,
        known: Option<&Description>,
    ) -> Result<Cold> {
        let name = self.statement_name(sql);
        let cold = self.cold(&name, sql, params, known)?;
        let types = cold.prepared.description().parameters();
        self.start_unit(|unit| {
            cold.prepare(unit, 0, sql)?;
            unit.execute(0, cold.prepared.template(), |out| params.encode(types, out))
        })?;
        self.statements.begin_parse(&name);
        self.hygiene.note(cold.prepared.is_plain());
        Ok(cold)
    }

    /// What [`start_cold`](Self::start_cold) sends, for whoever sends it in another way:
    /// [`begin_parse`](crate::statement::StatementCache::begin_parse) is left to them.
    pub(super) fn cold<P: Params>(
        &mut self,
        name: &str,
        sql: &str,
        params: &P,
        known: Option<&Description>,
    ) -> Result<Cold> {
        let declared = declared(params);
        let known_types = self.known_types();
        let (oids, types) = match known {
            Some(known) => known.parameters_to_declare(&declared),
            None => parameters_to_declare(&declared, |oid| known_types.ty(oid)),
        };
        let columns = known.map(|known| known.columns().clone());
        let description = Description::new(types, columns.unwrap_or_default());
        let prepared = Prepared::new(name, sql, &declared, description, false)?;
        Ok(Cold {
            prepared: Arc::new(prepared),
            declared,
            oids,
            types: known_types,
            is_pristine: self.hygiene.is_pristine(),
        })
    }

    /// Keeps what a cold execution has learnt; with it the rows that were held back until
    /// their types are known.
    pub(super) async fn keep_cold(
        &mut self,
        sql: &str,
        cold: &Cold,
        learnt: Learnt,
    ) -> Result<(Arc<Prepared>, Option<Vec<u8>>)> {
        check_count(cold.declared.len(), learnt.parameters.len())?;
        let columns = learnt.columns.unwrap_or_default();
        let prepared = self
            .keep(
                sql,
                &cold.declared,
                cold.name(),
                learnt.parameters,
                columns,
                cold.is_pristine,
            )
            .await?;
        Ok((prepared, learnt.held))
    }
}

/// Reads the rows that were held back until their types were known.
fn read_held<C: Collector>(mut held: &[u8], collector: &mut C) -> Result<()> {
    while let Some((length, rest)) = held.split_first_chunk::<4>() {
        let (row, rest) = rest.split_at(u32::from_be_bytes(*length) as usize);
        held = rest;
        if collector.row(RowBytes::borrowed(row))?.is_break() {
            break;
        }
    }
    Ok(())
}
