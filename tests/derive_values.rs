//! `#[derive(Encode, Decode)]` over values that no server sent.

#![cfg(feature = "derive")]

use std::borrow::Cow;
use std::fmt::Debug;
use std::marker::PhantomData;

use kornak::codec::{DeclaredType, RawValue, accepts, decode_value, encode_value};
use kornak::error::DecodeError;
use kornak::internals::buffer::WriteBuffer;
use kornak::types::{Field, Format, Kind, oid};
use kornak::{Decode, Encode, Type};

fn custom(oid: u32, schema: &str, name: &str, kind: Kind) -> Type {
    Type::custom(oid, schema, name, kind, true, true).unwrap()
}

fn enumeration(schema: &str, name: &str, labels: &[&str]) -> Type {
    let labels = labels.iter().map(|&label| label.into()).collect();
    custom(70_001, schema, name, Kind::Enum(labels))
}

fn composite(name: &str, fields: &[(&str, Type)]) -> Type {
    let field = |(name, ty): &(&str, Type)| Field {
        name: (*name).into(),
        ty: ty.clone(),
    };
    let fields = fields.iter().map(field).collect();
    custom(70_002, "public", name, Kind::Composite(fields))
}

fn array(of: &Type) -> Type {
    custom(
        of.oid() + 100,
        "public",
        &format!("_{}", of.name()),
        Kind::Array(of.clone()),
    )
}

fn domain(over: &Type) -> Type {
    custom(
        of_domain(over),
        "public",
        "some_domain",
        Kind::Domain(over.clone()),
    )
}

fn of_domain(over: &Type) -> u32 {
    80_000 + over.oid() % 1000
}

/// The value as it goes out, without its length.
fn encoded(value: &impl Encode, ty: &Type) -> Result<Vec<u8>, String> {
    let mut out = WriteBuffer::with_capacity(64);
    encode_value(value, ty, Format::Binary, &mut out).map_err(|error| error.to_string())?;
    let bytes = out.pending();
    let length = i32::from_be_bytes(bytes[..4].try_into().unwrap());
    assert_eq!(length, bytes.len() as i32 - 4);
    Ok(bytes[4..].to_vec())
}

fn decoded<'r, T: Decode<'r>>(bytes: &'r [u8], ty: &Type) -> Result<T, DecodeError> {
    T::check_type(ty.base())?;
    decode_value(Some(bytes), ty.base(), Format::Binary)
}

/// Checks both ways.
#[track_caller]
fn check<T>(value: T, ty: &Type, bytes: &[u8])
where
    T: Encode + for<'r> Decode<'r> + Debug + PartialEq,
{
    assert_eq!(encoded(&value, ty).unwrap(), bytes);
    assert_eq!(decoded::<T>(bytes, ty).unwrap(), value);
}

#[track_caller]
fn check_mismatch<T: Encode + for<'r> Decode<'r>>(value: &T, ty: &Type, expected: &str) {
    assert!(!accepts::<T>(ty, Format::Binary));
    let decode = decoded::<T>(b"", ty).err().unwrap().to_string();
    let encode = encoded(value, ty).unwrap_err();
    for error in [decode, encode] {
        assert!(error.contains(expected), "{error}");
    }
}

/// The binary form of a composite value.
fn record(fields: &[(u32, Option<&[u8]>)]) -> Vec<u8> {
    let mut bytes = (fields.len() as i32).to_be_bytes().to_vec();
    for (oid, value) in fields {
        bytes.extend(oid.to_be_bytes());
        match value {
            Some(value) => {
                bytes.extend((value.len() as i32).to_be_bytes());
                bytes.extend(*value);
            }
            None => bytes.extend((-1_i32).to_be_bytes()),
        }
    }
    bytes
}

#[derive(Clone, Copy, Debug, PartialEq, Encode, Decode)]
enum Mood {
    Happy,
    #[kornak(rename = "so-so")]
    SoSo,
    r#Sad,
}

