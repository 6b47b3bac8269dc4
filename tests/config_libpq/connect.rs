//! Values, environment variables, service files and password files compared with libpq.
//!
//! libpq connects to Unix sockets that don't exist, and to ports of this machine where
//! nothing listens. That it tries says that it takes the configuration; then the options
//! that it has gathered, given to this driver in an empty environment, must come to the
//! same as what this driver gathers itself.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use kornak::Error;
use kornak::config::{Config, Environment, ResolvedConfig};
use kornak::error::ErrorKind;

use super::generator::Random;
use super::libpq::{self, Answer, Request};

/// Why this driver may refuse what libpq takes, or the other way round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Difference {
    /// The error says what is not supported and why.
    Unsupported,
    /// libpq looks for root certificates when TLS begins, and nothing listens here.
    RootCertificatesAtOnce,
    /// libpq takes any word but `1` for 0.
    FlagIsNoNumber,
    /// libpq looks a password up by the port as it is spelled, this driver by its number:
    /// `port=+1` finds the line of port 1 here only.
    PortSpelledOddly,
}

#[test]
fn s32_environment_and_files_agree_with_libpq() {
    let mut random = Random::new(0x6F6C_6966_616E);
    // Which options libpq has decides what can be asked.
    let Some(libpq) = libpq::ask(&[Request::Parse(String::new())]) else {
        return;
    };
    let options: Vec<_> = OPTIONS
        .iter()
        .copied()
        .filter(|(keyword, _)| libpq.keywords.contains_key(*keyword))
        .collect();
    let directory = Scratch::new();
    let homes: Vec<_> = (0..HOMES)
        .map(|number| directory.0.join(format!("home{number}")))
        .collect();
    for path in &homes {
        home(&mut random, path, &options);
    }
    let cases: Vec<_> = (0..CASES)
        .map(|_| case(&mut random, &homes, &options, &libpq.keywords))
        .collect();
    let requests: Vec<_> = cases
        .iter()
        .map(|(variables, text)| Request::Connect(variables.clone(), text.clone()))
        .collect();
    let answers = libpq::ask(&requests).expect("libpq is there").answers;

    let user = Environment::process();
    let user = Config::new().environment(user).resolve();
    let user = user.expect("it has a default").user().to_owned();
    let mut agreed = 0;
    let mut accepted = 0;
    let mut differences: BTreeMap<Difference, usize> = BTreeMap::new();
    let mut failures = Vec::new();
    for ((variables, text), theirs) in cases.iter().zip(&answers) {
        let environment = variables.iter().fold(
            Environment::empty().user(&user),
            |environment, (name, value)| environment.variable(name, value),
        );
        let ours = text
            .parse::<Config>()
            .and_then(|config| config.environment(environment).resolve());
        match verdict(&ours, theirs, &user) {
            Ok(None) => {
                agreed += 1;
                accepted += usize::from(theirs.accepts);
            }
            Ok(Some(difference)) => *differences.entry(difference).or_default() += 1,
            Err(why) => failures.push(format!(
                "{text:?}\n  with {variables:?}\n  theirs: {}\n  {why}",
                theirs.message.trim_end()
            )),
        }
    }
    println!(
        "libpq {}: {agreed} agree, {accepted} of them accepted; {differences:?}",
        libpq.version
    );
    let some = &failures[..failures.len().min(20)];
    assert!(
        failures.is_empty(),
        "{}: {}",
        failures.len(),
        some.join("\n")
    );
    assert!(agreed >= CASES / 2, "only {agreed} cases were compared");
    assert!(accepted >= CASES / 8, "only {accepted} cases were accepted");
}

