//! The workloads: their statements, the types that rows are read into, and the tables that
//! they need on a live server.

use std::fmt;

/// What is measured. The numbers are those of the table of targets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// W1: `select 1`.
    SelectOne,
    /// W2: one row of two `int4` by its key.
    Lookup,
    /// W2 by ten tasks on a pool of as many connections: nobody waits.
    TenTasks,
    /// W2 by 64 tasks on a pool of ten connections: most wait for one.
    ManyTasks,
    /// The same, with statements queued on connections that are in use.
    QueuedTasks,
    /// W3: 350 rows of 12 columns into a struct with Strings.
    Wide,
    /// W4: 1,000 rows of one `int4`.
    Integers,
    /// W5: 100 `bytea` of 4 KiB, looked at where they lie.
    BlobsBorrowed,
    /// W5: 100 `bytea` of 4 KiB, kept.
    BlobsOwned,
    /// W6: 100 `int4[]` of 100 elements.
    Arrays,
    /// W7: 100 lookups, pipelined, a Sync each.
    PipelineEach,
    /// W7: 100 lookups, pipelined, under one Sync.
    PipelineOne,
    /// W8: 1,000 inserts in the best way that the API has.
    Inserts,
    /// W9: COPY in of rows of (int4, text, timestamptz), in binary where the API has that.
    CopyIn,
    /// W9: COPY out of the same, kept as owned values.
    CopyOut,
    /// W10: rows of (int8, text, float8) that are visited and forgotten, in the driver's
    /// leanest way.
    Visit,
    /// W10: the same as a stream of owned rows.
    Stream,
    /// W11: connect, one query, close; on a live server with SCRAM, else without a password.
    Connect,
    /// W11 with SCRAM, where there is no live server.
    ConnectScram,
    /// W12: 20 lookups over a round trip of 5 ms, in as few round trips as the API can.
    Far,
    /// W12: the same, one after the other.
    FarOneByOne,
    /// W13: a connection borrowed from a pool in which it lies idle, and given back unused.
    Checkout,
}

impl Work {
    /// Every workload.
    pub const ALL: [Self; 22] = [
        Self::SelectOne,
        Self::Lookup,
        Self::TenTasks,
        Self::ManyTasks,
        Self::QueuedTasks,
        Self::Wide,
        Self::Integers,
        Self::BlobsBorrowed,
        Self::BlobsOwned,
        Self::Arrays,
        Self::PipelineEach,
        Self::PipelineOne,
        Self::Inserts,
        Self::CopyIn,
        Self::CopyOut,
        Self::Visit,
        Self::Stream,
        Self::Connect,
        Self::ConnectScram,
        Self::Far,
        Self::FarOneByOne,
        Self::Checkout,
    ];

    /// The name on the command line and in `targets.toml`.
    pub fn name(self) -> &'static str {
        match self {
            Self::SelectOne => "w1-select-1",
            Self::Lookup => "w2-lookup",
            Self::TenTasks => "w2-10-tasks",
            Self::ManyTasks => "w2-64-tasks",
            Self::QueuedTasks => "w2-64-tasks-queued",
            Self::Wide => "w3-wide",
            Self::Integers => "w4-integers",
            Self::BlobsBorrowed => "w5-blobs-borrowed",
            Self::BlobsOwned => "w5-blobs-owned",
            Self::Arrays => "w6-arrays",
            Self::PipelineEach => "w7-pipeline-each",
            Self::PipelineOne => "w7-pipeline-one",
            Self::Inserts => "w8-inserts",
            Self::CopyIn => "w9-copy-in",
            Self::CopyOut => "w9-copy-out",
            Self::Visit => "w10-visit",
            Self::Stream => "w10-stream",
            Self::Connect => "w11-connect",
            Self::ConnectScram => "w11-connect-scram",
            Self::Far => "w12-far",
            Self::FarOneByOne => "w12-far-one-by-one",
            Self::Checkout => "w13-checkout",
        }
    }

    /// The workload of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|work| work.name() == name)
    }

    /// Whether it is done from a long way off.
    pub fn is_far(self) -> bool {
        matches!(self, Self::Far | Self::FarOneByOne)
    }

    /// How many tasks share the connections of one pool in it.
    pub fn tasks(self) -> Option<u64> {
        match self {
            Self::TenTasks => Some(10),
            Self::ManyTasks | Self::QueuedTasks => Some(64),
            _ => None,
        }
    }

    /// Whether each run has so many rows that it takes a good part of a second.
    pub fn is_bulky(self) -> bool {
        matches!(
            self,
            Self::CopyIn | Self::CopyOut | Self::Visit | Self::Stream
        )
    }

    /// Whether it leaves rows behind.
    pub fn writes(self) -> bool {
        matches!(self, Self::Inserts | Self::CopyIn)
    }

    /// What a figure of this workload is divided by, the rows of W9 and W10 aside, and what
    /// that is called.
    pub fn unit(self) -> (u64, &'static str) {
        match self {
            Self::SelectOne | Self::Lookup | Self::Connect | Self::ConnectScram => (1, "query"),
            Self::TenTasks | Self::ManyTasks | Self::QueuedTasks => (SHARED, "query"),
            Self::Wide => (WIDE_ROWS, "row"),
            Self::Integers => (INTEGER_ROWS, "row"),
            Self::BlobsBorrowed | Self::BlobsOwned => (BLOBS, "row"),
            Self::Arrays => (ARRAYS * ARRAY_LENGTH, "element"),
            Self::PipelineEach | Self::PipelineOne => (PIPELINED, "query"),
            Self::Inserts => (INSERTS, "insert"),
            Self::Far | Self::FarOneByOne => (FAR, "query"),
            Self::CopyIn | Self::CopyOut | Self::Visit | Self::Stream => (1, "row"),
            Self::Checkout => (1, "loan"),
        }
    }
}

impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The rows of the table `world`.
pub const WORLD_ROWS: i32 = 10_000;
/// The connections of W2's pools.
pub const POOL_SIZE: usize = 10;
/// The lookups of all tasks on a pool, in one run.
pub const SHARED: u64 = 2_560;
/// The rows of W3.
pub const WIDE_ROWS: u64 = 350;
/// The rows of W4.
pub const INTEGER_ROWS: u64 = 1_000;
/// The rows of W5.
pub const BLOBS: u64 = 100;
/// The bytes of a value of W5.
pub const BLOB_SIZE: usize = 4096;
/// The rows of W6.
pub const ARRAYS: u64 = 100;
/// The elements of a value of W6.
pub const ARRAY_LENGTH: u64 = 100;
/// The lookups of W7.
pub const PIPELINED: u64 = 100;
/// The lookups of W12.
pub const FAR: u64 = 20;
/// The round trip of W12, in milliseconds.
pub const ROUND_TRIP_MS: u64 = 5;
/// The inserts of W8.
pub const INSERTS: u64 = 1_000;
/// The rows of W9 on a live server.
pub const COPIED: u64 = 100_000;

/// W1.
pub const SELECT_ONE: &str = "select 1";
/// W2 and W7.
pub const LOOKUP: &str = "select id, random_number from kornak_bench.world where id = $1";
/// W3: what asyncpg's pgbench asks of `pg_type`.
pub const WIDE: &str = "select typname, typnamespace, typowner, typlen, typbyval, typcategory, typispreferred, \
     typisdefined, typdelim, typrelid, typelem, typarray from kornak_bench.types";
/// W4.
pub const INTEGERS: &str = "select n from kornak_bench.integers order by n";
/// W5.
pub const BLOBS_SQL: &str = "select body from kornak_bench.blobs";
/// W6.
pub const ARRAYS_SQL: &str = "select body from kornak_bench.arrays order by id";
/// W8.
pub const INSERT: &str = "insert into kornak_bench.sink (id, name, value) values ($1, $2, $3)";
/// W9.
pub const COPY_IN: &str =
    "copy kornak_bench.event_sink (id, name, moment) from stdin with (format binary)";
/// W9: what a driver may ask to learn the columns' types.
pub const COPY_TYPES: &str = "select id, name, moment from kornak_bench.event_sink limit 0";
/// W9: the rows that are copied out.
pub const EVENTS: &str = "select id, name, moment from kornak_bench.event";
/// W9.
pub const COPY_OUT: &str =
    "copy (select id, name, moment from kornak_bench.event) to stdout (format binary)";
/// Empties what W8 and W9 fill.
pub const EMPTY_SINKS: &str = "truncate kornak_bench.sink, kornak_bench.event_sink";
/// W10.
pub const STREAM: &str = "select id, name, value from kornak_bench.stream where id <= $1";

/// A row of W2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, kornak::FromRow)]
pub struct World {
    /// The key.
    pub id: i32,
    /// The value.
    pub random_number: i32,
}

/// A row of W3.
#[derive(Clone, Debug, PartialEq, kornak::FromRow)]
#[allow(missing_docs, reason = "the columns of `pg_type`")]
pub struct Wide {
    pub typname: String,
    pub typnamespace: u32,
    pub typowner: u32,
    pub typlen: i16,
    pub typbyval: bool,
    pub typcategory: i8,
    pub typispreferred: bool,
    pub typisdefined: bool,
    pub typdelim: i8,
    pub typrelid: u32,
    pub typelem: u32,
    pub typarray: u32,
}

/// A row of W9.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The key.
    pub id: i32,
    /// A text.
    pub name: String,
    /// A `timestamptz`, in microseconds since 2000-01-01 UTC, as PostgreSQL counts.
    pub moment_us: i64,
}

