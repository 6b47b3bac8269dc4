//! One connection, as the script has it.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::{Record, ScriptError, lock};
use crate::support::address::Stream;
use crate::support::deadline::GENEROUS;
use crate::support::dialogue::{
    Bindings, Decoder, Dialogue, Line, Message, Mismatch, Side, Step, backend, frontend, matches,
};

/// A connection to the driver under test.
pub struct Session {
    transport: Transport,
    decoder: Decoder,
    bindings: Bindings,
    record: Record,
    limit: Duration,
    write_size: Option<usize>,
    ssl_answer: Vec<u8>,
    parameters: Vec<(String, String)>,
    process: i32,
    key: Vec<u8>,
}

/// What can carry a session: TLS over a socket, for example.
pub trait Duplex: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Duplex for S {}

enum Transport {
    Socket(Stream),
    Other(Box<dyn Duplex>),
}

type Result<T> = std::result::Result<T, ScriptError>;

impl Session {
    /// A session over any stream, from the startup message on: what `into_stream` gave,
    /// inside TLS, for example.
    pub fn over(stream: impl Duplex + 'static) -> Self {
        Self::new(Transport::Other(Box::new(stream)), GENEROUS)
    }

    pub(super) fn over_socket(stream: Stream, limit: Duration) -> Self {
        Self::new(Transport::Socket(stream), limit)
    }

    fn new(transport: Transport, limit: Duration) -> Self {
        Self {
            transport,
            decoder: Decoder::new(Side::Frontend),
            bindings: Bindings::default(),
            record: Record::default(),
            limit,
            write_size: None,
            ssl_answer: b"N".to_vec(),
            parameters: PARAMETERS
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            process: 4242,
            key: vec![0x0b, 0xad, 0xca, 0xfe],
        }
    }

    /// The socket, for whoever goes on with it by other means. What has arrived and was not
    /// received is lost.
    ///
    /// # Panics
    ///
    /// If the session is over another kind of stream.
    pub fn into_stream(self) -> Stream {
        match self.transport {
            Transport::Socket(stream) => stream,
            Transport::Other(_) => panic!("the session is over no socket"),
        }
    }

    /// Sets how long each wait may take from now on.
    pub fn set_limit(&mut self, limit: Duration) {
        self.limit = limit;
    }

    /// Sends at most so many bytes in a write from now on.
    pub fn set_write_size(&mut self, size: usize) {
        self.write_size = Some(size);
    }

    /// Sets the bytes that answer an SSLRequest or a GSSENCRequest; `N` unless told.
    pub fn set_ssl_answer(&mut self, answer: &[u8]) {
        self.ssl_answer = answer.to_vec();
    }

    /// Sets a parameter that [`welcome`](Self::welcome) reports.
    pub fn set_parameter(&mut self, name: &str, value: &str) {
        self.parameters.retain(|(known, _)| known != name);
        self.parameters.push((name.to_owned(), value.to_owned()));
    }

    /// Sets what [`welcome`](Self::welcome) has in BackendKeyData.
    pub fn set_key_data(&mut self, process: i32, key: &[u8]) {
        self.process = process;
        self.key = key.to_vec();
    }

    /// What the captures of expectations were bound to.
    pub fn bindings(&self) -> &Bindings {
        &self.bindings
    }

    /// Receives the StartupMessage or the CancelRequest. Requests for encryption before it
    /// are refused; if another answer to them is set, they are answered with it and the
    /// request is returned.
    pub async fn startup(&mut self) -> Result<Message> {
        loop {
            let message = self.receive().await?;
            match message.name() {
                "SSLRequest" | "GSSENCRequest" if self.ssl_answer == b"N" => {
                    self.send(&backend::ssl_response('N')).await?;
                }
                "SSLRequest" | "GSSENCRequest" => {
                    let answer = self.ssl_answer.clone();
                    self.send_bytes(&answer).await?;
                    return Ok(message);
                }
                "StartupMessage" | "CancelRequest" => return Ok(message),
                _ => return Err(ScriptError(format!("{message} starts nothing"))),
            }
        }
    }

