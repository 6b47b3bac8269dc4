//! From a [`Config`] to a [`ResolvedConfig`]: explicit options, the service file, the
//! environment, the defaults (`conninfo_add_defaults` and `pqConnectOptions2` in
//! fe-connect.c).

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::builder::Config;
use super::choice::{
    Compression, Pooler, ProtocolVersion, SslCertMode, SslMode, SslNegotiation, TlsFloor,
    TlsVersion,
};
use super::endpoint::{Endpoint, Keepalives};
use super::environment::Environment;
use super::host::{Host, RootCertificates};
use super::options::{KEYWORDS, Options};
use super::passfile::{Key, Passfile};
use super::resolution::Witness;
use super::resolved::ResolvedConfig;
use super::service_file;
use super::tls::TlsOptions;
use super::value::List;
use super::{
    DEFAULT_KEEPALIVES_COUNT, DEFAULT_KEEPALIVES_IDLE, DEFAULT_KEEPALIVES_INTERVAL, DEFAULT_PORT,
    DEFAULT_SCRAM_MAX_ITERATIONS, DEFAULT_SCRAM_MIN_ITERATIONS, DEFAULT_STATEMENT_CACHE_CAPACITY,
    DEFAULT_TCP_USER_TIMEOUT,
};
use crate::error::{Error, ErrorKind, Result};

pub(super) fn complete(config: &Config, witness: &mut Witness) -> Result<ResolvedConfig> {
    let environment = &config.environment;
    let mut warnings = Vec::new();
    let mut options = config.options.clone();
    let has_service = options.service.is_some() || environment.get("PGSERVICE").is_some();
    if has_service || environment.asks_for_home() {
        witness.something_else();
    }
    service_file::apply(&mut options, environment, config.is_suspect)?;
    let said = options.clone();
    apply_variables(&mut options, environment, &mut warnings)?;
    check_texts(&options)?;
    if options.sslcompression == Some(Compression(true)) {
        warnings.push("sslcompression has no effect, because TLS has none any more".into());
    }

    let pooler = options.pooler.unwrap_or_default();
    let settings = settings(config, environment, pooler, &mut warnings)?;
    let server_options = server_options(&options, &said, pooler, &mut warnings)?;
    let user = user(&options, environment)?;
    let dbname = non_empty(&options.dbname).unwrap_or_else(|| user.clone());
    let mut hosts = hosts(&options, environment, witness)?;
    let target = (&*user, &*dbname);
    add_passwords(
        &mut hosts,
        &options,
        environment,
        target,
        &mut warnings,
        witness,
    );
    if config.is_suspect {
        // They name paths.
        warnings.clear();
    }
    let tls = tls(&options, environment, &hosts, witness)?;
    let (min_protocol_version, max_protocol_version) = protocol_versions(&options)?;
    let (scram_min_iterations, scram_max_iterations) = scram_iterations(&options)?;

    Ok(ResolvedConfig {
        hosts,
        application_name: application_name(&options, environment),
        user,
        dbname,
        options: server_options,
        settings,
        target_session_attrs: options.target_session_attrs.unwrap_or_default(),
        load_balance_hosts: options.load_balance_hosts.unwrap_or_default(),
        pooler,
        require_auth: options.require_auth.unwrap_or_default(),
        channel_binding: options.channel_binding.unwrap_or_default(),
        allow_cleartext_password: options.allow_cleartext_password.is_some_and(|on| on.0),
        allow_md5_password: options.allow_md5_password.is_some_and(|on| on.0),
        scram_min_iterations,
        scram_max_iterations,
        scram_client_key: options.scram_client_key.as_ref().map(|key| key.0.clone()),
        scram_server_key: options.scram_server_key.as_ref().map(|key| key.0.clone()),
        requirepeer: non_empty(&options.requirepeer),
        tls,
        min_protocol_version,
        max_protocol_version,
        connect_timeout: options.connect_timeout.and_then(|limit| non_zero(limit.0)),
        query_timeout: options.query_timeout.and_then(|limit| non_zero(limit.0)),
        keepalives: keepalives(&options),
        tcp_user_timeout: match options.tcp_user_timeout {
            Some(limit) => non_zero(limit.0),
            None => Some(DEFAULT_TCP_USER_TIMEOUT),
        },
        send_buffer_size: options.send_buffer_size.filter(|size| *size > 0),
        receive_buffer_size: options.receive_buffer_size.filter(|size| *size > 0),
        statement_cache_capacity: options
            .statement_cache_capacity
            .unwrap_or(DEFAULT_STATEMENT_CACHE_CAPACITY),
        warnings,
        is_suspect: config.is_suspect,
    })
}

