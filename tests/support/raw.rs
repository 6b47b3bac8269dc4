//! A tiny blocking client: it looks at the server from outside, and ends what must end.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicU64, Ordering};

use super::address::{Address, Target};
use super::deadline::GENEROUS;
use super::dialogue::{Decoder, Message, Side, Value, frontend};
use super::scram::{self, Keys};
use super::server;

/// A session of simple queries. Each wait of it ends with an error after [`GENEROUS`].
pub struct RawClient {
    stream: Box<dyn ReadWrite>,
    decoder: Decoder,
    target: Target,
    process: i32,
    key: Vec<u8>,
    parameters: Vec<(String, String)>,
    status: char,
}

/// What a query gave: the rows of its last statement that had any, as text.
pub type Rows = Vec<Vec<Option<String>>>;

/// Why something did not work.
#[derive(Debug)]
pub enum RawError {
    /// The server says no.
    Server {
        /// The severity, never translated.
        severity: String,
        /// The SQLSTATE.
        code: String,
        /// The message.
        message: String,
    },
    /// The connection is broken, or nothing came in time.
    Io(io::Error),
    /// The server said something that fits nowhere.
    Unexpected(String),
}

impl RawClient {
    /// Connects as the superuser to the server of the tests.
    ///
    /// # Panics
    ///
    /// If it cannot.
    pub fn of_tests() -> Self {
        let target = server::target();
        Self::connect(&target).unwrap_or_else(|error| panic!("{}: {error}", target.address))
    }

    /// Connects, and authenticates as the server wishes.
    pub fn connect(target: &Target) -> Result<Self, RawError> {
        Self::connect_with(target, &[("application_name", "kornak-tests-observer")])
    }

    /// As [`connect`](Self::connect), with further startup parameters.
    pub fn connect_with(target: &Target, more: &[(&str, &str)]) -> Result<Self, RawError> {
        let mut client = Self {
            stream: open(&target.address)?,
            decoder: Decoder::started(Side::Backend),
            target: target.clone(),
            process: 0,
            key: Vec::new(),
            parameters: Vec::new(),
            status: 'I',
        };
        let mut parameters = vec![("user", &*target.user), ("database", &*target.database)];
        parameters.extend(more);
        client.send(&frontend::startup(&parameters))?;
        client.authenticate()?;
        loop {
            let message = client.receive()?;
            match message.name() {
                "BackendKeyData" => {
                    client.process = i32::try_from(message.integer(0)).expect("four bytes");
                    client.key = message.bytes(1).to_vec();
                }
                "ReadyForQuery" => return Ok(client),
                _ => return Err(unexpected(&message)),
            }
        }
    }

    /// Runs one or more statements.
    pub fn query(&mut self, sql: &str) -> Result<Rows, RawError> {
        if let Err(broken) = self.send(&frontend::query(sql)) {
            // A server that has gone may have said why.
            return Err(match self.receive() {
                Err(why @ RawError::Server { .. }) => why,
                _ => broken,
            });
        }
        let mut rows = Rows::new();
        let mut error = None;
        loop {
            let message = match self.receive() {
                Ok(message) => message,
                // The first one tells why; after a fatal one nothing more comes.
                Err(RawError::Server {
                    severity,
                    code,
                    message,
                }) if severity == "ERROR" => {
                    error.get_or_insert(RawError::Server {
                        severity,
                        code,
                        message,
                    });
                    continue;
                }
                Err(other) => return Err(other),
            };
            match message.name() {
                "RowDescription" => rows.clear(),
                "DataRow" => rows.push(message.list(0).iter().map(text).collect()),
                "CommandComplete" | "EmptyQueryResponse" => {}
                "ReadyForQuery" => {
                    self.status = status(&message);
                    return error.map_or(Ok(rows), Err);
                }
                _ => return Err(unexpected(&message)),
            }
        }
    }

    /// Runs statements whose rows are of no interest.
    ///
    /// # Panics
    ///
    /// If they fail.
    #[track_caller]
    pub fn execute(&mut self, sql: &str) {
        if let Err(error) = self.query(sql) {
            panic!("{sql}: {error}");
        }
    }

    /// The first column of each row.
    ///
    /// # Panics
    ///
    /// If the query fails, or a value is NULL.
    #[track_caller]
    pub fn column(&mut self, sql: &str) -> Vec<String> {
        match self.query(sql) {
            Ok(rows) => rows
                .into_iter()
                .map(|row| row.into_iter().next().flatten().expect("a value"))
                .collect(),
            Err(error) => panic!("{sql}: {error}"),
        }
    }

