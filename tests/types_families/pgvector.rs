//! The types of pgvector, on a server that has the extension.

use kornak::codec::{HalfVector, SparseVector, Value, Vector};
use kornak::{Connection, ErrorKind};
use xtask::server::Server;

use super::generated::{Random, check_generated, check_shown};
use super::{check_family, check_not_received, check_texts};

#[tokio::test]
async fn vectors_of_pgvector_are_exact() {
    let programs = match Server::programs_with_pgvector() {
        Ok(programs) => programs,
        // Nothing of ours is wrong where the extension can't be had.
        Err(failure) => {
            eprintln!("the types of pgvector were not tried on a server: {failure}");
            return;
        }
    };
    let server = Server::private_from(&programs, "vectors").unwrap();
    let mut connection = Connection::connect(server.url().as_str()).await.unwrap();
    // In a schema that no search finds.
    let sql = "create schema embeddings; create extension vector schema embeddings";
    connection.batch_execute(sql).await.unwrap();
    dense(&mut connection).await;
    half(&mut connection).await;
    sparse(&mut connection).await;
    stored(&mut connection).await;
}

async fn dense(connection: &mut Connection) {
    let most = (0..16_000).map(|n| format!("{n}.5")).collect::<Vec<_>>();
    let most = format!("[{}]", most.join(","));
    let ty = "embeddings.vector";
    let texts = [
        "[0]",
        "[-0]",
        "[1,-0.5,0.25]",
        "[1e-45,3.4028235e38,-1e-7]",
        &most,
    ];
    check_family::<Vector>(connection, ty, &texts).await;
    let parts = [
        "[1,",
        "2",
        "]",
        "[3, -.5e1]",
        "[]",
        "[7.5",
        ",7 ]",
        " ",
        "[4e39]",
        "[ NaN",
        "[0]",
    ];
    check_texts::<Vector>(connection, ty, &parts).await;
    check_generated(connection, ty, |random| Vector(numbers(random))).await;
    // Not a vector to the server either, as the driver writes it.
    check_not_received(connection, ty, Vector(Vec::new())).await;
    check_not_received(connection, ty, Vector(vec![f32::NAN])).await;
    check_not_received(connection, ty, Vector(vec![0.0; 16_001])).await;
}

async fn half(connection: &mut Connection) {
    let ty = "embeddings.halfvec";
    let texts = [
        "[0]",
        "[-0]",
        "[1,-0.5,0.1]",
        "[65504,-65504,6e-8,6.1e-5]",
        "[1.0004882,1.0014648,2049,2051]",
    ];
    check_family::<HalfVector>(connection, ty, &texts).await;
    // Every finite number there is, as the server shows it.
    let finite = |bits: u16| bits & 0x7c00 != 0x7c00;
    for first in (0..=u16::MAX).step_by(8_192) {
        let bits = (first..=first | 8_191).filter(|&bits| finite(bits));
        let vector = HalfVector::from_bits(bits.collect());
        if vector.bits().is_empty() {
            continue;
        }
        let (back, shown): (HalfVector, String) = connection
            .fetch_one(
                "select $1::embeddings.halfvec, $1::embeddings.halfvec::text",
                (&vector,),
            )
            .await
            .unwrap();
        assert_eq!(back, vector);
        assert_eq!(vector.to_string(), shown);
    }
    // Single-precision numbers are rounded as the server rounds them.
    let sql = "select $1::real[]::embeddings.halfvec";
    let mut random = Random(0x6861_6c66);
    for _ in 0..100 {
        // From what is rounded to nothing up to the greatest. Many lie between two numbers.
        let numbers: Vec<f32> = (0..50)
            .map(|_| {
                let exponent = 100 + random.below(43) as u32;
                let sign = random.below(2) as u32;
                let zeros = random.below(24) as u32;
                let fraction = random.next() as u32 >> 9 >> zeros << zeros;
                f32::from_bits(sign << 31 | exponent << 23 | fraction)
            })
            .filter(|number| number.abs() <= 65_504.0)
            .collect();
        let there: HalfVector = connection.fetch_one(sql, (&numbers,)).await.unwrap();
        let here: HalfVector = numbers.iter().copied().collect();
        assert_eq!(here, there, "{numbers:?}");
    }
    check_not_received(
        connection,
        ty,
        [f32::INFINITY].into_iter().collect::<HalfVector>(),
    )
    .await;
}

