//! Values of types that are only known when they arrive.

use super::*;
use crate::buffer::WriteBuffer;
use crate::codec::tests::{check, decoded, from_hex, refuses_to_read, refuses_to_write, writes};
use crate::codec::{Dimension, encode_value};
use crate::types::{Field, Format, Kind};

fn custom(oid: u32, name: &str, kind: Kind) -> Type {
    Type::custom(oid, "public", name, kind, true, true).unwrap()
}

fn array(element: Type, values: Vec<Value>) -> Value {
    Value::Array(element, Box::new(Array::from(values)))
}

#[test]
fn a_value_is_small() {
    assert!(size_of::<Value>() <= 40, "{}", size_of::<Value>());
}

#[test]
fn values_are_of_their_type() {
    check(&Type::BOOL, Value::Bool(true), "01");
    check(&Type::INT2, Value::Int2(-2), "fffe");
    check(&Type::REGCLASS, Value::Oid(1259), "000004eb");
    check(&Type::TEXT, Value::from("a"), "61");
    check(
        &Type::JSONB,
        Value::Json(RawJson("[]".to_owned())),
        "015b5d",
    );
    check(&Type::JSONPATH, Value::from("$"), "0124");
    check(&Type::VOID, Value::Void, "");
    let color = custom(70000, "color", Kind::Enum(vec!["red".into()]));
    check(&color, Value::Enum("red".to_owned()), "726564");
    let positive = custom(70001, "positive", Kind::Domain(Type::INT4));
    check(&positive, Value::Int4(5), "00000005");
    check(
        &Type::INT4RANGE,
        Value::Range(Box::new(Range::from(Value::Int4(1)..))),
        "120000000400000001",
    );
    check(
        &Type::INT2VECTOR,
        Value::Int2Vector(vec![7]),
        "00000001000000000000001500000001000000000000000200\
         07",
    );
    check(
        &Type::INT4_ARRAY,
        array(Type::INT4, vec![Value::Int4(1), Value::Null]),
        "00000001000000010000001700000002000000010000000400000001ffffffff",
    );
    let unknown = custom(70002, "riddle", Kind::Simple);
    let opaque = Opaque::new(unknown.clone(), Format::Binary, [1, 2]);
    check(&unknown, Value::Opaque(Box::new(opaque.clone())), "0102");
    assert_eq!(opaque.to_string(), "\\x0102");
    // A value adapts to what the server wants, as its Rust type does.
    writes(&Type::INT8, &Value::Int4(5), "0000000000000005");
    writes(&color, &Value::from("red"), "726564");
    refuses_to_write(&Type::INT2, &Value::Int4(65_536), "out of range");
    refuses_to_write(&Type::INT4, &Value::from("5"), "the types don't match");
    refuses_to_write(&Type::INT4, &Value::Opaque(Box::new(opaque)), "don't match");
}

#[test]
fn records_have_the_names_of_their_fields() {
    let field = |name: &str, ty| Field {
        name: name.into(),
        ty,
    };
    let fields = vec![field("n", Type::INT4), field("word", Type::TEXT)];
    let pair = custom(70000, "pair", Kind::Composite(fields));
    let hex = "0000000200000017000000040000000700000019ffffffff";
    let named = Record::new(vec![
        RecordField::new(Type::INT4, Value::Int4(7)).named("n"),
        RecordField::new(Type::TEXT, Value::Null).named("word"),
    ]);
    assert_eq!(named.get("n"), Some(&Value::Int4(7)));
    assert_eq!(named.get("word"), Some(&Value::Null));
    assert_eq!(named.get("other"), None);
    assert_eq!(named.to_string(), "(7,)");
    check(&pair, Value::from(named), hex);
    let anonymous = Record::new(vec![
        RecordField::new(Type::INT4, Value::Int4(7)),
        RecordField::new(Type::TEXT, Value::Null),
    ]);
    check(&Type::RECORD, Value::from(anonymous.clone()), hex);
    writes(&pair, &anonymous, hex);
    let short = Record::new(vec![RecordField::new(Type::INT4, Value::Int4(7))]);
    refuses_to_write(&pair, &Value::from(short), "has 2 fields, the value 1");
}

