//! Records the binary form of values from a real server.

use std::io::{self, Read as _, Write as _};
use std::ops::ControlFlow;
use std::path::Path;

use kornak::Result;
use kornak::error::ServerError;
use kornak::internals::buffer::{ReadBuffer, WriteBuffer};
use kornak::internals::protocol::{At, BindTemplate, Core, Progress, RowBytes, Sink};
use kornak::internals::startup::StartupProgress;
use kornak::internals::wire::backend::{DataRow, RowDescription};

use super::list;
use crate::targets::dialogue::{arrive, connect, start, write};

/// A value of each type and shape that decoders have to do with: the name of the file, and
/// an expression.
const VALUES: &[(&str, &str)] = &[
    ("bool", "true"),
    ("char", "'a'::\"char\""),
    ("int2", "-2::int2"),
    ("int4", "2147483647"),
    ("int8", "-9223372036854775808"),
    ("oid", "4294967295::oid"),
    ("xid", "'7'::xid"),
    ("float4", "'-0.1'::float4"),
    ("float8", "'NaN'::float8"),
    ("text", "'na\u{ef}ve \u{1f418}'"),
    ("text-empty", "''"),
    ("varchar", "'abc'::varchar(10)"),
    ("bpchar", "'abc'::char(5)"),
    ("name", "'abc'::name"),
    ("xml", "'<a/>'::xml"),
    ("bytea", "'\\x00ff80'::bytea"),
    ("uuid", "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid"),
    ("date", "'2024-02-29'::date"),
    ("date-first", "'4714-11-24 BC'::date"),
    ("date-infinity", "'infinity'::date"),
    ("time", "'24:00:00'::time"),
    ("timestamp", "'294276-12-31 23:59:59.999999'::timestamp"),
    ("timestamp-infinity", "'-infinity'::timestamp"),
    ("timestamptz", "'1999-12-31 23:59:59.5+02'::timestamptz"),
    ("json", "'{\"a\": [1, 2.5, null, \"\u{e9}\"]}'::json"),
    ("jsonb", "'{\"a\": {\"b\": [true, 1e300]}}'::jsonb"),
    ("jsonpath", "'$.a[*]'::jsonpath"),
    ("array-bool", "array[true, false]"),
    ("array-int2", "array[1, 2, null]::int2[]"),
    ("array-int4", "array[1, 2, 3]"),
    ("array-int4-null", "array[1, null, 3]"),
    ("array-int4-empty", "'{}'::int4[]"),
    ("array-int4-bounds", "'[-2:0]={1,2,3}'::int4[]"),
    ("array-int4-two", "array[[1, 2], [3, 4]]"),
    ("array-int2-six", "'{{{{{{1}}}}}}'::int2[]"),
    ("array-int8", "array[1, 2]::int8[]"),
    ("array-oid", "array[1, 2]::oid[]"),
    ("array-float4", "array[1.5, 'NaN']::float4[]"),
    ("array-float8", "array[1.5, '-infinity']::float8[]"),
    ("array-text", "array['a', null, '']"),
    ("array-text-three", "array[[['a', 'b']], [['c', null]]]"),
    ("array-bytea", "array['\\x00', '\\x'::bytea]"),
    (
        "array-uuid",
        "array['a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid]",
    ),
    ("array-date", "array['2024-02-29'::date, 'infinity']"),
    ("array-time", "array['12:34:56.789'::time]"),
    (
        "array-timestamptz",
        "array['2024-02-29 12:00+00'::timestamptz]",
    ),
    ("array-jsonb", "array['1'::jsonb, '[]']"),
    ("int2vector", "'1 2 3'::int2vector"),
    ("oidvector", "'1 2 3'::oidvector"),
    ("numeric", "-12345678901234567890.123456789"),
    ("numeric-infinity", "'-Infinity'::numeric"),
    ("interval", "'-1 year 3 days 04:05:06.7'::interval"),
    ("timetz", "'24:00:00-15:59:59'::timetz"),
    ("money", "1234.56::numeric::money"),
    ("varbit", "b'101101110'::varbit"),
    ("inet", "'192.168.0.1/24'::inet"),
    ("cidr", "'2001:db8::/32'::cidr"),
    ("macaddr", "'08:00:2b:01:02:03'::macaddr"),
    ("macaddr8", "'08:00:2b:ff:fe:01:02:03'::macaddr8"),
    ("point", "'(1.5,-2)'::point"),
    ("line", "'{1,-1,0.5}'::line"),
    ("lseg", "'[(1,2),(3,4)]'::lseg"),
    ("box", "'(3,4),(1,2)'::box"),
    ("path", "'[(1,2),(3,4)]'::path"),
    ("polygon", "'((1,2),(3,4),(5,6))'::polygon"),
    ("circle", "'<(1,2),3>'::circle"),
    ("tsvector", "'cat:3A rat:5B,7 on'::tsvector"),
    ("tsquery", "'a:*AB & !b | c <2> d'::tsquery"),
    ("pg-lsn", "'16/B374D848'::pg_lsn"),
    ("tid", "'(7,1)'::tid"),
    ("xid8", "'7'::xid8"),
    ("pg-snapshot", "'10:20:10,14,15'::pg_snapshot"),
    ("int4range", "'[1,10)'::int4range"),
    ("int4range-empty", "'empty'::int4range"),
    ("numrange", "'(1.50,]'::numrange"),
    ("tstzrange", "'[2000-01-01 00:00+00,infinity)'::tstzrange"),
    ("int8multirange", "'{[1,3),[7,)}'::int8multirange"),
    ("array-int4range", "array['[1,)'::int4range, null]"),
    ("custom-textrange", "'[a,\"b c\"]'::textrange"),
    ("custom-textmultirange", "'{[a,b),(c,)}'::textmultirange"),
    ("custom-hstore", "'a=>1, b=>NULL, \"\"=>c'::hstore"),
    ("custom-cube", "'(0,0),(1,2.5)'::cube"),
    ("custom-cube-point", "'(1,2,3)'::cube"),
    ("custom-color", "'red'::color"),
    ("custom-colors", "array['red', 'green']::color[]"),
    ("custom-positives", "array[1, 2]::positive[]"),
    ("custom-citext", "'AbC'::citext"),
    ("custom-ltree", "'a.b.c'::ltree"),
];