/// What a run through the rows of W9 or W10 has seen: the proof that each value was read.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Seen {
    /// How many rows.
    pub rows: u64,
    /// The sum of the keys.
    pub ids: i64,
    /// The sum of the lengths of the names, in bytes.
    pub name_bytes: u64,
    /// The sum of the values.
    pub values: f64,
    /// The sum of the moments, in microseconds, modulo 2⁶⁴.
    pub moments_us: i64,
}

impl Seen {
    /// Takes note of a row.
    #[inline]
    pub fn row(&mut self, id: i64, name: &str, value: f64) {
        self.rows += 1;
        self.ids += id;
        self.name_bytes += name.len() as u64;
        self.values += value;
    }

    /// Takes note of a row of W9.
    #[inline]
    pub fn event(&mut self, id: i32, name: &str, moment_us: i64) {
        self.rows += 1;
        self.ids += i64::from(id);
        self.name_bytes += name.len() as u64;
        self.moments_us = self.moments_us.wrapping_add(moment_us);
    }
}

/// The row of W2 with this key.
pub fn world(id: i32) -> World {
    World {
        id,
        random_number: (id.wrapping_mul(7919) & 0x7fff) + 1,
    }
}

/// The row of W3 with this number.
pub fn wide(number: u32) -> Wide {
    Wide {
        typname: format!("type_of_number_{number}"),
        typnamespace: 11,
        typowner: 10,
        typlen: (number % 17) as i16 - 1,
        typbyval: number.is_multiple_of(2),
        typcategory: b'U' as i8,
        typispreferred: number.is_multiple_of(5),
        typisdefined: true,
        typdelim: b',' as i8,
        typrelid: 0,
        typelem: number % 3 * 23,
        typarray: number + 1000,
    }
}

/// A value of W5.
pub fn blob() -> Vec<u8> {
    (0..BLOB_SIZE).map(|byte| (byte % 251) as u8).collect()
}

/// The value of W6 with this key.
pub fn array(id: i32) -> Vec<i32> {
    (0..ARRAY_LENGTH as i32).map(|n| id * 1000 + n).collect()
}

/// The row of W9 with this key.
pub fn event(id: i32) -> Event {
    Event {
        id,
        name: format!("name {id}"),
        moment_us: FIRST_MOMENT_US + i64::from(id) * BETWEEN_MOMENTS_US,
    }
}

/// Before the first moment of W9: in March 2024.
const FIRST_MOMENT_US: i64 = 762_525_296_000_000;
/// Between two moments of W9.
const BETWEEN_MOMENTS_US: i64 = 1_000_001;
/// From the epoch of Unix to that of PostgreSQL, in microseconds.
pub const EPOCH_US: i64 = 946_684_800_000_000;

/// The row of W8 and W10 with this key.
pub fn triple(id: i64) -> (i64, String, f64) {
    (id, format!("name {id}"), id as f64 / 4.0)
}

/// The statements that make the tables on a live server, with so many rows for W10.
pub fn setup(rows: i64) -> String {
    format!(
        "drop schema if exists kornak_bench cascade;
create schema kornak_bench;
set search_path = kornak_bench;
create table world (id int4 primary key, random_number int4 not null);
insert into world select i, ((i * 7919) & 32767) + 1 from generate_series(1, {WORLD_ROWS}) i;
create table types (typname name, typnamespace oid, typowner oid, typlen int2, typbyval bool,
    typcategory \"char\", typispreferred bool, typisdefined bool, typdelim \"char\",
    typrelid oid, typelem oid, typarray oid);
insert into types select 'type_of_number_' || i, 11, 10, i % 17 - 1, i % 2 = 0, 'U', i % 5 = 0,
    true, ',', 0, i % 3 * 23, i + 1000 from generate_series(1, {WIDE_ROWS}) i;
create table integers (n int4 primary key);
insert into integers select generate_series(1, {INTEGER_ROWS});
create table blobs (body bytea);
alter table blobs alter body set storage external;
insert into blobs select (select string_agg(set_byte('\\x00', 0, i % 251), '' order by i)
    from generate_series(0, {BLOB_SIZE} - 1) i) from generate_series(1, {BLOBS});
create table arrays (id int4 primary key, body int4[]);
insert into arrays select i, array(select i * 1000 + n from generate_series(0, {ARRAY_LENGTH} - 1) n)
    from generate_series(1, {ARRAYS}) i;
create unlogged table sink (id int8, name text, value float8);
create unlogged table event_sink (id int4, name text, moment timestamptz);
create unlogged table event (id int4, name text, moment timestamptz);
insert into event select i, 'name ' || i, timestamptz '2000-01-01 00:00:00+00'
    + interval '1 microsecond' * ({FIRST_MOMENT_US} + i::int8 * {BETWEEN_MOMENTS_US})
    from generate_series(1, {COPIED}) i;
create unlogged table stream (id int8 primary key, name text, value float8);
insert into stream select i, 'name ' || i, i::float8 / 4 from generate_series(1, {rows}) i;
analyze;"
    )
}
