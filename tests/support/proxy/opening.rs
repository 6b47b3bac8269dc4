//! What a connection is for, as its first packets tell.

use crate::support::dialogue::{Decoder, Side, Value};

/// What a connection is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Its first packet is not complete yet.
    Unknown,
    /// A session, with the parameters of its startup message.
    Session(Vec<(String, String)>),
    /// A CancelRequest for the session that this process serves.
    Cancel {
        /// The process.
        process: i32,
        /// Its secret key.
        key: Vec<u8>,
    },
    /// A session or a cancel request inside TLS.
    Encrypted,
    /// Nothing that PostgreSQL would take.
    Other,
}

/// Reads the packets at the start of a connection.
#[derive(Debug)]
pub(super) struct Opening {
    decoder: Decoder,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The client's packet is not complete.
    Packet,
    /// The server has not answered a request for encryption.
    Answer,
    /// The kind is known.
    Done,
}

impl Opening {
    pub(super) fn new() -> Self {
        Self {
            decoder: Decoder::new(Side::Frontend),
            stage: Stage::Packet,
        }
    }

    /// Whether the client's bytes wait for the rest of their packet.
    pub(super) fn is_in_packet(&self) -> bool {
        self.stage == Stage::Packet
    }

    /// Takes what the client sent; the kind, if that tells it.
    pub(super) fn client_sent(&mut self, bytes: &[u8]) -> Option<Kind> {
        if self.stage == Stage::Done {
            return None;
        }
        // A TLS record at the very start: encryption without having asked for it.
        if self.decoder.rest().is_empty() && bytes.first() == Some(&TLS_HANDSHAKE) {
            return self.done(Kind::Encrypted);
        }
        self.decoder.feed(bytes);
        let message = self.decoder.next_message()?;
        match message.name() {
            "SSLRequest" | "GSSENCRequest" => {
                self.stage = Stage::Answer;
                None
            }
            "StartupMessage" => {
                let parameters = message.list(1).iter().map(parameter).collect();
                self.done(Kind::Session(parameters))
            }
            "CancelRequest" => {
                let process = i32::try_from(message.integer(0)).expect("four bytes");
                let key = message.bytes(1).to_vec();
                self.done(Kind::Cancel { process, key })
            }
            _ => self.done(Kind::Other),
        }
    }

    /// Takes what the server sent; the kind, if that tells it.
    pub(super) fn server_sent(&mut self, bytes: &[u8]) -> Option<Kind> {
        if self.stage != Stage::Answer {
            return None;
        }
        match bytes.first()? {
            b'N' => {
                self.stage = Stage::Packet;
                None
            }
            b'S' | b'G' => self.done(Kind::Encrypted),
            _ => self.done(Kind::Other),
        }
    }

    /// The client sends nothing more.
    pub(super) fn client_ended(&mut self) {
        self.stage = Stage::Done;
    }

    fn done(&mut self, kind: Kind) -> Option<Kind> {
        self.stage = Stage::Done;
        Some(kind)
    }
}

/// The first byte of a TLS connection (RFC 8446, section 5.1).
const TLS_HANDSHAKE: u8 = 22;

fn parameter(pair: &Value) -> (String, String) {
    let text = |value: &Value| match value {
        Value::Bytes(pieces) => {
            let bytes = pieces.as_literal().expect("what arrives has no captures");
            String::from_utf8_lossy(bytes).into_owned()
        }
        other => unreachable!("a parameter is text, not {other:?}"),
    };
    match pair {
        Value::Pair(key, value) => (text(&Value::Bytes(key.clone())), text(value)),
        other => unreachable!("a parameter is a pair, not {other:?}"),
    }
}
