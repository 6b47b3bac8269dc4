//! Arrays of every shape and element, and the widest rows, both ways between Rust and a real
//! server.

#![expect(clippy::type_complexity, reason = "rows are read as tuples")]

mod live;
mod support;

use kornak::codec::{Array, Dimension, Value};
use kornak::{Connection, Date, ErrorKind, Row, SqlState, Type};
use live::{check_token, connect};

/// The server's text for an array, and the array, are each other.
async fn check(connection: &mut Connection, text: &str, array: Array<Option<i32>>) {
    let sql = format!(
        "select '{text}'::int4[], $1::int4[], ($1::int4[])::text, coalesce(array_dims($1), ''),
            $1::int4[] = '{text}'::int4[], array_send($1::int4[]) = array_send('{text}'::int4[])"
    );
    let (read, back, written, dimensions, is_same, has_same_bytes): (
        Array<Option<i32>>,
        Array<Option<i32>>,
        String,
        String,
        bool,
        bool,
    ) = connection.fetch_one(&sql, (&array,)).await.unwrap();
    assert_eq!(read, array, "{text} as it is read");
    assert_eq!(back, array, "{text} there and back");
    assert_eq!(written, text, "as it is written");
    assert!(is_same && has_same_bytes, "{text} is what was written");
    let bounds = array.dimensions().iter();
    let bounds = bounds.map(|one| format!("[{}:{}]", one.lower_bound(), one.upper_bound()));
    assert_eq!(dimensions, bounds.collect::<String>(), "{text}");
}

fn shaped(shape: &[(usize, i32)], elements: Vec<Option<i32>>) -> Array<Option<i32>> {
    let shape = shape.iter();
    let dimensions = shape.map(|&(length, lower)| Dimension::new(length).starting_at(lower));
    Array::new(dimensions.collect::<Vec<_>>(), elements).unwrap()
}

#[tokio::test]
async fn r60_arrays_of_every_shape_go_there_and_back() {
    let mut connection = connect().await;
    let numbers = |count: i32| (0..count).map(Some).collect::<Vec<_>>();
    for (text, array) in [
        ("{}", Array::default()),
        ("{NULL}", shaped(&[(1, 1)], vec![None])),
        ("{1,NULL,3}", vec![Some(1), None, Some(3)].into()),
        ("[0:1]={0,1}", shaped(&[(2, 0)], numbers(2))),
        ("[-5:-5]={0}", shaped(&[(1, -5)], numbers(1))),
        (
            "[2147483646:2147483646]={0}",
            shaped(&[(1, i32::MAX - 1)], numbers(1)),
        ),
        (
            "[-2147483648:-2147483647]={0,1}",
            shaped(&[(2, i32::MIN)], numbers(2)),
        ),
        (
            "[1:2][-1:1]={{0,1,2},{3,4,5}}",
            shaped(&[(2, 1), (3, -1)], numbers(6)),
        ),
        (
            "{{{0,1},{NULL,3}}}",
            shaped(
                &[(1, 1), (2, 1), (2, 1)],
                vec![Some(0), Some(1), None, Some(3)],
            ),
        ),
        ("{{{{{{7}}}}}}", shaped(&[(1, 1); 6], vec![Some(7)])),
        (
            "[0:1][1:1][2:3][1:1][1:1][-1:0]={{{{{{0,1}}},{{{2,3}}}}},{{{{{4,5}}},{{{6,7}}}}}}",
            shaped(
                &[(2, 0), (1, 1), (2, 2), (1, 1), (1, 1), (2, -1)],
                numbers(8),
            ),
        ),
    ] {
        check(&mut connection, text, array).await;
    }
    let long = (0..100_000).map(|n| (n % 7 != 0).then_some(n));
    let long: Array<Option<i32>> = long.collect();
    let sum: (i64, i64) = connection
        .fetch_one(
            "select sum(n), count(*) filter (where n is null) from unnest($1::int4[]) n",
            (&long,),
        )
        .await
        .unwrap();
    let expected: i64 = long.iter().flatten().map(|&n| i64::from(n)).sum();
    assert_eq!(sum, (expected, 14_286));
    check_token(&mut connection).await;
}

