//! Every type of the server, there and back: what it sends is read into a [`Value`] and into
//! the Rust types that are made for it, sent back as a parameter, and compared on the server by
//! the type's own send function. What a `Value` prints is what the server prints.
//!
//! `cargo xtask types` runs this over all rows of the system's relations on both majors.

mod catalogue;
#[path = "../live/mod.rs"]
mod live;
#[path = "../support/mod.rs"]
mod support;

use std::collections::{BTreeMap, BTreeSet};

use kornak::codec::*;
use kornak::row::Column;
use kornak::types::oid;
use kornak::{Connection, FromRow, Row, Type};
use live::check_token;
use live::database::Database;

/// Values at the edges: `type: text`, one to a line.
const VALUES: &str = include_str!("../types/values.txt");

/// What the server takes from nobody: `type: SQLSTATE message`, one to a line.
const REFUSED: &str = include_str!("../types/refused.txt");

/// How many rows of each of the system's relations, unless all are asked for.
const ROWS: usize = 100;

/// The settings with which the server prints what `Value` prints.
const SETTINGS: &str = "set datestyle = iso; set timezone = 'UTC'; set intervalstyle = postgres; \
     set bytea_output = hex; set extra_float_digits = 1; set lc_monetary = 'C'; \
     set client_min_messages = error; set jit = off";

/// What there is to know of the type `t`.
const DESCRIBED: &str = "
    select format('%I.%I', n.nspname, t.typname) as sql, t.typname::text as name,
        t.typtype::text as class, e.typname::text as element, e.typtype::text as element_class,
        nullif(t.typsend, 0)::regproc::text as send,
        coalesce(e.typname, t.typname) ~ '^reg' as is_name,
        coalesce(c.relkind = 'r', false) as is_table,
        coalesce(e.typsend, 0) = 0 and e.oid is not null or exists (
            select from pg_attribute a join pg_type f on f.oid = a.atttypid
            left join pg_type g on g.oid = f.typelem
            where a.attrelid in (t.typrelid, e.typrelid) and a.attnum > 0
                and 0 in (f.typsend, coalesce(nullif(g.typsend, 0), 1 - (g.oid is not null)::int))
        ) as lacks_send
    from pg_type t
    join pg_namespace n on n.oid = t.typnamespace
    left join pg_type e on e.oid = t.typelem and (t.typcategory = 'A' or t.typname = '_record')
    left join pg_class c on c.oid = t.typrelid";

/// Calls a function with each Rust type that is made for one of the server's, and with arrays of
/// it.
macro_rules! each_type {
    ($function:ident $arguments:tt) => {
        each_type! { @all $function $arguments
            bool, i8, i16, i32, i64, u32, u64, f32, f64, Numeric, Money, String, Vec<u8>, RawJson,
            Uuid, Date, Time, TimeTz, Timestamp, TimestampTz, Interval, BitString, Inet, Cidr,
            MacAddr, MacAddr8, Point, Line, LineSegment, Rectangle, Path, Polygon, Circle,
            TsVector, TsQuery, Lsn, Tid, Snapshot, Xid, Cid, Int2Vector, OidVector, Range<i32>,
            Range<i64>, Range<Numeric>, Range<Date>, Range<Timestamp>, Range<TimestampTz>,
            Multirange<i32>, Multirange<i64>, Multirange<Numeric>, Multirange<Date>,
            Multirange<Timestamp>, Multirange<TimestampTz>,
        }
    };
    (@all $function:ident $arguments:tt $($rust:ty,)*) => {
        $(
            each_type!(@one $function $arguments $rust);
            each_type!(@one $function $arguments Array<Option<$rust>>);
        )*
    };
    (@one $function:ident ($($argument:expr),*) $rust:ty) => {
        $function::<$rust>($($argument),*).await
    };
}

use each_type;

