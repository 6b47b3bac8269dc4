//! SCRAM-SHA-256 as the server does it, and as no server should.

use super::ScriptError;
use super::session::Session;
use crate::support::dialogue::{Message, Value, backend};
use crate::support::raw::unique;
use crate::support::scram::{Keys, attribute, base64_decode, base64_encode};

/// The server's side of SCRAM.
#[derive(Clone, Debug)]
pub struct ScramServer {
    /// The user's password.
    pub password: String,
    /// The salt of the stored keys.
    pub salt: Vec<u8>,
    /// The iterations of the stored keys. They are only done once a proof has come, so that
    /// any number can be asked for.
    pub iterations: u32,
    /// The mechanisms that are offered.
    pub mechanisms: Vec<String>,
    /// What a client that binds to the channel must have sent.
    pub channel_binding: Option<ChannelBinding>,
    /// What is done wrong.
    pub fault: ScramFault,
}

/// The channel, as the server sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelBinding {
    /// The kind of binding, such as `tls-server-end-point`.
    pub kind: String,
    /// What the channel is known by.
    pub data: Vec<u8>,
}

/// What a server does wrong in SCRAM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScramFault {
    /// Nothing.
    None,
    /// AuthenticationOk without any request.
    SkipAll,
    /// AuthenticationOk after the client's first message.
    SkipContinue,
    /// AuthenticationSASLFinal after the client's first message.
    FinalForContinue,
    /// AuthenticationOk after the proof, without the server's own.
    SkipFinal,
    /// A session without AuthenticationOk after the server's proof.
    SkipOk,
    /// AuthenticationOk before the server's proof.
    OkBeforeFinal,
    /// AuthenticationSASL again, after the client's first message.
    RequestAgain,
    /// A cleartext password is asked for after the client's first message.
    AskCleartext,
    /// AuthenticationSASLContinue twice.
    DoubledContinue,
    /// AuthenticationSASLFinal twice.
    DoubledFinal,
    /// AuthenticationOk twice.
    DoubledOk,
    /// A signature by another key.
    WrongSignature,
    /// `e=other-error` for a signature.
    ErrorForSignature,
    /// A nonce that does not begin with the client's.
    ForeignNonce,
    /// The client's nonce, with nothing added.
    BareNonce,
    /// This text for the server's first message; `{nonce}` is what it should have been.
    First(String),
    /// This text for the server's last message; `{signature}` is what it should have been.
    Final(String),
}

/// How far a client went along.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// It was asked to authenticate, or was let in without.
    Asked,
    /// It sent its first message.
    First,
    /// It sent its proof.
    Proof,
    /// It was told that it is in, after its proof.
    Done,
}

/// What became of an authentication.
#[derive(Clone, Debug)]
pub struct ScramReport {
    /// How far the client went.
    pub stage: Stage,
    /// Whether the client left before the server was done.
    pub left: bool,
    /// The mechanism that the client chose.
    pub mechanism: Option<String>,
    /// The header of the client's first message: `n,,`, `y,,` or `p=…,,`.
    pub header: Option<String>,
}

impl Default for ScramServer {
    fn default() -> Self {
        Self {
            password: "secret".to_owned(),
            salt: b"0123456789abcdef".to_vec(),
            iterations: 4096,
            mechanisms: vec!["SCRAM-SHA-256".to_owned()],
            channel_binding: None,
            fault: ScramFault::None,
        }
    }
}

impl ScramServer {
    /// A server that knows this password.
    pub fn new(password: &str) -> Self {
        Self {
            password: password.to_owned(),
            ..Self::default()
        }
    }

    /// The same with a fault.
    pub fn with_fault(mut self, fault: ScramFault) -> Self {
        self.fault = fault;
        self
    }
}

impl Session {
    /// Starts up with SCRAM. With a fault, a client that goes along is let in.
    ///
    /// # Errors
    ///
    /// If the client does something that no client should: it sends a wrong proof, for
    /// example. That it leaves is none; the report tells it.
    pub async fn startup_scram(
        &mut self,
        server: &ScramServer,
    ) -> Result<ScramReport, ScriptError> {
        self.startup_message().await?;
        let mut report = ScramReport {
            stage: Stage::Asked,
            left: false,
            mechanism: None,
            header: None,
        };
        match self.scram(server, &mut report).await {
            Ok(()) => {}
            Err(Ended::Left) => report.left = true,
            Err(Ended::Wrong(error)) => return Err(error),
        }
        Ok(report)
    }