#[derive(Debug, PartialEq, Encode, Decode)]
#[kornak(name = "zoo.Level of Care", rename_all = "SCREAMING-KEBAB-CASE")]
enum LevelOfCare {
    VeryLow,
    High,
}

#[test]
fn an_enum_is_its_label() {
    let mood = enumeration("any", "mood", &["Happy", "so-so", "Sad", "other"]);
    check(Mood::Happy, &mood, b"Happy");
    check(Mood::SoSo, &mood, b"so-so");
    check(Mood::Sad, &mood, b"Sad");
    check(vec![Some(Mood::Sad), None], &array(&mood), &{
        let mut bytes = Vec::new();
        for number in [1, 1, 70_001, 2, 1, 3] {
            bytes.extend(i32::to_be_bytes(number));
        }
        bytes.extend(b"Sad\xff\xff\xff\xff");
        bytes
    });
    check(Mood::Happy, &domain(&mood), b"Happy");
    assert_eq!(Mood::DECLARED, DeclaredType::Described);
    let care = enumeration("zoo", "Level of Care", &["VERY-LOW", "HIGH"]);
    check(LevelOfCare::VeryLow, &care, b"VERY-LOW");
}

#[test]
fn a_label_without_a_variant_is_named() {
    let mood = enumeration("any", "mood", &["Happy"]);
    for (label, expected) in [
        (
            &b"other"[..],
            "can't read PostgreSQL any.mood into a Rust Mood: Mood has no variant for the label \
             \"other\", only for \"Happy\", \"so-so\", \"Sad\"",
        ),
        (b"happy", "for the label \"happy\""),
        (b"", "for the label \"\""),
        (b"Happ\xff\n", "for the label \"Happ\u{fffd}\\n\""),
    ] {
        let error = decoded::<Mood>(label, &mood).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    let long = vec![b'x'; 1000];
    let error = decoded::<Mood>(&long, &mood).unwrap_err().to_string();
    assert!(error.len() < 250, "{error}");
}

#[test]
fn an_enum_goes_by_its_name() {
    check_mismatch(
        &Mood::Happy,
        &enumeration("any", "moods", &["Happy"]),
        "Mood stands for mood; `#[kornak(name = \"…\")]` names another type",
    );
    check_mismatch(
        &LevelOfCare::High,
        &enumeration("public", "Level of Care", &["HIGH"]),
        "LevelOfCare stands for zoo.Level of Care",
    );
    check_mismatch(&Mood::Happy, &Type::TEXT, "PostgreSQL text");
    check_mismatch(&Mood::Happy, &Type::INT4, "PostgreSQL int4");
    check_mismatch(
        &Mood::Happy,
        &custom(70_001, "public", "mood", Kind::Simple),
        "mood",
    );
}

#[derive(Debug, PartialEq, Encode, Decode)]
#[kornak(name = "text", rename_all = "lowercase")]
enum Status {
    Open,
    Closed,
}

#[test]
fn labels_can_be_strings() {
    check(Status::Open, &Type::TEXT, b"open");
    check_mismatch(&Status::Closed, &Type::VARCHAR, "Status stands for text");
    check_mismatch(&Status::Closed, &Type::TEXT_ARRAY, "Status stands for text");
}

#[derive(Debug, PartialEq, Encode, Decode)]
struct Address {
    street: String,
    #[kornak(rename = "Zip Code")]
    zip: Option<i32>,
    mood: Mood,
    #[kornak(skip)]
    cached: Option<Box<Address>>,
}

fn address(zip: Option<i32>) -> Address {
    Address {
        street: "A".into(),
        zip,
        mood: Mood::Sad,
        cached: None,
    }
}

fn mood() -> Type {
    enumeration("public", "mood", &["Happy", "so-so", "Sad"])
}

const MOOD: u32 = 70_001;

#[test]
fn a_composite_goes_by_the_names_of_its_fields() {
    let street = (oid::TEXT, Some(&b"A"[..]));
    let zip = (oid::INT4, Some(&[0, 0, 1, 0][..]));
    let label = (MOOD, Some(&b"Sad"[..]));
    let types = [
        ("street", Type::TEXT),
        ("Zip Code", Type::INT4),
        ("mood", mood()),
    ];
    let values = [street, zip, label];
    for order in [
        [0, 1, 2],
        [0, 2, 1],
        [1, 0, 2],
        [1, 2, 0],
        [2, 0, 1],
        [2, 1, 0],
    ] {
        let ty = composite("address", &order.map(|index| types[index].clone()));
        let bytes = record(&order.map(|index| values[index]));
        check(address(Some(256)), &ty, &bytes);
        check(address(Some(256)), &domain(&ty), &bytes);
        let nulls = order.map(|index| match index {
            1 => (oid::INT4, None),
            _ => values[index],
        });
        check(address(None), &ty, &record(&nulls));
    }
}

#[test]
fn fields_of_a_domain_keep_its_oid() {
    let positive = domain(&Type::INT4);
    let ty = composite(
        "address",
        &[
            ("street", domain(&Type::TEXT)),
            ("mood", mood()),
            ("Zip Code", positive.clone()),
        ],
    );
    let bytes = record(&[
        (of_domain(&Type::TEXT), Some(b"A")),
        (MOOD, Some(b"Sad")),
        (positive.oid(), Some(&[0, 0, 0, 9])),
    ]);
    check(address(Some(9)), &ty, &bytes);
}

#[test]
fn other_fields_are_told() {
    let check = |fields: &[(&str, Type)], decode: Option<&str>, encode: Option<&str>| {
        let ty = composite("address", fields);
        match (Address::check_type(&ty), decode) {
            (Ok(()), None) => {}
            (Err(error), Some(expected)) => {
                let error = error.to_string();
                assert!(error.contains(expected), "{error}");
                assert!(!Address::accepts(&ty));
            }
            (result, _) => panic!("{result:?}"),
        }
        match (encoded(&address(None), &ty), encode) {
            (Ok(_), None) => {}
            (Err(error), Some(expected)) => assert!(error.contains(expected), "{error}"),
            (result, _) => panic!("{result:?}"),
        }
    };
    let (street, zip, label) = (
        ("street", Type::TEXT),
        ("Zip Code", Type::INT4),
        ("mood", mood()),
    );
    check(
        &[street.clone(), label.clone()],
        Some("public.address has no field \"Zip Code\"; it has \"street\", \"mood\""),
        Some(
            "public.address has only the fields \"street\", \"mood\", Address has \"street\", \
             \"Zip Code\", \"mood\"",
        ),
    );
    check(
        &[street.clone(), label.clone(), ("zip_code", Type::INT4)],
        Some("public.address has no field \"Zip Code\""),
        Some("public.address has a field \"zip_code\", which Address lacks"),
    );
    // What the struct has no field for is passed over when it is read.
    check(
        &[
            street.clone(),
            zip.clone(),
            label.clone(),
            ("more", Type::JSON),
        ],
        None,
        Some("public.address has a field \"more\", which Address lacks"),
    );
    check(
        &[street.clone(), ("Zip Code", Type::INT8), label.clone()],
        Some("field \"Zip Code\": can't read PostgreSQL int8 into a Rust i32"),
        // An `i32` is written as any integer.
        None,
    );
    let other_mood = enumeration("public", "temper", &["Sad"]);
    check(
        &[street, zip, ("mood", other_mood)],
        Some("field \"mood\": can't read PostgreSQL public.temper into a Rust Mood"),
        Some("field \"mood\": can't write a Rust Mood as PostgreSQL public.temper"),
    );
}

#[test]
fn a_null_is_told_with_its_field() {
    let ty = composite(
        "address",
        &[
            ("street", Type::TEXT),
            ("Zip Code", Type::INT4),
            ("mood", mood()),
        ],
    );
    let bytes = record(&[(oid::TEXT, None), (oid::INT4, None), (MOOD, None)]);
    let error = decoded::<Address>(&bytes, &ty).unwrap_err();
    assert!(error.is_null());
    assert_eq!(error.place(), Some("field \"street\""));
}

/// Three of five fields, in three ways out of order.
#[derive(Debug, PartialEq, Decode)]
#[kornak(name = "five")]
struct Some3 {
    d: i32,
    b: Option<i32>,
    c: i32,
}

#[derive(Debug, PartialEq, Decode)]
#[kornak(name = "five")]
struct Last {
    e: i32,
}

#[derive(Debug, PartialEq, Decode)]
#[kornak(name = "five")]
struct First {
    a: i32,
}

fn five() -> (Type, Vec<u8>) {
    let names = ["a", "b", "c", "d", "e"];
    let fields: Vec<_> = names.iter().map(|name| (*name, Type::INT4)).collect();
    let values: Vec<[u8; 4]> = (1..=5).map(i32::to_be_bytes).collect();
    let values: Vec<_> = values.iter().map(|v| (oid::INT4, Some(&v[..]))).collect();
    (composite("five", &fields), record(&values))
}

#[test]
fn s25_a_malformed_composite_is_noticed() {
    fn all(bytes: &[u8], ty: &Type) -> [Result<(), String>; 3] {
        let told = |error: DecodeError| error.to_string();
        [
            decoded::<Some3>(bytes, ty).map(drop).map_err(told),
            decoded::<Last>(bytes, ty).map(drop).map_err(told),
            decoded::<First>(bytes, ty).map(drop).map_err(told),
        ]
    }
    let (ty, whole) = five();
    let some = Some3 {
        d: 4,
        b: Some(2),
        c: 3,
    };
    assert_eq!(decoded::<Some3>(&whole, &ty).unwrap(), some);
    assert_eq!(decoded::<Last>(&whole, &ty).unwrap(), Last { e: 5 });
    assert_eq!(decoded::<First>(&whole, &ty).unwrap(), First { a: 1 });
    for length in 0..whole.len() {
        assert!(all(&whole[..length], &ty).iter().all(Result::is_err));
    }
    let longer = [&whole[..], b"\0"].concat();
    assert!(all(&longer, &ty).iter().all(Result::is_err));
    // The count, and the OID and the length of each field, whether it is read or not.
    for place in (0..4).chain((0..5).flat_map(|field| {
        let start = 4 + field * 12;
        start..start + 8
    })) {
        for byte in [0, 1, 0x7f, 0x80, 0xff] {
            let mut changed = whole.clone();
            if changed[place] != byte {
                changed[place] = byte;
                let results = all(&changed, &ty);
                assert!(results.iter().all(Result::is_err), "{place} {byte}");
            }
        }
    }
    for count in [4_u8, 6, 0] {
        let mut changed = whole.clone();
        changed[3] = count;
        let [error, ..] = all(&changed, &ty);
        let expected = format!("it has {count} fields, where the type had 5 when it was looked up");
        assert!(error.unwrap_err().contains(&expected));
    }
    let mut changed = whole.clone();
    changed[4 + 12 + 3] = 20;
    let [error, ..] = all(&changed, &ty);
    let error = error.unwrap_err();
    assert!(
        error.contains("field \"b\": ") && error.contains("OID 20, where it was int4"),
        "{error}"
    );
    // The decoder doesn't depend on the check before it.
    let value = RawValue::new(&whole, &Type::INT4, Format::Binary);
    assert!(First::decode(value).is_err());
    let other = composite("five", &[("x", Type::INT4)]);
    let bytes = record(&[(oid::INT4, Some(&[0; 4]))]);
    let value = RawValue::new(&bytes, &other, Format::Binary);
    assert!(First::decode(value).is_err());
}

fn nine() -> i64 {
    9
}

#[derive(Debug, PartialEq, Encode, Decode)]
#[kornak(name = "public.pair", rename_all = "camelCase")]
struct Pair<'a, T, const N: usize = 0>
where
    T: Debug,
{
    left_one: T,
    right_one: Option<Cow<'a, str>>,
    #[kornak(default = nine)]
    more: i64,
    #[kornak(skip, default = "bytes")]
    skipped: [u8; N],
    #[kornak(skip)]
    marker: PhantomData<T>,
}

fn bytes<const N: usize>() -> [u8; N] {
    [1; N]
}

fn pair<T: Debug, const N: usize>(left: T, right: Option<&str>, more: i64) -> Pair<'_, T, N> {
    Pair {
        left_one: left,
        right_one: right.map(Cow::Borrowed),
        more,
        skipped: [1; N],
        marker: PhantomData,
    }
}