#[tokio::test]
async fn r60_vectors_nest_as_the_dimensions_do() {
    let mut connection = connect().await;
    let (two, three, fixed, boxed): (
        Vec<Vec<i32>>,
        Vec<Vec<Vec<Option<String>>>>,
        [[i16; 2]; 2],
        Box<[Vec<bool>]>,
    ) = connection
        .fetch_one(
            "select '{{1,2,3},{4,5,6}}'::int4[], '{{{a},{NULL}}}'::text[], \
             '{{1,2},{3,4}}'::int2[], '[7:7][0:1]={{t,f}}'::bool[]",
            (),
        )
        .await
        .unwrap();
    assert_eq!(two, [[1, 2, 3], [4, 5, 6]]);
    assert_eq!(three, [[[Some("a".to_owned())], [None]]]);
    assert_eq!(fixed, [[1, 2], [3, 4]]);
    assert_eq!(*boxed, [[true, false]]);
    let texts: (String, String, String) = connection
        .fetch_one(
            "select ($1::int4[])::text, ($2::text[])::text, ($3::int2[])::text",
            (two, three, fixed),
        )
        .await
        .unwrap();
    assert_eq!(texts.0, "{{1,2,3},{4,5,6}}");
    assert_eq!(texts.1, "{{{a},{NULL}}}");
    assert_eq!(texts.2, "{{1,2},{3,4}}");
    let numbers = [1, 2, 3];
    let texts: (String, String, String) = connection
        .fetch_one(
            "select ($1::int4[])::text, ($2::int4[])::text, ($3::int4[])::text",
            (&numbers[1..], numbers, [&numbers[..2], &numbers[1..]]),
        )
        .await
        .unwrap();
    assert_eq!(texts.0, "{2,3}");
    assert_eq!(texts.1, "{1,2,3}");
    assert_eq!(texts.2, "{{1,2},{2,3}}");
    for ragged in [vec![vec![1, 2], vec![3]], vec![vec![], vec![1]]] {
        let error = connection
            .fetch_one::<String>("select ($1::int4[])::text", (ragged,))
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Encode, "{error}");
        assert!(error.to_string().contains("equally long"), "{error}");
        check_token(&mut connection).await;
    }
    let error = connection
        .fetch_one::<Vec<i32>>("select '{{1}}'::int4[]", ())
        .await
        .unwrap_err();
    assert!(error.to_string().contains("2 dimensions"), "{error}");
    let error = connection
        .fetch_one::<[i32; 2]>("select '{1,2,3}'::int4[]", ())
        .await
        .unwrap_err();
    assert!(error.to_string().contains("3 elements"), "{error}");
    let error = connection
        .fetch_one::<Vec<i32>>("select '{1,NULL}'::int4[]", ())
        .await
        .unwrap_err();
    assert!(error.to_string().contains("Vec of Options"), "{error}");
    check_token(&mut connection).await;
}