/// Agreement, an argued difference, or what is wrong.
fn verdict(
    ours: &Result<ResolvedConfig, Error>,
    theirs: &Answer,
    user: &str,
) -> Result<Option<Difference>, String> {
    match ours {
        Err(_) if !theirs.accepts => Ok(None),
        Err(error) if error.kind() == ErrorKind::Unsupported => Ok(Some(Difference::Unsupported)),
        Err(error) if error.to_string().contains("needs root certificates") => {
            Ok(Some(Difference::RootCertificatesAtOnce))
        }
        Err(error) => {
            let message = error.to_string();
            let names_flag = ["sslsni", "PGSSLSNI"]
                .iter()
                .any(|name| message.contains(name));
            match names_flag && message.contains("1 (on)") {
                true => Ok(Some(Difference::FlagIsNoNumber)),
                false => Err(format!("ours refuses: {message}")),
            }
        }
        Ok(_) if !theirs.accepts => Err("ours accepts".to_owned()),
        Ok(ours) => {
            let expected = from_options(&theirs.options, user)?;
            let (ours_shown, expected_shown) = (view(ours), view(&expected));
            if ours_shown != expected_shown {
                return Err(format!("ours:   {ours_shown}\n  theirs: {expected_shown}"));
            }
            let last = ours.hosts().last().and_then(|host| host.password());
            let last = last.map_or(&[][..], |password| password.expose());
            let port = theirs.options.get("port").map_or(&[][..], Vec::as_slice);
            if last != theirs.password && port.iter().any(|byte| b"+ ".contains(byte)) {
                return Ok(Some(Difference::PortSpelledOddly));
            }
            if last != theirs.password {
                return Err(format!(
                    "passwords: ours {:?}, theirs {:?}",
                    String::from_utf8_lossy(last),
                    String::from_utf8_lossy(&theirs.password)
                ));
            }
            Ok(None)
        }
    }
}

/// The configuration that says all that libpq has gathered.
fn from_options(options: &BTreeMap<String, Vec<u8>>, user: &str) -> Result<ResolvedConfig, String> {
    let mut config = Config::new().environment(Environment::empty().user(user));
    for (name, value) in options {
        // The service is looked up already; any encoding of the environment comes to UTF-8.
        if matches!(name.as_str(), "service" | "servicefile" | "client_encoding") {
            continue;
        }
        let value = String::from_utf8(value.clone()).map_err(|error| error.to_string())?;
        config = config
            .option(name, &value)
            .map_err(|error| format!("{name}={value:?}: {error}"))?;
    }
    config.resolve().map_err(|error| error.to_string())
}

/// All that a configuration says but its warnings.
fn view(config: &ResolvedConfig) -> String {
    let mut text = String::new();
    let hosts = config.hosts().iter().map(|host| {
        let password = host.password().map(|password| password.expose().to_vec());
        (host.to_string(), host.is_unix(), password)
    });
    let parameters: Vec<_> = config.startup_parameters().collect();
    write!(
        text,
        "{:?} {parameters:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?}",
        hosts.collect::<Vec<_>>(),
        config.tls(),
        config.target_session_attrs(),
        config.load_balance_hosts(),
        config.require_auth(),
        config.channel_binding(),
        config.requirepeer(),
        config.min_protocol_version(),
        config.max_protocol_version(),
        config.connect_timeout(),
        config.keepalives(),
        config.tcp_user_timeout(),
    )
    .expect("a string takes all");
    text
}

/// A connection string, and the variables around it.
fn case(
    random: &mut Random,
    homes: &[PathBuf],
    options: &[(&str, &[&str])],
    keywords: &BTreeMap<String, String>,
) -> (Vec<(String, String)>, String) {
    let home = &homes[random.below(homes.len())];
    let mut variables = vec![
        ("HOME".to_owned(), home.display().to_string()),
        ("PGHOST".to_owned(), random.pick(HOSTS).to_owned()),
        // Else libpq would read the machine's own.
        (
            "PGSYSCONFDIR".to_owned(),
            home.join("etc").display().to_string(),
        ),
    ];
    let mut text = String::new();
    for (keyword, values) in options {
        let variable = &keywords[*keyword];
        if random.once_in(12) {
            let value = random.pick(values);
            let value = value.replace('\\', "\\\\").replace('\'', "\\'");
            write!(text, "{keyword}='{value}' ").expect("a string takes all");
        }
        if !variable.is_empty() && *keyword != "host" && random.once_in(16) {
            variables.push((variable.clone(), random.pick(values).to_owned()));
        }
    }
    if random.once_in(3) {
        let service = random.pick(&["one", "two", "none", "", "o"]);
        if random.once_in(2) {
            write!(text, "service='{service}'").expect("a string takes all");
        } else {
            variables.push(("PGSERVICE".to_owned(), service.to_owned()));
        }
        if random.once_in(4) {
            let file = random.pick(&["etc/pg_service.conf", "nowhere"]);
            let file = home.join(file).display().to_string();
            variables.push(("PGSERVICEFILE".to_owned(), file));
        }
    }
    if random.once_in(12) {
        let old = random.pick(&["1", "0", "", "12"]).to_owned();
        variables.push(("PGREQUIRESSL".to_owned(), old));
    }
    if random.once_in(6) {
        let file = random.pick(&[".pgpass", "open", "nowhere", "."]);
        let file = home.join(file).display().to_string();
        variables.push(("PGPASSFILE".to_owned(), file));
    }
    (variables, text)
}

