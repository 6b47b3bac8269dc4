//! Whether a statement can leave something behind in the session.

/// Whether the statement is *plain*: one statement of a kind that changes no session state,
/// which calls nothing but built-in functions known to change none.
///
/// In doubt it isn't, which costs a reset. What functions of the application do within views,
/// triggers, defaults and operators can't be seen from here, nor that a function of the
/// application overloads a name of the list for its own types.
pub fn is_plain(sql: &str) -> bool {
    let mut tokens = Tokens { rest: sql };
    let mut word = "";
    let mut before = "";
    let mut qualifier: Option<&str> = None;
    let mut is_first = true;
    let mut is_over = false;
    let mut is_open = false;
    let mut inserts = false;
    loop {
        let token = tokens.next();
        if is_over && token != Token::End {
            return false;
        }
        match token {
            Token::End => return !is_first,
            Token::Doubt => return false,
            Token::Semicolon => is_over = true,
            Token::Word(next) => {
                if is_first && !is_one_of(next, KINDS) {
                    return false;
                }
                // SELECT INTO makes a table, behind a column that is called "insert" too.
                if next.eq_ignore_ascii_case("into") && !inserts {
                    return false;
                }
                inserts = (is_first || is_open) && next.eq_ignore_ascii_case("insert");
                (is_first, is_open) = (false, false);
                if qualifier.is_none() {
                    before = word;
                }
                word = next;
                continue;
            }
            Token::Quoted => {
                (is_open, inserts) = (false, false);
                if qualifier.is_none() {
                    before = word;
                }
                word = "\"";
                continue;
            }
            Token::Dot if !word.is_empty() => {
                qualifier = Some(word);
                continue;
            }
            Token::Open if !word.is_empty() => {
                // A table's name behind INTO and an alias or type behind AS call nothing.
                let is_name =
                    before.eq_ignore_ascii_case("into") || before.eq_ignore_ascii_case("as");
                let is_builtin = is_one_of(word, CALLABLE)
                    && qualifier.is_none_or(|schema| schema.eq_ignore_ascii_case("pg_catalog"));
                if !is_name && !is_builtin {
                    return false;
                }
            }
            Token::Open | Token::Dot | Token::Other => {}
        }
        is_open = token == Token::Open;
        inserts = false;
        (word, before, qualifier) = ("", word, None);
    }
}

/// The first words of statements that change no session state by themselves.
const KINDS: &[&str] = &[
    "begin",
    "commit",
    "delete",
    "insert",
    "release",
    "rollback",
    "savepoint",
    "select",
    "update",
    "values",
    "with",
];

