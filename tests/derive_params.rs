//! `#[derive(Params)]`: a struct is encoded as the tuple of its fields is.

#![cfg(feature = "derive")]

use kornak::codec::DeclaredType;
use kornak::internals::buffer::WriteBuffer;
use kornak::{Error, Params, Type};

fn encoded(params: &impl Params, types: &[Type]) -> Result<Vec<u8>, Error> {
    let mut out = WriteBuffer::with_capacity(64);
    params.encode(types, &mut out)?;
    Ok(out.pending().to_vec())
}

fn declared(params: &impl Params) -> Vec<DeclaredType> {
    (0..params.count()).map(|i| params.declared(i)).collect()
}

#[track_caller]
fn check_same(fields: &impl Params, tuple: &impl Params, types: &[Type]) {
    assert_eq!(fields.count(), tuple.count());
    let same = declared(fields);
    assert_eq!(same, declared(tuple));
    assert!(fields.are_declared(&same));
    assert!(!fields.are_declared(&[same.as_slice(), &same[..1]].concat()));
    for length in 0..same.len() {
        assert!(!fields.are_declared(&same[..length]));
        let mut other = same.clone();
        other[length] = DeclaredType::Oid(1);
        assert!(!fields.are_declared(&other));
    }
    assert_eq!(
        encoded(fields, types).unwrap(),
        encoded(tuple, types).unwrap()
    );
    for count in [types.len() - 1, types.len() + 1] {
        let types: Vec<_> = types.iter().cycle().take(count).cloned().collect();
        assert_eq!(
            encoded(fields, &types).unwrap_err().to_string(),
            encoded(tuple, &types).unwrap_err().to_string()
        );
    }
}

#[derive(Params)]
struct Named<'a, T> {
    id: i32,
    text: &'a str,
    other: Option<T>,
    #[kornak(skip)]
    #[allow(dead_code)]
    cached: std::cell::Cell<u8>,
    bytes: Vec<u8>,
}

fn named<T>(id: i32, other: Option<T>) -> Named<'static, T> {
    Named {
        id,
        text: "t",
        other,
        cached: Default::default(),
        bytes: vec![1],
    }
}

#[derive(Params)]
struct Positional(i64, #[kornak(skip)] (), bool);

#[derive(Params)]
struct Outer<'a> {
    first: u32,
    #[kornak(flatten, prefix = "for_rows_")]
    named: Named<'a, f64>,
    #[kornak(flatten)]
    positional: Option<Positional>,
    #[kornak(rename = "for rows")]
    last: String,
}

#[derive(Params)]
struct Nothing;

#[test]
fn a_struct_is_sent_like_a_tuple() {
    check_same(
        &named(7, Some(0.5)),
        &(7, "t", Some(0.5), vec![1_u8]),
        &[Type::INT8, Type::TEXT, Type::FLOAT8, Type::BYTEA],
    );
    check_same(
        &named(7, None::<i16>),
        &(7, "t", None::<i16>, vec![1_u8]),
        &[Type::INT4, Type::UUID, Type::INT2, Type::BYTEA],
    );
    check_same(
        &&Positional(1, (), true),
        &(1_i64, true),
        &[Type::INT2, Type::BOOL],
    );
}

#[test]
fn flattened_structs_stand_in_the_place_of_their_field() {
    let types = [
        Type::OID,
        Type::INT4,
        Type::TEXT,
        Type::FLOAT8,
        Type::BYTEA,
        Type::INT8,
        Type::BOOL,
        Type::VARCHAR,
    ];
    let mut outer = Outer {
        first: 1,
        named: named(2, Some(0.5)),
        positional: Some(Positional(3, (), false)),
        last: "l".into(),
    };
    let tuple = (1_u32, 2, "t", Some(0.5), vec![1_u8], 3_i64, false, "l");
    check_same(&outer, &tuple, &types);
    outer.positional = None;
    let null = (
        1_u32,
        2,
        "t",
        Some(0.5),
        vec![1_u8],
        None::<i64>,
        None::<bool>,
        "l",
    );
    check_same(&outer, &null, &types);
}

#[test]
fn more_fields_than_a_tuple_can_have() {
    macro_rules! wide {
        ($($field:ident)*) => {
            #[derive(Params)]
            struct Wide { $($field: i32),* }
            fn wide() -> Wide {
                let mut next = 0;
                Wide { $($field: { next += 1; next }),* }
            }
        };
    }
    wide! {
        a0 a1 a2 a3 a4 a5 a6 a7 a8 a9 b0 b1 b2 b3 b4 b5 b6 b7 b8 b9
        c0 c1 c2 c3 c4 c5 c6 c7 c8 c9 d0 d1 d2 d3 d4 d5 d6 d7 d8 d9
    }
    let values: Vec<i32> = (1..=40).collect();
    check_same(&wide(), &values, &vec![Type::INT4; 40]);
}

#[test]
fn no_fields_are_no_parameters() {
    assert_eq!(Nothing.count(), 0);
    assert!(Nothing.are_declared(&[]));
    assert_eq!(encoded(&Nothing, &[]).unwrap(), b"");
}

#[test]
fn errors_name_parameter_and_field() {
    let outer = Outer {
        first: 1,
        named: named(i32::MAX, Some(0.5)),
        positional: Some(Positional(3, (), false)),
        last: "l".into(),
    };
    let mut types = vec![
        Type::OID,
        Type::INT2,
        Type::TEXT,
        Type::FLOAT8,
        Type::BYTEA,
        Type::INT8,
        Type::BOOL,
        Type::VARCHAR,
    ];
    let error = encoded(&outer, &types).unwrap_err().to_string();
    assert!(error.contains("parameter $2, field id: "), "{error}");
    types[1] = Type::INT4;
    types[6] = Type::UUID;
    let error = encoded(&outer, &types).unwrap_err().to_string();
    assert!(error.contains("parameter $7, field 2: "), "{error}");
}
