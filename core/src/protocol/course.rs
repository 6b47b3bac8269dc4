//! The usual course: a prepared statement is bound, executed, and the server is ready again.

use std::ops::ControlFlow;

use super::core::{Core, SHARED_ROW_THRESHOLD};
use super::sink::{At, Part, RowBytes, Sink};
use super::transition::{Stage, ends, goes_on};
use crate::wire::backend::{CommandComplete, ReadyForQuery};
use crate::wire::{split_known, tag};

impl Core {
    /// Handles the replies at the front of `rest`, the end of `length` bytes, as long as they
    /// are those of the caller's statements in their usual course. The first message that is
    /// anything else is left where it is, as is one that is incomplete or malformed: the
    /// transition table says what it means.
    ///
    /// This is a part of the table, written out: nearly all that a server ever says.
    #[inline(always)]
    pub(super) fn handle_course<S: Sink>(
        &mut self,
        length: usize,
        rest: &mut &[u8],
        sink: &mut S,
    ) -> ControlFlow<()> {
        let Self {
            queue,
            status,
            handled,
            ..
        } = self;
        while !queue.is_front_discarded() {
            let flight = queue.front_flight();
            let Some(entry) = queue.front_mut().filter(|entry| entry.is_usual()) else {
                break;
            };
            let part = Part::Statement(entry.statement);
            let at = At { flight, part };
            let first = *rest;
            let mut is_whole = false;
            if entry.awaits.has(Stage::Bind) {
                let Some((_, behind)) = split_known::<{ tag::BIND_COMPLETE }>(rest) else {
                    break;
                };
                *rest = behind;
                *handled = length - rest.len();
                entry.awaits = entry.awaits.without(Stage::Bind);
                sink.on_bind_complete(at);
                is_whole = !begins_with_row(rest);
            }
            if entry.awaits.has(Stage::Execute) {
                let flow = show_row(at, rest, sink);
                *handled = length - rest.len();
                flow?;
                let Some((body, behind)) = split_known::<{ tag::COMMAND_COMPLETE }>(rest) else {
                    break;
                };
                let Ok(command) = CommandComplete::parse(body) else {
                    break;
                };
                *rest = behind;
                *handled = length - rest.len();
                entry.awaits = entry.awaits.without(Stage::Execute);
                if entry.awaits.is_empty() {
                    let mut times = 0;
                    if is_whole && entry.again > 0 {
                        // What is the same to the last byte has been looked at already.
                        let reply = &first[..first.len() - rest.len()];
                        while let Some(behind) = rest.strip_prefix(reply) {
                            if times == entry.again {
                                break;
                            }
                            *rest = behind;
                            times += 1;
                        }
                        entry.again -= times;
                        *handled = length - rest.len();
                    }
                    queue.end_statement();
                    sink.on_complete(at, command);
                    if times > 0 {
                        sink.on_complete_again(at, command, times);
                    }
                    continue;
                }
                sink.on_complete(at, command);
            }
            let Some((body, behind)) = split_known::<{ tag::READY_FOR_QUERY }>(rest) else {
                break;
            };
            let Ok(ready) = ReadyForQuery::parse(body) else {
                break;
            };
            *rest = behind;
            *handled = length - rest.len();
            *status = ready.status;
            queue.pop();
            queue.finish_flight();
            sink.on_ready(flight, ready.status);
        }
        ControlFlow::Continue(())
    }
}

/// Whether a row follows.
#[inline]
fn begins_with_row(rest: &[u8]) -> bool {
    rest.first() == Some(&tag::DATA_ROW)
}

/// Shows the sink the row at the front of `rest`, if there is one, and all that follow it. Most
/// statements return one row or none: these cost no call.
#[inline(always)]
fn show_row<S: Sink>(at: At, rest: &mut &[u8], sink: &mut S) -> ControlFlow<()> {
    let Some((row, behind)) = split_known::<{ tag::DATA_ROW }>(rest) else {
        return ControlFlow::Continue(());
    };
    if sink.shares_rows() && row.len() >= SHARED_ROW_THRESHOLD {
        return ControlFlow::Continue(());
    }
    *rest = behind;
    sink.on_row(at, RowBytes::borrowed(row))?;
    if begins_with_row(behind) {
        show_rows(at, rest, sink)
    } else {
        ControlFlow::Continue(())
    }
}

