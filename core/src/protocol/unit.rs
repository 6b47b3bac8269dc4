//! [`Unit`]: one flight while it is written.

use super::core::{Core, OpenUnit};
use super::queue::{CopyIn, Entry, QueueMark, Role};
use super::transition::{Stage, Stages};
use crate::buffer::{Mark, WriteBuffer};
use crate::error::{Error, Result};
use crate::wire::frontend;
use crate::wire::limits::MAX_FRONTEND_MESSAGE;

/// The messages of one flight, and with each message the reply that it will be owed.
///
/// [`finish`](Self::finish) ends it with Sync. Dropped before that, it takes its bytes and
/// its replies back: an error in the middle of encoding has sent nothing. Flights before
/// [`execute_and_start_next`](Self::execute_and_start_next) are whole, and stay.
#[derive(Debug)]
#[must_use = "a unit that is dropped takes everything back"]
pub struct Unit<'a> {
    core: &'a mut Core,
    out: &'a mut WriteBuffer,
    flight: u64,
    mark: Mark,
    queue_mark: QueueMark,
    kept: bool,
}

/// The bytes of Bind, Execute and Sync that are the same for each execution of a prepared
/// statement: all but the parameters' values.
#[derive(Clone, Debug)]
pub struct BindTemplate {
    /// What goes before the values.
    head: Box<[u8]>,
    /// The rest of Bind, and Execute.
    tail: Box<[u8]>,
    /// The same, and Sync.
    last: Box<[u8]>,
    /// What lies between the values of two executions, one behind the other.
    between: Box<[u8]>,
    /// How long Bind is without the values.
    bind: usize,
    /// Parse and Describe, where the statement is not one that the server keeps.
    parse: Option<Box<[u8]>>,
}

/// Executions of one statement that are written one behind the other, made by
/// [`Unit::executions`]. With the end of each the next one is begun; what is begun and not
/// executed goes with the drop.
#[derive(Debug)]
pub struct Executions<'u, 'a> {
    unit: &'u mut Unit<'a>,
    template: &'u BindTemplate,
    statement: u32,
    /// How many are written and not in the queue.
    count: u64,
    /// The end of the last that is whole.
    end: Mark,
}

impl BindTemplate {
    /// The messages Bind to the unnamed portal and Execute without a row limit, and Sync for a
    /// statement that is alone in its flight.
    ///
    /// # Errors
    ///
    /// More than 65,535 parameters, or NUL in the name.
    pub fn new(
        statement: &str,
        parameter_formats: impl ExactSizeIterator<Item = i16>,
        parameter_count: usize,
        result_formats: impl ExactSizeIterator<Item = i16>,
    ) -> Result<Self> {
        let mut out = WriteBuffer::default();
        let bind =
            frontend::begin_bind(&mut out, "", statement, parameter_formats, parameter_count)?;
        let values = out.len();
        // NULLs hold the places of the values, so that the message is a whole one.
        for _ in 0..parameter_count {
            out.put_i32(-1);
        }
        let values_end = out.len();
        frontend::end_bind(&mut out, bind, result_formats)?;
        let bind = out.len() - (values_end - values);
        frontend::execute(&mut out, "", 0)?;
        let tail = &out.pending()[values_end..];
        let head = &out.pending()[..values];
        Ok(Self {
            head: head.into(),
            tail: tail.into(),
            between: [tail, head].concat().into(),
            last: {
                let mut last = WriteBuffer::default();
                last.put_slice(tail);
                frontend::sync(&mut last);
                last.pending().into()
            },
            bind,
            parse: None,
        })
    }

    /// Has each execution parse the unnamed statement anew, and describe it: behind a pooler
    /// of transactions the next one may run on another server, and what the statement returns
    /// may have changed.
    ///
    /// # Errors
    ///
    /// If the text contains NUL or is too long, or there are more than 65,535 parameters.
    pub fn with_parse(mut self, sql: &str, parameter_types: &[u32]) -> Result<Self> {
        let mut out = WriteBuffer::default();
        frontend::parse(&mut out, "", sql, parameter_types)?;
        frontend::describe_statement(&mut out, "")?;
        self.parse = Some(out.pending().into());
        Ok(self)
    }