#[tokio::test]
async fn r60_elements_of_custom_types_and_vectors() {
    let mut connection = connect().await;
    connection
        .batch_execute(
            "create type pg_temp.mood as enum ('sad', 'ok', 'it''s \"fine\"');
             create domain pg_temp.positive as int4 check (value > 0)",
        )
        .await
        .unwrap();
    for _ in 0..2 {
        let sql = "select $1::pg_temp.mood[], ($1::pg_temp.mood[])::text, \
                   $2::pg_temp.positive[], ($2::pg_temp.positive[])::text";
        let moods = Array::new(
            [Dimension::new(3).starting_at(0)],
            vec![
                Some("sad".to_owned()),
                None,
                Some("it's \"fine\"".to_owned()),
            ],
        )
        .unwrap();
        let numbers = vec![vec![Some(1)], vec![None]];
        let (labels, text, back, positives): (
            Array<Option<String>>,
            String,
            Vec<Vec<Option<i32>>>,
            String,
        ) = connection.fetch_one(sql, (&moods, &numbers)).await.unwrap();
        assert_eq!(labels, moods);
        assert_eq!(text, r#"[0:2]={sad,NULL,"it's \"fine\""}"#);
        assert_eq!(back, numbers);
        assert_eq!(positives, "{{1},{NULL}}");
    }
    let error = connection
        .fetch_one::<String>("select ($1::pg_temp.positive[])::text", (vec![-1],))
        .await
        .unwrap_err();
    assert_eq!(error.sqlstate(), Some(SqlState::CHECK_VIOLATION), "{error}");
    // The catalogue's own vectors, which count from 0, and arrays of them.
    let (vector, vectors, texts): (Vec<i16>, Array<Vec<i16>>, String) = connection
        .fetch_one(
            "select '7 8'::int2vector, array['1 2', '', '3']::int2vector[],
                concat($1::int2vector[])",
            (vec![Array::from(vec![1_i16, 2])],),
        )
        .await
        .unwrap();
    assert_eq!(vector, [7, 8]);
    assert_eq!(vectors.elements(), [vec![1, 2], vec![], vec![3]]);
    assert_eq!(texts, "{\"1 2\"}");
    check_token(&mut connection).await;
}

#[tokio::test]
async fn r60_arrays_without_a_binary_form_go_there_and_back() {
    let mut connection = connect().await;
    connection
        .batch_execute(
            r#"drop role if exists "kornak \ ""odd"", {role}"; create role "kornak \ ""odd"", {role}";
             create temp table acls (id int4, acl aclitem[], own aclitem)"#,
        )
        .await
        .unwrap();
    let acls: Vec<String> = connection
        .fetch_one(
            r#"select array[makeaclitem(r.oid, 10, 'SELECT', false), '=r/' || quote_ident(
                 current_user)]::aclitem[] from pg_roles r where rolname like 'kornak%odd%'"#,
            (),
        )
        .await
        .unwrap();
    let [odd, public] = acls.as_slice() else {
        panic!("{acls:?}");
    };
    assert!(
        odd.starts_with(r#""kornak \ """#) && odd.contains("{role}"),
        "{odd}"
    );
    for turn in 0..2 {
        let row = (turn, &acls, odd);
        connection
            .execute("insert into acls values ($1, $2, $3)", row)
            .await
            .unwrap();
        // In a transaction the statement is described first, which fails nothing.
        let mut transaction = connection.begin().await.unwrap();
        let (back, own): (Vec<String>, String) = transaction
            .fetch_one("select acl, own from acls where id = $1", (turn,))
            .await
            .unwrap();
        assert_eq!((&back, &own), (&acls, odd));
        transaction.commit().await.unwrap();

        let some = vec![Some(odd.clone()), None];
        let same: Vec<Option<String>> = connection
            .fetch_one("select $1::aclitem[]", (&some,))
            .await
            .unwrap();
        assert_eq!(same, some);
        let nested = vec![acls.clone(), acls.clone()];
        let (same, text): (Vec<Vec<String>>, String) = connection
            .fetch_one(
                "select $1::aclitem[], ($1::aclitem[])[2:2][1:1]::text",
                (&nested,),
            )
            .await
            .unwrap();
        assert_eq!(same, nested);
        assert!(text.starts_with("{{\""), "{text}");
        let bounds = [Dimension::new(2).starting_at(-1)];
        let array = Array::new(bounds, acls.clone()).unwrap();
        let (same, at): (Array<String>, String) = connection
            .fetch_one("select $1::aclitem[], ($1::aclitem[])[0]", (&array,))
            .await
            .unwrap();
        assert_eq!((&same, &at), (&array, public));
        let none: Vec<String> = connection
            .fetch_one("select $1::aclitem[]", (Vec::<String>::new(),))
            .await
            .unwrap();
        assert_eq!(none, [""; 0]);
    }

    let wrong = connection.fetch_one::<Vec<i32>>("select acl from acls limit 1", ());
    let error = wrong.await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Decode, "{error}");
    assert!(error.to_string().contains("Vec of Strings"), "{error}");
    let wrong =
        connection.fetch_one::<String>("select ($1::aclitem[])::text", (vec![Date::from_days(1)],));
    let error = wrong.await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Encode, "{error}");
    connection
        .batch_execute(r#"drop table acls; drop role "kornak \ ""odd"", {role}""#)
        .await
        .unwrap();
    check_token(&mut connection).await;
}

/// Makes the temporary type `{name}`: a text that lies in the text of arrays between `delimiter`s.
async fn create_delimited(connection: &mut Connection, name: &str, delimiter: char, more: &str) {
    let ty = format!("pg_temp.{name}");
    connection
        .batch_execute(&format!(
            "create type {ty};
             create function {ty}_in(cstring) returns {ty}
                 language internal immutable strict as 'textin';
             create function {ty}_out({ty}) returns cstring
                 language internal immutable strict as 'textout';
             create function {ty}_send({ty}) returns bytea
                 language internal immutable strict as 'textsend';
             create type {ty} (input = {ty}_in, output = {ty}_out, {more}
                 internallength = variable, delimiter = '{delimiter}')"
        ))
        .await
        .unwrap();
}