/// Adds what the environment variables say where nothing else is said.
fn apply_variables(
    options: &mut Options,
    environment: &Environment,
    warnings: &mut Vec<String>,
) -> Result<()> {
    for keyword in KEYWORDS {
        let Some(variable) = keyword.variable else {
            continue;
        };
        if options.is_set(keyword.name) {
            continue;
        }
        let Some(text) = environment.get(variable) else {
            continue;
        };
        match options.set(keyword.name, text.as_encoded_bytes()) {
            Ok(()) => {}
            // It says how a terminal wants its text. A Rust program's is UTF-8 anywhere.
            Err(_) if variable == "PGCLIENTENCODING" => {
                warnings.push("PGCLIENTENCODING is ignored: the encoding is always UTF8".into());
            }
            Err(invalid) => return Err(invalid.of(variable)),
        }
    }
    // Before PGSSLMODE there was PGREQUIRESSL.
    if options.sslmode.is_none() {
        let old = environment.get("PGREQUIRESSL");
        if old.is_some_and(|text| text.as_encoded_bytes().starts_with(b"1")) {
            options.sslmode = Some(SslMode::Require);
        }
    }
    Ok(())
}

/// Checks what the builder takes without a check, because its setters can't fail.
fn check_texts(options: &Options) -> Result<()> {
    for (keyword, text) in options.texts() {
        if text.contains('\0') {
            return Err(config(format!("{} contains a zero byte", keyword.name)));
        }
    }
    let hosts = options.host.iter().flat_map(|list| &list.0);
    for host in hosts.flatten() {
        if let Some(fault) = host.fault() {
            return Err(config(format!("invalid host: {fault}")));
        }
    }
    let ports = options.port.iter().flat_map(|list| &list.0);
    if ports.flatten().any(|port| *port == 0) {
        return Err(config("invalid port: expected a number from 1 to 65535"));
    }
    Ok(())
}

fn user(options: &Options, environment: &Environment) -> Result<String> {
    non_empty(&options.user)
        .or_else(|| environment.user_of_system())
        .ok_or_else(|| {
            config("no user is given, and the operating system's user can't be found out")
        })
}

fn application_name(options: &Options, environment: &Environment) -> Option<String> {
    non_empty(&options.application_name).or_else(|| match &options.fallback_application_name {
        Some(name) => Some(name.clone()).filter(|name| !name.is_empty()),
        None => environment.program_name(),
    })
}

/// The program's settings, and those that libpq takes from the environment
/// (`EnvironmentOptions` in fe-connect.c).
fn settings(
    program: &Config,
    environment: &Environment,
    pooler: Pooler,
    warnings: &mut Vec<String>,
) -> Result<Vec<(String, String)>> {
    for (name, value) in &program.settings {
        if name.is_empty() || name.contains('\0') || value.contains('\0') {
            return Err(config("a setting has no name, or contains a zero byte"));
        }
        let lower = name.to_ascii_lowercase();
        if RESERVED.contains(&lower.as_str()) || lower.starts_with("_pq_.") {
            return Err(config(format!(
                "{name} can't be given as a setting; it has an option of its own"
            )));
        }
        if pooler == Pooler::Transaction && !is_tracked(name) {
            return Err(config(format!(
                "the setting {name} can't be given with pooler=transaction: a pooler of \
                 transactions does not know it; alter the role or the database instead"
            )));
        }
    }
    let mut settings = program.settings.clone();
    for (variable, name) in SETTING_VARIABLES {
        let said = settings.iter().any(|(s, _)| s.eq_ignore_ascii_case(name));
        let Some(value) = environment.get(variable).filter(|_| !said) else {
            continue;
        };
        let Ok(value) = value.into_string() else {
            return Err(config(format!("{variable} must be valid UTF-8")));
        };
        if value.eq_ignore_ascii_case("default") {
            continue;
        }
        if pooler == Pooler::Transaction && !is_tracked(name) {
            warnings.push(format!("{variable} is ignored with pooler=transaction"));
            continue;
        }
        settings.push((name.to_owned(), value));
    }
    Ok(settings)
}