    /// What an execution awaits.
    #[inline]
    fn awaits(&self) -> Stages {
        let awaits = Stages::NONE.with(Stage::Bind).with(Stage::Execute);
        if self.parse.is_none() {
            return awaits;
        }
        awaits
            .with(Stage::Parse)
            .with(Stage::Parameters)
            .with(Stage::Fields)
    }

    /// How much memory it takes.
    pub fn size(&self) -> usize {
        let parse = self.parse.as_ref().map_or(0, |parse| parse.len());
        let parts = [&self.head, &self.tail, &self.last, &self.between];
        parts.map(|part| part.len()).iter().sum::<usize>() + parse
    }

    /// What goes before the values of the first of many executions: nothing where each of them
    /// begins with a Parse.
    fn begin_again(&self) -> &[u8] {
        match self.parse {
            None => &self.head,
            Some(_) => &[],
        }
    }

    /// The length of a Bind of which so many bytes are written, the values the last of them: it
    /// counts itself, and not the tag before it.
    ///
    /// # Errors
    ///
    /// If it is too long.
    #[inline]
    fn length(&self, written: usize) -> Result<i32> {
        let bind = written + self.bind - self.head.len();
        if bind > MAX_FRONTEND_MESSAGE {
            return Err(too_long(bind));
        }
        Ok(bind as i32 - 1)
    }
}

impl<'a> Unit<'a> {
    #[inline]
    pub(super) fn begin(core: &'a mut Core, out: &'a mut WriteBuffer) -> Self {
        let (mark, queue_mark) = (out.mark(), core.queue.mark());
        let flight = core.queue.begin_flight();
        Self {
            core,
            out,
            flight,
            mark,
            queue_mark,
            kept: false,
        }
    }

    pub(super) fn resume(core: &'a mut Core, out: &'a mut WriteBuffer) -> Self {
        let (mark, queue_mark) = (out.mark(), core.queue.mark());
        let flight = core.queue.front_flight() + core.queue.flights() - 1;
        Self {
            core,
            out,
            flight,
            mark,
            queue_mark,
            kept: false,
        }
    }

    /// How many bytes wait to be sent, those of this unit and those before it.
    #[inline]
    pub fn pending(&self) -> usize {
        self.out.len()
    }

    /// The number that the callbacks of this flight will carry.
    pub fn flight(&self) -> u64 {
        self.flight
    }

    /// Runs a statement of the driver's own before the caller's; its rows are dropped.
    ///
    /// # Errors
    ///
    /// If the text contains NUL or is too long.
    pub fn prefix(&mut self, index: u32, sql: &str) -> Result<()> {
        self.unprepared(Role::Prefix, index, "", sql)
    }

    /// As [`prefix`](Self::prefix), under a name, so that the unnamed statement stays what it
    /// is. The caller closes it.
    ///
    /// # Errors
    ///
    /// If a text contains NUL or is too long.
    pub fn prefix_named(&mut self, index: u32, name: &str, sql: &str) -> Result<()> {
        self.unprepared(Role::Prefix, index, name, sql)
    }

    /// Parses, binds and executes a statement without parameters. Rows come as text.
    ///
    /// # Errors
    ///
    /// If the text contains NUL or is too long.
    pub fn execute_unprepared(&mut self, statement: u32, sql: &str) -> Result<()> {
        self.unprepared(Role::Statement, statement, "", sql)
    }

    /// Closes a prepared statement of the server.
    ///
    /// # Errors
    ///
    /// If the name contains NUL.
    pub fn close_statement(&mut self, name: &str) -> Result<()> {
        frontend::close_statement(self.out, name)?;
        self.push(Role::Prefix, 0, Stages::NONE.with(Stage::Close));
        Ok(())
    }