    /// The one value of the one row.
    ///
    /// # Panics
    ///
    /// If there isn't just one, or it is NULL.
    #[track_caller]
    pub fn value(&mut self, sql: &str) -> String {
        let mut values = self.column(sql);
        assert_eq!(values.len(), 1, "{sql}: one row");
        values.remove(0)
    }

    /// Waits until a condition in SQL is true, as [`waiting_for`] does.
    ///
    /// # Panics
    ///
    /// If it isn't within [`GENEROUS`].
    #[track_caller]
    pub fn wait_for(&mut self, condition: &str) {
        self.execute(&waiting_for(condition));
    }

    /// The process that serves this session.
    pub fn process(&self) -> i32 {
        self.process
    }

    /// The last value that the server reported for a parameter.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        let reported = self.parameters.iter().rev();
        reported
            .into_iter()
            .find_map(|(known, value)| (known == name).then_some(value.as_str()))
    }

    /// The status of the last ReadyForQuery: `I`, `T` or `E`.
    pub fn status(&self) -> char {
        self.status
    }

    /// Ends the session that this process serves, and waits until it is gone.
    ///
    /// # Panics
    ///
    /// If there is none.
    #[track_caller]
    pub fn terminate(&mut self, process: i32) {
        let milliseconds = GENEROUS.as_millis();
        let sql = format!("select pg_terminate_backend({process}, {milliseconds})");
        assert_eq!(self.value(&sql), "t", "process {process} is gone");
    }

    /// Asks the server to cancel what this session runs, and waits until it has taken note.
    pub fn cancel_token(&self) -> impl FnOnce() -> io::Result<()> + Send + 'static {
        let (address, process, key) = (self.target.address.clone(), self.process, self.key.clone());
        move || {
            let mut stream = open(&address)?;
            stream.write_all(&frontend::cancel_request(process, &key).to_bytes())?;
            // The server says nothing and closes.
            stream.read_to_end(&mut Vec::new()).map(|_| ())
        }
    }

    /// Sends a message of any kind; what comes back is for [`receive`](Self::receive).
    pub fn send(&mut self, message: &Message) -> Result<(), RawError> {
        Ok(self.stream.write_all(&message.to_bytes())?)
    }

    /// The next message that isn't a notice, a parameter or a notification; an ErrorResponse
    /// is an error.
    pub fn receive(&mut self) -> Result<Message, RawError> {
        loop {
            let Some(message) = self.decoder.next_message() else {
                let mut bytes = [0; 16 * 1024];
                match self.stream.read(&mut bytes)? {
                    0 => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
                    count => self.decoder.feed(&bytes[..count]),
                }
                continue;
            };
            match message.name() {
                "NoticeResponse" | "NotificationResponse" => {}
                "ParameterStatus" => {
                    let pair = [0, 1].map(|field| message.text(field).to_owned());
                    self.parameters.push(pair.into());
                }
                "ErrorResponse" => {
                    let field = |code| {
                        let bytes = message.pair(code).unwrap_or_default();
                        String::from_utf8_lossy(bytes).into_owned()
                    };
                    return Err(RawError::Server {
                        severity: field("V"),
                        code: field("C"),
                        message: field("M"),
                    });
                }
                _ => return Ok(message),
            }
        }
    }

    fn authenticate(&mut self) -> Result<(), RawError> {
        let password = self.target.password.clone();
        let password = || {
            password
                .as_deref()
                .ok_or_else(|| RawError::Unexpected("a password is asked for".to_owned()))
        };
        loop {
            let message = self.receive()?;
            match message.name() {
                "AuthenticationOk" => return Ok(()),
                "AuthenticationCleartextPassword" => {
                    self.send(&frontend::password(password()?.as_bytes()))?;
                }
                "AuthenticationMD5Password" => {
                    let salt = message.bytes(0).try_into().expect("four bytes");
                    let answer = scram::md5_password(&self.target.user, password()?, salt);
                    self.send(&frontend::password(answer.as_bytes()))?;
                }
                "AuthenticationSASL" => self.authenticate_by_scram(password()?)?,
                _ => return Err(unexpected(&message)),
            }
        }
    }

    /// RFC 5802, section 3, without channel binding.
    fn authenticate_by_scram(&mut self, password: &str) -> Result<(), RawError> {
        let nonce = format!("kornak-tests-{}", unique());
        let first_bare = format!("n=,r={nonce}");
        self.send(&frontend::sasl_initial_response(
            "SCRAM-SHA-256",
            format!("n,,{first_bare}").as_bytes(),
        ))?;
        let message = self.receive()?;
        if message.name() != "AuthenticationSASLContinue" {
            return Err(unexpected(&message));
        }
        let server_first = message.text(0).to_owned();
        let attribute = |name| {
            scram::attribute(&server_first, name)
                .ok_or_else(|| RawError::Unexpected(server_first.clone()))
        };
        let iterations = attribute('i')?.parse().ok();
        let salt = scram::base64_decode(attribute('s')?);
        let (Some(iterations), Some(salt)) = (iterations, salt) else {
            return Err(RawError::Unexpected(server_first));
        };
        let keys = Keys::derive(password, &salt, iterations);
        let without_proof = format!("c=biws,r={}", attribute('r')?);
        let auth_message = format!("{first_bare},{server_first},{without_proof}");
        let proof = scram::base64_encode(&keys.client_proof(auth_message.as_bytes()));
        self.send(&frontend::sasl_response(
            format!("{without_proof},p={proof}").as_bytes(),
        ))?;
        let message = self.receive()?;
        let signature = keys.server_signature(auth_message.as_bytes());
        let expected = format!("v={}", scram::base64_encode(&signature));
        if message.name() != "AuthenticationSASLFinal" || message.text(0) != expected {
            return Err(unexpected(&message));
        }
        Ok(())
    }
}