/// Shows the sink the rows at the front of `rest`: a plain loop, without queue or table. It is a
/// function of its own, so that it has the processor's registers to itself.
#[inline(never)]
pub(super) fn show_rows<S: Sink>(at: At, rest: &mut &[u8], sink: &mut S) -> ControlFlow<()> {
    // Not in memory while the rows last.
    let mut left = *rest;
    let flow = loop {
        let Some((row, behind)) = split_known::<{ tag::DATA_ROW }>(left) else {
            break ControlFlow::Continue(());
        };
        if sink.shares_rows() && row.len() >= SHARED_ROW_THRESHOLD {
            break ControlFlow::Continue(());
        }
        left = behind;
        if sink.on_row(at, RowBytes::borrowed(row)).is_break() {
            break ControlFlow::Break(());
        }
    };
    *rest = left;
    flow
}

// What is written out here is what the table says.
const _: () = {
    assert!(ends(Stage::Bind, tag::BIND_COMPLETE));
    assert!(goes_on(Stage::Execute, tag::DATA_ROW));
    assert!(ends(Stage::Execute, tag::COMMAND_COMPLETE));
    assert!(ends(Stage::Sync, tag::READY_FOR_QUERY));
};

#[cfg(test)]
mod tests {
    use std::fmt::Debug;

    use super::super::core::{Progress, Stop};
    use super::super::unit::BindTemplate;
    use super::*;
    use crate::buffer::{ReadBuffer, WriteBuffer};
    use crate::error::{Result, ServerError};
    use crate::wire::TransactionStatus;

    /// Writes down what it hears, and pauses at rows that end in 7.
    #[derive(Default)]
    struct Listener {
        heard: Vec<String>,
    }

    impl Listener {
        fn hear(&mut self, what: impl Debug) {
            self.heard.push(format!("{what:?}"));
        }
    }

    impl Sink for Listener {
        fn on_bind_complete(&mut self, at: At) {
            self.hear(("bound", at));
        }

        fn on_row(&mut self, at: At, row: RowBytes<'_>) -> ControlFlow<()> {
            self.hear((at, row.body()));
            if row.body().ends_with(&[7]) {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        }

        fn on_complete(&mut self, at: At, command: CommandComplete<'_>) {
            self.hear((at, command));
        }

        fn on_prefix_complete(&mut self, at: At) {
            self.hear(("prefix", at));
        }

        fn on_suspended(&mut self, at: At) {
            self.hear(("suspended", at));
        }

        fn on_error(&mut self, at: At, error: ServerError) {
            self.hear((at, error.message()));
        }

        fn on_notice(&mut self, notice: ServerError) {
            self.hear(notice.message());
        }

        fn on_ready(&mut self, flight: u64, status: TransactionStatus) {
            self.hear((flight, status));
        }
    }

    /// The messages of the course, and others that may come between, or break it.
    const MESSAGES: [&[u8]; 14] = [
        b"2\0\0\0\x04",
        b"D\0\0\0\x0b\0\x01\0\0\0\x01\x05",
        b"D\0\0\0\x0b\0\x01\0\0\0\x01\x07",
        b"C\0\0\0\x0dSELECT 2\0",
        b"C\0\0\0\x0fINSERT 0 1\0",
        b"Z\0\0\0\x05I",
        b"Z\0\0\0\x05T",
        b"N\0\0\0\x05\0",
        b"E\0\0\0\x10SERROR\0Mno\0\0",
        b"1\0\0\0\x04",
        b"3\0\0\0\x04",
        b"s\0\0\0\x04",
        b"C\0\0\0\x05x",
        b"Z\0\0\0\x05?",
    ];

    /// The next numbers of a sequence without pattern (Knuth's MMIX).
    struct Numbers(u64);

    impl Numbers {
        fn below(&mut self, limit: u64) -> u64 {
            self.0 = self
                .0
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (self.0 >> 33) % limit
        }
    }