/// A type of `pg_type`.
#[derive(FromRow)]
struct Described {
    /// With its schema, as it stands in SQL. Without a modifier, unlike `character`.
    sql: String,
    name: String,
    class: String,
    element: Option<String>,
    element_class: Option<String>,
    /// The send function, as it stands in SQL.
    send: Option<String>,
    /// Whether it is kept as an OID and printed by name, or an array of such.
    is_name: bool,
    /// Whether it is a table's row.
    is_table: bool,
    /// Whether something in it has no send function.
    lacks_send: bool,
}

/// What has come of it all.
#[derive(Default)]
struct Outcome {
    types: BTreeSet<String>,
    values: usize,
    /// How many relations have been gone through.
    relations: usize,
    differences: Vec<String>,
    refused: BTreeMap<String, String>,
}

impl Outcome {
    fn differs(&mut self, what: impl Into<String>) {
        self.differences.push(what.into());
    }

    #[track_caller]
    fn report(&self, what: &str) {
        println!(
            "{what}: {} types, {} values, {} differences, {} types refused by the server",
            self.types.len(),
            self.values,
            self.differences.len(),
            self.refused.len()
        );
        for (ty, refusal) in &self.refused {
            println!("refused: {ty}: {refusal}");
        }
        let shown = self.differences.len().min(40);
        assert!(
            self.differences.is_empty(),
            "{} differences:\n{}",
            self.differences.len(),
            self.differences[..shown].join("\n")
        );
    }
}

/// A connection to a database in which no other test makes anything: what stands in the system's
/// relations would be theirs.
async fn connect_with_settings(database: &Database) -> Connection {
    let mut connection = database.connect().await;
    connection.batch_execute(SETTINGS).await.unwrap();
    connection
}

async fn types(connection: &mut Connection) -> Vec<Described> {
    let sql = format!(
        "{DESCRIBED} where n.nspname in ('pg_catalog', 'information_schema') order by t.oid"
    );
    connection.fetch_all(&sql, ()).await.unwrap()
}

/// The lines `key: rest` of a checked-in file.
fn lines(file: &str) -> BTreeMap<&str, Vec<String>> {
    let mut found: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for line in file.lines().filter(|line| !line.starts_with('#')) {
        let (key, rest) = line.split_once(": ").expect("a type and a value");
        let rest = rest.replace("\\\\", "\u{0}").replace("\\n", "\n");
        found
            .entry(key)
            .or_default()
            .push(rest.replace('\u{0}', "\\"));
    }
    found
}

/// An anonymous record, with one in it.
const RECORD: &str = "row(1, null, row('a b', '{1}'::int4[]))";

/// SQL expressions for values of a type.
fn expressions(ty: &Described, values: &BTreeMap<&str, Vec<String>>) -> Vec<String> {
    let quoted = |key: &str| -> Vec<String> {
        let texts = values.get(key).into_iter().flatten();
        texts
            .map(|text| kornak::quote_literal(text).expect("no NUL"))
            .collect()
    };
    let sql = &ty.sql;
    if ty.name == "record" {
        return vec!["row()".to_owned(), RECORD.to_owned()];
    }
    if ty.class == "c" {
        let mut found = vec![format!("jsonb_populate_record(null::{sql}, '{{}}')")];
        if ty.is_table {
            found.push(format!("(select r from {sql} r order by ctid limit 1)"));
        }
        return found;
    }
    let own = quoted(&ty.name);
    if !own.is_empty() {
        return own.iter().map(|text| format!("{text}::{sql}")).collect();
    }
    let Some(element) = &ty.element else {
        return Vec::new();
    };
    let elements = match element.as_str() {
        // Those of one row of the catalogue, and nothing that its own types can't be.
        "record" => vec![RECORD.to_owned()],
        "cstring" => vec!["'a'".to_owned(), "'b c'".to_owned()],
        element => quoted(element),
    };
    let schema = ty.sql.split_once('.').expect("a schema").0;
    let element_type = kornak::quote_identifier(element).expect("a name");
    let element_type = format!("{schema}.{element_type}");
    if elements.is_empty() {
        let empty = format!("'{{}}'::{sql}");
        let one = match ty.element_class.as_deref() {
            Some("c") => format!("jsonb_populate_record(null::{element_type}, '{{}}')"),
            _ => "null".to_owned(),
        };
        return vec![empty, format!("array[null, {one}]::{sql}")];
    }
    let all = elements.join(", ");
    let first = &elements[0];
    let mut found = vec![
        format!("'{{}}'::{sql}"),
        format!("array[null]::{sql}"),
        format!("array[{all}, null]::{sql}"),
        format!("array[[{first}, null], [null, {first}]]::{sql}"),
    ];
    if !element.ends_with("vector") && element != "record" {
        found.push(format!(
            "array_fill({first}::{element_type}, array[1, 2], array[-1, 3])::{sql}"
        ));
    }
    found
}