    async fn scram(&mut self, server: &ScramServer, report: &mut ScramReport) -> Result<(), Ended> {
        let fault = &server.fault;
        let request = backend::authentication_sasl(server.mechanisms.iter().map(String::as_str));
        if *fault == ScramFault::SkipAll {
            return self.let_in().await;
        }
        self.tell(std::slice::from_ref(&request)).await?;
        let first = self.hear("SASLInitialResponse").await?;
        report.stage = Stage::First;
        let mechanism = first.text(0).to_owned();
        let client_first = match &first.values()[1] {
            Value::Null => return Err(wrong("the first message is missing", &first)),
            _ => first.text(1).to_owned(),
        };
        let Some((header, bare)) = split_header(&client_first) else {
            return Err(wrong("the first message has no header", &first));
        };
        report.mechanism = Some(mechanism.clone());
        report.header = Some(header.to_owned());
        if !server.mechanisms.contains(&mechanism) {
            return Err(wrong("the mechanism was not offered", &first));
        }
        let client_nonce =
            attribute(bare, 'r').ok_or_else(|| wrong("the client has no nonce", &first))?;

        let nonce = match fault {
            ScramFault::ForeignNonce => format!("foreign{client_nonce}{}", unique()),
            ScramFault::BareNonce => client_nonce.to_owned(),
            _ => format!("{client_nonce}{}", unique()),
        };
        let server_first = match fault {
            ScramFault::First(text) => text.replace("{nonce}", &nonce),
            _ => format!(
                "r={nonce},s={},i={}",
                base64_encode(&server.salt),
                server.iterations
            ),
        };
        let go_on = backend::authentication_sasl_continue(server_first.as_bytes());
        match fault {
            ScramFault::SkipContinue => return self.let_in().await,
            ScramFault::FinalForContinue => {
                let signature = base64_encode(&[0; 32]);
                let last = format!("v={signature}");
                self.tell(&[backend::authentication_sasl_final(last.as_bytes())])
                    .await?;
                return self.let_in().await;
            }
            ScramFault::RequestAgain => self.tell(&[request]).await?,
            ScramFault::AskCleartext => {
                self.tell(&[backend::authentication_cleartext_password()])
                    .await?;
            }
            ScramFault::DoubledContinue => self.tell(&[go_on.clone(), go_on]).await?,
            _ => self.tell(&[go_on]).await?,
        }

        let proof = self.hear("SASLResponse").await?;
        report.stage = Stage::Proof;
        let client_final = proof.text(0).to_owned();
        let (without_proof, encoded) = client_final
            .rsplit_once(",p=")
            .ok_or_else(|| wrong("the proof is missing", &proof))?;
        if attribute(without_proof, 'r') != Some(&nonce) {
            return Err(wrong("the nonce is another", &proof));
        }
        let expected = expected_binding(server, &mechanism, header);
        let bound = attribute(without_proof, 'c').and_then(base64_decode);
        if bound.as_deref() != Some(&*expected) {
            return Err(wrong("the channel binding is another", &proof));
        }
        let auth_message = format!("{bare},{server_first},{without_proof}");
        let keys = Keys::derive(&server.password, &server.salt, server.iterations);
        let given = base64_decode(encoded).unwrap_or_default();
        if !keys.proves(&given, auth_message.as_bytes()) {
            return Err(Ended::Wrong(match self.refuse_password(&proof).await {
                Err(error) => error,
                Ok(()) => unreachable!("a refusal is an error"),
            }));
        }

        let signature = match fault {
            ScramFault::WrongSignature => [0x5a; 32],
            _ => keys.server_signature(auth_message.as_bytes()),
        };
        let signature = base64_encode(&signature);
        let last = match fault {
            ScramFault::ErrorForSignature => "e=other-error".to_owned(),
            ScramFault::Final(text) => text.replace("{signature}", &signature),
            _ => format!("v={signature}"),
        };
        let last = backend::authentication_sasl_final(last.as_bytes());
        let ok = backend::authentication_ok();
        match fault {
            ScramFault::SkipFinal => self.tell(&[ok]).await?,
            ScramFault::SkipOk => self.tell(&[last]).await?,
            ScramFault::OkBeforeFinal => self.tell(&[ok, last]).await?,
            ScramFault::DoubledFinal => self.tell(&[last.clone(), last, ok]).await?,
            ScramFault::DoubledOk => self.tell(&[last, ok.clone(), ok]).await?,
            _ => self.tell(&[last, ok]).await?,
        }
        self.greet().await?;
        report.stage = Stage::Done;
        Ok(())
    }

    async fn let_in(&mut self) -> Result<(), Ended> {
        self.tell(&[backend::authentication_ok()]).await?;
        self.greet().await
    }

    /// Sends messages to a client that may leave at any time.
    async fn tell(&mut self, messages: &[Message]) -> Result<(), Ended> {
        match self.send_all(messages).await {
            Ok(()) => Ok(()),
            Err(error) => self.unless_left(error).await,
        }
    }

    async fn greet(&mut self) -> Result<(), Ended> {
        match self.welcome().await {
            Ok(()) => Ok(()),
            Err(error) => self.unless_left(error).await,
        }
    }

    /// Whether a failure to send comes of the client's having left.
    async fn unless_left(&mut self, error: ScriptError) -> Result<(), Ended> {
        match self.hold().await {
            Ok(_) => Err(Ended::Left),
            Err(_) => Err(Ended::Wrong(error)),
        }
    }

    async fn hear(&mut self, name: &str) -> Result<Message, Ended> {
        match self.receive_or_end().await {
            Err(error) => Err(Ended::Wrong(error)),
            Ok(None) => Err(Ended::Left),
            Ok(Some(message)) if message.name() == "Terminate" => Err(Ended::Left),
            Ok(Some(message)) if message.name() == name => Ok(message),
            Ok(Some(message)) => Err(wrong(&format!("{name} was expected"), &message)),
        }
    }
}

/// Why an authentication ended early.
enum Ended {
    Left,
    Wrong(ScriptError),
}

fn wrong(what: &str, message: &Message) -> Ended {
    Ended::Wrong(ScriptError(format!("{what}: {message}")))
}

/// The header of a client's first message and what follows it (RFC 5802, section 7).
fn split_header(message: &str) -> Option<(&str, &str)> {
    let first = message.find(',')?;
    let second = first + 1 + message[first + 1..].find(',')?;
    Some(message.split_at(second + 1))
}

/// What the attribute `c` must stand for.
fn expected_binding(server: &ScramServer, mechanism: &str, header: &str) -> Vec<u8> {
    let mut expected = header.as_bytes().to_vec();
    if mechanism.ends_with("-PLUS") {
        if let Some(binding) = &server.channel_binding {
            expected = format!("p={},,", binding.kind).into_bytes();
            expected.extend(&binding.data);
        }
    }
    expected
}
