//! [`Description`] and [`Prepared`].

use std::sync::Arc;

use super::lexer::controls_transaction;
use super::plain::is_plain;
use crate::codec::{DeclaredType, parameter_format};
use crate::error::Result;
use crate::protocol::BindTemplate;
use crate::row::Columns;
use crate::types::{Format, Type};

/// What the server says of a statement: immutable, and the same for each connection that
/// sees the same schema.
#[derive(Clone, Debug)]
pub struct Description {
    parameters: Box<[Type]>,
    columns: Columns,
    /// When its types are what they are here; 0 where all that matter are built in.
    epoch: u64,
}

/// A statement that one connection has prepared.
#[derive(Debug)]
pub struct Prepared {
    /// The server's name for it; empty for the unnamed statement, which the next Parse
    /// replaces.
    name: Box<str>,
    description: Description,
    template: BindTemplate,
    /// It leaves nothing behind in the session.
    is_plain: bool,
    /// It begins or ends a transaction, or a part of one.
    controls_transaction: bool,
    /// A value is written as the type that the server has inferred.
    is_inferred: bool,
}

impl Description {
    pub fn new(parameters: Vec<Type>, columns: Columns) -> Self {
        Self {
            parameters: parameters.into(),
            columns,
            epoch: 0,
        }
    }

    /// The same, with types that are what they are here only in this epoch.
    pub fn of_epoch(mut self, epoch: u64) -> Self {
        self.epoch = epoch;
        self
    }

    /// The epoch that its types are of; 0 where all that matter are built in.
    #[inline]
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Whether its types are those of this epoch.
    pub fn is_of(&self, epoch: u64) -> bool {
        self.epoch == 0 || self.epoch == epoch
    }

    /// The types to declare in Parse, and as what each value is written, where this
    /// description was learnt by another connection: what goes as text is left to the server,
    /// because text fits whatever it infers.
    pub fn parameters_to_declare(&self, declared: &[DeclaredType]) -> (Vec<u32>, Vec<Type>) {
        let both = declared.iter().zip(&self.parameters);
        both.map(|(declared, described)| match declared {
            DeclaredType::Oid(oid) => (*oid, described.clone()),
            DeclaredType::Text => (0, Type::TEXT),
            DeclaredType::Described => (described.oid(), described.clone()),
        })
        .unzip()
    }

    /// Whether a result has the same columns.
    pub fn returns_as(&self, other: &Self) -> bool {
        let shown = |description: &Self| -> Vec<_> {
            let columns = description.columns.iter();
            columns
                .map(|column| (column.name().to_owned(), column.ty().oid()))
                .collect()
        };
        shown(self) == shown(other)
    }

    /// About how much memory it takes, in bytes; types that aren't built in are shared.
    pub fn size(&self) -> usize {
        let names: usize = self.columns.iter().map(|column| column.name().len()).sum();
        size_of_val(&*self.parameters) + size_of_val(&*self.columns) + names
    }

    /// The parameters' types.
    pub fn parameters(&self) -> &[Type] {
        &self.parameters
    }

    /// The columns of the result; none for a statement that returns no rows.
    pub fn columns(&self) -> &Columns {
        &self.columns
    }

    /// The format in which each column is asked for.
    pub fn result_formats(&self) -> Vec<i16> {
        if self
            .columns
            .iter()
            .all(|column| column.format() == Format::Binary)
        {
            // One code stands for all columns (manual, "Message Formats", Bind).
            return vec![Format::Binary.to_wire()];
        }
        self.columns
            .iter()
            .map(|column| column.format().to_wire())
            .collect()
    }
}

impl Prepared {
    /// Where a pooler of transactions stands before the server, each execution parses the
    /// statement anew.
    ///
    /// # Errors
    ///
    /// If there are more parameters than the protocol can count.
    pub fn new(
        name: &str,
        sql: &str,
        declared: &[DeclaredType],
        description: Description,
        is_pooled: bool,
    ) -> Result<Self> {
        let formats = parameter_formats(declared, &description.parameters);
        let results = description.result_formats();
        let mut template = BindTemplate::new(
            name,
            formats.iter().copied(),
            description.parameters.len(),
            results.iter().copied(),
        )?;
        if is_pooled {
            // A value goes in the form of the type that was described, and no other may be
            // inferred for it elsewhere; text is read as whatever type it is.
            let (oids, _) = description.parameters_to_declare(declared);
            template = template.with_parse(sql, &oids)?;
        }
        Ok(Self {
            name: name.into(),
            description,
            template,
            is_plain: is_plain(sql),
            controls_transaction: controls_transaction(sql),
            is_inferred: declared.contains(&DeclaredType::Described),
        })
    }

