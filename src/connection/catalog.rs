//! [`Catalog`]: the types that are not built in, as the server describes them.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use super::Connection;
use super::sinks::{Collector, WarmSink};
use crate::codec::encode_value;
use crate::error::Result;
use crate::protocol::{BindTemplate, RowBytes};
use crate::row::{Column, Columns, FromRow, Plans, RowRef};
use crate::types::{Field, Format, Kind, Type};
use crate::wire::TransactionStatus;

/// The types that were looked up, by OID. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Catalog {
    custom: Arc<HashMap<u32, Type>>,
}

/// How deep types may lie within one another.
const MAX_DEPTH: usize = 64;

/// How many types one look-up may bring.
const MAX_TYPES: usize = 16 * 1024;

/// Finds the wanted types and everything that they are made of, in one query
/// (manual, "System Catalogs": pg_type, pg_range, pg_enum, pg_attribute).
const LOAD_TYPES: &str = "\
with recursive wanted(oid) as (
    select unnest($1::pg_catalog.oid[])
  union
    select part.oid
    from wanted
    join pg_catalog.pg_type t on t.oid = wanted.oid
    left join pg_catalog.pg_range r on t.oid in (r.rngtypid, r.rngmultitypid)
    cross join lateral (
        select t.typelem where t.typelem <> 0
      union all
        select t.typbasetype where t.typbasetype <> 0
      union all
        select r.rngsubtype where r.rngtypid = t.oid
      union all
        select r.rngtypid where r.rngmultitypid = t.oid
      union all
        select a.atttypid from pg_catalog.pg_attribute a
        where t.typtype = 'c' and a.attrelid = t.typrelid and a.attnum > 0 and not a.attisdropped
    ) part(oid)
)
select t.oid, n.nspname::text, t.typname::text, t.typtype::text,
    t.typreceive <> 0, t.typsend <> 0,
    case when t.typtype = 'd' then t.typbasetype
         when t.typtype = 'r' then (select r.rngsubtype from pg_catalog.pg_range r where r.rngtypid = t.oid)
         when t.typtype = 'm' then (select r.rngtypid from pg_catalog.pg_range r where r.rngmultitypid = t.oid)
         when t.typelem <> 0 and t.typlen = -1 then t.typelem
         else 0 end,
    array(select e.enumlabel::text from pg_catalog.pg_enum e where e.enumtypid = t.oid order by e.enumsortorder),
    array(select a.attname::text from pg_catalog.pg_attribute a
          where t.typtype = 'c' and a.attrelid = t.typrelid and a.attnum > 0 and not a.attisdropped
          order by a.attnum),
    array(select a.atttypid from pg_catalog.pg_attribute a
          where t.typtype = 'c' and a.attrelid = t.typrelid and a.attnum > 0 and not a.attisdropped
          order by a.attnum)
from wanted
join pg_catalog.pg_type t on t.oid = wanted.oid
join pg_catalog.pg_namespace n on n.oid = t.typnamespace";

/// Just-in-time compilation of the look-up costs more than the look-up.
const JIT_OFF: &str = "select pg_catalog.set_config('jit', 'off', true)";

impl Catalog {
    /// Whether the type is built in or was looked up.
    pub(crate) fn knows(&self, oid: u32) -> bool {
        self.custom.contains_key(&oid) || Type::from_oid(oid).is_some()
    }

    /// The type, which stands for an unknown one where it hasn't been looked up.
    pub(crate) fn ty(&self, oid: u32) -> Type {
        Type::from_oid(oid)
            .or_else(|| self.custom.get(&oid).cloned())
            .unwrap_or_else(|| Type::unknown(oid))
    }
}