/// `expression` as bytes that are the same for the same value.
fn sent(expression: &str, ty: &Described) -> String {
    match &ty.send {
        // Called with what isn't a text itself, like a cursor's name.
        Some(send) if send == "textsend" => format!("textsend(({expression})::text)"),
        // The server's parser drops a parameter that is nothing from a call.
        Some(send) if ty.name == "void" => format!("{send}(case when true then {expression} end)"),
        Some(send) if !ty.lacks_send => format!("{send}({expression})"),
        _ => format!("textsend(({expression})::text)"),
    }
}

/// Whether the server refuses all values of a type.
fn is_refused(refused: &BTreeMap<&str, Vec<String>>, name: &str) -> bool {
    let refusals = refused.get(name).into_iter().flatten();
    refusals
        .filter(|refusal| refusal.contains("cannot accept a value of type"))
        .count()
        > 0
}

/// `expression` as its type's output function prints it; the names of objects as OIDs.
fn printed(expression: &str, ty: &Described) -> String {
    match (ty.is_name, &ty.element) {
        (true, None) => format!("format('%s', ({expression})::oid)"),
        (true, Some(_)) => format!("format('%s', ({expression})::oid[])"),
        (false, _) => format!("format('%s', {expression})"),
    }
}

#[tokio::test]
async fn r57_r58_r60_every_type_goes_there_and_back() {
    let database = Database::create("");
    let mut connection = connect_with_settings(&database).await;
    let values = lines(VALUES);
    let refused = lines(REFUSED);
    let mut outcome = Outcome::default();
    let types = types(&mut connection).await;
    for ty in &types {
        let expressions = expressions(ty, &values);
        let mut made = 0;
        let mut refusal = None;
        for expression in &expressions {
            // In one snapshot: a row of a relation that all databases share stays what it was.
            let begin = "begin isolation level repeatable read";
            connection.batch_execute(begin).await.unwrap();
            match there_and_back(&mut connection, ty, expression, &mut outcome).await {
                Ok(is_value) => made += usize::from(is_value),
                Err(error) => refusal = Some(error),
            }
            connection.batch_execute("rollback").await.unwrap();
        }
        if made == 0 && !expressions.is_empty() && refusal.is_none() {
            outcome.differs(format!("{}: all its values are NULL", ty.sql));
        }
        let listed = refused.get(ty.name.as_str());
        if made > 0 {
            outcome.types.insert(ty.sql.clone());
        } else if expressions.is_empty() {
            // Nothing makes a value of it: its input function says why.
            let made = connection
                .fetch_one::<Row>(&format!("select ''::{}", ty.sql), ())
                .await;
            match made {
                // Values of a polymorphic type have a type of their own.
                Ok(row) if row.columns()[0].ty() == &Type::TEXT && ty.class == "p" => {}
                Ok(_) => outcome.differs(format!("{}: has no values in the list", ty.sql)),
                Err(error) => refusal = Some(said(&error)),
            }
        }
        match (refusal, listed) {
            (Some(refusal), Some(listed)) if listed.contains(&refusal) => {
                outcome.refused.insert(ty.sql.clone(), refusal);
            }
            (Some(refusal), _) => outcome.differs(format!("{}: {refusal}", ty.name)),
            // The server received no empty query before 15.20 and its contemporaries.
            (None, Some(_)) if ty.name.ends_with("tsquery") => {}
            (None, Some(_)) => {
                outcome.differs(format!("{}: is listed, but not refused", ty.name));
            }
            (None, None) => {}
        }
    }
    for name in refused.keys() {
        if !types.iter().any(|ty| ty.name == **name) {
            println!("listed, but this server has no such type: {name}");
        }
    }
    for name in values.keys() {
        if !types.iter().any(|ty| ty.name == **name) {
            println!("has values, but this server has no such type: {name}");
        }
    }
    outcome.report("types");
    check_token(&mut connection).await;
}

