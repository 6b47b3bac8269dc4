//! The everyday types, against bytes that a PostgreSQL 18 has sent.

use std::borrow::Cow;
use std::rc::Rc;
use std::sync::Arc;
use std::time::SystemTime;

use super::*;
use crate::codec::{
    Date, DeclaredType, DynEncode, RawJson, Time, Timestamp, TimestampTz, Uuid, parameter_format,
};
use crate::types::{Field, Kind, oid};

const UUID: &str = "a0eebc999c0b4ef8bb6d6bb9bd380a11";

fn custom(oid: u32, name: &str, kind: Kind) -> Type {
    Type::custom(oid, "public", name, kind, true, true).unwrap()
}

fn color() -> Type {
    custom(
        70000,
        "color",
        Kind::Enum(vec!["red".into(), "green".into()]),
    )
}

#[test]
fn scalars_have_the_servers_bytes() {
    check(&Type::BOOL, true, "01");
    check(&Type::BOOL, false, "00");
    check(&Type::CHAR, b'a' as i8, "61");
    check(&Type::INT2, -2_i16, "fffe");
    check(&Type::INT4, 1_i32, "00000001");
    check(&Type::INT8, i64::MIN, "8000000000000000");
    check(&Type::OID, u32::MAX, "ffffffff");
    check(&Type::XID, 7_u32, "00000007");
    check(&Type::REGCLASS, 1259_u32, "000004eb");
    check(&Type::FLOAT4, -0.1_f32, "bdcccccd");
    check(&Type::FLOAT8, 1.5_f64, "3ff8000000000000");
    check(&Type::TEXT, "naïve".to_owned(), "6e61c3af7665");
    check(&Type::BPCHAR, "abc  ".to_owned(), "6162632020");
    check(&Type::TEXT, 'ï', "c3af");
    check(&Type::BYTEA, vec![0_u8, 255, 128], "00ff80");
    check(&Type::BYTEA, [0_u8, 255, 128], "00ff80");
    check(&Type::UUID, UUID.parse::<Uuid>().unwrap(), UUID);
    check(&Type::DATE, Date::new(2024, 2, 29).unwrap(), "00002279");
    check(&Type::TIME, Time::MAX, "000000141dd76000");
    check(
        &Type::JSON,
        RawJson(r#"{"a": 1}"#.to_owned()),
        "7b2261223a20317d",
    );
    check(
        &Type::JSONB,
        RawJson(r#"{"a": 1}"#.to_owned()),
        "017b2261223a20317d",
    );
}

#[test]
fn r57_extremes_are_exact() {
    check(&Type::INT2, i16::MIN, "8000");
    check(&Type::INT4, i32::MIN, "80000000");
    check(&Type::INT8, i64::MAX, "7fffffffffffffff");
    check(&Type::FLOAT4, f32::INFINITY, "7f800000");
    check(&Type::FLOAT8, f64::NEG_INFINITY, "fff0000000000000");
    writes(&Type::FLOAT8, &f64::NAN, "7ff8000000000000");
    assert!(
        decoded::<f64>(&from_hex("7ff8000000000000"), &Type::FLOAT8)
            .unwrap()
            .is_nan()
    );
    check(&Type::DATE, Date::INFINITY, "7fffffff");
    check(&Type::DATE, Date::NEG_INFINITY, "80000000");
    check(&Type::TIMESTAMP, Timestamp::MAX, "7fffff5bb3b29fff");
    check(&Type::TIMESTAMP, Timestamp::MIN, "fd0f7cc1411fa000");
    check(&Type::TIMESTAMP, Timestamp::INFINITY, "7fffffffffffffff");
    let moment: TimestampTz = "1999-12-31 23:59:59.5+02".parse().unwrap();
    check(&Type::TIMESTAMPTZ, moment, "fffffffe52d116e0");
    check(
        &Type::TIMESTAMPTZ,
        TimestampTz::NEG_INFINITY,
        "8000000000000000",
    );
    check(
        &Type::TIMESTAMPTZ,
        SystemTime::try_from(moment).unwrap(),
        "fffffffe52d116e0",
    );
    refuses_to_read::<SystemTime>(&Type::TIMESTAMPTZ, "7fffffffffffffff", "infinity is out of");
    refuses_to_read::<Time>(&Type::TIME, "000000141dd76001", "24:00:00");
    refuses_to_read::<Time>(&Type::TIME, "ffffffffffffffff", "24:00:00");
}

#[test]
fn r57_integers_fit_or_are_refused() {
    for (ty, hex) in [
        (Type::INT2, "00ff"),
        (Type::INT4, "000000ff"),
        (Type::INT8, "00000000000000ff"),
        (Type::OID, "000000ff"),
        (Type::REGTYPE, "000000ff"),
    ] {
        writes(&ty, &255_i16, hex);
        writes(&ty, &255_i32, hex);
        writes(&ty, &255_i64, hex);
        writes(&ty, &255_u32, hex);
    }
    refuses_to_write(&Type::INT2, &32_768_i32, "32768 is out of range");
    refuses_to_write(&Type::INT2, &-32_769_i64, "-32769 is out of range");
    refuses_to_write(&Type::INT4, &(i64::from(i32::MAX) + 1), "out of range");
    refuses_to_write(&Type::INT4, &u32::MAX, "out of range");
    refuses_to_write(&Type::OID, &-1_i32, "out of range");
    refuses_to_write(&Type::OID, &(i64::from(u32::MAX) + 1), "out of range");
    refuses_to_write(&Type::FLOAT8, &1_i32, "the Rust type for float8 is f64");
    refuses_to_write(&Type::FLOAT4, &1_f64, "the Rust type for float4 is f32");
    writes(&Type::FLOAT8, &1.5_f32, "3ff8000000000000");
    writes(&Type::OID, &u32::MAX, "ffffffff");
    // Wider Rust types read narrower columns.
    reads(&Type::INT2, "fffe", -2_i32);
    reads(&Type::INT2, "fffe", -2_i64);
    reads(&Type::INT4, "fffffffe", -2_i64);
    reads(&Type::FLOAT4, "3fc00000", 1.5_f64);
    assert!(!accepts::<i32>(&Type::INT8, Format::Binary));
    assert!(!accepts::<i64>(&Type::OID, Format::Binary));
    assert!(!accepts::<f32>(&Type::FLOAT8, Format::Binary));
    assert!(!accepts::<i32>(&Type::INT4, Format::Text));
}

#[test]
fn s18_strings_of_all_kinds() {
    for text in ["", "a", "abcdefgh", "abcdefghi", "naïve \u{1f418}", "é"] {
        let hex = to_hex(text.as_bytes());
        check(&Type::TEXT, text.to_owned(), &hex);
        check(&Type::VARCHAR, Box::<str>::from(text), &hex);
        check(&Type::NAME, Arc::<str>::from(text), &hex);
        check(&Type::UNKNOWN, Rc::<str>::from(text), &hex);
        writes(&Type::XML, &Cow::Borrowed(text), &hex);
        check(&color(), text.to_owned(), &hex);
        check(
            &custom(70001, "citext", Kind::Simple),
            text.to_owned(),
            &hex,
        );
        for ty in [
            Type::JSONB,
            Type::JSONPATH,
            custom(70002, "ltree", Kind::Simple),
        ] {
            check(&ty, text.to_owned(), &format!("01{hex}"));
        }
        // At the end of the buffer, borrowed where it lies.
        let bytes = text.as_bytes();
        let borrowed: &str = decoded(bytes, &Type::TEXT).unwrap();
        assert!(std::ptr::eq(borrowed.as_bytes(), bytes));
    }
    for text in ["\0", "a\0", "\0b", "0123456789abcdef\0"] {
        refuses_to_write(&Type::TEXT, text, "NUL");
        refuses_to_write(&Type::JSON, &RawJson(text), "NUL");
        refuses_to_write(&Type::TEXT, &text.to_owned(), "NUL");
        refuses_to_write(&Type::TEXT_ARRAY, &[text], "element 0");
        let mut out = WriteBuffer::default();
        let error = encode_value(text, &Type::INET, Format::Text, &mut out).unwrap_err();
        assert!(error.to_string().contains("NUL"));
        // The server can't send it, but it would be no harm.
        reads(&Type::TEXT, &to_hex(text.as_bytes()), text.to_owned());
    }
    for hex in ["ff", "c3", "616263646566676869ff", "eda080", "c080"] {
        refuses_to_read::<String>(&Type::TEXT, hex, "not UTF-8");
    }
    refuses_to_read::<String>(&Type::JSONB, "", "version");
    refuses_to_read::<String>(&Type::JSONB, "027b7d", "version");
    refuses_to_read::<char>(&Type::TEXT, "", "one character");
    refuses_to_read::<char>(&Type::TEXT, "6161", "one character");
}

#[test]
fn strings_are_text_at_the_top_and_never_binary_of_another_type() {
    let mut out = WriteBuffer::default();
    assert_eq!(
        parameter_format(<&str>::DECLARED, &Type::UUID),
        Format::Text
    );
    encode_value("0123456789abcdef", &Type::UUID, Format::Text, &mut out).unwrap();
    assert_eq!(out.pending(), b"\0\0\0\x100123456789abcdef");
    let uuids = Type::UUID_ARRAY;
    refuses_to_write(
        &uuids,
        &["0123456789abcdef"],
        "the Rust type for uuid is kornak::Uuid",
    );
    refuses_to_write(&Type::INT4, "1234", "the types don't match");
    refuses_to_write(&Type::BYTEA, "abc", "the types don't match");
    refuses_to_write(&Type::TEXT, &b"abc"[..], "the Rust type for text is String");
}

#[test]
fn text_columns_are_read_as_strings_only() {
    let read = |ty| decode_value::<String>(Some(b"=r/postgres"), ty, Format::Text);
    assert!(accepts::<String>(&Type::ACLITEM, Format::Text));
    assert!(!accepts::<String>(&Type::ACLITEM, Format::Binary));
    assert_eq!(read(&Type::ACLITEM).unwrap(), "=r/postgres");
    // No version byte in text form.
    assert_eq!(read(&Type::JSONB).unwrap(), "=r/postgres");
    assert!(accepts::<RawJson>(&Type::JSONB, Format::Text));
    for ty in Type::BUILTIN {
        assert!(!accepts::<i32>(ty, Format::Text) && !accepts::<Vec<u8>>(ty, Format::Text));
    }
}

#[test]
fn parameters_declare_their_types() {
    fn declared<T: Encode>() -> DeclaredType {
        assert_eq!(T::DECLARED, <Option<T>>::DECLARED);
        assert_eq!(T::DECLARED, <&T>::DECLARED);
        T::DECLARED
    }
    let by_oid = DeclaredType::Oid;
    for (declared, wanted) in [
        (declared::<bool>(), by_oid(oid::BOOL)),
        (declared::<i8>(), by_oid(oid::CHAR)),
        (declared::<i16>(), by_oid(oid::INT2)),
        (declared::<i32>(), by_oid(oid::INT4)),
        (declared::<i64>(), by_oid(oid::INT8)),
        (declared::<u32>(), by_oid(oid::OID)),
        (declared::<f32>(), by_oid(oid::FLOAT4)),
        (declared::<f64>(), by_oid(oid::FLOAT8)),
        (declared::<Vec<u8>>(), by_oid(oid::BYTEA)),
        (declared::<&[u8]>(), by_oid(oid::BYTEA)),
        (declared::<[u8; 16]>(), by_oid(oid::BYTEA)),
        (declared::<Uuid>(), by_oid(oid::UUID)),
        (declared::<Vec<i32>>(), by_oid(oid::INT4_ARRAY)),
        (declared::<&[Option<i64>]>(), by_oid(oid::INT8_ARRAY)),
        (declared::<Vec<[f64; 2]>>(), by_oid(oid::FLOAT8_ARRAY)),
        (declared::<Vec<Vec<u8>>>(), by_oid(oid::BYTEA_ARRAY)),
        (declared::<String>(), DeclaredType::Text),
        (declared::<Cow<'_, str>>(), DeclaredType::Text),
        (declared::<Box<str>>(), DeclaredType::Text),
        (declared::<Vec<String>>(), DeclaredType::Described),
        (declared::<Timestamp>(), DeclaredType::Described),
        (declared::<RawJson>(), DeclaredType::Described),
    ] {
        assert_eq!(declared, wanted);
    }
    let dynamic: [&dyn DynEncode; 2] = [&"text", &None::<i32>];
    assert_eq!(
        dynamic.map(|value| value.declared()),
        [DeclaredType::Text, by_oid(oid::INT4)]
    );
    assert_eq!(
        parameter_format(DeclaredType::Described, &Type::ACLITEM),
        Format::Text
    );
}

#[test]
fn null_is_a_length_of_minus_one() {
    let mut out = WriteBuffer::default();
    encode_value(&None::<&str>, &Type::TEXT, Format::Text, &mut out).unwrap();
    let dynamic: &dyn DynEncode = &None::<i32>;
    encode_value(dynamic, &Type::INT4, Format::Binary, &mut out).unwrap();
    assert_eq!(out.pending(), [0xff; 8]);
    let null = decode_value::<Option<i32>>(None, &Type::INT4, Format::Binary);
    assert_eq!(null.unwrap(), None);
    let error = decode_value::<Vec<i32>>(None, &Type::INT4_ARRAY, Format::Binary).unwrap_err();
    assert!(error.is_null());
    assert_eq!(error.rust_type(), Some("Vec<i32>"));
    assert!(error.to_string().contains("Option"), "{error}");
}

#[test]
fn r60_arrays_have_the_servers_bytes() {
    const WITH_NULL: &str = "000000010000000100000017000000030000000100000004\
                             00000001ffffffff0000000400000003";
    check(&Type::INT4_ARRAY, vec![Some(1), None, Some(3)], WITH_NULL);
    check(&Type::INT4_ARRAY, [Some(1), None, Some(3)], WITH_NULL);
    refuses_to_read::<Vec<i32>>(&Type::INT4_ARRAY, WITH_NULL, "element 1");
    refuses_to_read::<Vec<i32>>(&Type::INT4_ARRAY, WITH_NULL, "Vec of Options");
    refuses_to_read::<[Option<i32>; 2]>(&Type::INT4_ARRAY, WITH_NULL, "3 elements instead of 2");
    check(
        &Type::INT4_ARRAY,
        Vec::<i32>::new(),
        "000000000000000000000017",
    );
    check(&Type::INT4_ARRAY, [0_i32; 0], "000000000000000000000017");
    const TEXTS: &str = "0000000100000000000000190000000200000001000000016100000000";
    check(
        &Type::TEXT_ARRAY,
        vec!["a".to_owned(), String::new()],
        TEXTS,
    );
    check(
        &Type::TEXT_ARRAY,
        Box::<[String]>::from(["a".to_owned(), String::new()]),
        TEXTS,
    );
    writes(&Type::TEXT_ARRAY, &["a", ""][..], TEXTS);
    writes(&Type::TEXT_ARRAY, &Arc::<[&str]>::from(["a", ""]), TEXTS);
    assert_eq!(
        decoded::<Vec<&str>>(&from_hex(TEXTS), &Type::TEXT_ARRAY).unwrap(),
        ["a", ""]
    );
    // Lower bounds are dropped.
    let bounds = "000000010000000000000010000000020000000000000001010000000100";
    reads(&Type::BOOL_ARRAY, bounds, vec![true, false]);
}

#[test]
fn r60_arrays_have_dimensions() {
    const SQUARE: &str = "00000002000000000000001500000002000000010000000200000001\
                          000000020001000000020002000000020003000000020004";
    check(&Type::INT2_ARRAY, vec![vec![1_i16, 2], vec![3, 4]], SQUARE);
    check(&Type::INT2_ARRAY, [[1_i16, 2], [3, 4]], SQUARE);
    check(
        &Type::INT2_ARRAY,
        vec![[Some(1_i16), Some(2)], [Some(3), Some(4)]],
        SQUARE,
    );
    writes(&Type::INT2_ARRAY, &[&[1_i16, 2][..], &[3, 4]], SQUARE);
    refuses_to_read::<Vec<i16>>(&Type::INT2_ARRAY, SQUARE, "2 dimensions");
    refuses_to_write(&Type::INT2_ARRAY, &vec![vec![1_i16], vec![]], "row of 0");
    refuses_to_write(&Type::INT2_ARRAY, &vec![vec![], vec![1_i16]], "row of 1");
    writes(
        &Type::INT2_ARRAY,
        &vec![Vec::<i16>::new(); 3],
        "000000000000000000000015",
    );
    let deep = vec![vec![vec![vec![vec![vec![7_i16]]]]]];
    let counts = "0000000100000001".repeat(6);
    check(
        &Type::INT2_ARRAY,
        deep.clone(),
        &format!("000000060000000000000015{counts}000000020007"),
    );
    refuses_to_write(&Type::INT2_ARRAY, &vec![deep], "the types don't match");
}

#[test]
fn vectors_of_the_catalogue_count_from_zero() {
    check(
        &Type::INT2VECTOR,
        vec![1_i16, 2],
        "0000000100000000000000150000000200000000000000020001000000020002",
    );
    check(
        &Type::OIDVECTOR,
        Vec::<u32>::new(),
        "00000001000000000000001a0000000000000000",
    );
}

#[test]
fn elements_may_be_of_custom_types() {
    let colors = custom(70010, "_color", Kind::Array(color()));
    let array = |element, value| format!("0000000100000000{element:08x}0000000100000001{value}");
    let red = array(70000, "00000003726564");
    check(&colors, vec!["red".to_owned()], &red);
    let positive = custom(70011, "positive", Kind::Domain(Type::INT4));
    let positives = custom(70012, "_positive", Kind::Array(positive.clone()));
    check(&positives, vec![5_i32], &array(70011, "0000000400000005"));
    check(&positive, 5_i32, "00000005");
    let all = custom(70013, "all_positive", Kind::Domain(positives));
    assert!(accepts::<Vec<i32>>(&all, Format::Binary));
    let fields = vec![Field {
        name: "a".into(),
        ty: Type::INT4,
    }];
    assert!(!accepts::<i32>(
        &custom(70014, "row", Kind::Composite(fields)),
        Format::Binary
    ));
}

#[test]
fn s25_arrays_that_lie_about_their_counts() {
    for (hex, message) in [
        // More elements than there are bytes.
        (
            "00000001000000000000001700000002000000010000000400000001",
            "ends early",
        ),
        (
            "0000000100000000000000177fffffff000000010000000400000001",
            "header",
        ),
        // Fewer.
        (
            "00000001000000000000001700000000000000010000000400000001",
            "8 bytes follow",
        ),
        ("0000000000000000000000170000000400000001", "8 bytes follow"),
        // A product that wraps around.
        (
            "000000020000000000000017800000000000000100000002000000010000000400000001",
            "header",
        ),
        (
            "0000000400000000000000170001000000000001000100000000000100010000000000010001000000000001",
            "header",
        ),
        // Dimensions, flags, element type, the length of an element.
        ("0000000700000000000000170000000100000001", "header"),
        ("ffffffff00000000000000170000000100000001", "header"),
        (
            "00000001000000020000001700000001000000010000000400000001",
            "header",
        ),
        (
            "00000001000000000000001900000001000000010000000400000001",
            "OID 25",
        ),
        (
            "00000001000000000000001700000001000000010000000300000001",
            "instead of 4",
        ),
        (
            "0000000100000000000000170000000100000001fffffffe00000001",
            "length -2",
        ),
        (
            "00000001000000000000001700000001000000017fffffff00000001",
            "ends early",
        ),
        ("", "ends early"),
    ] {
        refuses_to_read::<Vec<i32>>(&Type::INT4_ARRAY, hex, message);
        refuses_to_read::<Vec<Option<i32>>>(&Type::INT4_ARRAY, hex, message);
    }
    // Elements of other widths than the column's type, in the same number of bytes.
    refuses_to_read::<Vec<i32>>(
        &Type::INT4_ARRAY,
        "00000001000000000000001700000002000000010000000300000100000005000000000000",
        "instead of 4",
    );
}