    /// Closes a portal.
    ///
    /// # Errors
    ///
    /// If the name contains NUL.
    pub fn close_portal(&mut self, name: &str) -> Result<()> {
        frontend::close_portal(self.out, name)?;
        self.push(Role::Prefix, 0, Stages::NONE.with(Stage::Close));
        Ok(())
    }

    /// Prepares a statement and asks for its description.
    ///
    /// # Errors
    ///
    /// If a text contains NUL or is too long, or there are more than 65,535 parameters.
    pub fn prepare(
        &mut self,
        statement: u32,
        name: &str,
        sql: &str,
        parameter_types: &[u32],
    ) -> Result<()> {
        frontend::parse(self.out, name, sql, parameter_types)?;
        frontend::describe_statement(self.out, name)?;
        let awaits = Stages::NONE
            .with(Stage::Parse)
            .with(Stage::Parameters)
            .with(Stage::Fields);
        self.push(Role::Statement, statement, awaits);
        Ok(())
    }

    /// Asks for the description of a prepared statement.
    ///
    /// # Errors
    ///
    /// If the name contains NUL.
    pub fn describe(&mut self, statement: u32, name: &str) -> Result<()> {
        frontend::describe_statement(self.out, name)?;
        let awaits = Stages::NONE.with(Stage::Parameters).with(Stage::Fields);
        self.push(Role::Statement, statement, awaits);
        Ok(())
    }

    /// Binds and executes a prepared statement. `encode` appends the parameters' values.
    ///
    /// # Errors
    ///
    /// What `encode` returns, or the message is too long. The unit is then what it was.
    #[inline]
    pub fn execute(
        &mut self,
        statement: u32,
        template: &BindTemplate,
        encode: impl FnOnce(&mut WriteBuffer) -> Result<()>,
    ) -> Result<()> {
        self.write_execution(template, &template.tail, encode)?;
        self.push(Role::Statement, statement, template.awaits());
        Ok(())
    }

