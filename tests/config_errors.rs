//! What is said of a wrong configuration: where it is wrong, what would be right, and
//! nothing that could be a secret.

use kornak::config::{Config, Environment};
use kornak::error::ErrorKind;

/// `^` in `marked` stands at the byte that the error names, and is no part of the string.
#[track_caller]
fn check(marked: &str, expected: &str) {
    let at = marked.find('^').expect("the place is marked");
    let text = marked.replacen('^', "", 1);
    let error = text.parse::<Config>().expect_err(&text);
    assert_eq!(error.kind(), ErrorKind::Config, "{text}");
    assert_eq!(
        error.to_string(),
        format!("invalid connection string at byte {at}: {expected}"),
        "{text}"
    );
}

#[test]
fn errors_name_the_place_in_a_uri() {
    check("postgres://h/d^%zz", NO_DIGITS);
    check("postgres://u:^%4@h", NO_DIGITS);
    check("postgres://h/d?user=^%", NO_DIGITS);
    check("postgres://h/d^%00", "%00 is not allowed");
    check(
        "postgres://^[::1",
        "the bracket that opens here never closes",
    );
    check("postgres://a,^[]", "there is no address in the brackets");
    check(
        "postgres://[::1]^5432",
        "expected a colon, a slash, a comma, a question mark or the end behind the brackets",
    );
    check("postgres://a^ b", "a blank inside of a URI is written %20");
    check("postgres://h/d?^user", "expected name=value");
    check("postgres://h/d?user=a&^&port=1", "expected name=value");
    check(
        "postgres://h/d?user=a^=b",
        "a second = in one parameter; inside a value it is written %3D",
    );
    check(
        "postgres://h/d?user=a&^usr=b",
        "there is no such option as \"usr\"; did you mean user?",
    );
    check(
        "postgres://h/d?sslmode=^requre",
        "sslmode: expected one of disable, allow, prefer, require, verify-ca, verify-full; did \
         you mean require?",
    );
    check("postgres://h:^x", PORT);
    check("postgres://a:^1,b:65536", PORT);
    check(
        "postgres://u@^h@i",
        "host: a host name can't contain @ (in a URI, an @ in the user name or password is \
         written %40)",
    );
    check("postgres://^%FF", "host: it must be valid UTF-8");
    check("postgres://h^\0", "it contains a zero byte");
}

#[test]
fn errors_name_the_place_in_pairs() {
    check("user=a ^host", NO_PAIR);
    check("^user", NO_PAIR_AT_ALL);
    check("user=a ^b c=d", NO_PAIR);
    check(
        "user=a password=^'b",
        "the quote that opens here never closes",
    );
    check("^=b", "there is no such option as \"\"");
    check(
        "user=a ^database=b",
        "there is no such option as \"database\"; did you mean dbname?",
    );
    check(
        "^search_path=a",
        "there is no such option as \"search_path\"; a setting of the server goes into \
         options, as -c name=value",
    );
    check("port = ^'0'", PORT);
    check(
        "connect_timeout=^soon",
        "connect_timeout: expected a whole number of seconds, or a number with ms, s, min or h",
    );
    check(
        "query_timeout=^5",
        "query_timeout: expected a number with its unit, ms, s, min or h: 500ms, 30s",
    );
    check(
        "require_auth=^md5,!none",
        "require_auth: methods with ! and without can't be mixed",
    );
    check(
        "scram_client_key=^AAAA",
        "scram_client_key: expected 32 bytes in base64",
    );
}

#[test]
fn what_is_not_supported_is_an_error_of_its_own() {
    for (text, expected) in [
        (
            "client_encoding=LATIN1",
            "client_encoding: only UTF8 is supported",
        ),
        (
            "gssencmode=require",
            "gssencmode: encryption by GSSAPI is not supported",
        ),
        ("sslpassword=x", "sslpassword: keys that are encrypted"),
        (
            "sslkeylogfile=x",
            "sslkeylogfile: writing the session's keys",
        ),
        (
            "replication=database",
            "replication: replication connections",
        ),
        (
            "ssl_max_protocol_version=TLSv1",
            "ssl_max_protocol_version: TLS before 1.2",
        ),
    ] {
        let error = text.parse::<Config>().expect_err(text);
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{text}");
        assert!(error.to_string().starts_with(expected), "{error}");
    }
}