    /// The same statement, as it was described by the flight that ran it.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn described_as(
        &self,
        sql: &str,
        declared: &[DeclaredType],
        description: Description,
        is_pooled: bool,
    ) -> Result<Self> {
        let known = &self.description;
        let is_sent_alike = !is_pooled
            && known.parameters.len() == description.parameters.len()
            && parameter_formats(declared, &known.parameters)
                == parameter_formats(declared, &description.parameters)
            && known.result_formats() == description.result_formats();
        if !is_sent_alike {
            return Self::new(&self.name, sql, declared, description, is_pooled);
        }
        Ok(Self {
            name: self.name.clone(),
            description,
            template: self.template.clone(),
            is_plain: self.is_plain,
            controls_transaction: self.controls_transaction,
            is_inferred: self.is_inferred,
        })
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    #[inline]
    pub fn description(&self) -> &Description {
        &self.description
    }

    /// Whether it leaves nothing behind in the session.
    #[inline]
    pub fn is_plain(&self) -> bool {
        self.is_plain
    }

    /// Whether it may run between statements of others: it leaves nothing behind in the session,
    /// and neither begins nor ends a transaction.
    #[inline]
    pub fn stands_alone(&self) -> bool {
        self.is_plain && !self.controls_transaction
    }

    /// Whether a value is written as a type that the server has inferred, and may infer anew.
    pub fn is_inferred(&self) -> bool {
        self.is_inferred
    }

    #[inline]
    pub fn template(&self) -> &BindTemplate {
        &self.template
    }
}

/// The format codes of parameters that are declared so and were described as `types`, as short
/// as the protocol allows.
pub fn parameter_formats(declared: &[DeclaredType], types: &[Type]) -> Vec<i16> {
    let formats = declared.iter().zip(types);
    let mut formats: Vec<i16> = formats
        .map(|(declared, ty)| parameter_format(*declared, ty).to_wire())
        .collect();
    if formats.windows(2).all(|pair| pair[0] == pair[1]) {
        // One code stands for all parameters (manual, "Message Formats", Bind).
        formats.truncate(1);
    }
    formats
}

/// The parameter types to declare in Parse: 0 leaves one to the server.
pub fn declared_oids(declared: &[DeclaredType]) -> Vec<u32> {
    declared
        .iter()
        .map(|declared| match declared {
            DeclaredType::Oid(oid) => *oid,
            DeclaredType::Text | DeclaredType::Described => 0,
        })
        .collect()
}

/// As [`declared_oids`], and as what each value is written where nothing else is known.
pub fn parameters_to_declare(
    declared: &[DeclaredType],
    ty: impl Fn(u32) -> Type,
) -> (Vec<u32>, Vec<Type>) {
    let oids = declared_oids(declared);
    // Text fits each type that the server may infer.
    let ty = |&oid: &u32| if oid == 0 { Type::TEXT } else { ty(oid) };
    let types = oids.iter().map(ty).collect();
    (oids, types)
}

/// A shared statement, kept while an execution, a portal or a handle uses it.
pub(crate) fn is_unused(prepared: &Arc<Prepared>) -> bool {
    Arc::strong_count(prepared) == 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::Column;

    /// What is made of a statement that was sent is what would be made of it anew.
    #[test]
    fn a_statement_is_sent_as_it_is_described() {
        let column = |ty: Type| Column::new("a", ty, 0, 0, 0, -1);
        let results = [
            Columns::default(),
            Columns::new(vec![column(Type::INT4)]),
            Columns::new(vec![column(Type::INT4), column(Type::unknown(1033))]),
            Columns::new(vec![column(Type::unknown(1033))]),
        ];
        let types = [Type::DATE, Type::TEXT, Type::unknown(1033)];
        for declared in [DeclaredType::Described, DeclaredType::Text] {
            let described = types.iter().flat_map(|ty| {
                let results = results.iter();
                results.map(|columns| Description::new(vec![ty.clone()], columns.clone()))
            });
            let described: Vec<_> = described.collect();
            for known in &described {
                for found in &described {
                    for is_pooled in [false, true] {
                        let make = |description: &Description, is_pooled| {
                            let declared = &[declared];
                            let sql = "set a = $1";
                            Prepared::new("k", sql, declared, description.clone(), is_pooled)
                        };
                        let anew = make(found, is_pooled).unwrap();
                        let kept = make(known, false).unwrap();
                        let kept =
                            kept.described_as("set a = $1", &[declared], found.clone(), is_pooled);
                        assert_eq!(format!("{:?}", kept.unwrap()), format!("{anew:?}"));
                    }
                }
            }
        }
    }
}
