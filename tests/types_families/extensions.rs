//! The types of the extensions that come with PostgreSQL. Their OIDs differ from database
//! to database; they are found by their names, in whatever schema.

use kornak::codec::{Cube, Hstore};
use kornak::{Connection, ErrorKind, Transaction};

use super::generated::{Random, check_generated, check_shown};
use super::live::{check_token, connect};
use super::{check_family, check_texts};

/// A transaction that has an extension, in a schema of its own. It is rolled back.
async fn with_extension<'c>(connection: &'c mut Connection, name: &str) -> Transaction<'c> {
    let mut transaction = connection.begin().await.unwrap();
    let sql = format!("create schema families; create extension {name} schema families");
    transaction.batch_execute(&sql).await.unwrap();
    transaction
}

#[tokio::test]
async fn stores_of_keys_and_values_are_exact() {
    let mut connection = connect().await;
    let mut transaction = with_extension(&mut connection, "hstore").await;
    let many: String = (0..500)
        .map(|n| format!("\"k{n}\"=>\"{}\",", n * n))
        .collect();
    let texts = [
        "",
        "a=>1",
        "bb=>2, a=>NULL, ccc=>\"null\"",
        "\"\"=>\"\"",
        "a=>1, a=>2",
        r#""quo\"te"=>"back\\slash", " "=>", ""#,
        "na\u{ef}ve=>\u{1f418}, z=>\u{e9}, \u{e9}=>x, ab=>y",
        &many,
    ];
    check_family::<Hstore>(&mut transaction, "families.hstore", &texts).await;
    // What is read from the text here is what the server reads from it.
    for text in texts {
        let here: Hstore = text.parse().unwrap();
        let there: Hstore = transaction
            .fetch_one("select $1::text::families.hstore", (text,))
            .await
            .unwrap();
        assert_eq!(here, there, "{text}");
    }
    check_generated(&mut transaction, "families.hstore", |random| {
        let pairs = (0..random.below(5)).map(|_| {
            let value = (random.below(4) != 0).then(|| random.word());
            (random.word(), value)
        });
        pairs.collect::<Hstore>()
    })
    .await;
    // A wrong Rust type is told the right one.
    let error = transaction
        .fetch_one::<Vec<String>>("select 'a=>1'::families.hstore as labels", ())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Decode);
    let text = error.to_string();
    for part in [
        "labels",
        "families.hstore",
        "Vec<String>",
        "kornak::codec::Hstore",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    transaction.rollback().await.unwrap();
    check_token(&mut connection).await;
}

#[tokio::test]
async fn cubes_are_exact() {
    let mut connection = connect().await;
    let mut transaction = with_extension(&mut connection, "cube").await;
    let most: Vec<String> = (0..100).map(|n| format!("{n}.5")).collect();
    let most = format!("({})", most.join(","));
    check_texts::<Cube>(
        &mut transaction,
        "families.cube",
        &[
            "(", ")", "[", "]", ",", "(1)", "(1,2)", "1", "-", "+", ".5", "2.", "e", "1e400",
            "inf", "NaN", " ",
        ],
    )
    .await;
    check_family::<Cube>(
        &mut transaction,
        "families.cube",
        &[
            "()",
            "1",
            "(1,2,3)",
            "(0,0),(1,2.5)",
            "(3,1),(1,2)",
            "(1,2),(1,2)",
            "(-0),(0)",
            "(1e300,-Infinity),(NaN,1e-7)",
            "(NaN)",
            &most,
        ],
    )
    .await;
    // Not each is read from its text again, which doesn't tell a point from a cube without extent.
    check_shown(&mut transaction, "families.cube", |random| {
        let mut corner = [(); 4].map(|()| random.comparable());
        let length = random.below(5) as usize;
        let other = corner;
        if random.below(2) == 0 {
            corner = [(); 4].map(|()| random.comparable());
        }
        Cube::between(&corner[..length], &other[..length]).unwrap()
    })
    .await;
    let point = Cube::between(&[1.0, 2.0], &[1.0, 2.0]).unwrap();
    let is_point: bool = transaction
        .fetch_one("select families.cube_is_point($1)", (point,))
        .await
        .unwrap();
    assert!(is_point);
    transaction.rollback().await.unwrap();
    check_token(&mut connection).await;
}

#[tokio::test]
async fn labels_and_case_insensitive_texts_are_exact() {
    let mut connection = connect().await;
    let mut transaction = with_extension(&mut connection, "ltree").await;
    check_family::<String>(
        &mut transaction,
        "families.ltree",
        &["", "Top", "Top.Science.Astronomy", "a_1.b_2"],
    )
    .await;
    check_family::<String>(
        &mut transaction,
        "families.lquery",
        &[
            "Top.*{0,2}.sport*@.!football|tennis{1,}.Russ*|Spain",
            "*",
            "a|b",
        ],
    )
    .await;
    check_family::<String>(
        &mut transaction,
        "families.ltxtquery",
        &["Europe & Russia*@ & !Transportation", "(a | b) & !c"],
    )
    .await;
    check_generated(&mut transaction, "families.ltree", |random| {
        let labels = (0..random.below(6)).map(|_| format!("{:x}_Z", random.sized()));
        labels.collect::<Vec<_>>().join(".")
    })
    .await;
    transaction.rollback().await.unwrap();
    let mut transaction = with_extension(&mut connection, "citext").await;
    check_generated(&mut transaction, "families.citext", Random::word).await;
    check_family::<String>(
        &mut transaction,
        "families.citext",
        &["", "AbC", "na\u{ef}ve \u{1f418}", "it's"],
    )
    .await;
    transaction.rollback().await.unwrap();
    check_token(&mut connection).await;
}
