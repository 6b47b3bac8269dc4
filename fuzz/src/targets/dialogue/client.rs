//! The client's side: what it asks, and what it answers when the server wants something.

use std::sync::OnceLock;

use kornak::Result;
use kornak::error::ErrorKind;
use kornak::internals::buffer::{ReadBuffer, WriteBuffer};
use kornak::internals::protocol::{BindTemplate, Core, Progress};
use kornak::internals::startup::scram::{BindingPolicy, EndPoint, ScramLimits};
use kornak::internals::startup::{
    AuthenticationPolicy, Credentials, Methods, Startup, StartupProgress, Versions,
};
use kornak::internals::wire::{TransactionStatus, frontend};

use super::trace::Trace;

/// One side of a conversation: what is asked at its start.
pub(super) struct Script {
    pub(super) name: &'static str,
    pub(super) begins_with_startup: bool,
    accepts_copy: bool,
    /// The flight that nobody waits for.
    discards: Option<u64>,
    ask: fn(&mut Core, &mut WriteBuffer) -> Result<()>,
}

/// The scripts. An input names one by its place, so that new ones go to the end.
pub(super) static SCRIPTS: [Script; 17] = [
    Script::new("simple", |core, out| {
        core.start_query(
            out,
            "select 1 as a; select 'two', null; ; create temp table t()",
        )?;
        core.start_query(out, "")?;
        Ok(())
    }),
    Script::new("simple-error", |core, out| {
        core.start_query(out, "select 1; select 1/0; select 2")?;
        core.start_query(out, "select repeat('long ', 1200)")?;
        Ok(())
    }),
    Script::new("prepared", |core, out| {
        prepare_and_execute(core, out, SERIES, &templates().named_series, five)
    }),
    Script::new("cold", |core, out| {
        let mut unit = core.start_unit(out)?;
        unit.prepare(0, "", SERIES, &[23])?;
        unit.execute(0, &templates().unnamed_series, five)?;
        unit.finish();
        Ok(())
    }),
    Script::new("pipeline-error", |core, out| {
        let mut unit = core.start_unit(out)?;
        for statement in 0..3 {
            let sql = ["select 1", "select 1/0", "select 3"][statement as usize];
            unit.prepare(statement, "", sql, &[])?;
            unit.execute(statement, &templates().unnamed, nothing)?;
        }
        unit.finish();
        core.start_query(out, "select 'after'")?;
        Ok(())
    }),
    Script::new("transaction", |core, out| {
        let mut unit = core.start_unit(out)?;
        unit.prefix(0, "begin")?;
        unit.prefix(1, "set local search_path to pg_catalog")?;
        unit.prepare(0, "k1", SERIES, &[23])?;
        unit.finish();
        let mut unit = core.start_unit(out)?;
        unit.execute(0, &templates().named_series, five)?;
        unit.close_statement("k1")?;
        unit.finish();
        core.start_query(out, "select nothing")?;
        core.start_query(out, "commit")?;
        Ok(())
    }),
    Script::new("portal", |core, out| {
        core.start_query(out, "begin")?;
        let mut unit = core.start_unit(out)?;
        unit.prepare(0, "k1", SERIES, &[23])?;
        unit.open_portal(0, "p1", "k1", (&[1], &[1]), 1, five)?;
        unit.fetch_portal(0, "p1", 2)?;
        unit.finish();
        let mut unit = core.start_unit(out)?;
        unit.fetch_portal(0, "p1", 0)?;
        unit.close_portal("p1")?;
        unit.finish();
        core.start_query(out, "commit")?;
        Ok(())
    }),
    Script::new("copy-in", |core, out| {
        copy_in(core, out, "copy t from stdin")
    })
    .accepting_copy(),
    Script::new("copy-in-error", |core, out| {
        copy_in(core, out, "copy nowhere from stdin")
    })
    .accepting_copy(),
    Script::new("copy-in-refused", |core, out| {
        core.start_query(out, CREATE)?;
        prepare_and_execute(core, out, "copy t from stdin", &templates().named, nothing)
    }),
    Script::new("copy-out", |core, out| {
        prepare_and_execute(core, out, COPY_OUT, &templates().named, nothing)?;
        core.start_query(out, "select 'after'")?;
        Ok(())
    }),
    Script::new("copy-simple", |core, out| {
        core.start_query(out, COPY_OUT)?;
        core.start_query(out, CREATE)?;
        core.start_query(out, "copy t from stdin; select 1")?;
        Ok(())
    }),
    Script::new("discarded", |core, out| {
        core.start_query(out, "select generate_series(1, 20)")?;
        core.start_query(out, "select 'mine'")?;
        Ok(())
    })
    .discarding(0),
    Script::new("unasked", |core, out| {
        core.start_query(out, "listen a; set timezone to 'Asia/Tokyo'")?;
        core.start_query(
            out,
            "notify a, 'payload'; do 'begin raise notice $$hm$$; end'",
        )?;
        Ok(())
    }),
    Script::new("kept-open", |core, out| {
        let mut unit = core.start_unit(out)?;
        unit.prepare(0, "k1", SERIES, &[23])?;
        unit.keep_open();
        let mut unit = core.resume_unit(out)?;
        unit.execute(1, &templates().named_series, five)?;
        unit.execute(2, &templates().named_series, five)?;
        unit.finish();
        Ok(())
    }),
    Script::new("fatal", |core, out| {
        core.start_query(
            out,
            "select 1; select pg_terminate_backend(pg_backend_pid())",
        )?;
        Ok(())
    }),
    Script {
        begins_with_startup: true,
        ..Script::new("startup", |core, out| {
            core.start_query(out, "select 1")?;
            Ok(())
        })
    },
];