#[tokio::test]
async fn r60_elements_lie_between_the_delimiters_of_their_type() {
    let mut connection = connect().await;
    for (name, delimiter) in [("semicolon", ';'), ("colon", ':'), ("comma", ',')] {
        create_delimited(&mut connection, name, delimiter, "").await;
        let over = format!("create domain pg_temp.{name}_domain as pg_temp.{name}");
        connection.batch_execute(&over).await.unwrap();
        for ty in [name.to_owned(), format!("{name}_domain")] {
            let words = ["a,b", "c;d", "e:f", "", "null", "g{h}\"i\\"].map(String::from);
            let list = "array['a,b', 'c;d', 'e:f', '', 'null', 'g{h}\"i\\', null]";
            let flat: Vec<_> = words.iter().cloned().map(Some).chain([None]).collect();
            let sql =
                format!("select {list}::pg_temp.{ty}[], array[{list}, {list}]::pg_temp.{ty}[]");
            let (read, nested): (Vec<Option<String>>, Vec<Vec<Option<String>>>) =
                connection.fetch_one(&sql, ()).await.unwrap();
            assert_eq!(read, flat, "{ty}");
            assert_eq!(nested, [flat.clone(), flat.clone()], "{ty}");

            let shape = [Dimension::new(1).starting_at(-3), Dimension::new(7)];
            let shaped = Array::new(shape, flat.clone()).unwrap();
            let value = Value::Array(Type::TEXT, Box::new(shaped.clone().map(Value::from)));
            let sql = format!(
                "select $1::pg_temp.{ty}[], $2::pg_temp.{ty}[], $3::pg_temp.{ty}[],
                     $1::pg_temp.{ty}[]::text = {list}::pg_temp.{ty}[]::text"
            );
            let (back, back_shaped, back_value, is_same): (
                Vec<Option<String>>,
                Array<Option<String>>,
                Array<Option<String>>,
                bool,
            ) = connection
                .fetch_one(&sql, (&flat, &shaped, &value))
                .await
                .unwrap();
            assert_eq!(back, flat, "{ty}");
            assert!(is_same, "{ty}");
            assert_eq!(back_shaped, shaped, "{ty}");
            assert_eq!(back_value, shaped, "{ty}");
        }
    }
    check_token(&mut connection).await;
}

#[tokio::test]
async fn r60_arrays_are_shown_with_the_delimiter_of_their_type() {
    let mut connection = connect().await;
    let send = "send = pg_temp.bar_send,";
    create_delimited(&mut connection, "bar", '|', send).await;
    let sql = "with w as (select array[['a', 'b|c'], ['d,e', null]]::pg_temp.bar[] as a)
        select a, a::text from w";
    let (value, shown): (Value, String) = connection.fetch_one(sql, ()).await.unwrap();
    assert!(matches!(value, Value::Array(..)), "{value:?}");
    assert_eq!(shown, "{{a|\"b|c\"}|{d,e|NULL}}");
    // The elements are of a type that has no form the driver knows: it shows their bytes.
    let bytes = r#"{{"\\x61"|"\\x627c63"}|{"\\x642c65"|NULL}}"#;
    assert_eq!(value.to_string(), bytes);
    check_token(&mut connection).await;
}

#[tokio::test]
async fn built_in_types_have_the_delimiters_of_the_catalogue() {
    let mut connection = connect().await;
    let rows: Vec<(u32, i8)> = connection
        .fetch_all("select oid, typdelim from pg_type where oid < 10000", ())
        .await
        .unwrap();
    let mut delimiters = Vec::new();
    for (oid, delimiter) in rows {
        if let Some(ty) = Type::from_oid(oid) {
            assert_eq!(i16::from(ty.delimiter()), i16::from(delimiter), "{ty}");
            delimiters.push(ty.delimiter());
        }
    }
    assert!(delimiters.contains(&b',') && delimiters.contains(&b';'));
}