    /// Any number of executions of one prepared statement: what is owed for them takes as much
    /// memory as for one.
    pub fn executions<'u>(
        &'u mut self,
        statement: u32,
        template: &'u BindTemplate,
    ) -> Executions<'u, 'a> {
        let end = self.out.mark();
        self.out.put_slice(template.begin_again());
        Executions {
            unit: self,
            template,
            statement,
            count: 0,
            end,
        }
    }

    /// Writes the messages of `template`, which end with `tail`.
    #[inline(always)]
    fn write_execution(
        &mut self,
        template: &BindTemplate,
        tail: &[u8],
        encode: impl FnOnce(&mut WriteBuffer) -> Result<()>,
    ) -> Result<()> {
        let before = self.out.mark();
        if let Some(parse) = &template.parse {
            self.out.put_slice(parse);
        }
        let start = self.out.mark();
        self.out.put_slice(&template.head);
        if let Err(error) = encode(self.out) {
            self.out.truncate(before);
            return Err(error);
        }
        let length = match template.length(self.out.len_since(start)) {
            Ok(length) => length,
            Err(error) => {
                self.out.truncate(before);
                return Err(error);
            }
        };
        self.out.put_slice(tail);
        self.out.patch_i32(start.offset(1), length);
        Ok(())
    }

    /// As [`execute`](Self::execute), then ends the flight with Sync, and begins another behind
    /// it.
    ///
    /// # Errors
    ///
    /// As [`execute`](Self::execute).
    #[inline]
    pub fn execute_and_start_next(
        &mut self,
        statement: u32,
        template: &BindTemplate,
        encode: impl FnOnce(&mut WriteBuffer) -> Result<()>,
    ) -> Result<()> {
        self.write_execution(template, &template.last, encode)?;
        self.push(
            Role::Statement,
            statement,
            template.awaits().with(Stage::Sync),
        );
        self.core.open = None;
        // What is in the flight so far is whole, and stays.
        (self.mark, self.queue_mark) = (self.out.mark(), self.core.queue.mark());
        self.flight = self.core.queue.begin_flight();
        Ok(())
    }

    /// Binds a prepared statement to a named portal and fetches its first `max_rows` rows.
    ///
    /// # Errors
    ///
    /// As [`execute`](Self::execute), and if a name contains NUL.
    pub fn open_portal(
        &mut self,
        statement: u32,
        portal: &str,
        name: &str,
        formats: (&[i16], &[i16]),
        parameter_count: usize,
        encode: impl FnOnce(&mut WriteBuffer) -> Result<()>,
    ) -> Result<()> {
        let (parameters, results) = formats;
        let bind = frontend::begin_bind(
            self.out,
            portal,
            name,
            parameters.iter().copied(),
            parameter_count,
        )?;
        encode(self.out)?;
        frontend::end_bind(self.out, bind, results.iter().copied())?;
        self.push(Role::Statement, statement, Stages::NONE.with(Stage::Bind));
        Ok(())
    }

    /// Fetches the next `max_rows` rows of a portal; 0 means all.
    ///
    /// # Errors
    ///
    /// If the name contains NUL.
    pub fn fetch_portal(&mut self, statement: u32, portal: &str, max_rows: i32) -> Result<()> {
        frontend::execute(self.out, portal, max_rows)?;
        self.push(
            Role::Statement,
            statement,
            Stages::NONE.with(Stage::Execute),
        );
        Ok(())
    }

    /// Takes back what is in the flight so far, and nothing before it.
    pub fn take_back(&mut self) {
        self.out.truncate(self.mark);
        self.core.queue.truncate(self.queue_mark);
        self.flight = self.core.queue.begin_flight();
    }

    /// Ends the flight with Sync and returns its number.
    #[inline]
    pub fn finish(mut self) -> u64 {
        self.kept = true;
        self.core.start_sync(self.out);
        self.flight
    }

    /// Leaves the flight open, for more statements to follow before the Sync. The server
    /// sends its replies when its own buffer is full or at the Sync.
    pub fn keep_open(mut self) -> u64 {
        self.kept = true;
        self.core.open = Some(OpenUnit::Statements);
        self.flight
    }

    /// Leaves the flight open for the data of a COPY FROM STDIN, whose statement was the
    /// last, and has the server answer what it has.
    pub fn keep_open_for_copy(mut self) -> u64 {
        self.kept = true;
        frontend::flush(self.out);
        self.core.queue.set_copy(CopyIn::Open);
        self.core.open = Some(OpenUnit::CopyIn);
        self.flight
    }

    /// Sends a simple query, which is a flight of its own and needs no Sync.
    pub(super) fn query(mut self, sql: &str) -> Result<u64> {
        frontend::query(self.out, sql)?;
        self.push(Role::Statement, 0, Stages::NONE.with(Stage::Query));
        self.kept = true;
        Ok(self.flight)
    }

    fn unprepared(&mut self, role: Role, number: u32, name: &str, sql: &str) -> Result<()> {
        frontend::parse(self.out, name, sql, &[])?;
        let bind = frontend::begin_bind(self.out, "", name, std::iter::empty(), 0)?;
        frontend::end_bind(self.out, bind, std::iter::empty())?;
        frontend::execute(self.out, "", 0)?;
        self.push(
            role,
            number,
            Stages::NONE
                .with(Stage::Parse)
                .with(Stage::Bind)
                .with(Stage::Execute),
        );
        Ok(())
    }

    #[inline]
    fn push(&mut self, role: Role, statement: u32, awaits: Stages) {
        self.core.queue.push(Entry {
            awaits,
            role,
            statement,
            copy: CopyIn::Unexpected,
            again: 0,
        });
    }
}

impl Executions<'_, '_> {
    /// How many bytes wait to be sent, those of the unit and those before it.
    #[inline]
    pub fn pending(&self) -> usize {
        self.unit.out.len()
    }