#[test]
fn s29_a_record_does_not_nest_without_end() {
    let mut bytes = from_hex("00000000");
    for _ in 0..15 {
        let length = (bytes.len() as u32).to_be_bytes();
        bytes = [&from_hex("00000001000008c9")[..], &length, &bytes].concat();
    }
    let value: Value = decoded(&bytes, &Type::RECORD).unwrap();
    assert!(value.to_string().starts_with("(\"("));
    let deep = (0..5000).fold(from_hex("00000000"), |bytes, _| {
        let length = (bytes.len() as u32).to_be_bytes();
        [&from_hex("00000001000008c9")[..], &length, &bytes].concat()
    });
    let hex = crate::codec::tests::to_hex(&deep);
    refuses_to_read::<Value>(&Type::RECORD, &hex, "deeper than 16");
}

#[test]
fn texts_are_the_servers() {
    let texts = |texts: &[&str]| texts.iter().copied().map(Value::from).collect::<Vec<_>>();
    for (value, text) in [
        (Value::Null, "NULL"),
        (Value::Bool(false), "f"),
        (Value::Char(0), ""),
        (Value::Char(b'a' as i8), "a"),
        (Value::Char(-1), "\\377"),
        (Value::Float8(-0.0), "-0"),
        (Value::Float4(1e-7), "1e-07"),
        (Value::Bytea(vec![0, 255]), "\\x00ff"),
        (Value::OidVector(vec![1, 2]), "1 2"),
        (array(Type::TEXT, vec![]), "{}"),
        (
            array(
                Type::TEXT,
                texts(&[
                    "", "NULL", "nul", "a,b", "a b", "{", "\"", "\\", "\u{b}", "é",
                ]),
            ),
            "{\"\",\"NULL\",nul,\"a,b\",\"a b\",\"{\",\"\\\"\",\"\\\\\",\"\u{b}\",é}",
        ),
        (
            array(Type::BOX, vec![Value::Null, Value::Null]),
            "{NULL;NULL}",
        ),
        (
            array(Type::BOX, vec![Value::Rectangle(Rectangle::default())]),
            "{(0,0),(0,0)}",
        ),
        (
            Value::Array(
                Type::INT4,
                Box::new(
                    Array::new(
                        [
                            Dimension::new(2).starting_at(0),
                            Dimension::new(1),
                            Dimension::new(2),
                        ],
                        (1..=4).map(Value::Int4).collect(),
                    )
                    .unwrap(),
                ),
            ),
            "[0:1][1:1][1:2]={{{1,2}},{{3,4}}}",
        ),
        (
            Record::new(
                texts(&["", "a", "a,b", "(", "\"", "\\", "a b", "{"])
                    .into_iter()
                    .chain([Value::Null])
                    .map(|value| RecordField::new(Type::TEXT, value))
                    .collect(),
            )
            .into(),
            "(\"\",a,\"a,b\",\"(\",\"\"\"\",\"\\\\\",\"a b\",{,)",
        ),
        (
            Value::Range(Box::new(Range::from(Value::from("a b")..Value::from("c")))),
            "[\"a b\",c)",
        ),
    ] {
        assert_eq!(value.to_string(), text);
    }
}

#[test]
fn a_type_without_binary_input_gets_text() {
    let mut out = WriteBuffer::default();
    let acl = Opaque::new(Type::ACLITEM, Format::Text, *b"=r/a");
    assert_eq!(acl.as_text(), Some("=r/a"));
    for value in [Value::Opaque(Box::new(acl)), Value::from("=r/a")] {
        out.clear();
        encode_value(&value, &Type::ACLITEM, Format::Text, &mut out).unwrap();
        assert_eq!(out.pending(), b"\0\0\0\x04=r/a");
    }
    out.clear();
    encode_value(&Value::Null, &Type::ACLITEM, Format::Text, &mut out).unwrap();
    assert_eq!(out.pending(), [0xff; 4]);
    let array = array(Type::INT4, vec![Value::Int4(1), Value::Null]);
    out.clear();
    encode_value(&array, &Type::ACLITEM_ARRAY, Format::Text, &mut out).unwrap();
    assert_eq!(out.pending(), b"\0\0\0\x0a{\"1\",NULL}");
    assert!(encode_value(&Value::from("\0"), &Type::ACLITEM, Format::Text, &mut out).is_err());
}
