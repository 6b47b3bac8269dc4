//! How a statement that is new to a connection is run in one round trip.

use std::sync::Arc;

use super::Connection;
use super::catalog::KnownTypes;
use super::execute::declared;
use super::sinks::{ColdSink, Collector, Learnt, Reply, columns_of, result_changed};
use crate::codec::DeclaredType;
use crate::error::Result;
use crate::params::{Params, check_count};
use crate::protocol::{RowBytes, Unit};
use crate::row::{Columns, Plans};
use crate::statement::{Description, Prepared, parameters_to_declare};
use crate::types::Format;
use crate::wire::backend::{ParameterDescription, RowDescription};

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
    /// Another connection has described it.
    is_known: bool,
}

impl Cold {
    pub(super) fn name(&self) -> &str {
        self.prepared.name()
    }

    /// Hears what the flight says of it.
    pub(super) fn learning(&self) -> Box<Learning> {
        Box::new(Learning {
            types: self.types.clone(),
            learnt: Learnt::default(),
        })
    }

    /// Appends Parse and Describe.
    pub(super) fn prepare(&self, unit: &mut Unit<'_>, statement: u32, sql: &str) -> Result<()> {
        unit.prepare(statement, self.name(), sql, &self.oids)
    }
}

/// What a statement is described as in the flight that runs it, where that can't hold its rows
/// back until their types are looked up.
pub(super) struct Learning {
    /// The types that are known.
    types: KnownTypes,
    learnt: Learnt,
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
        let progress = self.exchange_dyn(&mut sink).await?;
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
            is_known: known.is_some(),
        })
    }

    /// Keeps what a cold execution has learnt; with it the rows that were held back until
    /// their types are known.
    ///
    /// Of a statement that was known, only another result is news: its parameters have the types
    /// that they were declared with, whatever the server would make of them by now.
    pub(super) async fn keep_cold(
        &mut self,
        sql: &str,
        cold: &Cold,
        learnt: Learnt,
    ) -> Result<(Arc<Prepared>, Option<Vec<u8>>)> {
        check_count(cold.declared.len(), learnt.parameters.len())?;
        let columns = learnt.columns.unwrap_or_default();
        let declared = &cold.declared;
        let description = self.learn(declared, learnt.parameters, columns).await?;
        let is_news = !cold.is_known || !cold.prepared.description().returns_as(&description);
        if cold.is_pristine && is_news {
            self.share_description(sql, declared, &description);
        }
        let prepared = cold
            .prepared
            .described_as(sql, declared, description, self.is_pooled)?;
        Ok((self.keep_prepared(sql, declared, prepared), learnt.held))
    }

    /// Keeps the statement as the server has described it, if it has. Where its types would have
    /// to be looked up, it is closed again instead: the flight may still be open.
    pub(super) async fn keep_learning(
        &mut self,
        sql: &str,
        cold: &Cold,
        learning: Learning,
    ) -> Result<()> {
        let Learning { types, learnt } = learning;
        let Some(columns) = &learnt.columns else {
            return Ok(());
        };
        let is_known = |types: &KnownTypes| {
            let parameters = &learnt.parameters;
            knows(types, columns) && parameters.iter().all(|&oid| types.knows(oid))
        };
        // Those that the flight itself has altered are known no more.
        if is_known(&types) && is_known(self.catalog.types()) {
            self.keep_cold(sql, cold, learnt).await?;
        }
        Ok(())
    }
}

impl Learning {
    pub(super) fn learn_parameters(&mut self, parameters: ParameterDescription<'_>) {
        self.learnt.parameters = parameters.oids().collect();
    }

    /// Makes `collector` ready for the rows that come, whatever was known of them.
    ///
    /// # Errors
    ///
    /// If they can't be read.
    pub(super) fn learn_columns<C: Collector>(
        &mut self,
        fields: Option<RowDescription<'_>>,
        collector: &mut C,
    ) -> Result<()> {
        let columns = columns_of(&self.types, fields);
        let columns = self.learnt.columns.insert(columns);
        if C::WANTS_ROWS && !knows(&self.types, columns) {
            return Err(result_changed());
        }
        collector.begin(&columns.asked_in_binary(), &mut Plans::default())
    }
}

/// Whether no type of a column has to be looked up.
fn knows(types: &KnownTypes, columns: &Columns) -> bool {
    columns.iter().all(|column| types.knows(column.ty().oid()))
}

/// Reads the rows that were held back until their types were known.
pub(super) fn read_held<C: Collector>(mut held: &[u8], collector: &mut C) -> Result<()> {
    while let Some((length, rest)) = held.split_first_chunk::<4>() {
        let (row, rest) = rest.split_at(u32::from_be_bytes(*length) as usize);
        held = rest;
        if collector.row(RowBytes::borrowed(row))?.is_break() {
            break;
        }
    }
    Ok(())
}