fn is_tracked(setting: &str) -> bool {
    TRACKED
        .iter()
        .any(|tracked| tracked.eq_ignore_ascii_case(setting))
}

/// `options`, which a pooler of transactions can't pass on.
fn server_options(
    options: &Options,
    said: &Options,
    pooler: Pooler,
    warnings: &mut Vec<String>,
) -> Result<String> {
    let text = options.options.clone().unwrap_or_default();
    if pooler == Pooler::Session || text.is_empty() {
        return Ok(text);
    }
    if said.options.is_some() {
        return Err(config(
            "options can't be given with pooler=transaction: a pooler of transactions does \
             not pass them on; alter the role or the database instead",
        ));
    }
    warnings.push("PGOPTIONS is ignored with pooler=transaction".into());
    Ok(String::new())
}

/// The hosts with their addresses and ports, without passwords.
fn hosts(
    options: &Options,
    environment: &Environment,
    witness: &mut Witness,
) -> Result<Vec<Endpoint>> {
    let names: &[Option<Host>] = set(&options.host);
    let addresses: &[Option<IpAddr>] = set(&options.hostaddr);
    let ports: &[Option<u16>] = set(&options.port);
    let count = if addresses.is_empty() {
        names.len().max(1)
    } else {
        addresses.len()
    };
    if !names.is_empty() && names.len() != count {
        return Err(config(format!(
            "{} values of host don't match {count} of hostaddr",
            names.len()
        )));
    }
    if ports.len() > 1 && ports.len() != count {
        return Err(config(format!(
            "{} values of port don't match {count} hosts",
            ports.len()
        )));
    }
    let mut hosts = Vec::new();
    for index in 0..count {
        let port = match ports {
            [port] => *port,
            ports => ports.get(index).copied().flatten(),
        };
        let port = port.unwrap_or(DEFAULT_PORT);
        let address = addresses.get(index).copied().flatten();
        let given = names.get(index).cloned().flatten();
        let alternatives = match (given, address) {
            (Some(host), _) => vec![host],
            (None, Some(address)) => vec![Host::from(address)],
            (None, None) => {
                // Which of them it is, is found by looking for sockets.
                witness.something_else();
                default_hosts(environment, port)
            }
        };
        let alternatives = alternatives.into_iter();
        hosts.extend(alternatives.map(|host| Endpoint::new(host, address, port)));
    }
    Ok(hosts)
}

/// libpq knows one directory, that of the server it was built with. This driver was built
/// with none, and takes the one with a socket in it.
fn default_hosts(environment: &Environment, port: u16) -> Vec<Host> {
    let directories: Vec<Host> = environment
        .default_socket_directories()
        .into_iter()
        .filter(|directory| directory.is_dir())
        .map(Host::Unix)
        .collect();
    let has_socket = |host: &&Host| {
        host.socket_path(port)
            .is_some_and(|path| Path::new(&path).exists())
    };
    if let Some(host) = directories.iter().find(has_socket) {
        return vec![host.clone()];
    }
    if directories.is_empty() {
        return vec![Host::from("localhost")];
    }
    directories
}