#[test]
fn composites_may_be_generic_borrow_and_have_defaults() {
    let fields = [
        ("leftOne", Type::INT4),
        ("rightOne", Type::VARCHAR),
        ("more", Type::INT8),
    ];
    let ty = composite("pair", &fields);
    let one = 1_i32.to_be_bytes();
    let more = 2_i64.to_be_bytes();
    let values = [
        (oid::INT4, Some(&one[..])),
        (oid::VARCHAR, Some(&b"r"[..])),
        (oid::INT8, Some(&more[..])),
    ];
    let bytes = record(&values);
    let read: Pair<'_, i32, 3> = decoded(&bytes, &ty).unwrap();
    assert_eq!(read, pair(1, Some("r"), 2));
    assert!(matches!(&read.right_one, Some(Cow::Borrowed(text))
        if bytes.as_ptr_range().contains(&text.as_ptr())));
    assert_eq!(encoded(&read, &ty).unwrap(), bytes);
    // A field with a default may be missing from the type when it is read.
    let older = composite("pair", &fields[..2]);
    let bytes = record(&values[..2]);
    let read: Pair<'_, i32> = decoded(&bytes, &older).unwrap();
    assert_eq!(read, pair(1, Some("r"), 9));
    assert!(encoded(&read, &older).is_err());
}

