//! The layers by themselves, without a server: the buffers, messages, the core over the
//! replies to a query, and the codecs.

use std::hint::black_box;
use std::ops::ControlFlow;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use kornak::Type;
use kornak::codec::{decode_value, encode_value};
use kornak::error::ServerError;
use kornak::internals::buffer::{ReadBuffer, WriteBuffer};
use kornak::internals::protocol::{At, BindTemplate, Core, RowBytes, Sink};
use kornak::internals::wire::{TransactionStatus, frontend};
use kornak::types::Format;

/// The rows of a reply.
const ROWS: usize = 1_000;

/// Adds up what it is shown.
#[derive(Default)]
struct Sum {
    rows: usize,
    bytes: usize,
}

impl Sink for Sum {
    fn on_row(&mut self, _: At, row: RowBytes<'_>) -> ControlFlow<()> {
        self.rows += 1;
        self.bytes += row.body().len();
        ControlFlow::Continue(())
    }

    fn on_error(&mut self, _: At, error: ServerError) {
        panic!("the reply has no error: {error}");
    }
}

fn message(out: &mut Vec<u8>, tag: u8, body: &[u8]) {
    out.push(tag);
    out.extend_from_slice(&(body.len() as u32 + 4).to_be_bytes());
    out.extend_from_slice(body);
}

/// BindComplete, rows of one `int4`, CommandComplete, ReadyForQuery.
fn reply() -> Vec<u8> {
    let mut out = Vec::new();
    message(&mut out, b'2', &[]);
    for number in 0..ROWS as u32 {
        let [a, b, c, d] = number.to_be_bytes();
        message(&mut out, b'D', &[0, 1, 0, 0, 0, 4, a, b, c, d]);
    }
    message(&mut out, b'C', b"SELECT 1000\0");
    message(&mut out, b'Z', b"I");
    out
}

fn buffers(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("buffer");
    let chunk = vec![7; 8 * 1024];
    group.throughput(Throughput::Bytes(chunk.len() as u64));
    group.bench_function("read 8 KiB and consume it", |bencher| {
        let mut input = ReadBuffer::new();
        bencher.iter(|| {
            input.fill(0, |memory| memory.extend_from_slice(&chunk));
            input.consume(black_box(input.filled()).len());
        });
    });
    group.finish();
}

fn messages(criterion: &mut Criterion) {
    let mut out = WriteBuffer::with_capacity(4096);
    criterion.bench_function("wire/Parse, Describe, Sync", |bencher| {
        bencher.iter(|| {
            out.clear();
            let sql = black_box("select id, random_number from world where id = $1");
            frontend::parse(&mut out, "k1", sql, &[23]).unwrap();
            frontend::describe_statement(&mut out, "k1").unwrap();
            frontend::sync(&mut out);
            black_box(out.pending());
        });
    });
}

fn core(criterion: &mut Criterion) {
    let formats = [1];
    let template = BindTemplate::new("k1", formats.into_iter(), 1, formats.into_iter()).unwrap();
    let reply = reply();
    let mut core = Core::new(TransactionStatus::Idle);
    let mut out = WriteBuffer::with_capacity(4096);
    let mut input = ReadBuffer::new();
    let mut group = criterion.benchmark_group("core");
    group.throughput(Throughput::Elements(ROWS as u64));
    group.bench_function("execute, 1,000 rows", |bencher| {
        bencher.iter(|| {
            let mut unit = core.start_unit(&mut out).unwrap();
            let encode = |out: &mut WriteBuffer| {
                out.put_i32(4);
                out.put_i32(black_box(42));
                Ok(())
            };
            unit.execute(0, &template, encode).unwrap();
            unit.finish();
            out.clear();
            let mut sum = Sum::default();
            input.fill(reply.len(), |memory| memory.extend_from_slice(&reply));
            core.handle_input(&mut input, &mut sum).unwrap();
            assert_eq!(sum.rows, ROWS);
            black_box(sum.bytes);
        });
    });
    group.finish();
}

fn codecs(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("codec");
    let array: Vec<i32> = (0..100).collect();
    let mut out = WriteBuffer::with_capacity(4096);
    encode_value(&array, &Type::INT4_ARRAY, Format::Binary, &mut out).unwrap();
    // The value stands behind its length.
    let written = out.pending()[4..].to_vec();
    group.bench_function("read int4[] of 100", |bencher| {
        bencher.iter(|| {
            let bytes = Some(black_box(written.as_slice()));
            decode_value::<Vec<i32>>(bytes, &Type::INT4_ARRAY, Format::Binary).unwrap()
        });
    });
    group.bench_function("write int4[] of 100", |bencher| {
        bencher.iter(|| {
            out.clear();
            encode_value(&array, &Type::INT4_ARRAY, Format::Binary, &mut out).unwrap();
            black_box(out.pending());
        });
    });
    for (name, text) in [
        ("10 bytes of ASCII", "a row here".to_owned()),
        ("1,000 bytes of ASCII", "a row here".repeat(100)),
        (
            "1,000 bytes, a tenth of it not ASCII",
            "é row here".repeat(91),
        ),
    ] {
        group.bench_function(format!("read text of {name}"), |bencher| {
            bencher.iter(|| {
                let bytes = Some(black_box(text.as_bytes()));
                decode_value::<&str>(bytes, &Type::TEXT, Format::Binary).unwrap()
            });
        });
    }
    group.bench_function("keep 10 bytes of text", |bencher| {
        bencher.iter_batched(
            || "a row here",
            |text| {
                let bytes = Some(black_box(text.as_bytes()));
                decode_value::<String>(bytes, &Type::TEXT, Format::Binary).unwrap()
            },
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

criterion_group!(benches, buffers, messages, core, codecs);
criterion_main!(benches);