/// A password of pieces that are easily recognized, with everything between them that
/// breaks a connection string.
fn passwords() -> Vec<String> {
    let separators = [
        "/",
        "@",
        ":",
        "?",
        "#",
        "&",
        "=",
        " ",
        "'",
        "\\",
        "%",
        "%zz",
        ",",
        "[",
        "]",
        "?user=",
        "?ssl=",
        "&host=",
        "?sslmode=",
        "/?x=",
        "@/",
        "?service=",
        "?passfile=",
        " user=",
        " x=",
        "' host='",
        "'port=",
        "\t",
        ";",
    ];
    let mut passwords = Vec::new();
    for first in separators {
        for second in separators {
            passwords.push(format!("Zq1{first}Zq2{second}Zq3"));
            // What precedes looks like a port.
            passwords.push(format!("12{first}Zq2{second}Zq3"));
        }
        passwords.push(format!("{first}Zq1"));
        passwords.push(format!("Zq1{first}"));
    }
    passwords
}

/// Everything that a program can print of a configuration and what becomes of it.
fn printed(text: &str) -> String {
    let environment = Environment::empty().user("app");
    match text.parse::<Config>() {
        Err(error) => format!("{error} {error:#} {error:?}"),
        Ok(config) => {
            let config = config.environment(environment);
            let shown = format!("{config} {config:?} {config:#?}");
            match config.resolve() {
                Err(error) => format!("{shown} {error} {error:#} {error:?}"),
                Ok(resolved) => format!("{shown} {resolved:?} {:?}", resolved.warnings()),
            }
        }
    }
}

#[test]
fn s31_a_broken_connection_string_shows_nothing_of_its_password() {
    let mut accepted = 0;
    let passwords = passwords();
    for password in &passwords {
        for text in [
            format!("postgres://app:{password}@db.example.com:5432/shop?sslmode=require"),
            format!("postgresql://app:{password}@db.example.com"),
            format!("postgres://app%40corp:{password}@[::1]/shop?port=5433"),
            format!("postgres://:{password}@/shop"),
            format!("password={password} host=db sslmode=require"),
            format!("host=db password='{password}' sslmode=require"),
            format!("host=db password={password}"),
            format!("scram_client_key={password} host=db"),
            format!("oauth_client_secret='{password}' host=db"),
        ] {
            // Pairs that name another option mean it.
            let is_option = !text.contains("://")
                && [" user=", "' host='"]
                    .iter()
                    .any(|other| password.contains(other));
            let printed = printed(&text);
            accepted += usize::from(printed.contains("Config"));
            assert!(is_option || !printed.contains("Zq"), "{text}\n{printed}");
        }
    }
    assert!(accepted > passwords.len(), "some of them must be accepted");
}

#[test]
fn s31_secrets_of_every_source_stay_hidden() {
    let directory = std::env::temp_dir().join(format!("kornak-errors-{}", std::process::id()));
    std::fs::create_dir_all(&directory).expect("scratch space is writable");
    let file = directory.join("service");
    let environment = Environment::empty()
        .user("app")
        .variable("PGPASSWORD", "Zq1")
        .variable("PGSERVICEFILE", &file);
    for (service, line) in [
        ("password=Zq2", "line 2"),
        ("password Zq2", "line 2"),
        ("passwrd=Zq2", "line 2"),
        ("password=Zq2\nZq3", "line 3"),
        ("password=Zq2\nZq3=x", "line 3"),
        ("scram_client_key=Zq2", "line 2"),
    ] {
        std::fs::write(&file, format!("[one]\n{service}\n")).expect("scratch space is writable");
        let config = Config::new()
            .service("one")
            .environment(environment.clone())
            .setting("my.secret", "Zq4");
        let mut printed = format!("{config} {config:?}");
        match config.resolve() {
            Ok(resolved) => printed += &format!("{resolved:?} {:?}", resolved.hosts()),
            Err(error) => {
                let error = error.to_string();
                assert!(error.contains(line), "{service}: {error}");
                printed += &error;
            }
        }
        assert!(!printed.contains("Zq"), "{service}: {printed}");
    }
    std::fs::remove_dir_all(&directory).expect("it is ours");
}

const NO_DIGITS: &str =
    "expected two hexadecimal digits behind %; a percent sign itself is written %25";

const NO_PAIR_AT_ALL: &str = "expected postgres://… or an option's name and = (a value with blanks \
                              in it is quoted: name='a value')";

const NO_PAIR: &str =
    "expected an option's name and = (a value with blanks in it is quoted: name='a value')";

const PORT: &str = "port: expected a number from 1 to 65535 (in a URI, a / in the password is \
                    written %2F and a : in the user name %3A)";