/// What the custom types of [`VALUES`] are made by. All of it is rolled back.
const SETUP: &str = "begin; create type color as enum ('red', 'green'); \
    create domain positive as int4 check (value > 0); \
    create type textrange as range (subtype = text); \
    create extension citext; create extension ltree; create extension hstore; \
    create extension cube";

/// Values of an extension that isn't PostgreSQL's own, and so may be missing on the server:
/// pgvector's documented bytes.
const DOCUMENTED: &[(&str, u32, &[u8])] = &[
    (
        "custom-vector",
        list::VECTOR,
        b"\0\x02\0\0\x3f\x80\0\0\xbf\0\0\0",
    ),
    ("custom-halfvec", list::HALFVEC, b"\0\x02\0\0\x3c\0\xb8\0"),
    (
        "custom-sparsevec",
        list::SPARSEVEC,
        b"\0\0\0\x05\0\0\0\x01\0\0\0\0\0\0\0\x02\xbf\x80\0\0",
    ),
];

/// Reads each value from the server whose socket is in `directory`, and writes the corpus.
pub fn record(directory: &Path) -> io::Result<()> {
    let mut server = Server::connect(directory)?;
    server.run(|core, out| core.start_query(out, SETUP))?;
    for &(name, expression) in VALUES {
        let (oid, value) = server.fetch(expression)?;
        let oid = match name {
            "custom-color" => list::COLOR,
            "custom-colors" => list::COLORS,
            "custom-positives" => list::POSITIVES,
            "custom-citext" => list::CITEXT,
            "custom-ltree" => list::LTREE,
            "custom-textrange" => list::TEXTRANGE,
            "custom-textmultirange" => list::TEXTMULTIRANGE,
            "custom-hstore" => list::HSTORE,
            "custom-cube" | "custom-cube-point" => list::CUBE,
            _ => oid,
        };
        // An array names its elements' type.
        let value = match name {
            "custom-colors" => with_element(value, list::COLOR),
            "custom-positives" => with_element(value, list::POSITIVE),
            _ => value,
        };
        write_value(name, oid, &value)?;
    }
    for (name, oid, value) in DOCUMENTED {
        write_value(name, *oid, value)?;
    }
    println!("{} values", VALUES.len() + DOCUMENTED.len());
    Ok(())
}