/// A home directory with password files and service files.
fn home(random: &mut Random, home: &Path, options: &[(&str, &[&str])]) {
    let write = |name: &str, mode: u32, text: &str| {
        let path = home.join(name);
        let parent = path.parent().expect("it is below the home directory");
        std::fs::create_dir_all(parent).expect("scratch space is writable");
        std::fs::write(&path, text).expect("scratch space is writable");
        permit(&path, mode);
    };
    write(".pgpass", 0o600, &passfile(random));
    write("open", 0o640, &passfile(random));
    if random.once_in(2) {
        write(".pg_service.conf", 0o644, &service_file(random, options));
    }
    if random.below(3) > 0 {
        write("etc/pg_service.conf", 0o644, &service_file(random, options));
    }
}

#[cfg(unix)]
fn permit(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))
        .expect("the file is ours");
}

fn passfile(random: &mut Random) -> String {
    let mut text = String::new();
    for _ in 0..random.below(6) {
        for fields in [
            &[
                "*",
                "/none-here",
                "@none-here",
                "127.0.0.1",
                "localhost",
                "/none\\-here",
                "",
                "#",
            ][..],
            &["*", "*", "1", "2", "5432", "\\1"],
            &["*", "*", "app", "shop", "root", "a\\:b", "a:b", "a\\\\b"],
            &["*", "*", "app", "shop", "root", "a\\:b", "**"],
        ] {
            text += random.pick(fields);
            text += random.pick(&[":", ":", ":", ":", ":", ":", ":", ":", "", "::"]);
        }
        for _ in 0..random.below(4) {
            text += random.pick(&["x", "y", "\\:", "\\\\", "\\", ":", " ", "\u{e9}"]);
        }
        text += random.pick(&["\n", "\n", "\n", "\r\n", "\r\r\n", "\n\n"]);
    }
    text
}

fn service_file(random: &mut Random, options: &[(&str, &[&str])]) -> String {
    let mut text = String::new();
    for _ in 0..random.below(10) {
        let option = options[random.below(options.len())];
        let value = option.1[random.below(option.1.len())];
        match random.below(24) {
            0..=6 => {
                text += random.pick(&["[one]", "[two]", "[o]", "[]", "[one]x", " [two]", "[one"])
            }
            7 => text += random.pick(&["# [one]", "", "  ", "user", "=x", "service=two"]),
            8 => text += random.pick(&["port = 1", "nonsense=1", "requiressl=1", "host=\0"]),
            9 => {
                let length = 1010 + random.below(14);
                text += &format!("user={}", "u".repeat(length));
            }
            _ if value.contains('\n') => {}
            _ => text += &format!("{}={value}", option.0),
        }
        text += random.pick(&["\n", "\n", "\n", " \n", "\r\n", "\t\x0B\n"]);
    }
    if random.once_in(2) {
        text.truncate(text.trim_end().len());
    }
    text.replace('\0', "")
}

/// Scratch space that is gone at the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        let directory = std::env::temp_dir().join(format!("kornak-config-{}", std::process::id()));
        std::fs::create_dir_all(&directory).expect("scratch space is writable");
        Self(directory)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