fn add_passwords(
    hosts: &mut [Endpoint],
    options: &Options,
    environment: &Environment,
    (user, dbname): (&str, &str),
    warnings: &mut Vec<String>,
    witness: &mut Witness,
) {
    if let Some(password) = options.password.as_ref().filter(|p| !p.is_empty()) {
        for host in hosts {
            host.password = Some(password.clone());
        }
        return;
    }
    let named = path(&options.passfile);
    let is_named = named.is_some();
    let Some(path) = named.or_else(|| environment.home_file(".pgpass", "pgpass.conf")) else {
        return;
    };
    witness.file(&path);
    let file = Passfile::read(&path);
    match &file {
        Passfile::Ignored(warning) => warnings.push(warning.clone()),
        Passfile::Missing if is_named => {
            warnings.push(format!("there is no password file {}", path.display()));
        }
        _ => {}
    }
    let directories = environment.default_socket_directories();
    for host in hosts {
        let is_default = matches!(&host.host, Host::Unix(path) if directories.contains(path));
        let name = if is_default {
            "localhost".to_owned()
        } else {
            host.host.to_string()
        };
        let key = Key {
            host: &name,
            port: host.port,
            dbname,
            user,
        };
        host.password = file.password(&key).filter(|password| !password.is_empty());
        host.is_from_file = host.password.is_some();
    }
}

fn tls(
    options: &Options,
    environment: &Environment,
    hosts: &[Endpoint],
    witness: &mut Witness,
) -> Result<TlsOptions> {
    let mut default_file = |name: &str| {
        let path = environment.home_file(&format!(".postgresql/{name}"), name)?;
        witness.file(&path);
        Some(path).filter(|path| path.exists())
    };
    let named_roots = options.sslrootcert.clone().filter(|roots| match roots {
        RootCertificates::System => true,
        RootCertificates::File(path) => !path.as_os_str().is_empty(),
    });
    let mode = tls_mode(options.sslmode, named_roots.as_ref())?;
    let negotiation = options.sslnegotiation.unwrap_or_default();
    if negotiation == SslNegotiation::Direct && is_weak(mode) {
        return Err(config(format!(
            "sslnegotiation=direct needs an sslmode of require, verify-ca or verify-full, not \
             {mode}"
        )));
    }
    let root_certificates =
        named_roots.or_else(|| default_file("root.crt").map(RootCertificates::File));
    let verifies = matches!(mode, SslMode::VerifyCa | SslMode::VerifyFull);
    if verifies && root_certificates.is_none() && hosts.iter().any(|host| !host.is_unix()) {
        return Err(config(format!(
            "sslmode={mode} needs root certificates: set sslrootcert to a file or to system"
        )));
    }
    let certificate_mode = options.sslcertmode.unwrap_or_default();
    let certificate = match certificate_mode {
        SslCertMode::Disable => None,
        _ => path(&options.sslcert).or_else(|| default_file("postgresql.crt")),
    };
    let key = match &certificate {
        Some(_) => path(&options.sslkey).or_else(|| default_file("postgresql.key")),
        None => None,
    };
    let revocation_directory = path(&options.sslcrldir);
    let mut revocation_list = path(&options.sslcrl);
    if revocation_list.is_none() && revocation_directory.is_none() {
        revocation_list = default_file("root.crl");
    }
    let TlsFloor(min_version) = options
        .ssl_min_protocol_version
        .unwrap_or(TlsFloor(TlsVersion::Tls12));
    let max_version = options.ssl_max_protocol_version.and_then(|max| max.0);
    if max_version.is_some_and(|max| max < min_version) {
        return Err(config(
            "ssl_min_protocol_version is above ssl_max_protocol_version",
        ));
    }
    Ok(TlsOptions {
        mode,
        negotiation,
        root_certificates,
        certificate,
        key,
        certificate_mode,
        revocation_list,
        revocation_directory,
        server_name_indication: options.sslsni.is_none_or(|tell| tell.0),
        min_version,
        max_version,
    })
}