#[derive(Debug, PartialEq, Encode, Decode)]
struct Outer {
    addresses: Vec<Option<Address>>,
    main: Option<Address>,
}

#[test]
fn composites_nest() {
    let inner = composite(
        "address",
        &[
            ("mood", mood()),
            ("street", Type::TEXT),
            ("Zip Code", Type::INT4),
        ],
    );
    let ty = custom(
        70_003,
        "public",
        "outer",
        Kind::Composite(vec![
            Field {
                name: "main".into(),
                ty: inner.clone(),
            },
            Field {
                name: "addresses".into(),
                ty: array(&inner),
            },
        ]),
    );
    let value = record(&[
        (MOOD, Some(b"Sad")),
        (oid::TEXT, Some(b"A")),
        (oid::INT4, Some(&[0, 0, 0, 7])),
    ]);
    let mut elements = Vec::new();
    for number in [1, 1, 70_002, 2, 1, -1, value.len() as i32] {
        elements.extend(i32::to_be_bytes(number));
    }
    elements.extend(&value);
    let bytes = record(&[(70_002, None), (70_102, Some(&elements))]);
    let outer = Outer {
        addresses: vec![None, Some(address(Some(7)))],
        main: None,
    };
    check(outer, &ty, &bytes);
    // What is wrong deep inside is told with its place.
    let inner = composite("address", &[("mood", mood())]);
    let error = <Vec<Option<Address>>>::check_type(&array(&inner)).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("public.address has no field \"street\""),
        "{error}"
    );
}

