//! The rows of the system's own relations.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use kornak::codec::*;
use kornak::{Connection, FromRow, Row};

use super::{
    DESCRIBED, Described, Outcome, REFUSED, ROWS, connect_with_settings, each_type, is_form_of,
    is_refused, lines, printed, said, sent,
};
use crate::live::check_token;
use crate::live::database::Database;

/// A column of a relation.
#[derive(FromRow)]
struct Source {
    column: String,
    #[kornak(flatten)]
    ty: Described,
}

#[tokio::test]
async fn every_row_of_the_catalogue_goes_there_and_back() {
    let limit = match std::env::var_os("KORNAK_TYPES_ALL") {
        Some(_) => usize::MAX,
        None => ROWS,
    };
    let database = Database::create("");
    let mut connection = connect_with_settings(&database).await;
    let refused = lines(REFUSED);
    let mut outcome = Outcome::default();
    let relations: Vec<String> = connection
        .fetch_all(
            "select format('%I.%I', n.nspname, c.relname)
             from pg_class c join pg_namespace n on n.oid = c.relnamespace
             where n.nspname in ('pg_catalog', 'information_schema') and c.relkind in ('r', 'v')
             order by 1",
            (),
        )
        .await
        .unwrap();
    for relation in &relations {
        let columns = columns(&mut connection, relation).await;
        for source in &columns {
            outcome.types.insert(source.ty.sql.clone());
        }
        check_relation(
            &mut connection,
            relation,
            &columns,
            &refused,
            limit,
            &mut outcome,
        )
        .await;
    }
    println!("{} relations", relations.len());
    assert!(outcome.values > 10_000, "only {} values", outcome.values);
    outcome.report("rows of the catalogue");
    check_token(&mut connection).await;
}

async fn columns(connection: &mut Connection, relation: &str) -> Vec<Source> {
    let sql = format!(
        "select quote_ident(a.attname) as column, d.* from pg_attribute a,
            lateral ({DESCRIBED} where t.oid = a.atttypid) d
         where a.attrelid = $1::text::regclass and a.attnum > 0 and not a.attisdropped
         order by a.attnum"
    );
    connection.fetch_all(&sql, (relation,)).await.unwrap()
}

/// Sends all rows of a relation there and back, by way of temporary tables.
async fn check_relation(
    connection: &mut Connection,
    relation: &str,
    columns: &[Source],
    refused: &BTreeMap<&str, Vec<String>>,
    limit: usize,
    outcome: &mut Outcome,
) {
    // A table can't have columns of this type, which only the catalogue has.
    let (any, columns): (Vec<&Source>, Vec<&Source>) = columns
        .iter()
        .partition(|source| matches!(source.ty.name.as_str(), "anyarray" | "_pg_statistic"));
    for source in any {
        // Its type doesn't tell that such an array is one of `aclitem`, which have no binary form.
        let sql = format!(
            "select {0}, {0}::text from {relation}
             where {0}::text !~ '=[a-zA-Z*]*/' and {0} is not null limit {ROWS}",
            source.column
        );
        let rows: Vec<(Value, String)> = connection.fetch_all(&sql, ()).await.unwrap();
        outcome.values += rows.len();
        for (value, text) in rows {
            // The names of objects are printed as OIDs.
            let is_other = match &value {
                Value::Array(element, _) => element.name().starts_with("reg"),
                value => matches!(value, Value::Opaque(_)),
            };
            if !is_other && value.to_string() != text {
                outcome.differs(format!("{relation}.{} is {text}", source.column));
            }
        }
    }
    // Names of their own: some are those of a table's system columns.
    let columns: Vec<(String, &Source)> = (1..)
        .zip(columns)
        .map(|(number, source)| (format!("c{number}"), source))
        .collect();
    let mut selected = String::new();
    for (name, source) in &columns {
        let _ = write!(selected, ", r.{} as {name}", source.column);
    }
    let bound = match limit {
        usize::MAX => String::new(),
        limit => format!(" limit {limit}"),
    };
    // Tables of their own: a statement of the same text would be one that is prepared for others.
    let number = outcome.relations;
    outcome.relations += 1;
    let there = format!("pg_temp.there_{number}");
    let back = format!("pg_temp.back_{number}");
    let script = format!(
        "create table {there} as select row_number() over () as n{selected}
             from {relation} r{bound};
         create table {back} as select * from {there} with no data"
    );
    if let Err(error) = connection.batch_execute(&script).await {
        // A view may need what this server was built without.
        println!("{relation}: {}", said(&error));
        return;
    }
    let mut sql = "select n".to_owned();
    for (name, _) in &columns {
        let _ = write!(sql, ", {name}");
    }
    for (name, source) in &columns {
        let _ = write!(sql, ", {}", printed(name, &source.ty));
    }
    let _ = write!(sql, " from {there} order by n");
    let rows: Vec<Row> = connection.fetch_all(&sql, ()).await.unwrap();
    let is_sent = |source: &Source| !is_refused(refused, &source.ty.name);
    let mut items = Vec::with_capacity(rows.len());
    for row in &rows {
        let mut item = vec![Value::Int8(row.get(0).unwrap())];
        for (index, (_, source)) in columns.iter().enumerate() {
            let value: Value = match row.get(index + 1) {
                Ok(value) => value,
                Err(error) => {
                    outcome.differs(format!("{relation}: {error}"));
                    Value::Null
                }
            };
            if !value.is_null() {
                outcome.values += 1;
                let text: &str = row.get(columns.len() + index + 1).unwrap();
                let is_opaque =
                    matches!(&value, Value::Opaque(opaque) if opaque.as_text().is_none());
                if !is_opaque && value.to_string() != text {
                    outcome.differs(format!(
                        "{relation}.{} is {text:?}, not {:?}",
                        source.column,
                        value.to_string()
                    ));
                }
            }
            if is_sent(source) {
                // The server refuses its own empty vectors.
                let is_empty = matches!(&value, Value::Int2Vector(vector) if vector.is_empty())
                    || matches!(&value, Value::OidVector(vector) if vector.is_empty());
                item.push(if is_empty { Value::Null } else { value });
            }
        }
        items.push(item);
    }
    let sent_columns: Vec<&(String, &Source)> = columns
        .iter()
        .filter(|(_, source)| is_sent(source))
        .collect();
    let mut insert = format!("insert into {back} as back (n");
    for (name, _) in &sent_columns {
        let _ = write!(insert, ", {name}");
    }
    insert.push_str(") values ($1");
    for place in 2..=sent_columns.len() + 1 {
        let _ = write!(insert, ", ${place}");
    }
    insert.push(')');
    if let Err(error) = connection.execute_many(&insert, items).await {
        return outcome.differs(format!("{relation}: {error}"));
    }
    let mut compare = "select count(*)".to_owned();
    for (name, source) in &sent_columns {
        let side = |side: &str| {
            let expression = match source.ty.name.as_str() {
                "int2vector" | "oidvector" => format!("nullif({side}.{name}, '')"),
                _ => format!("{side}.{name}"),
            };
            sent(&expression, &source.ty)
        };
        let _ = write!(
            compare,
            ", count(*) filter (where {} is distinct from {})",
            side("there"),
            side("back")
        );
    }
    let _ = write!(
        compare,
        " from {there} as there join {back} as back using (n)"
    );
    let counts: Row = connection.fetch_one(&compare, ()).await.unwrap();
    if counts.get::<i64>(0).unwrap() != rows.len() as i64 {
        outcome.differs(format!("{relation}: rows are missing"));
    }
    for (place, (_, source)) in sent_columns.iter().enumerate() {
        let count: i64 = counts.get(place + 1).unwrap();
        if count != 0 {
            outcome.differs(format!("{relation}.{}: {count} differ", source.column));
        }
    }
    for (index, (name, source)) in columns.iter().enumerate() {
        if is_sent(source) {
            let place = Place {
                there: &there,
                name,
                source,
                index: index + 1,
                text: columns.len() + index + 1,
            };
            each_type!(column_as_type(connection, &rows, &place, outcome));
        }
    }
    let script = format!("drop table {there}; drop table {back}");
    connection.batch_execute(&script).await.unwrap();
}

