//! The limit of a driver that reads its rows: as `raw`, with each row decoded in place by
//! code that knows its columns.

use super::raw::Wire;
use super::{Driver, Target};
use crate::Result;
use crate::work::{Event, Seen, Wide, World};

/// A connection that decodes by code written for each statement.
pub struct RawDecode {
    wire: Wire,
}

/// Reads the columns of a DataRow that is known to be well formed.
struct Columns<'r>(&'r [u8]);

impl<'r> Columns<'r> {
    #[inline]
    fn of(body: &'r [u8]) -> Self {
        Self(&body[2..])
    }

    #[inline]
    fn next(&mut self) -> Option<&'r [u8]> {
        let (length, rest) = self.0.split_first_chunk::<4>()?;
        let Ok(length) = usize::try_from(i32::from_be_bytes(*length)) else {
            self.0 = rest;
            return None;
        };
        let (value, rest) = rest.split_at(length);
        self.0 = rest;
        Some(value)
    }

    #[inline]
    fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let value = self.next().and_then(|value| value.try_into().ok());
        value.unwrap_or([0; N])
    }

    #[inline]
    fn text(&mut self) -> &'r str {
        text(self.next().unwrap_or_default())
    }
}

#[inline]
fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap_or_default()
}

#[inline]
fn array(value: &[u8]) -> Vec<i32> {
    // The header has the dimensions, a flag, the element's OID, and one length and bound.
    let elements = value.get(20..).unwrap_or_default();
    elements
        .chunks_exact(8)
        .map(|element| i32::from_be_bytes(element[4..].try_into().unwrap_or_default()))
        .collect()
}

impl Driver for RawDecode {
    const NAME: &'static str = "raw-decode";

    async fn connect(target: &Target) -> Result<Self> {
        let wire = Wire::connect(target).await?;
        Ok(Self { wire })
    }

    async fn close(self) -> Result<()> {
        self.wire.close().await
    }

    async fn connect_and_ask(&mut self, target: &Target) -> Result<i32> {
        let mut one = 0;
        let read = |tag, body: &[u8]| {
            if tag == b'D' {
                one = i32::from_be_bytes(Columns::of(body).bytes());
            }
        };
        Wire::connect_and_ask(target, read).await?;
        Ok(one)
    }

    async fn select_one(&mut self) -> Result<i32> {
        let mut one = 0;
        let read = |tag, body: &[u8]| {
            if tag == b'D' {
                one = i32::from_be_bytes(Columns::of(body).bytes());
            }
        };
        self.wire.one(read).await?;
        Ok(one)
    }

    async fn lookup(&mut self, id: i32) -> Result<World> {
        let mut world = None;
        let read = |tag, body: &[u8]| {
            if tag == b'D' {
                let mut columns = Columns::of(body);
                world = Some(World {
                    id: i32::from_be_bytes(columns.bytes()),
                    random_number: i32::from_be_bytes(columns.bytes()),
                });
            }
        };
        self.wire.lookup(id, read).await?;
        world.ok_or_else(|| "no row".into())
    }

    async fn wide(&mut self) -> Result<Vec<Wide>> {
        let mut rows = Vec::new();
        let read = |tag, body: &[u8]| {
            if tag == b'D' {
                let mut columns = Columns::of(body);
                rows.push(Wide {
                    typname: columns.text().to_owned(),
                    typnamespace: u32::from_be_bytes(columns.bytes()),
                    typowner: u32::from_be_bytes(columns.bytes()),
                    typlen: i16::from_be_bytes(columns.bytes()),
                    typbyval: columns.bytes() == [1],
                    typcategory: i8::from_be_bytes(columns.bytes()),
                    typispreferred: columns.bytes() == [1],
                    typisdefined: columns.bytes() == [1],
                    typdelim: i8::from_be_bytes(columns.bytes()),
                    typrelid: u32::from_be_bytes(columns.bytes()),
                    typelem: u32::from_be_bytes(columns.bytes()),
                    typarray: u32::from_be_bytes(columns.bytes()),
                });
            }
        };
        self.wire.wide(read).await?;
        Ok(rows)
    }

    async fn integers(&mut self) -> Result<Vec<i32>> {
        let mut rows = Vec::new();
        let read = |tag, body: &[u8]| {
            if tag == b'D' {
                rows.push(i32::from_be_bytes(Columns::of(body).bytes()));
            }
        };
        self.wire.integers(read).await?;
        Ok(rows)
    }

