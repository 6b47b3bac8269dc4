//! Service files, password files and the directories of sockets.

use kornak::config::{Config, ResolvedConfig};

use super::support::*;

#[test]
fn the_default_host_is_where_a_socket_is() {
    let scratch = Scratch::new("sockets");
    scratch.file("two/.s.PGSQL.5432", "");
    let directories = |names: &[&str]| {
        app().socket_directories(
            names
                .iter()
                .map(|name| scratch.path(name))
                .collect::<Vec<_>>(),
        )
    };
    std::fs::create_dir_all(scratch.path("one")).expect("scratch space is writable");
    let one = scratch.path("one/.s.PGSQL.5432");
    let two = scratch.path("two/.s.PGSQL.5432");
    check("", &directories(&["one", "two"]), hosts, &two);
    check("", &directories(&["one"]), hosts, &one);
    check("", &directories(&["none"]), hosts, "localhost, port 5432");
    check(
        "port=1",
        &directories(&["one", "none", "two"]),
        hosts,
        &format!(
            "{}; {}",
            scratch.path("one/.s.PGSQL.1"),
            scratch.path("two/.s.PGSQL.1")
        ),
    );
    check(
        "host=a,",
        &directories(&["two"]),
        hosts,
        &format!("a, port 5432; {two}"),
    );
}

#[test]
fn explicit_beats_service_beats_variable_beats_default() {
    let scratch = Scratch::new("services");
    let file = scratch.file(
        "services",
        "[one]\nuser=service\nhost=service\n[two]\nuser=two\n",
    );
    scratch.file("home/.pg_service.conf", "[home]\nuser=home\n");
    scratch.file("etc/pg_service.conf", "[home]\nuser=etc\n[etc]\nuser=etc\n");
    let view = |resolved: &ResolvedConfig| format!("{} {}", resolved.user(), hosts(resolved));
    let variables = app()
        .variable("PGSERVICEFILE", &file)
        .variable("PGUSER", "variable")
        .variable("PGHOST", "variable");
    check("", &variables, view, "variable variable, port 5432");
    check(
        "service=one",
        &variables,
        view,
        "service service, port 5432",
    );
    check("service=two", &variables, view, "two variable, port 5432");
    check(
        "service=one user=me",
        &variables,
        view,
        "me service, port 5432",
    );
    check(
        "service=",
        &variables,
        view,
        "error: no service file defines \"\"",
    );
    check(
        "service=none",
        &variables,
        view,
        "error: no service file defines \"none\"",
    );
    let named = variables.clone().variable("PGSERVICE", "one");
    check("", &named, view, "service service, port 5432");
    check("service=two", &named, view, "two variable, port 5432");

    let home = app()
        .variable("HOME", scratch.path("home"))
        .variable("PGSYSCONFDIR", scratch.path("etc"));
    check("service=home", &home, who, "home home");
    check("service=etc", &home, who, "etc etc");
    check("service=one", &home, who, "error: no service file defines");
    let option = format!("service=one servicefile={}", file.display());
    check(&option, &home, who, "service service");
    let missing = format!("service=one servicefile={}", scratch.path("missing"));
    check(&missing, &home, who, "error: can't read the service file");
}

#[test]
fn a_service_file_s_faults_are_named_by_line() {
    let scratch = Scratch::new("faults");
    for (text, expected) in [
        ("[s]\nuser=a", "a a"),
        ("\r\n # x\r\n [s] \r\n user=a \r\n", "a a"),
        ("[s]\nuser=a\n[t]\nnonsense", "a a"),
        ("[s]\nuser=a\nuser=b\n", "a a"),
        ("[s]\nnonsense\n", "error: line 2: expected name=value"),
        (
            "[s]\n\nusr=a\n",
            "error: line 3: there is no such option, or there are blanks around \
                            the =; did you mean user?",
        ),
        ("[s]\nuser = a\n", "error: did you mean user?"),
        (
            "[s]\nservice=t\n",
            "error: line 2: a service can't name another",
        ),
        (
            "[s]\nldap://x\n",
            "error: line 2: looking options up by LDAP is not supported",
        ),
        ("[s]\nport=x\n", "error: line 2: port: expected a number"),
        ("[t]\nuser=a\n", "error: no service file defines \"s\""),
    ] {
        let file = scratch.file("services", text);
        let config = Config::new().service("s").servicefile(&file);
        check_config(config, &app(), who, expected);
    }
    let long = format!("[s]\nuser={}\n", "u".repeat(1_100));
    let file = scratch.file("services", &long);
    let config = Config::new().service("s").servicefile(file);
    check_config(config, &app(), who, "error: line 2: the line is too long");
}

#[test]
fn passwords_come_from_the_file_unless_they_are_given() {
    let scratch = Scratch::new("passwords");
    let file = scratch.file("pw", "a:1:*:*:one\nb:*:shop:*:two\nlocalhost:*:*:*:local\n");
    scratch.file("home/.pgpass", "*:*:*:*:home\n");
    std::fs::create_dir_all(scratch.path("run")).expect("scratch space is writable");
    let environment = app()
        .variable("HOME", scratch.path("home"))
        .socket_directories([scratch.path("run")]);
    let with = |text: &str| format!("passfile={} {text}", file.display());
    let p = passwords;
    check("host=a", &environment, p, "home*");
    check("host=a passfile=''", &environment, p, "home*");
    check("host=a password=mine", &environment, p, "mine");
    check("host=a password=''", &environment, p, "home*");
    check(
        "host=a",
        &environment.clone().variable("PGPASSWORD", "v"),
        p,
        "v",
    );
    check(
        &with("host=a,b,c port=1 dbname=shop"),
        &environment,
        p,
        "one* two* -",
    );
    check(&with("host=b dbname=other"), &environment, p, "-");
    check(&with("host=localhost"), &environment, p, "local*");
    check(&with(""), &environment, p, "local*");
    check(&with("host=/elsewhere"), &environment, p, "-");
    // The name goes before the address.
    check(&with("host=a hostaddr=::1 port=1"), &environment, p, "one*");
    check("host=a", &app(), p, "-");
}

#[cfg(unix)]
#[test]
fn p6_a_password_file_that_others_can_use_is_ignored_and_said_so() {
    let scratch = Scratch::new("permissions");
    let file = scratch.file("pw", "*:*:*:*:sesame\n");
    let text = format!("host=a passfile={}", file.display());
    for (mode, expected) in [
        (0o600, "sesame*"),
        (0o400, "sesame*"),
        (0o640, "-"),
        (0o601, "-"),
    ] {
        permit(&file, mode);
        check(&text, &app(), passwords, expected);
    }
    let said = format!(
        "the password file {} is ignored: group or others may use it; its permissions must be \
         0600 or less",
        file.display()
    );
    check(&text, &app(), warnings, &said);
    let directory = format!("host=a passfile={}", scratch.0.display());
    let said = format!(
        "the password file {} is ignored: it is not a plain file",
        scratch.0.display()
    );
    check(&directory, &app(), warnings, &said);
    check("host=a password=x passfile=/nowhere", &app(), warnings, "");
    check(
        "host=a passfile=/nowhere",
        &app(),
        warnings,
        "there is no password file /nowhere",
    );
    check("host=a", &app().variable("HOME", "/nowhere"), warnings, "");
}