#[tokio::test]
async fn r60_the_privileges_of_the_catalogue_are_lists() {
    let mut connection = connect().await;
    let acls: Vec<(String, Option<Vec<String>>, Option<String>)> = connection
        .fetch_all(
            "select oid::regclass::text, relacl, array_to_string(relacl, '|') from pg_class
             order by oid",
            (),
        )
        .await
        .unwrap();
    assert!(acls.iter().any(|(_, acl, _)| acl.is_some()));
    for (name, acl, joined) in acls {
        assert_eq!(acl.map(|acl| acl.join("|")), joined, "{name}");
    }
    check_token(&mut connection).await;
}

#[tokio::test]
async fn r60_a_row_of_1664_columns() {
    let mut connection = connect().await;
    let columns: Vec<String> = (0..1664)
        .map(|n| match n % 3 {
            0 => format!("{n} as c{n}"),
            1 => format!("null::int4 as c{n}"),
            _ => format!("'{n}'::text as c{n}"),
        })
        .collect();
    let sql = format!("select {}", columns.join(", "));
    for _ in 0..2 {
        let row: Row = connection.fetch_one(&sql, ()).await.unwrap();
        assert_eq!(row.len(), 1664);
        for n in 0..1664 {
            match n % 3 {
                0 => assert_eq!(row.get::<i32>(n).unwrap(), n as i32),
                1 => assert_eq!(row.get::<Option<i32>>(n).unwrap(), None),
                _ => assert_eq!(row.get::<&str>(n).unwrap(), n.to_string()),
            }
        }
        assert_eq!(row.get::<&str>("c1661").unwrap(), "1661");
        check_token(&mut connection).await;
    }
    let error = connection
        .fetch_one::<Row>(&format!("{sql}, 1664"), ())
        .await
        .unwrap_err();
    assert_eq!(
        error.sqlstate(),
        Some(SqlState::TOO_MANY_COLUMNS),
        "{error}"
    );
    check_token(&mut connection).await;
}

/// Numbers that are the same each time (xorshift64*).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32) % bound
    }

    /// A text of what needs quotes, and what doesn't; or NULL.
    fn text(&mut self) -> Option<String> {
        const PARTS: [&str; 14] = [
            "a", "NULL", "null", " ", ",", ";", "{", "}", "\"", "\\", "(", "\n", "\u{b}", "🐘",
        ];
        let length = self.below(5);
        let text = (0..length).map(|_| PARTS[self.below(14) as usize]);
        let text = text.collect();
        (self.below(6) != 0).then_some(text)
    }

    fn array(&mut self) -> Array<Option<String>> {
        let mut dimensions = Vec::new();
        for _ in 0..self.below(7) {
            let lower_bound = self.below(7) as i32 - 3;
            let length = self.below(3) as usize + 1;
            dimensions.push(Dimension::new(length).starting_at(lower_bound));
        }
        let count = match dimensions.as_slice() {
            [] => 0,
            some => some.iter().map(|one| one.length()).product(),
        };
        let elements = (0..count).map(|_| self.text()).collect();
        Array::new(dimensions, elements).unwrap()
    }
}

#[tokio::test]
async fn r60_generated_arrays_go_there_and_back_and_are_shown_as_the_server_shows_them() {
    let mut connection = connect().await;
    let mut random = Random(60);
    for _ in 0..300 {
        let array = random.array();
        let (back, value, text, is_same): (Array<Option<String>>, Value, String, bool) = connection
            .fetch_one(
                "select $1::text[], $1::text[], $1::text[]::text, $1::text[]::text::text[] = $1",
                (&array,),
            )
            .await
            .unwrap();
        assert_eq!(back, array);
        assert!(is_same, "{text}");
        assert_eq!(value.to_string(), text);
        let own = Value::Array(Type::TEXT, Box::new(array.map(Value::from)));
        assert_eq!(value, own);
        // As an anonymous record, with a word beside it.
        let word = Value::from(random.text());
        let (text_back, record, shown): (String, Value, String) = connection
            .fetch_one(
                "select $1::text[]::text, row($1::text[], $2::text), row($1::text[], $2::text)::text",
                vec![own, word],
            )
            .await
            .unwrap();
        assert_eq!(text_back, text);
        assert_eq!(record.to_string(), shown);
    }
    check_token(&mut connection).await;
}