    async fn blobs_borrowed(&mut self) -> Result<u64> {
        let mut seen = 0;
        let read = |tag, body: &[u8]| {
            if tag == b'D' {
                let blob = Columns::of(body).next().unwrap_or_default();
                seen += blob.len() as u64 + u64::from(blob[0]);
            }
        };
        self.wire.blobs(read).await?;
        Ok(seen)
    }

    async fn blobs_owned(&mut self) -> Result<Vec<Vec<u8>>> {
        let mut rows = Vec::new();
        let read = |tag, body: &[u8]| {
            if tag == b'D' {
                rows.push(Columns::of(body).next().unwrap_or_default().to_vec());
            }
        };
        self.wire.blobs(read).await?;
        Ok(rows)
    }

    async fn arrays(&mut self) -> Result<Vec<Vec<i32>>> {
        let mut rows = Vec::new();
        let read = |tag, body: &[u8]| {
            if tag == b'D' {
                rows.push(array(Columns::of(body).next().unwrap_or_default()));
            }
        };
        self.wire.arrays(read).await?;
        Ok(rows)
    }

    async fn pipeline_each(&mut self, ids: &[i32]) -> Result<i64> {
        let mut sum = 0;
        self.wire.pipeline(ids, true, add(&mut sum)).await?;
        Ok(sum)
    }

    async fn pipeline_one(&mut self, ids: &[i32]) -> Result<i64> {
        let mut sum = 0;
        self.wire.pipeline(ids, false, add(&mut sum)).await?;
        Ok(sum)
    }

    async fn far(&mut self, ids: &[i32]) -> Result<i64> {
        self.pipeline_one(ids).await
    }

    async fn inserts(&mut self, rows: &[(i64, String, f64)]) -> Result<u64> {
        self.wire.inserts(rows).await
    }

    async fn copy_in(&mut self, events: &[Event]) -> Result<u64> {
        self.wire.copy_in(events).await
    }

    async fn copy_out(&mut self) -> Result<Seen> {
        let mut seen = Seen::default();
        let read = |tag, body: &[u8]| {
            // The header lies before the first row; behind the last one is -1.
            let row = match body.strip_prefix(b"PGCOPY\n\xff\r\n\0") {
                Some(rest) => &rest[8..],
                None => body,
            };
            if tag == b'd' && row.starts_with(&[0, 3]) {
                let mut columns = Columns::of(row);
                let (id, name, moment_us) = (
                    i32::from_be_bytes(columns.bytes()),
                    columns.text().to_owned(),
                    i64::from_be_bytes(columns.bytes()),
                );
                let (id, name, moment_us) = std::hint::black_box((id, name, moment_us));
                seen.event(id, &name, moment_us);
            }
        };
        self.wire.copy_out(read).await?;
        Ok(seen)
    }

    async fn visit(&mut self, rows: i64) -> Result<Seen> {
        let mut seen = Seen::default();
        let read = |tag, body: &[u8]| {
            if tag == b'D' {
                let mut columns = Columns::of(body);
                let id = i64::from_be_bytes(columns.bytes());
                let name = columns.text();
                seen.row(id, name, f64::from_be_bytes(columns.bytes()));
            }
        };
        self.wire.stream(rows, read).await?;
        Ok(seen)
    }

    async fn stream(&mut self, rows: i64) -> Result<Seen> {
        let mut seen = Seen::default();
        let read = |tag, body: &[u8]| {
            if tag == b'D' {
                let mut columns = Columns::of(body);
                let (id, name, value) = (
                    i64::from_be_bytes(columns.bytes()),
                    columns.text().to_owned(),
                    f64::from_be_bytes(columns.bytes()),
                );
                let (id, name, value) = std::hint::black_box((id, name, value));
                seen.row(id, &name, value);
            }
        };
        self.wire.stream(rows, read).await?;
        Ok(seen)
    }
}

/// Adds the second column of each row.
fn add(sum: &mut i64) -> impl FnMut(u8, &[u8]) {
    |tag, body| {
        if tag == b'D' {
            let mut columns = Columns::of(body);
            columns.next();
            *sum += i64::from(i32::from_be_bytes(columns.bytes()));
        }
    }
}