const SERIES: &str = "select n, 'text', null from generate_series(1, $1::int4) n";
const CREATE: &str = "create temp table t (a int, b text)";
const COPY_OUT: &str = "copy (select n, 'text' from generate_series(1, 5) n) to stdout";

impl Script {
    const fn new(name: &'static str, ask: fn(&mut Core, &mut WriteBuffer) -> Result<()>) -> Self {
        Self {
            name,
            begins_with_startup: false,
            accepts_copy: false,
            discards: None,
            ask,
        }
    }

    const fn accepting_copy(mut self) -> Self {
        self.accepts_copy = true;
        self
    }

    const fn discarding(mut self, flight: u64) -> Self {
        self.discards = Some(flight);
        self
    }
}

/// A client in the middle of its script.
pub(super) struct Client {
    script: &'static Script,
    out: WriteBuffer,
    state: State,
    depends_on_time: bool,
    /// How often it refused to send the data of a COPY.
    refusals: u32,
}

enum State {
    Startup(Box<Startup>),
    Ready(TransactionStatus),
    Talking(Core),
}

/// What the client did.
pub(super) enum Handled {
    /// It waits for the network.
    Needs(usize),
    /// It has something to say or to do, and may have more input.
    Again,
}

impl Client {
    pub(super) fn new(script: &'static Script) -> Self {
        let mut out = WriteBuffer::with_capacity(4096);
        let state = if script.begins_with_startup {
            State::Startup(Box::new(start(&mut out).expect("a startup message")))
        } else {
            State::Ready(TransactionStatus::Idle)
        };
        Self {
            script,
            out,
            state,
            depends_on_time: false,
            refusals: 0,
        }
    }

    /// A client that starts up with a real server before it follows its script.
    pub(super) fn connecting(script: &'static Script) -> Self {
        let mut this = Self::new(script);
        this.out.clear();
        this.state = State::Startup(Box::new(start(&mut this.out).expect("a startup message")));
        this
    }

    pub(super) fn is_started(&self) -> bool {
        matches!(self.state, State::Talking(_))
    }

    /// Whether nothing more will come.
    pub(super) fn is_idle(&self) -> bool {
        matches!(&self.state, State::Talking(core) if core.is_idle())
    }

    /// Whether all that it wrote answers the input and not a part of it. A hostile server
    /// starts another COPY before the first is refused, and has both refused at once.
    pub(super) fn answers_in_step(&self) -> bool {
        self.refusals < 2
    }

    /// All that it has written and nobody has taken.
    pub(super) fn sent(&self) -> &[u8] {
        self.out.pending()
    }

    pub(super) fn take_sent(&mut self, count: usize) {
        self.out.advance(count);
    }

    /// Whether what it did depended on how much of the input it had when it looked.
    pub(super) fn depends_on_time(&self) -> bool {
        self.depends_on_time
    }

    pub(super) fn handle<const SHARES: bool>(
        &mut self,
        input: &mut ReadBuffer,
        trace: &mut Trace<'_, SHARES>,
    ) -> Result<Handled> {
        match &mut self.state {
            State::Startup(startup) => match startup.handle_input(input, &mut self.out, trace)? {
                StartupProgress::NeedInput { needed } => Ok(Handled::Needs(needed)),
                StartupProgress::Working => Ok(Handled::Again),
                StartupProgress::Ready(status) => {
                    self.state = State::Ready(status);
                    Ok(Handled::Again)
                }
            },
            &mut State::Ready(status) => {
                let mut core = Core::new(status);
                (self.script.ask)(&mut core, &mut self.out).expect("what a script asks");
                trace.started = core.flights() as u64;
                trace.accepts_copy = self.script.accepts_copy;
                if let Some(flight) = self.script.discards {
                    core.discard(flight);
                    trace.discarded |= 1 << flight;
                }
                self.state = State::Talking(core);
                Ok(Handled::Again)
            }
            State::Talking(core) => {
                let before = input.len();
                let progress = core.handle_input(input, trace)?;
                self.refusals += u32::from(core.start_refusal(&mut self.out)?);
                if core.has_open_failed() {
                    // The server waits for a Sync. A hostile one may go on before it comes.
                    core.start_copy_fail(&mut self.out, "failed")?;
                    self.depends_on_time = true;
                }
                match progress {
                    Progress::NeedInput { needed } => Ok(Handled::Needs(needed)),
                    Progress::Idle => Ok(Handled::Needs(0)),
                    Progress::Paused => {
                        assert!(input.len() < before, "a pause without progress");
                        resume(core, &mut self.out, trace)?;
                        Ok(Handled::Again)
                    }
                }
            }
        }
    }