/// What may stand before a parenthesis: keywords, and built-in functions and types without
/// effects on the session. In alphabetical order.
const CALLABLE: &[&str] = &[
    "abs",
    "age",
    "all",
    "and",
    "any",
    "array",
    "array_agg",
    "array_append",
    "array_cat",
    "array_dims",
    "array_length",
    "array_ndims",
    "array_position",
    "array_positions",
    "array_prepend",
    "array_remove",
    "array_replace",
    "array_to_json",
    "array_to_string",
    "as",
    "ascii",
    "avg",
    "between",
    "bit",
    "bit_and",
    "bit_length",
    "bit_or",
    "bool_and",
    "bool_or",
    "bpchar",
    "btrim",
    "by",
    "cardinality",
    "case",
    "cast",
    "cbrt",
    "ceil",
    "ceiling",
    "char",
    "char_length",
    "character",
    "character_length",
    "chr",
    "clock_timestamp",
    "coalesce",
    "concat",
    "concat_ws",
    "conflict",
    "convert_from",
    "convert_to",
    "corr",
    "count",
    "cume_dist",
    "current_timestamp",
    "date_bin",
    "date_part",
    "date_trunc",
    "decimal",
    "decode",
    "degrees",
    "dense_rank",
    "distinct",
    "div",
    "else",
    "encode",
    "every",
    "except",
    "exists",
    "exp",
    "extract",
    "factorial",
    "filter",
    "first_value",
    "float",
    "floor",
    "format",
    "from",
    "gcd",
    "gen_random_uuid",
    "generate_series",
    "generate_subscripts",
    "greatest",
    "group",
    "grouping",
    "hashtext",
    "having",
    "host",
    "in",
    "initcap",
    "intersect",
    "interval",
    "isfinite",
    "json_agg",
    "json_array_elements",
    "json_array_elements_text",
    "json_array_length",
    "json_build_array",
    "json_build_object",
    "json_each",
    "json_each_text",
    "json_extract_path",
    "json_extract_path_text",
    "json_object",
    "json_object_agg",
    "json_object_keys",
    "json_strip_nulls",
    "json_to_record",
    "json_to_recordset",
    "json_typeof",
    "jsonb_agg",
    "jsonb_array_elements",
    "jsonb_array_elements_text",
    "jsonb_array_length",
    "jsonb_build_array",
    "jsonb_build_object",
    "jsonb_each",
    "jsonb_each_text",
    "jsonb_exists",
    "jsonb_extract_path",
    "jsonb_extract_path_text",
    "jsonb_insert",
    "jsonb_object",
    "jsonb_object_agg",
    "jsonb_object_keys",
    "jsonb_path_exists",
    "jsonb_path_match",
    "jsonb_path_query",
    "jsonb_path_query_array",
    "jsonb_path_query_first",
    "jsonb_pretty",
    "jsonb_set",
    "jsonb_strip_nulls",
    "jsonb_to_record",
    "jsonb_to_recordset",
    "jsonb_typeof",
    "justify_days",
    "justify_hours",
    "justify_interval",
    "lag",
    "last_value",
    "lateral",
    "lcm",
    "lead",
    "least",
    "left",
    "length",
    "like",
    "limit",
    "ln",
    "log",
    "log10",
    "lower",
    "lpad",
    "ltrim",
    "make_date",
    "make_interval",
    "make_time",
    "make_timestamp",
    "make_timestamptz",
    "max",
    "md5",
    "min",
    "mod",
    "mode",
    "not",
    "now",
    "nth_value",
    "ntile",
    "nullif",
    "num_nonnulls",
    "num_nulls",
    "numeric",
    "octet_length",
    "on",
    "or",
    "order",
    "over",
    "overlaps",
    "overlay",
    "partition",
    "percent_rank",
    "percentile_cont",
    "percentile_disc",
    "pg_backend_pid",
    "pg_is_in_recovery",
    "pg_sleep",
    "pg_typeof",
    "phraseto_tsquery",
    "pi",
    "plainto_tsquery",
    "position",
    "power",
    "quote_ident",
    "quote_literal",
    "quote_nullable",
    "radians",
    "random",
    "range_agg",
    "rank",
    "regexp_count",
    "regexp_instr",
    "regexp_like",
    "regexp_match",
    "regexp_matches",
    "regexp_replace",
    "regexp_split_to_array",
    "regexp_split_to_table",
    "regexp_substr",
    "repeat",
    "replace",
    "returning",
    "reverse",
    "right",
    "round",
    "row",
    "row_number",
    "row_to_json",
    "rpad",
    "rtrim",
    "select",
    "set",
    "sha256",
    "sign",
    "similar",
    "some",
    "split_part",
    "sqrt",
    "starts_with",
    "statement_timestamp",
    "stddev",
    "stddev_pop",
    "stddev_samp",
    "string_agg",
    "string_to_array",
    "string_to_table",
    "strpos",
    "substr",
    "substring",
    "sum",
    "then",
    "time",
    "timestamp",
    "timestamptz",
    "timetz",
    "timezone",
    "to_char",
    "to_date",
    "to_hex",
    "to_json",
    "to_jsonb",
    "to_number",
    "to_timestamp",
    "to_tsquery",
    "to_tsvector",
    "transaction_timestamp",
    "translate",
    "trim",
    "trunc",
    "ts_headline",
    "ts_rank",
    "ts_rank_cd",
    "union",
    "unnest",
    "upper",
    "using",
    "values",
    "var_pop",
    "var_samp",
    "varbit",
    "varchar",
    "variance",
    "websearch_to_tsquery",
    "when",
    "where",
    "width_bucket",
    "with",
    "within",
];

fn is_one_of(word: &str, list: &[&str]) -> bool {
    // The lists are in ASCII order and in lower case.
    list.binary_search_by(|known| {
        known
            .bytes()
            .cmp(word.bytes().map(|byte| byte.to_ascii_lowercase()))
    })
    .is_ok()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token<'q> {
    Word(&'q str),
    /// A quoted identifier.
    Quoted,
    Open,
    Dot,
    Semicolon,
    Other,
    /// Something that may be read in more than one way.
    Doubt,
    End,
}

/// The tokens of a text (manual, "Lexical Structure"), as far as they matter here.
pub(super) struct Tokens<'q> {
    pub(super) rest: &'q str,
}

