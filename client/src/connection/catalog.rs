//! [`Catalog`]: the types that are not built in, as the server describes them.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use super::Connection;
use super::sinks::{Collector, WarmSink};
use crate::codec::encode_value;
use crate::error::{ErrorKind, Result};
use crate::protocol::{BindTemplate, RowBytes};
use crate::row::{Column, Columns, FromRow, Plans, RowRef};
use crate::statement::{Knowledge, MAX_TYPES, Presence, next_epoch};
use crate::types::{Field, Format, Kind, MAX_DEPTH, Type};
use crate::wire::TransactionStatus;

/// The types that are not built in, as this connection sees them.
#[derive(Debug)]
pub(crate) struct Catalog {
    knowledge: Arc<Knowledge>,
    _presence: Arc<Presence>,
    types: KnownTypes,
    /// When they are as they are here.
    epoch: u64,
    /// The transaction has altered what others don't see altered before it is committed.
    is_private: bool,
    /// Something did not fit its type: what others know of types isn't believed before they
    /// are looked up again.
    is_doubtful: bool,
}

/// The types that were looked up, by OID. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct KnownTypes {
    /// What the connections of a pool know together, as of some moment.
    shared: Arc<HashMap<u32, Type>>,
    /// What this one has looked up in a transaction: others may not see it so.
    own: Arc<HashMap<u32, Type>>,
}

/// How many types one look-up may bring.
const MAX_FOUND: usize = 16 * 1024;

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
          order by a.attnum),
    t.typdelim
from wanted
join pg_catalog.pg_type t on t.oid = wanted.oid
join pg_catalog.pg_namespace n on n.oid = t.typnamespace";

/// Just-in-time compilation of the look-up costs more than the look-up.
const JIT_OFF: &str = "select pg_catalog.set_config('jit', 'off', true)";

impl KnownTypes {
    /// Whether the type is built in or was looked up.
    pub(crate) fn knows(&self, oid: u32) -> bool {
        self.own.contains_key(&oid)
            || self.shared.contains_key(&oid)
            || Type::from_oid(oid).is_some()
    }

    /// The type, which stands for an unknown one where it hasn't been looked up.
    pub(crate) fn ty(&self, oid: u32) -> Type {
        let custom = || self.own.get(&oid).or_else(|| self.shared.get(&oid));
        Type::from_oid(oid)
            .or_else(|| custom().cloned())
            .unwrap_or_else(|| Type::unknown(oid))
    }
}

impl Catalog {
    pub(crate) fn new(knowledge: Arc<Knowledge>) -> Self {
        let presence = knowledge.join();
        let (epoch, shared) = knowledge.types();
        Self {
            knowledge,
            _presence: presence,
            types: KnownTypes {
                shared,
                own: Arc::default(),
            },
            epoch,
            is_private: false,
            is_doubtful: false,
        }
    }

    pub(crate) fn types(&self) -> &KnownTypes {
        &self.types
    }

    /// What the connection shares with others.
    pub(super) fn knowledge(&self) -> &Knowledge {
        &self.knowledge
    }

    /// Whether anybody would hear of what this connection learns.
    pub(super) fn is_shared(&self) -> bool {
        Arc::strong_count(&self.knowledge) > 1
    }

    /// Whether the types here are others than all see.
    pub(super) fn is_private(&self) -> bool {
        self.is_private
    }

    /// The epoch that the types here are of.
    pub(super) fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Whether types that were learnt in `epoch` are to be believed still.
    #[inline]
    pub(super) fn is_current(&self, epoch: u64) -> bool {
        epoch == 0 || self.is_now(epoch)
    }

    fn is_now(&self, epoch: u64) -> bool {
        if self.is_private {
            epoch == self.epoch
        } else {
            epoch == self.knowledge.epoch()
        }
    }

    /// Takes over what others have learnt.
    pub(super) fn refresh(&mut self) {
        if self.is_private || self.is_doubtful && self.is_now(self.epoch) {
            return;
        }
        let (epoch, shared) = self.knowledge.types();
        self.adopt(epoch, shared);
    }

    fn adopt(&mut self, epoch: u64, shared: Arc<HashMap<u32, Type>>) {
        if epoch != self.epoch {
            self.types.own = Arc::default();
        }
        self.epoch = epoch;
        self.types.shared = shared;
        self.is_doubtful = false;
    }