    /// After an error nothing works any more, and nothing is heard.
    pub(super) fn check_ended<const SHARES: bool>(
        &mut self,
        input: &mut ReadBuffer,
        trace: &mut Trace<'_, SHARES>,
    ) {
        let events = trace.events;
        match &mut self.state {
            State::Talking(core) => {
                assert!(core.is_broken() && !core.is_idle());
                let error = core.handle_input(input, trace).expect_err("it is over");
                assert_eq!(error.kind(), ErrorKind::Closed);
                let pending = self.out.len();
                assert!(core.start_query(&mut self.out, "select 1").is_err());
                core.abandon(&mut self.out).expect("nothing to abandon");
                assert_eq!(
                    self.out.len(),
                    pending,
                    "something was written after the end"
                );
            }
            State::Startup(_) | State::Ready(_) => {}
        }
        assert_eq!(trace.events, events, "something was heard after the end");
    }
}

/// What the client does where its sink has paused.
fn resume<const SHARES: bool>(
    core: &mut Core,
    out: &mut WriteBuffer,
    trace: &mut Trace<'_, SHARES>,
) -> Result<()> {
    if trace.is_fed_up {
        trace.is_fed_up = false;
        core.abandon(out)?;
        trace.discarded = u64::MAX;
    }
    if trace.has_accepted_copy && core.is_copying_in() {
        trace.has_accepted_copy = false;
        frontend::copy_data(out, b"1\tone\n2\ttwo\n")?;
        core.start_copy_done(out)?;
        core.start_query(out, "select count(*) from t")?;
        trace.started += 1;
    }
    Ok(())
}

/// Appends a statement's parameters.
type Encode = fn(&mut WriteBuffer) -> Result<()>;

fn prepare_and_execute(
    core: &mut Core,
    out: &mut WriteBuffer,
    sql: &str,
    template: &BindTemplate,
    encode: Encode,
) -> Result<()> {
    let mut unit = core.start_unit(out)?;
    unit.prepare(0, "k1", sql, &[])?;
    unit.finish();
    let mut unit = core.start_unit(out)?;
    unit.execute(0, template, encode)?;
    unit.finish();
    Ok(())
}

fn copy_in(core: &mut Core, out: &mut WriteBuffer, sql: &str) -> Result<()> {
    core.start_query(out, CREATE)?;
    let mut unit = core.start_unit(out)?;
    unit.prepare(0, "", sql, &[])?;
    unit.execute(0, &templates().unnamed, nothing)?;
    unit.keep_open_for_copy();
    Ok(())
}

fn nothing(_: &mut WriteBuffer) -> Result<()> {
    Ok(())
}

/// The int4 5, in binary.
fn five(out: &mut WriteBuffer) -> Result<()> {
    out.put_i32(4);
    out.put_i32(5);
    Ok(())
}

/// Bind and Execute of the statements that the scripts prepare.
struct Templates {
    unnamed: BindTemplate,
    unnamed_series: BindTemplate,
    named: BindTemplate,
    named_series: BindTemplate,
}

fn templates() -> &'static Templates {
    static TEMPLATES: OnceLock<Templates> = OnceLock::new();
    TEMPLATES.get_or_init(|| {
        let template = |name, formats: &[i16]| {
            let formats = || formats.iter().copied();
            BindTemplate::new(name, formats(), formats().len(), formats())
                .expect("a template of a short name")
        };
        Templates {
            unnamed: template("", &[]),
            unnamed_series: template("", &[1]),
            named: template("k1", &[]),
            named_series: template("k1", &[1]),
        }
    })
}

/// A startup that agrees to everything, with little work.
pub fn start(out: &mut WriteBuffer) -> Result<Startup> {
    let credentials = Credentials {
        user: "postgres".to_owned(),
        password: Some(b"secret".to_vec()),
        nonce: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17],
        scram_keys: None,
        given_keys: None,
    };
    let policy = AuthenticationPolicy {
        methods: Methods {
            none: true,
            password: true,
            md5: true,
            scram: true,
        },
        is_private: true,
        allow_cleartext: true,
        allow_md5: true,
        binding: BindingPolicy::Prefer,
        end_point: EndPoint::Plain,
        scram: ScramLimits {
            min_iterations: 1,
            max_iterations: 16,
        },
    };
    let versions = Versions {
        min: Versions::V3_0,
        max: Versions::V3_2,
    };
    Startup::start(out, credentials, policy, versions, &[])
}
