//! What a configuration is completed to, in surroundings that each test makes itself.

mod files;
mod support;

use kornak::Error;
use kornak::config::{Config, Environment, ProtocolVersion, ResolvedConfig, SslMode};
use support::*;

#[test]
fn hosts_addresses_and_ports_are_matched() {
    let v = hosts;
    check("", &app(), v, "localhost, port 5432");
    check("host=a,b", &app(), v, "a, port 5432; b, port 5432");
    check("host=a,b port=1", &app(), v, "a, port 1; b, port 1");
    check("host=a,b port=1,", &app(), v, "a, port 1; b, port 5432");
    check(
        "host=a,b port=1,2,3",
        &app(),
        v,
        "error: 3 values of port don't match 2 hosts",
    );
    check(
        "port=1,2",
        &app(),
        v,
        "error: 2 values of port don't match 1 hosts",
    );
    check("hostaddr=::1", &app(), v, "::1, port 5432");
    check("host=a hostaddr=::1", &app(), v, "a (::1), port 5432");
    check("host=/x hostaddr=::1", &app(), v, "/x (::1), port 5432");
    check(
        "host=a,b hostaddr=::1",
        &app(),
        v,
        "error: 2 values of host don't match 1 of hostaddr",
    );
    check(
        "host=a, hostaddr=,::1",
        &app(),
        v,
        "a, port 5432; ::1, port 5432",
    );
    check(
        "host=/x,@y port=7",
        &app(),
        v,
        "/x/.s.PGSQL.7; @y/.s.PGSQL.7",
    );
    check(
        "host='' hostaddr='' port=''",
        &app(),
        v,
        "localhost, port 5432",
    );
    let variables = app().variable("PGHOST", "c").variable("PGPORT", "9");
    check("", &variables, v, "c, port 9");
    check("host=a", &variables, v, "a, port 9");
    // An empty value is a value: the variable does not count.
    check("host=''", &variables, v, "localhost, port 9");
    check(
        "",
        &app().variable("PGPORT", "x"),
        v,
        "error: invalid PGPORT: expected a number",
    );
    check_config(
        Config::new().host("a,b"),
        &app(),
        v,
        "error: can't contain a comma",
    );
    check_config(
        Config::new().host("a@b"),
        &app(),
        v,
        "error: can't contain @",
    );
    check_config(Config::new().host(""), &app(), v, "error: can't be empty");
    check_config(Config::new().port(0), &app(), v, "error: from 1 to 65535");
    check_config(
        Config::new().user("a\0b"),
        &app(),
        v,
        "error: user contains a zero byte",
    );
}

#[test]
fn names_fall_back() {
    check("", &nobody(), who, "error: no user is given");
    check("", &app(), who, "app app");
    check("user=me", &app(), who, "me me");
    check("user='' dbname=''", &app(), who, "app app");
    check(
        "dbname=shop",
        &app().variable("PGUSER", "me"),
        who,
        "me shop",
    );
    check(
        "user=me",
        &app().variable("PGDATABASE", "shop"),
        who,
        "me shop",
    );
    check(
        "postgres://me@h/",
        &app().variable("PGDATABASE", "shop"),
        who,
        "me shop",
    );
    check(
        "dbname=''",
        &app().variable("PGDATABASE", "shop"),
        who,
        "app app",
    );
    // A database is never taken for a connection string.
    check("dbname=postgres://x", &app(), who, "app postgres://x");

    let program = app().program("billing");
    check("", &app(), name, "None");
    check("", &program, name, "Some(\"billing\")");
    check("fallback_application_name=b", &program, name, "Some(\"b\")");
    check("fallback_application_name=''", &program, name, "None");
    check(
        "application_name=a fallback_application_name=b",
        &program,
        name,
        "Some(\"a\")",
    );
    check("application_name=''", &program, name, "Some(\"billing\")");
    check("", &program.variable("PGAPPNAME", "v"), name, "Some(\"v\")");
}