fn tls_mode(said: Option<SslMode>, roots: Option<&RootCertificates>) -> Result<SslMode> {
    let is_system = roots == Some(&RootCertificates::System);
    let mode = said.unwrap_or(if is_system {
        SslMode::VerifyFull
    } else {
        SslMode::default()
    });
    if is_system && mode != SslMode::VerifyFull {
        return Err(config(format!(
            "sslrootcert=system needs sslmode=verify-full, not {mode}: anyone can get a \
             certificate from those authorities for a name of their own"
        )));
    }
    if cfg!(feature = "tls") {
        return Ok(mode);
    }
    if is_weak(mode) {
        // As in a libpq without TLS, whose `prefer` prefers in vain.
        return Ok(SslMode::Disable);
    }
    Err(Error::new(
        ErrorKind::Unsupported,
        format!("sslmode={mode} needs the crate's feature `tls`, which is off"),
    ))
}

fn is_weak(mode: SslMode) -> bool {
    matches!(mode, SslMode::Disable | SslMode::Allow | SslMode::Prefer)
}

fn protocol_versions(options: &Options) -> Result<(ProtocolVersion, ProtocolVersion)> {
    let min = options.min_protocol_version.unwrap_or_default();
    let max = match options.max_protocol_version {
        Some(max) => max,
        None if min > ProtocolVersion::V3_0 => ProtocolVersion::V3_2,
        None => ProtocolVersion::V3_0,
    };
    if min > max {
        return Err(config("min_protocol_version is above max_protocol_version"));
    }
    Ok((min, max))
}

fn scram_iterations(options: &Options) -> Result<(u32, u32)> {
    let min = options
        .scram_min_iterations
        .unwrap_or(DEFAULT_SCRAM_MIN_ITERATIONS);
    let max = options
        .scram_max_iterations
        .unwrap_or(DEFAULT_SCRAM_MAX_ITERATIONS.max(min));
    if min > max {
        return Err(config("scram_min_iterations is above scram_max_iterations"));
    }
    Ok((min, max))
}

fn keepalives(options: &Options) -> Option<Keepalives> {
    if options.keepalives.is_some_and(|on| !on.0) {
        return None;
    }
    Some(Keepalives {
        idle: match options.keepalives_idle {
            Some(span) => non_zero(span.0),
            None => Some(DEFAULT_KEEPALIVES_IDLE),
        },
        interval: match options.keepalives_interval {
            Some(span) => non_zero(span.0),
            None => Some(DEFAULT_KEEPALIVES_INTERVAL),
        },
        count: match options.keepalives_count {
            Some(count) => Some(count).filter(|count| *count > 0),
            None => Some(DEFAULT_KEEPALIVES_COUNT),
        },
    })
}

/// libpq takes an empty text for an option that is not set, but does not look further.
fn non_empty(text: &Option<String>) -> Option<String> {
    text.clone().filter(|text| !text.is_empty())
}

fn path(path: &Option<PathBuf>) -> Option<PathBuf> {
    path.clone().filter(|path| !path.as_os_str().is_empty())
}

fn set<T>(list: &Option<List<T>>) -> &[Option<T>] {
    match list {
        Some(list) if !list.is_unset() => &list.0,
        _ => &[],
    }
}

fn non_zero(span: Duration) -> Option<Duration> {
    Some(span).filter(|span| !span.is_zero())
}

fn config(message: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::Config, message)
}

/// Startup parameters that are no settings.
const RESERVED: [&str; 6] = [
    "user",
    "database",
    "replication",
    "options",
    "client_encoding",
    "application_name",
];

/// The settings that PgBouncer keeps for each client (its `track_extra_parameters` and
/// before it), apart from those with options of their own.
const TRACKED: [&str; 3] = ["datestyle", "timezone", "standard_conforming_strings"];

const SETTING_VARIABLES: [(&str, &str); 3] = [
    ("PGDATESTYLE", "datestyle"),
    ("PGTZ", "timezone"),
    ("PGGEQO", "geqo"),
];