    /// A core that is owed a few flights, and what a server may answer them: in order, but for
    /// a message here and there.
    fn dialogue(numbers: &mut Numbers) -> (Core, Vec<u8>) {
        let mut core = Core::new(TransactionStatus::Idle);
        let (mut out, mut answer) = (WriteBuffer::default(), Vec::new());
        let template = BindTemplate::new("k", [].into_iter(), 0, [].into_iter()).unwrap();
        for _ in 0..=numbers.below(3) {
            let mut unit = core.start_unit(&mut out).unwrap();
            let flight = unit.flight();
            for statement in 0..=numbers.below(4) as u32 {
                match numbers.below(8) {
                    0 => {
                        unit.prefix(statement, "begin").unwrap();
                        answer.extend_from_slice(MESSAGES[9]);
                    }
                    1 => {
                        unit.close_statement("k").unwrap();
                        answer.extend_from_slice(MESSAGES[10]);
                        continue;
                    }
                    2 => {
                        unit.open_portal(statement, "p", "k", (&[], &[]), 0, |_| Ok(()))
                            .unwrap();
                        unit.fetch_portal(statement, "p", 2).unwrap();
                    }
                    3..6 => unit.executions(7, &template).add(|_| Ok(())).unwrap(),
                    _ => unit.execute(statement, &template, |_| Ok(())).unwrap(),
                }
                answer.extend_from_slice(MESSAGES[0]);
                for _ in 0..numbers.below(3) {
                    answer.extend_from_slice(MESSAGES[1 + numbers.below(2) as usize]);
                }
                answer.extend_from_slice(MESSAGES[3 + numbers.below(2) as usize]);
                if numbers.below(8) == 0 {
                    let any = numbers.below(MESSAGES.len() as u64) as usize;
                    answer.extend_from_slice(MESSAGES[any]);
                }
            }
            unit.finish();
            answer.extend_from_slice(MESSAGES[5 + numbers.below(2) as usize]);
            if numbers.below(8) == 0 {
                core.discard(flight);
            }
        }
        answer.truncate(answer.len() - numbers.below(20).saturating_sub(10) as usize);
        (core, answer)
    }

    /// What is heard, what comes of it, and what state the core is in then.
    fn outcome(
        mut core: Core,
        handle: impl Fn(&mut Core, &mut ReadBuffer, &mut Listener) -> Result<Progress>,
        answer: &[u8],
    ) -> (Vec<String>, String) {
        let mut input = ReadBuffer::new();
        input.fill(0, |memory| memory.extend_from_slice(answer));
        let mut listener = Listener::default();
        let progress = loop {
            match handle(&mut core, &mut input, &mut listener) {
                Ok(Progress::Paused) => listener.hear("pause"),
                other => break other,
            }
        };
        let end = format!(
            "{:?} {} {:?} {:?} {:?} {:?}",
            progress.map_err(|error| error.to_string()),
            input.len(),
            core.transaction_status(),
            core.queue.front(),
            core.queue.front_flight(),
            core.flights(),
        );
        (listener.heard, end)
    }

    #[test]
    fn the_course_is_what_the_table_makes_of_it() {
        let by_table = |core: &mut Core, input: &mut ReadBuffer, sink: &mut Listener| {
            let (filled, mut rest) = (input.filled().to_vec(), 0);
            let stop = loop {
                let mut left = &filled[rest..];
                let stop = core.handle_next(filled.len(), &mut left, sink);
                rest = filled.len() - left.len();
                match stop {
                    Ok(None) => {}
                    Ok(Some(stop)) => break Ok(stop),
                    Err(error) => break Err(error),
                }
            };
            input.consume(std::mem::take(&mut core.handled));
            match stop? {
                Stop::Progress(progress) => Ok(progress),
                stop => panic!("a small row was shared: {stop:?}"),
            }
        };
        let (mut whole, mut paused) = (0, 0);
        for seed in 0..20_000 {
            let (core, answer) = dialogue(&mut Numbers(seed));
            let fast = outcome(
                core,
                |core, input, sink| core.handle_input(input, sink),
                &answer,
            );
            let (core, _) = dialogue(&mut Numbers(seed));
            let slow = outcome(core, by_table, &answer);
            assert_eq!(fast, slow, "seed {seed}: {answer:02x?}");
            whole += usize::from(slow.1.starts_with("Ok(Idle)"));
            paused += usize::from(slow.0.iter().any(|heard| heard.contains("pause")));
        }
        assert!(whole > 5_000 && paused > 5_000, "{whole} {paused}");
    }
}