#[cfg(feature = "tls")]
#[test]
fn tls_is_never_weaker_than_asked() {
    use std::path::Path;

    use kornak::config::Verification;

    fn view(resolved: &ResolvedConfig) -> String {
        let tls = resolved.tls();
        let verification = match tls.verification() {
            Verification::Nothing => "nothing",
            Verification::Authority => "authority",
            Verification::AuthorityAndName => "name",
            _ => "unknown",
        };
        let files = [tls.certificate(), tls.key(), tls.revocation_list()];
        let files = files.map(|file| file.and_then(Path::file_name).is_some());
        format!("{} {verification} {files:?}", tls.mode())
    }
    const NONE: &str = "[false, false, false]";
    let bare = app().variable("HOME", "/nowhere");
    let plain = |mode: &str| format!("{mode} {NONE}");
    check("", &bare, view, &plain("prefer nothing"));
    check("sslmode=require", &bare, view, &plain("require nothing"));
    check(
        "sslmode=require sslrootcert=r",
        &bare,
        view,
        &plain("require authority"),
    );
    check(
        "sslmode=require sslrootcert=''",
        &bare,
        view,
        &plain("require nothing"),
    );
    check(
        "sslmode=verify-ca sslrootcert=r",
        &bare,
        view,
        &plain("verify-ca authority"),
    );
    check(
        "sslrootcert=system",
        &bare,
        view,
        &plain("verify-full name"),
    );
    check(
        "sslrootcert=./system",
        &bare,
        view,
        &plain("prefer authority"),
    );
    check(
        "sslrootcert=system sslmode=verify-ca",
        &bare,
        view,
        "error: needs sslmode=verify-full",
    );
    check(
        "sslmode=verify-full",
        &bare,
        view,
        "error: needs root certificates",
    );
    check(
        "sslmode=verify-full host=/tmp",
        &bare,
        view,
        &plain("verify-full name"),
    );
    check(
        "sslmode=verify-full host=/tmp,a",
        &bare,
        view,
        "error: needs root certificates",
    );
    check(
        "sslnegotiation=direct",
        &bare,
        view,
        "error: needs an sslmode of require",
    );
    check(
        "sslnegotiation=direct sslmode=require",
        &bare,
        view,
        &plain("require nothing"),
    );
    check(
        "sslcert=c",
        &bare,
        view,
        "prefer nothing [true, false, false]",
    );
    check(
        "sslcert=c sslkey=k",
        &bare,
        view,
        "prefer nothing [true, true, false]",
    );
    check(
        "sslcert=c sslcertmode=disable",
        &bare,
        view,
        &plain("prefer nothing"),
    );
    check(
        "sslcrl=c",
        &bare,
        view,
        "prefer nothing [false, false, true]",
    );
    check(
        "ssl_min_protocol_version=TLSv1.3 ssl_max_protocol_version=TLSv1.2",
        &bare,
        view,
        "error: ssl_min_protocol_version is above",
    );
    let old = bare.clone().variable("PGREQUIRESSL", "1");
    check("", &old, view, &plain("require nothing"));
    check(
        "",
        &old.clone().variable("PGSSLMODE", "allow"),
        view,
        &plain("allow nothing"),
    );
    check("sslmode=disable", &old, view, &plain("disable nothing"));
    let old_system = old.variable("PGSSLROOTCERT", "system");
    check(
        "",
        &old_system,
        view,
        "error: needs sslmode=verify-full, not require",
    );

    let scratch = Scratch::new("tls");
    for file in ["root.crt", "root.crl", "postgresql.crt", "postgresql.key"] {
        scratch.file(&format!(".postgresql/{file}"), "");
    }
    let home = app().variable("HOME", &scratch.0);
    check("", &home, view, "prefer authority [true, true, true]");
    check(
        "sslcrldir=d",
        &home,
        view,
        "prefer authority [true, true, false]",
    );
    check(
        "sslmode=verify-full",
        &home,
        view,
        "verify-full name [true, true, true]",
    );
}

#[cfg(not(feature = "tls"))]
#[test]
fn without_tls_only_the_modes_that_do_without_are_left() {
    let view = |resolved: &ResolvedConfig| resolved.tls().mode().to_string();
    check("", &app(), view, "disable");
    check("sslmode=prefer", &app(), view, "disable");
    check(
        "sslmode=require",
        &app(),
        view,
        "error: needs the crate's feature `tls`",
    );
    check(
        "sslrootcert=system",
        &app(),
        view,
        "error: needs the crate's feature `tls`",
    );
}

#[test]
fn the_session_begins_with_what_was_asked_for() {
    let p = parameters;
    let start = "user=app database=app client_encoding=UTF8";
    let with = |rest: &str| format!("{start} {rest}");
    check("", &app(), p, start);
    check("options='-c a=b'", &app(), p, &with("options=-c a=b"));
    check("application_name=x", &app(), p, &with("application_name=x"));
    let config = Config::new()
        .setting("a", "1")
        .setting("b", "2")
        .setting("A", "3");
    check_config(config, &app(), p, &with("b=2 A=3"));
    let variables = app()
        .variable("PGTZ", "UTC")
        .variable("PGDATESTYLE", "Default")
        .variable("PGGEQO", "off");
    check("", &variables, p, &with("timezone=UTC geqo=off"));
    let config = Config::new().setting("TimeZone", "CET");
    check_config(config, &variables, p, &with("TimeZone=CET geqo=off"));
    for name in [
        "user",
        "Database",
        "replication",
        "_pq_.x",
        "client_encoding",
    ] {
        let config = Config::new().setting(name, "x");
        check_config(config, &app(), p, "error: can't be given as a setting");
    }
    check_config(
        Config::new().setting("", "x"),
        &app(),
        p,
        "error: a setting has no name",
    );
    check_config(
        Config::new().setting("a", "\0"),
        &app(),
        p,
        "error: contains a zero byte",
    );
    let encoding = app().variable("PGCLIENTENCODING", "LATIN1");
    check("", &encoding, p, start);
    check(
        "",
        &encoding,
        warnings,
        "PGCLIENTENCODING is ignored: the encoding is always UTF8",
    );
}