impl<'q> Tokens<'q> {
    pub(super) fn next(&mut self) -> Token<'q> {
        loop {
            self.rest = self
                .rest
                .trim_start_matches([' ', '\t', '\n', '\r', '\x0b', '\x0c']);
            let bytes = self.rest.as_bytes();
            let (token, length) = match *bytes {
                [] => return Token::End,
                [b'-', b'-', ..] => {
                    self.rest = self
                        .rest
                        .split_once(['\n', '\r'])
                        .map_or("", |(_, rest)| rest);
                    continue;
                }
                [b'/', b'*', ..] => {
                    self.rest = super::lexer::skip_comment(self.rest);
                    continue;
                }
                [b'(', ..] => (Token::Open, 1),
                [b'.', ..] => (Token::Dot, 1),
                [b';', ..] => (Token::Semicolon, 1),
                [b'\'', ..] => match quoted(bytes, b'\'') {
                    // Whether a backslash escapes is a setting of the session.
                    Some(length) if !bytes[..length].contains(&b'\\') => (Token::Other, length),
                    _ => return Token::Doubt,
                },
                [b'"', ..] => match quoted(bytes, b'"') {
                    Some(length) => (Token::Quoted, length),
                    None => return Token::Doubt,
                },
                // A parameter, or a string in dollars.
                [b'$', b'0'..=b'9', ..] => (Token::Other, 1),
                [b'$', ..] => return Token::Doubt,
                [b'a'..=b'z' | b'A'..=b'Z' | b'_' | 0x80.., ..] => {
                    let length = bytes
                        .iter()
                        .position(|byte| !is_word(*byte))
                        .unwrap_or(bytes.len());
                    // E'…', B'…', X'…', N'…' and U&'…' have rules of their own.
                    if length <= 2 && matches!(bytes.get(length), Some(b'\'' | b'"' | b'&')) {
                        return Token::Doubt;
                    }
                    (Token::Word(&self.rest[..length]), length)
                }
                [b'0'..=b'9', ..] => {
                    let length = bytes
                        .iter()
                        .position(|byte| !is_word(*byte))
                        .unwrap_or(bytes.len());
                    // Before PostgreSQL 15 a word may begin where a number ends.
                    if !bytes[..length].iter().all(u8::is_ascii_digit) {
                        return Token::Doubt;
                    }
                    (Token::Other, length)
                }
                _ => (Token::Other, 1),
            };
            self.rest = &self.rest[length..];
            return token;
        }
    }
}

/// The length of a quoted token, in which a doubled quote stands for one.
fn quoted(bytes: &[u8], quote: u8) -> Option<usize> {
    let mut at = 1;
    loop {
        at += bytes[at..].iter().position(|byte| *byte == quote)? + 1;
        if bytes.get(at) != Some(&quote) {
            return Some(at);
        }
        at += 1;
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$' | 0x80..)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lists_are_in_order() {
        for list in [KINDS, CALLABLE] {
            assert!(
                list.windows(2).all(|pair| pair[0] < pair[1]),
                "{:?}",
                list.windows(2).find(|p| p[0] >= p[1])
            );
        }
    }

    #[test]
    fn what_leaves_nothing_behind_is_plain() {
        for sql in [
            "select 1",
            "SELECT id, name FROM users WHERE id = $1",
            "select count(*), max(a.b) from a where lower(name) in ('x', 'it''s (1)')",
            "select pg_catalog.lower($1)",
            "insert into t (a, b) values ($1, $2) on conflict (a) do update set b = excluded.b returning *",
            "with a as (insert into t (a) values (1) returning a) select a from a",
            "insert into s.\"T\" (a) select x from unnest($1::int[]) as u (x)",
            "with a as (select 1), b as materialized (select 2) select * from a, b;",
            "update t set a = coalesce($1, a)::numeric(10, 2) where cast(b as varchar(3)) = 'x'",
            "delete from t -- set_config('a', 'b')\n where a = 1 /* nextval('s') /* x */ */",
            "begin",
            "commit",
            "rollback to savepoint s",
            "values (1, 2), (3, 4)",
            "select \"set_config\" from t where é = 1",
            "select row_number() over (partition by a order by b) from t",
        ] {
            assert!(is_plain(sql), "{sql}");
        }
    }

    #[test]
    fn r50_what_may_leave_something_behind_is_not() {
        for sql in [
            "set search_path = x",
            "reset all",
            "listen x",
            "create temp table t (a int)",
            "declare c cursor for select 1",
            "select set_config('a', 'b', false)",
            "select SET_CONFIG ('a', 'b', false)",
            "select pg_advisory_lock(1)",
            "select pg_catalog.set_config('a', 'b', false)",
            "select my.lower('x')",
            "select \"lower\"('x')",
            "select \"set_config\"('a', 'b', false)",
            "select my_function()",
            "select nextval('s')",
            "select * into t from u",
            "with a as (select 1) select * into temp t from a",
            "select 1; set role x",
            "select 1 insert into temp t",
            "select (1) insert into temp t",
            "with a as (select 1) select (1) insert into temp t from a",
            "select 1into temp t",
            "select 'a\\'; set role x; --'",
            "select $$x$$",
            "select e'x\\'y'",
            "select u&'x'",
            "select 'open",
            "select \"open",
            "/* open",
            "",
            ";",
            "-- nothing",
            "do $$ begin end $$",
            "call f()",
            "explain select 1",
            "prepare x as select 1",
            "load 'x'",
            "select/**/set_config/**/('a','b',false)",
            "select pg_catalog . set_config('a', 'b', false)",
            "select lower.set_config('a', 'b', false)",
        ] {
            assert!(!is_plain(sql), "{sql}");
        }
    }
}