async fn sparse(connection: &mut Connection) {
    let ty = "embeddings.sparsevec";
    let texts = [
        "{}/1",
        "{1:1.5,5:-2}/5",
        "{3:1e-7,1:2}/1000000000",
        "{1:-3.4028235e38}/2",
    ];
    check_family::<SparseVector>(connection, ty, &texts).await;
    let parts = [
        "{1:",
        "{2:.5",
        ",1:4",
        "}/3",
        "{}/9",
        " ",
        "{ 3:-1e2 , 2:8 }",
        "/ 3",
        "{1:0,4:1}/4",
        "{0:1}/2",
        "{2:1,2:2}/2",
        "{1:NaN}/1",
        "/0",
        "{1:1e39}/1",
        "{5:7}/05",
    ];
    check_texts::<SparseVector>(connection, ty, &parts).await;
    check_shown(connection, ty, |random| {
        let dimensions = 1 + random.below(40) as u32;
        let mut elements = Vec::new();
        for dimension in 0..dimensions {
            let number = number(random);
            if random.below(3) == 0 && number != 0.0 {
                elements.push((dimension, number));
            }
        }
        SparseVector {
            dimensions,
            elements,
        }
    })
    .await;
    let out_of_order = SparseVector {
        dimensions: 3,
        elements: vec![(2, 1.0), (0, 1.0)],
    };
    check_not_received(connection, ty, out_of_order).await;
}

/// What applications do with them.
async fn stored(connection: &mut Connection) {
    let sql = "create temp table item (id int primary key, embedding embeddings.vector(3), \
        more embeddings.vector[])";
    connection.batch_execute(sql).await.unwrap();
    let insert = "insert into item values ($1, $2, $3)";
    let item = |n: i32| {
        let embedding = Vector(vec![n as f32, 1.0, -1.0]);
        (n, embedding.clone(), vec![Some(embedding), None])
    };
    connection
        .execute_many(insert, (0..100).map(item))
        .await
        .unwrap();
    let near = Vector(vec![41.8, 1.0, -1.0]);
    let (id, embedding, more): (i32, Vector, Vec<Option<Vector>>) = connection
        .fetch_one(
            "select * from item order by embedding operator(embeddings.<->) $1 limit 1",
            (&near,),
        )
        .await
        .unwrap();
    assert_eq!((id, embedding, more), item(42));
    let mut copy = connection
        .copy_in_rows("item", &["id", "embedding", "more"])
        .await
        .unwrap();
    copy.send_all((100..200).map(item)).await.unwrap();
    copy.finish().await.unwrap();
    let value: Value = connection
        .fetch_one("select embedding from item where id = 150", ())
        .await
        .unwrap();
    assert_eq!(value.to_string(), "[150,1,-1]");
    let again: i64 = connection
        .fetch_one(
            "select count(*) from item where embedding operator(embeddings.=) $1",
            (value,),
        )
        .await
        .unwrap();
    assert_eq!(again, 1);
    // A wrong Rust type is told the right one.
    let error = connection
        .fetch_one::<Vec<f32>>("select embedding from item where id = 1", ())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Decode);
    let text = error.to_string();
    for part in [
        "embedding",
        "embeddings.vector",
        "Vec<f32>",
        "kornak::codec::Vector",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
}

fn numbers(random: &mut Random) -> Vec<f32> {
    (0..=random.below(20)).map(|_| number(random)).collect()
}

/// A number that a vector can have.
fn number(random: &mut Random) -> f32 {
    loop {
        let number = f32::from_bits(random.next() as u32);
        if number.is_finite() {
            return number;
        }
    }
}