#[test]
fn r45_a_pooler_of_transactions_gets_no_parameter_that_it_does_not_know() {
    let start = "user=app database=app client_encoding=UTF8";
    let variables = app()
        .variable("PGTZ", "UTC")
        .variable("PGGEQO", "off")
        .variable("PGOPTIONS", "-c a=b");
    check(
        "pooler=transaction",
        &variables,
        parameters,
        &format!("{start} timezone=UTC"),
    );
    check(
        "pooler=transaction",
        &variables,
        warnings,
        "PGGEQO is ignored with pooler=transaction; PGOPTIONS is ignored with \
         pooler=transaction",
    );
    check(
        "pooler=transaction options='-c a=b'",
        &app(),
        parameters,
        "error: options can't be given with pooler=transaction",
    );
    let config: Config = "pooler=transaction".parse().expect("it is a word of it");
    let tracked = config.clone().setting("DateStyle", "ISO");
    check_config(
        tracked,
        &app(),
        parameters,
        &format!("{start} DateStyle=ISO"),
    );
    let unknown = config.setting("search_path", "x");
    check_config(
        unknown,
        &app(),
        parameters,
        "error: the setting search_path can't be given",
    );
}

#[test]
fn numbers_have_their_defaults_and_limits() {
    fn view(resolved: &ResolvedConfig) -> String {
        let version = |version: ProtocolVersion| version.to_string();
        format!(
            "{}-{} {}-{} {:?} {:?} {:?}",
            version(resolved.min_protocol_version()),
            version(resolved.max_protocol_version()),
            resolved.scram_min_iterations(),
            resolved.scram_max_iterations(),
            resolved.connect_timeout(),
            resolved.query_timeout(),
            resolved.tcp_user_timeout(),
        )
    }
    let rest = "4096-1000000 None None Some(60s)";
    check("", &app(), view, &format!("3.0-3.0 {rest}"));
    check(
        "max_protocol_version=latest",
        &app(),
        view,
        &format!("3.0-3.2 {rest}"),
    );
    check(
        "min_protocol_version=3.2",
        &app(),
        view,
        &format!("3.2-3.2 {rest}"),
    );
    check(
        "min_protocol_version=3.2 max_protocol_version=3.0",
        &app(),
        view,
        "error: min_protocol_version is above max_protocol_version",
    );
    check(
        "connect_timeout=10 query_timeout=1500ms tcp_user_timeout=500",
        &app(),
        view,
        "3.0-3.0 4096-1000000 Some(10s) Some(1.5s) Some(500ms)",
    );
    check(
        "connect_timeout=-1 query_timeout=0s tcp_user_timeout=0",
        &app(),
        view,
        "3.0-3.0 4096-1000000 None None None",
    );
    check(
        "scram_min_iterations=1",
        &app(),
        view,
        "3.0-3.0 1-1000000 None None Some(60s)",
    );
    check(
        "scram_min_iterations=2000000",
        &app(),
        view,
        "3.0-3.0 2000000-2000000 None None Some(60s)",
    );
    check(
        "scram_max_iterations=1",
        &app(),
        view,
        "error: scram_min_iterations is above scram_max_iterations",
    );

    let keepalives = |resolved: &ResolvedConfig| {
        resolved
            .keepalives()
            .map_or("off".to_owned(), |keepalives| {
                format!(
                    "{:?} {:?} {:?}",
                    keepalives.idle, keepalives.interval, keepalives.count
                )
            })
    };
    check("", &app(), keepalives, "Some(30s) Some(10s) Some(3)");
    check("keepalives=0", &app(), keepalives, "off");
    check(
        "keepalives_idle=0 keepalives_interval=-1 keepalives_count=0",
        &app(),
        keepalives,
        "None None None",
    );
    check(
        "keepalives_idle=7 keepalives_interval=8 keepalives_count=9",
        &app(),
        keepalives,
        "Some(7s) Some(8s) Some(9)",
    );
}

/// The process's own variables can't be set from safe code: the test runs itself as a
/// child that has them.
#[test]
fn the_process_s_variables_count_by_default() -> Result<(), Error> {
    const CHILD: &str = "KORNAK_TEST_CHILD";
    if std::env::var_os(CHILD).is_none() {
        let output = std::process::Command::new(std::env::current_exe().expect("it runs"))
            .args(["--exact", "the_process_s_variables_count_by_default"])
            .env(CHILD, "1")
            .env("PGHOST", "/from/the/process")
            .env("PGSSLMODE", "disable")
            .output()
            .expect("it runs again");
        let printed = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{printed}");
        assert!(printed.contains("1 passed"), "{printed}");
        return Ok(());
    }
    for config in [Config::new(), Config::from_env()?, "port=5432".parse()?] {
        let resolved = config.resolve()?;
        assert_eq!(hosts(&resolved), "/from/the/process/.s.PGSQL.5432");
        assert_eq!(resolved.tls().mode(), SslMode::Disable);
        assert!(
            resolved
                .application_name()
                .is_some_and(|name| name.contains("config_resolve"))
        );
    }
    let alone = Config::new().environment(Environment::empty().user("app"));
    assert_eq!(hosts(&alone.resolve()?), "localhost, port 5432");
    Ok(())
}