/// Says goodbye, so that the server does not log a lost connection.
impl Drop for RawClient {
    fn drop(&mut self) {
        // The connection may be broken; then there is nobody to say it to.
        let _ = self.send(&frontend::terminate());
    }
}

impl fmt::Debug for RawClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawClient")
            .field("target", &self.target)
            .field("process", &self.process)
            .finish_non_exhaustive()
    }
}

impl RawError {
    /// The SQLSTATE, if the server said no.
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Server { code, .. } => Some(code),
            _ => None,
        }
    }
}

impl fmt::Display for RawError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Server {
                severity,
                code,
                message,
            } => write!(f, "{severity} {code}: {message}"),
            Self::Io(error) => error.fmt(f),
            Self::Unexpected(what) => write!(f, "this was not expected: {what}"),
        }
    }
}

impl std::error::Error for RawError {}

impl From<io::Error> for RawError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// A statement that ends when a condition in SQL is true, or fails after [`GENEROUS`].
///
/// No session is told when the state of another one changes, so the server looks again and again
/// by itself, past its snapshot of the statistics (manual, "Viewing Statistics").
pub fn waiting_for(condition: &str) -> String {
    let limit = GENEROUS.as_secs();
    format!(
        "do $wait$
        declare
            deadline timestamptz := clock_timestamp() + interval '{limit} seconds';
        begin
            while ({condition}) is not true loop
                if clock_timestamp() > deadline then
                    raise 'it has not become true';
                end if;
                perform pg_sleep(0.001), pg_stat_clear_snapshot();
            end loop;
        end $wait$"
    )
}

/// A text that no other call in any process gives.
pub fn unique() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let mut random = [0; 8];
    getrandom::fill(&mut random).expect("the system has random bytes");
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("{count}-{:016x}", u64::from_ne_bytes(random))
}

trait ReadWrite: Read + Write + Send {}

impl<S: Read + Write + Send> ReadWrite for S {}

fn open(address: &Address) -> io::Result<Box<dyn ReadWrite>> {
    match address {
        Address::Tcp(address) => {
            let stream = TcpStream::connect_timeout(address, GENEROUS)?;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(GENEROUS))?;
            stream.set_write_timeout(Some(GENEROUS))?;
            Ok(Box::new(stream))
        }
        Address::Unix { .. } => {
            let path = address.socket_path().expect("a Unix socket has a path");
            let stream = UnixStream::connect(path)?;
            stream.set_read_timeout(Some(GENEROUS))?;
            stream.set_write_timeout(Some(GENEROUS))?;
            Ok(Box::new(stream))
        }
    }
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::Bytes(pieces) => {
            let bytes = pieces.as_literal().expect("what arrives has no captures");
            Some(String::from_utf8_lossy(bytes).into_owned())
        }
        other => unreachable!("a value is bytes, not {other:?}"),
    }
}

fn status(ready: &Message) -> char {
    u8::try_from(ready.integer(0)).map_or('?', char::from)
}

fn unexpected(message: &Message) -> RawError {
    RawError::Unexpected(message.to_string())
}