    /// Starts up without a password, and returns the StartupMessage.
    pub async fn startup_trust(&mut self) -> Result<Message> {
        let message = self.startup_message().await?;
        self.send(&backend::authentication_ok()).await?;
        self.welcome().await?;
        Ok(message)
    }

    /// Starts up with a cleartext password, and refuses another one.
    pub async fn startup_cleartext(&mut self, password: &str) -> Result<Message> {
        let message = self.startup_message().await?;
        self.send(&backend::authentication_cleartext_password())
            .await?;
        self.check_password(password).await?;
        Ok(message)
    }

    /// Starts up with an md5 password, and refuses another one.
    pub async fn startup_md5(&mut self, password: &str, salt: [u8; 4]) -> Result<Message> {
        let message = self.startup_message().await?;
        let user = message.pair("user").unwrap_or_default();
        let user = String::from_utf8_lossy(user).into_owned();
        self.send(&backend::authentication_md5_password(salt))
            .await?;
        let expected = crate::support::scram::md5_password(&user, password, salt);
        self.check_password(&expected).await?;
        Ok(message)
    }

    /// Receives the StartupMessage, whatever comes before it.
    pub(super) async fn startup_message(&mut self) -> Result<Message> {
        let message = self.startup().await?;
        if message.name() == "StartupMessage" {
            Ok(message)
        } else {
            Err(ScriptError(format!(
                "a StartupMessage was expected: {message}"
            )))
        }
    }

    /// Reports the parameters and the key, and is ready for a query.
    pub async fn welcome(&mut self) -> Result<()> {
        let mut messages: Vec<Message> = self
            .parameters
            .iter()
            .map(|(name, value)| backend::parameter_status(name, value))
            .collect();
        messages.push(backend::backend_key_data(self.process, &self.key));
        messages.push(backend::ready_for_query('I'));
        self.send_all(&messages).await
    }

    /// The next message of the frontend.
    pub async fn receive(&mut self) -> Result<Message> {
        match self.receive_or_end().await? {
            Some(message) => Ok(message),
            None => Err(ScriptError("the frontend has closed".to_owned())),
        }
    }

    /// The next message of the frontend, or nothing once it has closed or reset the
    /// connection.
    pub async fn receive_or_end(&mut self) -> Result<Option<Message>> {
        loop {
            if let Some(message) = self.decoder.next_message() {
                return Ok(Some(message));
            }
            let mut bytes = vec![0; 64 * 1024];
            let read = self.transport.stream().read(&mut bytes);
            let count = limited(self.limit, "a message of the frontend", read).await;
            match count {
                Ok(0) => break,
                Ok(count) => {
                    self.decoder.feed(&bytes[..count]);
                    self.keep(Side::Frontend, &bytes[..count]);
                }
                Err(Failed::Io(error)) if is_end(&error) => break,
                Err(error) => return Err(error.into()),
            }
        }
        match self.decoder.rest() {
            [] => Ok(None),
            rest => {
                let rest = frontend::raw(rest);
                Err(ScriptError(format!(
                    "the frontend has closed within a message: {rest}"
                )))
            }
        }
    }

    /// Receives messages that must be these: their lines, without `F`, one below the other.
    pub async fn expect(&mut self, lines: &str) -> Result<()> {
        let mut received = Vec::new();
        let expected: Vec<Message> = lines.trim().lines().map(frontend::line).collect();
        for expected_now in &expected {
            let message = self.receive().await?;
            let same = matches(expected_now, &message, &mut self.bindings);
            received.push(message);
            if !same {
                let place = "the script".to_owned();
                let mismatch = Mismatch::compare(place, &expected, &received, &self.bindings);
                return Err(Box::new(mismatch).into());
            }
        }
        Ok(())
    }