impl Connection {
    /// Looks types up, and all that they are made of, in one round trip.
    ///
    /// It is called between the Parse of a caller's statement and its execution, and leaves
    /// that statement as it is, be it the unnamed one or one whose name is not settled yet.
    /// Nothing is queued then: it went with the Parse.
    ///
    /// # Errors
    ///
    /// The server's error, or a type that nests too deep.
    pub(super) async fn load_types(&mut self, oids: &[u32]) -> Result<()> {
        let name = self.names.next("t");
        let binary = [Format::Binary.to_wire()];
        let template = BindTemplate::new(&name, binary.into_iter(), 1, binary.into_iter())?;
        let link = &mut *self.link;
        let alone = link.core.transaction_status() == TransactionStatus::Idle;
        let mut unit = link.core.start_unit(&mut link.output)?;
        if alone {
            unit.prefix_named(0, &name, JIT_OFF)?;
            unit.close_statement(&name)?;
        }
        unit.prepare(0, &name, LOAD_TYPES, &[Type::OID_ARRAY.oid()])?;
        unit.execute(0, &template, |out| {
            Ok(encode_value(oids, &Type::OID_ARRAY, Format::Binary, out)?)
        })?;
        unit.close_statement(&name)?;
        unit.finish();
        self.interrupted = true;
        self.statements.begin_parse(&name);
        let mut rows = TypeRows {
            columns: type_columns(),
            rows: Vec::new(),
        };
        let mut sink = WarmSink::new(&mut rows);
        let progress = self.exchange(&mut sink).await?;
        self.end_exchange(progress, sink.reply)?.check()?;
        self.statements.settle(&name);
        let found: HashMap<u32, TypeRow> = rows.rows.into_iter().map(|row| (row.0, row)).collect();
        let mut custom = (*self.catalog.custom).clone();
        for &oid in found.keys().chain(oids) {
            build(oid, &found, &mut custom, 0)?;
        }
        self.catalog.custom = Arc::new(custom);
        Ok(())
    }
}

/// OID, schema, name, `typtype`, has input, has output, part, labels, field names, field types.
type TypeRow = (
    u32,
    String,
    String,
    String,
    bool,
    bool,
    u32,
    Vec<String>,
    Vec<String>,
    Vec<u32>,
);

struct TypeRows {
    columns: Columns,
    rows: Vec<TypeRow>,
}

impl Collector for TypeRows {
    fn begin(&mut self, _: &Columns, _: &mut Plans) -> Result<()> {
        Ok(())
    }

    fn row(&mut self, row: RowBytes<'_>) -> Result<ControlFlow<()>> {
        if self.rows.len() == MAX_TYPES {
            return Err(crate::Error::protocol(format!(
                "a statement uses more than {MAX_TYPES} types"
            )));
        }
        let plan = TypeRow::plan(&self.columns)?;
        self.rows
            .push(TypeRow::from_row(RowRef::new(&self.columns, row)?, &plan)?);
        Ok(ControlFlow::Continue(()))
    }
}

/// The columns of [`LOAD_TYPES`].
fn type_columns() -> Columns {
    let types = [
        Type::OID,
        Type::TEXT,
        Type::TEXT,
        Type::TEXT,
        Type::BOOL,
        Type::BOOL,
        Type::OID,
        Type::TEXT_ARRAY,
        Type::TEXT_ARRAY,
        Type::OID_ARRAY,
    ];
    Columns::new(
        types
            .into_iter()
            .map(|ty| Column::new("", ty, 0, 0, 0, -1))
            .collect(),
    )
}

/// Makes a type of what the server says, its parts first.
fn build(
    oid: u32,
    found: &HashMap<u32, TypeRow>,
    custom: &mut HashMap<u32, Type>,
    depth: usize,
) -> Result<Type> {
    if let Some(ty) = Type::from_oid(oid).or_else(|| custom.get(&oid).cloned()) {
        return Ok(ty);
    }
    // A type that is gone meanwhile, or that contains itself, can't be read.
    let Some((_, schema, name, class, input, output, part, labels, names, types)) =
        found.get(&oid).filter(|_| depth < MAX_DEPTH)
    else {
        return Ok(Type::unknown(oid));
    };
    let mut part_of = |oid| build(oid, found, custom, depth + 1);
    let kind = match (class.as_str(), *part) {
        ("e", _) => Kind::Enum(labels.iter().map(|label| label.as_str().into()).collect()),
        ("c", _) => {
            let field = |(name, &oid): (&String, &u32)| {
                Ok(Field {
                    name: name.as_str().into(),
                    ty: part_of(oid)?,
                })
            };
            Kind::Composite(names.iter().zip(types).map(field).collect::<Result<_>>()?)
        }
        ("d", part) => Kind::Domain(part_of(part)?),
        ("r", part) => Kind::Range(part_of(part)?),
        ("m", part) => Kind::Multirange(part_of(part)?),
        ("p", _) => Kind::Pseudo,
        (_, 0) => Kind::Simple,
        (_, element) => Kind::Array(part_of(element)?),
    };
    let ty = Type::custom(oid, schema, name, kind, *output, *input)?;
    custom.insert(oid, ty.clone());
    Ok(ty)
}