fn write_value(name: &str, oid: u32, value: &[u8]) -> io::Result<()> {
    let [.., high, low] = oid.to_be_bytes();
    let binary = 1;
    write("decoders", name, &[&[high, low, binary], value].concat())
}

fn with_element(mut array: Vec<u8>, oid: u32) -> Vec<u8> {
    array[8..12].copy_from_slice(&oid.to_be_bytes());
    array
}

/// A session with a real server.
struct Server {
    socket: std::os::unix::net::UnixStream,
    input: ReadBuffer,
    out: WriteBuffer,
    core: Core,
}

impl Server {
    fn connect(directory: &Path) -> io::Result<Self> {
        let mut socket = connect(directory)?;
        let (mut input, mut out) = (ReadBuffer::new(), WriteBuffer::default());
        let mut startup = start(&mut out).map_err(io::Error::other)?;
        let status = loop {
            let progress = startup
                .handle_input(&mut input, &mut out, &mut Last::default())
                .map_err(io::Error::other)?;
            if let StartupProgress::Ready(status) = progress {
                break status;
            }
            exchange(&mut socket, &mut input, &mut out)?;
        };
        Ok(Self {
            socket,
            input,
            out,
            core: Core::new(status),
        })
    }

    /// The type and the binary form of a value.
    fn fetch(&mut self, expression: &str) -> io::Result<(u32, Vec<u8>)> {
        let sql = format!("select {expression}");
        let last = self.run(|core, out| {
            let template = BindTemplate::new("", std::iter::empty(), 0, [1].into_iter())?;
            let mut unit = core.start_unit(out)?;
            unit.prepare(0, "", &sql, &[])?;
            unit.execute(0, &template, |_| Ok(()))?;
            Ok(unit.finish())
        })?;
        Ok((last.oid, last.value))
    }

    fn run(
        &mut self,
        ask: impl FnOnce(&mut Core, &mut WriteBuffer) -> Result<u64>,
    ) -> io::Result<Last> {
        let mut last = Last::default();
        ask(&mut self.core, &mut self.out).map_err(io::Error::other)?;
        loop {
            let progress = self.core.handle_input(&mut self.input, &mut last);
            if let Progress::Idle = progress.map_err(io::Error::other)? {
                return match last.error {
                    Some(error) => Err(io::Error::other(error)),
                    None => Ok(last),
                };
            }
            exchange(&mut self.socket, &mut self.input, &mut self.out)?;
        }
    }
}

/// Sends what is to be sent, and reads a piece.
fn exchange(
    socket: &mut std::os::unix::net::UnixStream,
    input: &mut ReadBuffer,
    out: &mut WriteBuffer,
) -> io::Result<()> {
    socket.write_all(out.pending())?;
    out.clear();
    let mut piece = [0; 4096];
    let count = socket.read(&mut piece)?;
    if count == 0 {
        return Err(io::Error::other("the server has closed the connection"));
    }
    let mut rest = &piece[..count];
    while !rest.is_empty() {
        rest = &rest[arrive(input, 0, rest)..];
    }
    Ok(())
}

/// The last value that came, its type, and the first error.
#[derive(Default)]
struct Last {
    oid: u32,
    value: Vec<u8>,
    error: Option<String>,
}

impl Sink for Last {
    fn on_row_description(&mut self, _: At, fields: Option<RowDescription<'_>>) {
        let first = fields.and_then(|fields| fields.fields().next());
        self.oid = first.map_or(0, |field| field.type_oid);
    }

    fn on_row(&mut self, _: At, row: RowBytes<'_>) -> ControlFlow<()> {
        let first = DataRow::parse(row.body())
            .ok()
            .and_then(|row| row.iter().next());
        self.value = match first {
            Some(Ok(Some(value))) => value.to_vec(),
            _ => Vec::new(),
        };
        ControlFlow::Continue(())
    }

    fn on_error(&mut self, _: At, error: ServerError) {
        self.error.get_or_insert_with(|| error.to_string());
    }
}