/// A column of a relation that was fetched.
struct Place<'a> {
    /// The table that it was fetched from.
    there: &'a str,
    name: &'a str,
    source: &'a Source,
    /// Where the value is, and where its text.
    index: usize,
    text: usize,
}

/// Sends one column of all rows there and back in one Rust type, if that reads it.
async fn column_as_type<T>(
    connection: &mut Connection,
    rows: &[Row],
    place: &Place<'_>,
    outcome: &mut Outcome,
) where
    T: Encode + for<'r> Decode<'r> + Send + Sync,
{
    let Place { there, name, .. } = place;
    let is_form = |row: &Row| is_form_of::<T>(&row.columns()[place.index]);
    if !rows.first().is_some_and(is_form) {
        return;
    }
    let what = format!("{there}.{} as {}", place.source.column, rust_name::<T>());
    let ty = &place.source.ty;
    // The server refuses its own empty vectors.
    let is_vector = matches!(ty.name.as_str(), "int2vector" | "oidvector");
    let mut items: Vec<(i64, Option<T>)> = Vec::with_capacity(rows.len());
    for row in rows {
        let is_left_out = is_vector && row.get::<Option<&str>>(place.text).unwrap() == Some("");
        let value = match is_left_out {
            true => Ok(None),
            false => row.get(place.index),
        };
        match value {
            Ok(value) => items.push((row.get(0).unwrap(), value)),
            Err(error) => return outcome.differs(format!("{what}: {error}")),
        }
    }
    outcome.values += items.iter().filter(|(_, value)| value.is_some()).count();
    // A table of its own, as above.
    let number = outcome.relations;
    outcome.relations += 1;
    let back = format!("pg_temp.typed_{number}");
    let script = format!("create table {back} as select n, {name} from {there} with no data");
    connection.batch_execute(&script).await.unwrap();
    let insert = format!("insert into {back} values ($1, $2)");
    if let Err(error) = connection.execute_many(&insert, items).await {
        return outcome.differs(format!("{what}: {error}"));
    }
    let side = |side: &str| {
        let expression = match is_vector {
            true => format!("nullif({side}.{name}, '')"),
            false => format!("{side}.{name}"),
        };
        sent(&expression, ty)
    };
    let compare = format!(
        "select count(*) from {there} as there join {back} as back using (n)
         where {} is not distinct from {}",
        side("there"),
        side("back")
    );
    let same: i64 = connection.fetch_one(&compare, ()).await.unwrap();
    if same != rows.len() as i64 {
        outcome.differs(format!("{what}: {same} of {} are the same", rows.len()));
    }
    let script = format!("drop table {back}");
    connection.batch_execute(&script).await.unwrap();
}