    /// Adds one. `encode` appends the parameters' values.
    ///
    /// # Errors
    ///
    /// What `encode` returns, or the message is too long. There are then as many as before.
    #[inline]
    pub fn add(&mut self, encode: impl FnOnce(&mut WriteBuffer) -> Result<()>) -> Result<()> {
        let Self {
            unit,
            template,
            statement,
            ..
        } = self;
        if template.parse.is_some() {
            unit.execute(*statement, template, encode)?;
            self.end = unit.out.mark();
            return Ok(());
        }
        let out = &mut *unit.out;
        let encoded = encode(out);
        let length = encoded.and_then(|()| template.length(out.len_since(self.end)));
        let length = match length {
            Ok(length) => length,
            Err(error) => {
                out.truncate(self.end.offset(template.head.len()));
                return Err(error);
            }
        };
        out.put_slice(&template.between);
        out.patch_i32(self.end.offset(1), length);
        // All that was written but for the beginning of the next one.
        self.end = out.mark().back(template.head.len());
        self.count += 1;
        Ok(())
    }
}

impl Drop for Executions<'_, '_> {
    fn drop(&mut self) {
        self.unit.out.truncate(self.end);
        let queue = &mut self.unit.core.queue;
        queue.push_executions(self.statement, self.count);
    }
}

impl Drop for Unit<'_> {
    fn drop(&mut self) {
        if !self.kept {
            self.out.truncate(self.mark);
            self.core.queue.truncate(self.queue_mark);
        }
    }
}

#[cold]
fn too_long(length: usize) -> Error {
    Error::usage(format!(
        "the parameters make a message of {length} bytes, which is above the server's limit of {MAX_FRONTEND_MESSAGE}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::TransactionStatus;

    fn template() -> BindTemplate {
        BindTemplate::new("k", [1].into_iter(), 1, [1].into_iter()).unwrap()
    }

    fn value(number: i32) -> impl FnOnce(&mut WriteBuffer) -> Result<()> {
        move |out| {
            out.put_i32(4);
            out.put_i32(number);
            Ok(())
        }
    }

    fn fails(out: &mut WriteBuffer) -> Result<()> {
        out.put_slice(b"half of a value");
        Err(Error::usage("on purpose"))
    }

    /// What `write` makes of a unit that is then finished, and how much is owed for it.
    fn written(
        template: &BindTemplate,
        write: impl FnOnce(&mut Unit<'_>, &BindTemplate),
    ) -> Vec<u8> {
        let mut core = Core::new(TransactionStatus::Idle);
        let mut out = WriteBuffer::default();
        let mut unit = core.start_unit(&mut out).unwrap();
        write(&mut unit, template);
        unit.finish();
        out.pending().to_vec()
    }

    #[test]
    fn executions_are_what_each_of_them_would_be() {
        for template in [
            template(),
            template().with_parse("select $1", &[23]).unwrap(),
        ] {
            let one_by_one = written(&template, |unit, template| {
                for number in 1..=3 {
                    unit.execute(0, template, value(number)).unwrap();
                }
                unit.execute_unprepared(1, "commit").unwrap();
            });
            let together = written(&template, |unit, template| {
                let mut executions = unit.executions(0, template);
                executions.add(value(1)).unwrap();
                executions.add(fails).unwrap_err();
                executions.add(value(2)).unwrap();
                drop(executions);
                drop(unit.executions(0, template));
                let mut executions = unit.executions(0, template);
                executions.add(value(3)).unwrap();
                executions.add(fails).unwrap_err();
                drop(executions);
                unit.execute_unprepared(1, "commit").unwrap();
            });
            assert_eq!(together, one_by_one);
        }
    }

    #[test]
    fn executions_of_a_unit_that_is_dropped_are_not_owed() {
        let (mut core, mut out) = (Core::new(TransactionStatus::Idle), WriteBuffer::default());
        let template = template();
        let mut unit = core.start_unit(&mut out).unwrap();
        unit.executions(0, &template).add(value(1)).unwrap();
        drop(unit);
        assert!(core.is_idle());
        assert!(out.is_empty());
    }
}