/// What the server said: SQLSTATE and message.
fn said(error: &kornak::Error) -> String {
    match error.as_server() {
        Some(server) => format!("{} {}", server.sqlstate(), server.message()),
        None => error.to_string(),
    }
}

/// Sends one value there and back. Returns whether it was one, and not NULL.
///
/// # Errors
///
/// The server's refusal to make or to take such a value.
async fn there_and_back(
    connection: &mut Connection,
    ty: &Described,
    expression: &str,
    outcome: &mut Outcome,
) -> Result<bool, String> {
    let sql = format!("select {expression}, {}", printed(expression, ty));
    let row: Row = match connection.fetch_one(&sql, ()).await {
        Ok(row) => row,
        Err(error) => return Err(said(&error)),
    };
    let value: Value = match row.get(0) {
        Ok(value) => value,
        Err(error) => {
            outcome.differs(format!("{expression}: {error}"));
            return Ok(true);
        }
    };
    if value.is_null() {
        return Ok(false);
    }
    outcome.values += 1;
    let text: String = row.get(1).unwrap();
    // Within a record, the names of objects are printed as names.
    if value.to_string() != text && ty.class != "c" {
        outcome.differs(format!(
            "{expression} is {text:?}, not {:?}",
            value.to_string()
        ));
    }
    let back = format!(
        "select {} is not distinct from {}",
        sent(&format!("$1::{}", ty.sql), ty),
        sent(expression, ty)
    );
    match connection.fetch_one::<bool>(&back, vec![value]).await {
        Ok(true) => {}
        Ok(false) => outcome.differs(format!("{expression} is not what comes back")),
        Err(error) if error.as_server().is_some() => return Err(said(&error)),
        Err(error) => outcome.differs(format!("{expression}: {error}")),
    }
    each_type!(as_type(connection, &row, expression, &back, outcome));
    Ok(true)
}

/// Whether a column is read into a Rust type that can be sent back as it is.
fn is_form_of<T: Encode + for<'r> Decode<'r>>(column: &Column) -> bool {
    // These declare themselves as `oid` and as plain arrays, which the server doesn't cast.
    let has_own_type = matches!(
        column.ty().oid(),
        oid::XID | oid::CID | oid::INT2VECTOR | oid::OIDVECTOR | oid::XID_ARRAY | oid::CID_ARRAY
    );
    accepts::<T>(column.ty(), column.format())
        && !(has_own_type && T::DECLARED != DeclaredType::Described)
}

async fn as_type<T>(
    connection: &mut Connection,
    row: &Row,
    expression: &str,
    back: &str,
    outcome: &mut Outcome,
) where
    T: Encode + for<'r> Decode<'r> + Send + Sync,
{
    if !is_form_of::<T>(&row.columns()[0]) {
        return;
    }
    let rust = rust_name::<T>();
    let value: T = match row.get(0) {
        Ok(value) => value,
        Err(error) => return outcome.differs(format!("{expression} as {rust}: {error}")),
    };
    outcome.values += 1;
    match connection.fetch_one::<bool>(back, (&value,)).await {
        Ok(true) => {}
        Ok(false) => outcome.differs(format!("{expression} is not what comes back as {rust}")),
        Err(error) => outcome.differs(format!("{expression} as {rust}: {error}")),
    }
}
