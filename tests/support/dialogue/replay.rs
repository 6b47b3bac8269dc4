//! A dialogue as a runner goes through it.

use super::matching::{Mismatch, matches};
use super::{
    Arrival, Bindings, Decoder, Delivery, Dialogue, Directive, Line, Message, Mutation, Side, Step,
    Unbound,
};

/// Goes through a dialogue step by step: the runner, which holds the driver, does what each
/// [`Turn`] says and gives back what the frontend sent.
///
/// ```text
/// let mut replay = Replay::new(&dialogue, Mutation::SplitAt(17));
/// while let Some(turn) = replay.next_turn()? {
///     match turn {
///         Turn::Application(directive) => start it,
///         Turn::Frontend => replay.frontend_sent(&what the driver wrote)?,
///         Turn::Backend(arrivals) => let the driver read each of them,
///         Turn::Outcome(directive) => compare it,
///     }
/// }
/// ```
#[derive(Debug)]
pub struct Replay<'d> {
    dialogue: &'d Dialogue,
    next: usize,
    expected: &'d [Line],
    bindings: Bindings,
    frontend: Decoder,
    delivery: Delivery,
}

/// What happens next.
#[derive(Debug)]
pub enum Turn<'d> {
    /// The application asks for this.
    Application(&'d Directive),
    /// The frontend sends something: [`Replay::frontend_sent`] checks it.
    Frontend,
    /// This arrives from the backend, one read each.
    Backend(Vec<Arrival>),
    /// This must have come of it.
    Outcome(&'d Directive),
}

impl<'d> Replay<'d> {
    /// Starts at the first step, with a new connection where the dialogue begins with the
    /// startup, and with one that has started otherwise.
    pub fn new(dialogue: &'d Dialogue, mutation: Mutation) -> Self {
        let frontend = if dialogue.starts_up() {
            Decoder::new(Side::Frontend)
        } else {
            Decoder::started(Side::Frontend)
        };
        Self {
            dialogue,
            next: 0,
            expected: &[],
            bindings: Bindings::default(),
            frontend,
            delivery: Delivery::new(mutation),
        }
    }

    /// What happens next; nothing after the last step.
    ///
    /// # Errors
    ///
    /// If the backend should say what nothing has bound yet.
    ///
    /// # Panics
    ///
    /// If what the frontend sent in the last turn was not checked. After a mutation that
    /// changes the bytes there may be nothing to check it against: see
    /// [`skip_frontend`](Self::skip_frontend).
    pub fn next_turn(&mut self) -> Result<Option<Turn<'d>>, Unbound> {
        assert!(
            self.expected.is_empty(),
            "what the frontend sent was not checked"
        );
        let Some(step) = self.dialogue.steps.get(self.next) else {
            return Ok(None);
        };
        self.next += 1;
        Ok(Some(match step {
            Step::Application(directive) => Turn::Application(directive),
            Step::Outcome(directive) => Turn::Outcome(directive),
            Step::Expect(lines) => {
                self.expected = lines;
                Turn::Frontend
            }
            Step::Deliver(lines) => Turn::Backend(self.arrivals(lines)?),
        }))
    }

    /// Checks what the frontend sent against the step: all of it, and nothing else.
    pub fn frontend_sent(&mut self, bytes: &[u8]) -> Result<(), Box<Mismatch>> {
        let lines = std::mem::take(&mut self.expected);
        self.frontend.feed(bytes);
        let mut received = Vec::new();
        while let Some(message) = self.frontend.next_message() {
            received.push(message);
        }
        if !self.frontend.rest().is_empty() {
            received.push(super::frontend::raw(self.frontend.rest()));
        }
        let expected = || lines.iter().filter(|line| !line.message.is_eof());
        let mut bindings = self.bindings.clone();
        let same = expected().count() == received.len()
            && expected()
                .zip(&received)
                .all(|(line, received)| matches(&line.message, received, &mut bindings));
        if same {
            self.bindings = bindings;
            return Ok(());
        }
        let expected: Vec<Message> = expected().map(|line| line.message.clone()).collect();
        let place = match lines.first() {
            Some(line) => format!("{}:{}", self.dialogue.name, line.number),
            None => format!("{}: where the frontend sends nothing", self.dialogue.name),
        };
        Err(Box::new(Mismatch::compare(
            place,
            &expected,
            &received,
            &self.bindings,
        )))
    }

    /// Whether the step expects the frontend to end the stream, after what it sends.
    pub fn frontend_ends(&self) -> bool {
        self.expected.iter().any(|line| line.message.is_eof())
    }

    /// Goes on without a check of what the frontend sent.
    pub fn skip_frontend(&mut self) {
        self.expected = &[];
    }

    /// What the captures stand for.
    pub fn bindings(&self) -> &Bindings {
        &self.bindings
    }

    /// How many bytes the backend has sent: after an unchanged run, the `total` of
    /// [`Mutation::all`].
    pub fn backend_bytes(&self) -> usize {
        self.delivery.sent()
    }

    fn arrivals(&mut self, lines: &[Line]) -> Result<Vec<Arrival>, Unbound> {
        let mut bytes = Vec::new();
        let mut ends = false;
        for line in lines {
            self.frontend.note(&line.message);
            ends |= line.message.is_eof();
            bytes.extend(line.message.encode(&self.bindings)?);
        }
        let mut arrivals = self.delivery.deliver(&bytes);
        if ends {
            arrivals.extend(self.delivery.end());
        }
        Ok(arrivals)
    }
}
