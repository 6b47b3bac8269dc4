//! Prepares the statements of a pipeline that the connection doesn't know yet, all of them in
//! one round trip.

use std::ops::ControlFlow;

use super::Fate;
use super::error::PipelineError;
use super::tuple::Slots;
use crate::codec::DeclaredType;
use crate::connection::Connection;
use crate::connection::catalog::KnownTypes;
use crate::connection::execute::declared;
use crate::connection::sinks::{Learnt, Reply, columns_of, server_error};
use crate::error::{Result, ServerError};
use crate::params::{Params, check_count};
use crate::protocol::{At, Part, RowBytes, Sink};
use crate::statement::declared_oids;
use crate::wire::backend::{ParameterDescription, RowDescription};

/// A statement that has to be prepared, and which of the pipeline's statements it is.
pub(super) struct Missing<'q> {
    sql: &'q str,
    declared: Vec<DeclaredType>,
    indices: Vec<u32>,
    name: String,
}

impl<'q> Missing<'q> {
    /// Notes the statement at `index`; one of the same text and types is prepared only once.
    #[cold]
    pub(super) fn add<P: Params>(missing: &mut Vec<Self>, index: u32, sql: &'q str, params: &P) {
        let same = missing
            .iter_mut()
            .find(|known| known.sql == sql && params.are_declared(&known.declared));
        match same {
            Some(known) => known.indices.push(index),
            None => missing.push(Self {
                sql,
                declared: declared(params),
                indices: vec![index],
                name: String::new(),
            }),
        }
    }
}

impl Connection {
    /// Prepares the statements in one round trip and puts them into the slots.
    ///
    /// # Errors
    ///
    /// The server's first, where the statements share their fate; else it is in the slots.
    pub(super) async fn prepare_missing<S: Slots>(
        &mut self,
        mut missing: Vec<Missing<'_>>,
        slots: &mut S,
        fate: Fate,
    ) -> Result<(), PipelineError> {
        let types = self.known_types();
        let is_pristine = self.hygiene.is_pristine();
        for statement in &mut missing {
            // Each has a name, even one that won't be kept: the next Parse would replace it.
            statement.name = self.statement_name_in_pipeline(statement.sql);
            self.check_session_command(statement.sql).map_err(|error| {
                let index = statement.indices.first().copied();
                PipelineError::new(index, error.with_sql(statement.sql))
            })?;
        }
        match fate {
            Fate::Shared => self.start_unit(|unit| {
                for (number, statement) in (0..).zip(&missing) {
                    let oids = declared_oids(&statement.declared);
                    unit.prepare(number, &statement.name, statement.sql, &oids)?;
                }
                Ok(())
            })?,
            Fate::Own => {
                for (number, statement) in (0..).zip(&missing) {
                    let oids = declared_oids(&statement.declared);
                    self.start_unit(|unit| {
                        unit.prepare(number, &statement.name, statement.sql, &oids)
                    })?;
                }
            }
        }
        for statement in &missing {
            self.statements.begin_parse(&statement.name);
        }
        let mut sink = PrepareSink {
            types,
            prepared: missing.iter().map(|_| Preparing::default()).collect(),
            first: Reply::default(),
        };
        let progress = self.exchange_dyn(&mut sink).await?;
        let PrepareSink {
            prepared, first, ..
        } = sink;
        // The error of the driver's own messages, before the caller's, is the error of all.
        let first = self.end_exchange(progress, first)?.check();
        let mut failed = None;
        for (statement, preparing) in missing.iter().zip(prepared) {
            if let Some(error) = preparing.error {
                self.statements.settle(&statement.name);
                for &index in &statement.indices {
                    if let Some(state) = slots.state(index) {
                        state.reply.fail(Part::Statement(index), error.clone());
                    }
                }
                failed = failed.or(Some((statement, error)));
            } else if preparing.is_described {
                let count = check_count(statement.declared.len(), preparing.parameters.len());
                if let Err(error) = count {
                    match fate {
                        Fate::Shared => {
                            let index = statement.indices.first().copied();
                            return Err(PipelineError::new(index, error.with_sql(statement.sql)));
                        }
                        Fate::Own => {
                            for &index in &statement.indices {
                                if let Some(state) = slots.state(index) {
                                    let count = check_count(
                                        statement.declared.len(),
                                        preparing.parameters.len(),
                                    );
                                    state.reply.failure = count.err();
                                }
                            }
                            continue;
                        }
                    }
                }
                let Learnt {
                    parameters,
                    columns,
                    ..
                } = preparing.into_learnt();
                let prepared = self
                    .keep(
                        statement.sql,
                        &statement.declared,
                        &statement.name,
                        parameters,
                        columns.unwrap_or_default(),
                        is_pristine,
                    )
                    .await?;
                for &index in &statement.indices {
                    if let Some(state) = slots.state(index) {
                        state.prepared = Some(prepared.clone());
                    }
                }
            }
        }
        first?;
        match (failed, fate) {
            (Some((statement, error)), Fate::Shared) => {
                let index = statement.indices.first().copied();
                let error = server_error((Part::Statement(0), error));
                Err(PipelineError::new(index, error.with_sql(statement.sql)))
            }
            _ => Ok(()),
        }
    }
}

/// Hears how the statements are prepared.
struct PrepareSink {
    types: KnownTypes,
    prepared: Vec<Preparing>,
    /// The first error that belongs to none of them.
    first: Reply,
}

/// What the server says of one.
#[derive(Default)]
struct Preparing {
    parameters: Vec<u32>,
    columns: crate::row::Columns,
    is_described: bool,
    error: Option<ServerError>,
}

impl Preparing {
    fn into_learnt(self) -> Learnt {
        Learnt {
            parameters: self.parameters,
            columns: Some(self.columns),
            held: None,
        }
    }
}

impl PrepareSink {
    fn statement(&mut self, at: At) -> Option<&mut Preparing> {
        match at.part {
            Part::Statement(number) => self.prepared.get_mut(number as usize),
            Part::Prefix(_) | Part::Sync => None,
        }
    }
}

impl Sink for PrepareSink {
    fn on_parameter_description(&mut self, at: At, parameters: ParameterDescription<'_>) {
        if let Some(statement) = self.statement(at) {
            statement.parameters = parameters.oids().collect();
        }
    }

    fn on_row_description(&mut self, at: At, fields: Option<RowDescription<'_>>) {
        let columns = columns_of(&self.types, fields);
        if let Some(statement) = self.statement(at) {
            statement.columns = columns;
            statement.is_described = true;
        }
    }

    fn on_row(&mut self, _: At, _: RowBytes<'_>) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    fn on_error(&mut self, at: At, error: ServerError) {
        match self.statement(at) {
            Some(statement) => statement.error = Some(error),
            None => self.first.fail(at.part, error),
        }
    }
}
