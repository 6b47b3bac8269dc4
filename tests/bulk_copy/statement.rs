//! The statements that start a COPY: names, options and literals, as the server reads them.

use kornak::connection::CopyTable;
use kornak::{ErrorKind, quote_identifier, quote_literal};

use crate::live::{check_token, connect_small as connect};
use crate::support::raw::unique;

#[tokio::test]
async fn s6_names_are_quoted() {
    let mut connection = connect().await;
    let (schema, table) = (unique(), "a\"b; drop table \\ é.c");
    let columns = ["Id", "select", "a\"b) from stdin; --"];
    let sql = |name: &str| quote_identifier(name).unwrap();
    connection
        .batch_execute(&format!(
            "create schema {}; create table {0}.{} ({} int4, {} text, {} text)",
            sql(&schema),
            sql(table),
            sql(columns[0]),
            sql(columns[1]),
            sql(columns[2]),
        ))
        .await
        .unwrap();
    let mut copy = connection
        .copy_in_rows((schema.as_str(), table), &columns)
        .await
        .unwrap();
    copy.send((1, "one", "two")).await.unwrap();
    assert_eq!(copy.finish().await.unwrap(), 1);
    let query = format!("select * from {}.{}", sql(&schema), sql(table));
    let row: (i32, String, String) = connection.fetch_one(&query, ()).await.unwrap();
    assert_eq!(row, (1, "one".into(), "two".into()));
    for name in ["", "a\0b"] {
        let error = connection.copy_in_rows(name, &["id"]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Usage);
        let error = connection.copy_in_rows("t", &[name]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Usage);
    }
    connection.copy_in_rows("t", &[]).await.unwrap_err();
    connection
        .batch_execute(&format!("drop schema {} cascade", sql(&schema)))
        .await
        .unwrap();
    check_token(&mut connection).await;
}

#[tokio::test]
async fn s5_quoting_agrees_with_the_server_s() {
    let mut connection = connect().await;
    let names = [
        "a",
        "A b",
        "select",
        "a\"b",
        "\"",
        "\"\"",
        "a'b",
        "'",
        "\\",
        "a\\'b",
        "é\u{1f418}",
        "a\nb",
        "--",
        "$1",
        "/*",
        "a;b",
        " ",
        "E'",
    ];
    for strings in ["on", "off"] {
        connection
            .batch_execute(&format!("set standard_conforming_strings = {strings}"))
            .await
            .unwrap();
        for name in names {
            let literal = quote_literal(name).unwrap();
            let identifier = quote_identifier(name).unwrap();
            let (theirs, ident): (String, String) = connection
                .fetch_one(
                    "select quote_literal($1::text), quote_ident($1::text)",
                    (name,),
                )
                .await
                .unwrap();
            assert_eq!(literal, theirs);
            // The server leaves out quotes that aren't needed.
            assert!(identifier == ident || identifier == format!("\"{ident}\""));
            let back: kornak::Row = connection
                .fetch_one(&format!("select {literal} as {identifier}"), ())
                .await
                .unwrap();
            assert_eq!(back.get::<String>(0).unwrap(), name);
            assert_eq!(back.columns()[0].name(), name);
        }
    }
}

#[tokio::test]
async fn s6_options_are_quoted() {
    let mut connection = connect().await;
    let name = "a\"b; drop table \\ é";
    let script = format!(
        "create temp table {} (\"Id\" int4, \"a'b\" text)",
        quote_identifier(name).unwrap()
    );
    connection.batch_execute(&script).await.unwrap();
    for (delimiter, quote, null) in [
        (',', '"', "'); drop table t; -- \\"),
        ('\'', '"', "); drop table t; -- \\"),
        ('\\', '\'', "\"); drop table t; --"),
        (';', '\\', "') from stdin --"),
    ] {
        let table = CopyTable::new(("pg_temp", name))
            .columns(&["a'b", "Id"])
            .csv()
            .header(true)
            .delimiter(delimiter)
            .quote(quote)
            .escape(quote)
            .null(null)
            .encoding("UTF8");
        let data = format!("h{delimiter}h\n{quote}x{quote}{delimiter}1\n{null}{delimiter}2\n");
        let mut copy = connection
            .copy_in(&table.from_stdin().unwrap())
            .await
            .unwrap();
        copy.send(data.as_bytes()).await.unwrap();
        assert_eq!(copy.finish().await.unwrap(), 2);
        let sql = format!(
            "select \"Id\", \"a'b\" from {}",
            quote_identifier(name).unwrap()
        );
        let rows: Vec<(i32, Option<String>)> = connection.fetch_all(&sql, ()).await.unwrap();
        assert_eq!(rows, [(1, Some("x".into())), (2, None)]);
        let mut out = String::new();
        let mut copy = connection
            .copy_out(&table.to_stdout().unwrap())
            .await
            .unwrap();
        tokio::io::AsyncReadExt::read_to_string(&mut copy, &mut out)
            .await
            .unwrap();
        assert!(
            out.ends_with(&format!("x{delimiter}1\n{null}{delimiter}2\n")),
            "{out}"
        );
        let emptied = format!("truncate {}", quote_identifier(name).unwrap());
        connection.execute(&emptied, ()).await.unwrap();
    }
    for broken in [
        CopyTable::new("").from_stdin(),
        CopyTable::new("t").columns(&["a\0"]).to_stdout(),
        CopyTable::new("t").null("\0").to_stdout(),
        CopyTable::new("t").delimiter('\0').from_stdin(),
        CopyTable::new("t").encoding("a\0b").from_stdin(),
    ] {
        assert_eq!(broken.unwrap_err().kind(), ErrorKind::Usage);
    }
    let plain = CopyTable::new("t").csv().binary();
    assert_eq!(
        plain.from_stdin().unwrap(),
        "copy \"t\" from stdin (format binary)"
    );
    check_token(&mut connection).await;
}
