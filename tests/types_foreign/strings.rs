//! Strings, bytes, bits, UUIDs and JSON.

use std::collections::BTreeMap;

use bit_vec::BitVec;
use bytes::Bytes;
use compact_str::CompactString;
use kornak::{Json, Row};
use serde_json::value::RawValue;
use smol_str::SmolStr;

use crate::live::connect;
use crate::{check, on, refuses_to_read, refuses_to_write};

#[tokio::test]
async fn s18_small_strings_are_strings() {
    let mut db = connect().await;
    let long = "ï".repeat(5000);
    for text in ["", "a", "naïve \u{1f418}", "exactly 22 bytes long.", &long] {
        check(
            &mut db,
            on("text", "textsend"),
            &[(text, SmolStr::new(text))],
        )
        .await;
        let compact = CompactString::new(text);
        check(&mut db, on("text", "textsend"), &[(text, compact)]).await;
    }
    // As any string is, they are whatever the server takes them for.
    let id = "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11";
    let (is_uuid, json): (bool, CompactString) = db
        .fetch_one(
            "select pg_typeof($1::uuid) = 'uuid'::regtype, $2::jsonb",
            (SmolStr::new(id), CompactString::new("{\"a\": 1}")),
        )
        .await
        .unwrap();
    assert!(is_uuid);
    assert_eq!(json, "{\"a\": 1}");
    let acl: Option<SmolStr> = db
        .fetch_one(
            "select relacl[1] from pg_class where relname = 'pg_class'",
            (),
        )
        .await
        .unwrap();
    assert!(acl.is_some_and(|acl| acl.contains('=')));
    refuses_to_write(&mut db, "text", &[(SmolStr::new("a\0b"), "NUL")]).await;
    refuses_to_write(&mut db, "text", &[(CompactString::new("\0"), "NUL")]).await;
    refuses_to_read::<SmolStr>(&mut db, "int4", &[("1", "the types don't match")]).await;
}

#[tokio::test]
async fn bytes_share_the_memory_of_a_row_that_is_kept() {
    let mut db = connect().await;
    let cases = [
        ("", Bytes::new()),
        ("\\x00ff80", Bytes::from_static(&[0, 255, 128])),
    ];
    check(&mut db, on("bytea", "byteasend"), &cases).await;
    for size in [0, 1, 5_000, 2_000_000] {
        let row: Row = db
            .fetch_one(
                "select 7 as a, $1::bytea as b, null::bytea as c, 'x' as d",
                (vec![0xab_u8; size],),
            )
            .await
            .unwrap();
        let bytes = row.bytes("b").unwrap().unwrap();
        assert_eq!(bytes, vec![0xab; size]);
        // They lie where the row's own bytes lie.
        if size > 0 {
            assert_eq!(bytes.as_ptr(), row.raw("b").unwrap().unwrap().as_ptr());
        }
        assert_eq!(row.bytes("c").unwrap(), None);
        assert_eq!(row.bytes(0).unwrap().unwrap(), [0, 0, 0, 7][..]);
        let copied: Bytes = row.get("b").unwrap();
        assert_eq!(copied, bytes);
        assert!(row.bytes("e").is_err() && row.bytes(4).is_err());
        drop(row);
        assert_eq!(bytes.len(), size);
    }
}

#[tokio::test]
async fn r57_bits_are_exact() {
    let mut db = connect().await;
    for text in [
        "",
        "1",
        "0",
        "10110",
        "11111111",
        "000000001",
        &"10".repeat(500),
    ] {
        let bits: BitVec = text.chars().map(|bit| bit == '1').collect();
        check(&mut db, on("varbit", "varbit_send"), &[(text, bits)]).await;
    }
    let bits: BitVec = db.fetch_one("select b'101'", ()).await.unwrap();
    assert_eq!(bits.to_string(), "101");
    // Of a vector that was longer once, only what it has counts.
    let mut bits = BitVec::from_bytes(&[0xff, 0xff]);
    bits.truncate(3);
    let text: String = db
        .fetch_one("select ($1::bit(3))::text", (bits,))
        .await
        .unwrap();
    assert_eq!(text, "111");
}

#[tokio::test]
async fn uuids_of_the_crate_are_exact() {
    let mut db = connect().await;
    for text in [
        "00000000-0000-0000-0000-000000000000",
        "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
        "ffffffff-ffff-ffff-ffff-ffffffffffff",
    ] {
        let id: uuid::Uuid = text.parse().unwrap();
        check(&mut db, on("uuid", "uuid_send"), &[(text, id)]).await;
    }
}

#[tokio::test]
async fn json_values_go_both_ways() {
    let mut db = connect().await;
    for text in [
        "null",
        "true",
        "[]",
        "{}",
        "\"a \\\"quoted\\\" string\"",
        "{\"a\": [1, -2.5, null], \"ü\": {\"b\": false}}",
        "18446744073709551615",
        "-9223372036854775808",
    ] {
        let value: serde_json::Value = serde_json::from_str(text).unwrap();
        check(&mut db, on("jsonb", "jsonb_send"), &[(text, value.clone())]).await;
        check(
            &mut db,
            on("jsonb", "jsonb_send"),
            &[(text, Json(value.clone()))],
        )
        .await;
        let read: serde_json::Value = db
            .fetch_one(&format!("select '{text}'::json"), ())
            .await
            .unwrap();
        assert_eq!(read, value);
    }
    refuses_to_read::<Json<Vec<i32>>>(
        &mut db,
        "jsonb",
        &[
            ("{}", "invalid type: map"),
            ("[1, 4294967296]", "4294967296"),
            ("[null]", "null"),
        ],
    )
    .await;
}

/// `RawValue` keeps the text as it is, which a `json` column does too.
#[tokio::test]
async fn raw_json_keeps_its_text() {
    let mut db = connect().await;
    let text = "{ \"b\" : 1.00, \"a\":123456789012345678901234567890 , \"b\": [ ] }";
    let (shown, read): (String, Json<Box<RawValue>>) = db
        .fetch_one(
            "select $1::json::text, $1::json",
            (Json(RawValue::from_string(text.to_owned()).unwrap()),),
        )
        .await
        .unwrap();
    assert_eq!(shown, text);
    assert_eq!(read.0.get(), text);
    // The server has normalized a jsonb; a part of a value may be raw, and borrow the row.
    let sql = "select $1::jsonb as document";
    let mut seen = 0;
    db.for_each(sql, (Json(&*read.0),), |row| {
        let Json(parts) = row.get::<Json<BTreeMap<&str, &RawValue>>>(0)?;
        let parts: Vec<_> = parts.iter().map(|(key, raw)| (*key, raw.get())).collect();
        assert_eq!(
            parts,
            [("a", "123456789012345678901234567890"), ("b", "[]")]
        );
        seen += 1;
        kornak::Result::Ok(())
    })
    .await
    .unwrap();
    assert_eq!(seen, 1);
    refuses_to_read::<Json<Box<RawValue>>>(&mut db, "text", &[("{}", "the types don't match")])
        .await;
}