    /// Receives a Query of this text.
    pub async fn expect_query(&mut self, sql: &str) -> Result<()> {
        let message = self.receive().await?;
        if message.name() == "Query" && message.bytes(0) == sql.as_bytes() {
            Ok(())
        } else {
            let expected = frontend::query(sql);
            Err(ScriptError(format!("{expected} was expected: {message}")))
        }
    }

    /// Waits until the frontend closes, with or without a Terminate before.
    pub async fn expect_end(&mut self) -> Result<()> {
        match self.receive_or_end().await? {
            None => return Ok(()),
            Some(message) if message.name() == "Terminate" => {}
            Some(message) => {
                return Err(ScriptError(format!("the end was expected: {message}")));
            }
        }
        match self.receive_or_end().await? {
            None => Ok(()),
            Some(message) => Err(ScriptError(format!("{message} came after Terminate"))),
        }
    }

    /// Takes whatever comes without an answer, until the frontend closes; how many bytes
    /// that were.
    pub async fn hold(&mut self) -> Result<usize> {
        let mut held = self.decoder.rest().len();
        let mut bytes = vec![0; 64 * 1024];
        loop {
            let read = self.transport.stream().read(&mut bytes);
            match limited(self.limit, "the end", read).await {
                Ok(0) => return Ok(held),
                Ok(count) => {
                    held += count;
                    self.keep(Side::Frontend, &bytes[..count]);
                }
                Err(Failed::Io(error)) if is_end(&error) => return Ok(held),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Sends a message.
    pub async fn send(&mut self, message: &Message) -> Result<()> {
        self.send_all(std::slice::from_ref(message)).await
    }

    /// Sends messages together.
    pub async fn send_all(&mut self, messages: &[Message]) -> Result<()> {
        let mut bytes = Vec::new();
        for message in messages {
            self.decoder.note(message);
            let encoded = message.encode(&self.bindings);
            bytes.extend(encoded.map_err(|unbound| ScriptError(unbound.to_string()))?);
        }
        self.send_bytes(&bytes).await
    }

    /// Sends messages together, given by their lines, without `B`, one below the other.
    pub async fn say(&mut self, lines: &str) -> Result<()> {
        let messages: Vec<Message> = lines.trim().lines().map(backend::line).collect();
        self.send_all(&messages).await
    }

    /// Sends bytes.
    pub async fn send_bytes(&mut self, bytes: &[u8]) -> Result<()> {
        self.keep(Side::Backend, bytes);
        let size = self.write_size.unwrap_or(bytes.len()).max(1);
        let stream = self.transport.stream();
        let write = async {
            for part in bytes.chunks(size) {
                stream.write_all(part).await?;
                stream.flush().await?;
                if part.len() < bytes.len() {
                    // The reader of another thread gets a chance to see them one by one.
                    tokio::task::yield_now().await;
                }
            }
            Ok(())
        };
        let written = limited(self.limit, "the frontend to read", write).await;
        Ok(written?)
    }

    /// Sends the message again and again until the frontend closes or resets the connection;
    /// how many bytes it was sent. What the frontend sends meanwhile is not read.
    pub async fn send_endlessly(&mut self, message: &Message) -> Result<usize> {
        let one = message.to_bytes();
        // Many at once, or a short message would take a system call each.
        let many = one.repeat((64 * 1024 / one.len()).max(1));
        let stream = self.transport.stream();
        let mut sent = 0;
        let endless = async {
            loop {
                match stream.write(&many[sent % one.len()..]).await {
                    Ok(count) => sent += count,
                    Err(error) if is_end(&error) => return Ok(()),
                    Err(error) => return Err(error),
                }
            }
        };
        limited(self.limit, "the frontend to have had enough", endless).await?;
        Ok(sent)
    }

    /// Plays a dialogue: receives what it expects and sends what it delivers. What it says of
    /// the application is the test's.
    pub async fn play(&mut self, dialogue: &Dialogue) -> Result<()> {
        for step in &dialogue.steps {
            match step {
                Step::Expect(lines) => self.play_expected(dialogue, lines).await?,
                Step::Deliver(lines) => {
                    let messages: Vec<Message> =
                        lines.iter().map(|line| line.message.clone()).collect();
                    self.send_all(&messages).await?;
                    if messages.iter().any(Message::is_eof) {
                        self.close().await?;
                    }
                }
                Step::Application(_) | Step::Outcome(_) => {}
            }
        }
        Ok(())
    }

    /// Ends the stream: the frontend reads its end, and may still write.
    pub async fn close(&mut self) -> Result<()> {
        let shutdown = self.transport.stream().shutdown();
        Ok(limited(self.limit, "the end to be sent", shutdown).await?)
    }

    /// Resets the connection; over a Unix socket it is closed.
    pub fn reset(self) {
        if let Transport::Socket(stream) = &self.transport {
            stream.reset_on_close().expect("the socket is open");
        }
    }

    pub(super) fn record(&self) -> Record {
        Arc::clone(&self.record)
    }

    async fn play_expected(&mut self, dialogue: &Dialogue, lines: &[Line]) -> Result<()> {
        let mut received = Vec::new();
        for line in lines {
            if line.message.is_eof() {
                self.expect_end().await?;
                continue;
            }
            let message = self.receive().await?;
            let same = matches(&line.message, &message, &mut self.bindings);
            received.push(message);
            if !same {
                let place = format!("{}:{}", dialogue.name, line.number);
                let expected: Vec<Message> =
                    lines.iter().map(|line| line.message.clone()).collect();
                let mismatch = Mismatch::compare(place, &expected, &received, &self.bindings);
                return Err(Box::new(mismatch).into());
            }
        }
        Ok(())
    }

    async fn check_password(&mut self, expected: &str) -> Result<()> {
        let message = self.receive().await?;
        if message.name() == "PasswordMessage" && message.bytes(0) == expected.as_bytes() {
            self.send(&backend::authentication_ok()).await?;
            self.welcome().await
        } else {
            self.refuse_password(&message).await
        }
    }

    /// Says what a server says to a wrong password.
    pub(super) async fn refuse_password(&mut self, message: &Message) -> Result<()> {
        let text = "password authentication failed";
        self.send(&backend::fatal("28P01", text)).await?;
        Err(ScriptError(format!("a wrong password: {message}")))
    }

    fn keep(&self, side: Side, bytes: &[u8]) {
        lock(&self.record).push((side, bytes.to_vec()));
    }
}

impl Transport {
    fn stream(&mut self) -> &mut dyn Duplex {
        match self {
            Self::Socket(stream) => stream,
            Self::Other(stream) => &mut **stream,
        }
    }
}

/// What PostgreSQL 15 reports to a new session.
const PARAMETERS: &[(&str, &str)] = &[
    ("application_name", ""),
    ("client_encoding", "UTF8"),
    ("DateStyle", "ISO, MDY"),
    ("default_transaction_read_only", "off"),
    ("in_hot_standby", "off"),
    ("integer_datetimes", "on"),
    ("IntervalStyle", "postgres"),
    ("is_superuser", "off"),
    ("server_encoding", "UTF8"),
    ("server_version", "15.4"),
    ("session_authorization", "kornak"),
    ("standard_conforming_strings", "on"),
    ("TimeZone", "UTC"),
];

/// Why an operation on the stream did not come to its end.
enum Failed {
    Io(io::Error),
    Late(String),
}

impl From<Failed> for ScriptError {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Io(error) => error.into(),
            Failed::Late(what) => Self(what),
        }
    }
}

async fn limited<T>(
    limit: Duration,
    what: &str,
    operation: impl Future<Output = io::Result<T>>,
) -> std::result::Result<T, Failed> {
    match tokio::time::timeout(limit, operation).await {
        Ok(result) => result.map_err(Failed::Io),
        Err(_) => Err(Failed::Late(format!("waited {limit:?} for {what}"))),
    }
}

/// Whether the peer has closed or reset the connection.
fn is_end(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe
    )
}