const CASES: usize = 10_000;
const HOMES: usize = 200;

/// Nobody answers there, at once.
const HOSTS: &[&str] = &["/none-here", "@none-here", "/none-here,/none-there"];

/// Values of each option, good and bad. Left out is what libpq looks at only once the
/// server has answered: numbers of keepalives, and `connect_timeout`.
const OPTIONS: &[(&str, &[&str])] = &[
    ("host", HOSTS),
    (
        "hostaddr",
        &[
            "",
            "127.0.0.1",
            "127.0.0.1,127.0.0.1",
            "localhost",
            "127.0.0.1,",
            ",",
        ],
    ),
    (
        "port",
        &[
            "", "1", "2", " 2 ", "+1", "0", "-1", "65536", "x", "1x", "1,2", "1,", "1,,", "0x1",
        ],
    ),
    ("user", &["", "app", "a:b", "a\\b", "it's"]),
    ("password", &["", "sesame", " \\'"]),
    ("dbname", &["", "app", "shop", "a:b", "a=b", "postgres://x"]),
    ("options", &["", "-c geqo=off"]),
    ("application_name", &["", "me", "\u{e9}"]),
    ("fallback_application_name", &["", "you"]),
    ("client_encoding", &["", "utf8", "auto", "UTF-8"]),
    (
        "sslmode",
        &[
            "disable",
            "allow",
            "prefer",
            "require",
            "verify-ca",
            "verify-full",
            "",
            "Require",
        ],
    ),
    ("sslnegotiation", &["postgres", "direct", "", "x"]),
    ("sslcompression", &["0", "1", "", "x"]),
    ("sslcert", &["", "a.crt"]),
    ("sslkey", &["", "a.key"]),
    ("sslcertmode", &["disable", "allow", "require", "", "x"]),
    ("sslrootcert", &["", "root.crt", "./system", "SYSTEM"]),
    ("sslcrl", &["", "a.crl"]),
    ("sslcrldir", &["", "crls"]),
    ("sslsni", &["0", "1", "", "true", "2"]),
    ("requirepeer", &["", "postgres"]),
    (
        "require_auth",
        &[
            "",
            "md5",
            "scram-sha-256",
            "none",
            "md5,none",
            "!none",
            "!md5,!password",
            "md5,!none",
            "!md5,none",
            "md5,md5",
            "!none,!none",
            "md5,",
            "!",
            "gss,sspi",
            "!gss,!sspi",
            "oauth",
            "x",
            "md5, none",
        ],
    ),
    (
        "min_protocol_version",
        &["3.0", "3.2", "latest", "", "3.1", "3", "4.0"],
    ),
    (
        "max_protocol_version",
        &["3.0", "3.2", "latest", "", "3.1", "2.0"],
    ),
    (
        "ssl_min_protocol_version",
        &[
            "", "TLSv1", "TLSv1.1", "TLSv1.2", "tlsV1.3", "TLSv1.4", "SSLv3", "1.2",
        ],
    ),
    (
        "ssl_max_protocol_version",
        &["", "TLSv1", "TLSv1.2", "tlsv1.3", "x"],
    ),
    (
        "channel_binding",
        &["disable", "prefer", "require", "", "x"],
    ),
    ("gssencmode", &["disable", "prefer", "require", "", "x"]),
    ("krbsrvname", &["", "x"]),
    ("gssdelegation", &["0", "1", "", "x"]),
    (
        "target_session_attrs",
        &[
            "any",
            "read-write",
            "read-only",
            "primary",
            "standby",
            "prefer-standby",
            "",
            "master",
        ],
    ),
    ("load_balance_hosts", &["disable", "random", "", "x"]),
    ("connect_timeout", &["0", "10", "-1"]),
    ("keepalives", &["0", "1", "7"]),
    ("keepalives_idle", &["0", "7", "-7"]),
    ("tcp_user_timeout", &["0", "7", "-7"]),
    (
        "scram_client_key",
        &[
            "",
            "x",
            "AAAA",
            "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        ],
    ),
    ("oauth_scope", &["", "x"]),
];