    /// Takes in what was looked up; `is_committed` if others see it, too.
    fn learn(&mut self, learnt: HashMap<u32, Type>, is_committed: bool) {
        if is_committed && !self.is_private {
            if let Some((epoch, shared)) = self.knowledge.learn_types(self.epoch, &learnt) {
                return self.adopt(epoch, shared);
            }
        }
        self.is_doubtful = false;
        let own = Arc::make_mut(&mut self.types.own);
        if own.len() + learnt.len() > MAX_TYPES {
            own.clear();
        }
        own.extend(learnt);
    }

    /// What was looked up in a transaction is there for all.
    pub(super) fn publish(&mut self) {
        if !self.types.own.is_empty() && !self.is_private {
            let own = std::mem::take(&mut self.types.own);
            if let Some((epoch, shared)) = self.knowledge.learn_types(self.epoch, &own) {
                self.adopt(epoch, shared);
            }
        }
    }

    /// What was looked up in a transaction, or in the part of it that was rolled back, may
    /// never have been. Returns whether there was anything.
    pub(super) fn forget_own(&mut self) -> bool {
        let had_any = !self.types.own.is_empty();
        self.types.own = Arc::default();
        if self.is_private {
            self.alter();
        }
        had_any
    }

    /// This connection has altered the schema; when that is committed, for all.
    pub(super) fn alter(&mut self) {
        self.is_private = true;
        self.types = KnownTypes::default();
        self.epoch = next_epoch();
    }

    /// The transaction is over: what it has altered is altered for all.
    pub(super) fn settle(&mut self) {
        if std::mem::take(&mut self.is_private) {
            self.knowledge.begin_anew();
            self.refresh();
        }
    }

    /// Somebody else has altered the schema.
    pub(super) fn forget(&mut self) {
        if self.is_private {
            self.alter();
        } else {
            self.knowledge.begin_anew();
            self.refresh();
        }
    }

    /// Something does not fit what is known of its type.
    pub(super) fn doubt(&mut self) {
        self.types = KnownTypes::default();
        self.is_doubtful = true;
    }
}

impl Default for Catalog {
    fn default() -> Self {
        Self::new(Arc::new(Knowledge::default()))
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
        let progress = self.exchange_dyn(&mut sink).await?;
        self.end_exchange(progress, sink.reply)?.check()?;
        self.statements.settle(&name);
        let found: HashMap<u32, TypeRow> = rows.rows.into_iter().map(|row| (row.0, row)).collect();
        let mut learnt = HashMap::with_capacity(found.len());
        for &oid in found.keys() {
            build(oid, &found, &mut learnt, 0)?;
        }
        self.catalog.learn(learnt, alone);
        Ok(())
    }
}

/// OID, schema, name, `typtype`, has input, has output, part, labels, field names, field types,
/// delimiter.
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
    i8,
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
        if self.rows.len() == MAX_FOUND {
            return Err(crate::error::Error::protocol(format!(
                "a statement uses more than {MAX_FOUND} types"
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
        Type::CHAR,
    ];
    Columns::new(
        types
            .into_iter()
            .map(|ty| Column::new("", ty, 0, 0, 0, -1))
            .collect(),
    )
}

/// Makes a type of what the server says, its parts first.
///
/// # Errors
///
/// If it nests too deep, which one that contains itself does.
fn build(
    oid: u32,
    found: &HashMap<u32, TypeRow>,
    learnt: &mut HashMap<u32, Type>,
    depth: u16,
) -> Result<Type> {
    if let Some(ty) = Type::from_oid(oid).or_else(|| learnt.get(&oid).cloned()) {
        return Ok(ty);
    }
    let Some((_, schema, name, class, input, output, part, labels, names, types, delimiter)) =
        found.get(&oid)
    else {
        // Gone since somebody named it.
        return Ok(Type::unknown(oid));
    };
    if depth == MAX_DEPTH {
        return Err(crate::error::Error::new(
            ErrorKind::Unsupported,
            format!("the type {name} contains itself, or lies deeper than {MAX_DEPTH} levels"),
        ));
    }
    let mut part_of = |oid| build(oid, found, learnt, depth + 1);
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
    let ty = Type::custom(oid, schema, name, kind, *output, *input)?
        .with_delimiter(u8::from_ne_bytes(delimiter.to_ne_bytes()));
    learnt.insert(oid, ty.clone());
    Ok(ty)
}