#[derive(Clone, Copy, Debug, PartialEq, Encode, Decode)]
#[kornak(transparent)]
struct Id<T>(i64, #[kornak(skip)] PhantomData<T>);

#[derive(Debug, PartialEq, Encode, Decode)]
#[kornak(transparent)]
struct Name {
    name: String,
}

#[derive(Debug, PartialEq, Encode, Decode)]
#[kornak(transparent)]
struct Tags(Vec<Option<Name>>);

#[derive(Debug, PartialEq, Encode, Decode)]
#[kornak(transparent)]
struct Maybe<T>(Option<T>);

#[derive(Debug, PartialEq, Decode)]
#[kornak(transparent)]
struct Text<'a>(&'a str);

#[test]
fn a_transparent_type_is_what_it_holds() {
    assert_eq!(<Id<Mood>>::DECLARED, i64::DECLARED);
    assert_eq!(Name::DECLARED, DeclaredType::Text);
    assert_eq!(<Vec<Id<()>>>::DECLARED, <Vec<i64>>::DECLARED);
    let id = Id::<Mood>(7, PhantomData);
    check(id, &Type::INT8, &7_i64.to_be_bytes());
    check(id, &domain(&Type::INT8), &7_i64.to_be_bytes());
    assert_eq!(encoded(&id, &Type::INT2).unwrap(), [0, 7]);
    let name = |name: &str| Name { name: name.into() };
    check(name("Rani"), &Type::TEXT, b"Rani");
    let texts = [Some("a"), None];
    let tags = || Tags(vec![Some(name("a")), None]);
    let bytes = encoded(&texts.to_vec(), &Type::TEXT_ARRAY).unwrap();
    check(tags(), &Type::TEXT_ARRAY, &bytes);
    let rows = vec![texts.to_vec(), texts.to_vec()];
    let bytes = encoded(&rows, &Type::TEXT_ARRAY).unwrap();
    check(vec![tags(), tags()], &Type::TEXT_ARRAY, &bytes);
    check(Maybe(Some(id)), &Type::INT8, &7_i64.to_be_bytes());
    assert_eq!(
        decode_value::<Maybe<i32>>(None, &Type::INT4, Format::Binary).unwrap(),
        Maybe(None)
    );
    assert_eq!(decoded::<Text<'_>>(b"t", &Type::TEXT).unwrap(), Text("t"));
    assert!(accepts::<Text<'_>>(&Type::TEXT, Format::Text));
    assert!(!accepts::<Id<()>>(&Type::TEXT, Format::Text));
    let numbers = encoded(&vec![7_i64, 8], &Type::INT8_ARRAY).unwrap();
    let ids: Vec<Id<()>> = decoded(&numbers, &Type::INT8_ARRAY).unwrap();
    assert_eq!(ids, [Id(7, PhantomData), Id(8, PhantomData)]);
}

#[test]
fn what_is_text_only_can_not_be_composite() {
    let fields = vec![Field {
        name: "e".into(),
        ty: Type::ACLITEM,
    }];
    let ty = custom(70_002, "public", "five", Kind::Composite(fields));
    assert!(!accepts::<Last>(&ty, Format::Text));
    let mut out = WriteBuffer::with_capacity(64);
    #[derive(Encode)]
    struct Five {
        e: String,
    }
    let error = encode_value(&Five { e: "".into() }, &ty, Format::Text, &mut out).unwrap_err();
    assert!(error.to_string().contains("no binary form"), "{error}");
}

/// The names that generated code must not be confused by.
#[allow(dead_code, non_camel_case_types, unreachable_pub)]
mod shadowed {
    use ::kornak as driver;

    pub struct Result;
    pub struct Option;
    pub struct Ok;
    pub struct Vec;
    pub struct String;
    pub trait Encode {}
    pub trait Decode {}
    pub mod core {}
    pub mod std {}
    pub mod kornak {}

    #[derive(driver::Encode, driver::Decode)]
    #[kornak(crate = driver, name = "text")]
    pub enum Hygienic {
        None,
        Some,
        Err,
        Ok,
    }

    #[derive(driver::Encode, driver::Decode, driver::FromRow, driver::Params)]
    #[kornak(crate = driver)]
    pub struct All {
        pub hygienic: Hygienic,
        #[kornak(default)]
        pub index: i32,
    }

    #[derive(driver::Encode, driver::Decode, driver::Params)]
    #[kornak(crate = driver, transparent)]
    pub struct Newtype(pub Hygienic);
}

#[test]
fn generated_code_is_hygienic() {
    assert!(matches!(
        decoded(b"None", &Type::TEXT),
        Ok(shadowed::Newtype(shadowed::Hygienic::None))
    ));
}
