//! The transition table: which message may follow in which stage, and what comes then.
//!
//! Source: manual, "Message Flow"; `exec_*` and `PostgresMain` in the server's
//! `tcop/postgres.c`, `commands/copyto.c`, `commands/copyfromparse.c`.

use crate::wire::tag;

/// What is awaited next from the server for one entry of the queue. An entry awaits several
/// stages, one after the other in the order of this list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Stage {
    /// Close was sent: CloseComplete.
    Close = 0,
    /// Parse was sent: ParseComplete.
    Parse,
    /// Describe of a statement was sent: ParameterDescription.
    Parameters,
    /// … and then RowDescription or NoData.
    Fields,
    /// Bind was sent: BindComplete.
    Bind,
    /// Execute was sent: rows, COPY, or the end.
    Execute,
    /// The server waits for our CopyData: the end, once CopyDone was sent.
    CopyIn,
    /// CopyData until CopyDone.
    CopyOut,
    /// CopyDone came: CommandComplete.
    CopyOutEnd,
    /// Query was sent: the start or the end of its first statement.
    Query,
    /// Rows of a statement of Query.
    QueryRows,
    /// CopyIn within Query, which is always refused: only an error may follow.
    QueryCopyIn,
    /// CopyOut within Query.
    QueryCopyOut,
    /// CopyOutEnd within Query.
    QueryCopyOutEnd,
    /// A statement of Query is complete: another one, or ReadyForQuery.
    QueryMore,
    /// Query failed: ReadyForQuery is all that may come.
    QueryFailed,
    /// Sync was sent: ReadyForQuery.
    Sync,
}

/// What a message does to the stage in which it arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Edge {
    /// The message may not come here.
    Illegal,
    /// The stage goes on.
    Stay,
    /// The stage is over.
    Done,
    /// Another stage takes the place of this one.
    Become(Stage),
}

/// How many stages there are.
const STAGES: usize = Stage::Sync as usize + 1;

/// Every legal edge but the messages that are legal anywhere: NoticeResponse,
/// ParameterStatus, NotificationResponse, and ErrorResponse, which ends all stages before
/// the next Sync.
const LEGAL: &[(Stage, u8, Edge)] = &[
    (Stage::Close, tag::CLOSE_COMPLETE, Edge::Done),
    (Stage::Parse, tag::PARSE_COMPLETE, Edge::Done),
    (Stage::Parameters, tag::PARAMETER_DESCRIPTION, Edge::Done),
    (Stage::Fields, tag::ROW_DESCRIPTION, Edge::Done),
    (Stage::Fields, tag::NO_DATA, Edge::Done),
    (Stage::Bind, tag::BIND_COMPLETE, Edge::Done),
    (Stage::Execute, tag::DATA_ROW, Edge::Stay),
    (Stage::Execute, tag::COMMAND_COMPLETE, Edge::Done),
    (Stage::Execute, tag::EMPTY_QUERY_RESPONSE, Edge::Done),
    (Stage::Execute, tag::PORTAL_SUSPENDED, Edge::Done),
    (
        Stage::Execute,
        tag::COPY_IN_RESPONSE,
        Edge::Become(Stage::CopyIn),
    ),
    (
        Stage::Execute,
        tag::COPY_OUT_RESPONSE,
        Edge::Become(Stage::CopyOut),
    ),
    (Stage::CopyIn, tag::COMMAND_COMPLETE, Edge::Done),
    (Stage::CopyOut, tag::COPY_DATA, Edge::Stay),
    (
        Stage::CopyOut,
        tag::COPY_DONE,
        Edge::Become(Stage::CopyOutEnd),
    ),
    (Stage::CopyOutEnd, tag::COMMAND_COMPLETE, Edge::Done),
    (
        Stage::Query,
        tag::ROW_DESCRIPTION,
        Edge::Become(Stage::QueryRows),
    ),
    (
        Stage::Query,
        tag::COMMAND_COMPLETE,
        Edge::Become(Stage::QueryMore),
    ),
    (
        Stage::Query,
        tag::EMPTY_QUERY_RESPONSE,
        Edge::Become(Stage::QueryMore),
    ),
    (
        Stage::Query,
        tag::COPY_IN_RESPONSE,
        Edge::Become(Stage::QueryCopyIn),
    ),
    (
        Stage::Query,
        tag::COPY_OUT_RESPONSE,
        Edge::Become(Stage::QueryCopyOut),
    ),
    (Stage::QueryRows, tag::DATA_ROW, Edge::Stay),
    (
        Stage::QueryRows,
        tag::COMMAND_COMPLETE,
        Edge::Become(Stage::QueryMore),
    ),
    (Stage::QueryCopyOut, tag::COPY_DATA, Edge::Stay),
    (
        Stage::QueryCopyOut,
        tag::COPY_DONE,
        Edge::Become(Stage::QueryCopyOutEnd),
    ),
    (
        Stage::QueryCopyOutEnd,
        tag::COMMAND_COMPLETE,
        Edge::Become(Stage::QueryMore),
    ),
    (
        Stage::QueryMore,
        tag::ROW_DESCRIPTION,
        Edge::Become(Stage::QueryRows),
    ),
    (Stage::QueryMore, tag::COMMAND_COMPLETE, Edge::Stay),
    (Stage::QueryMore, tag::EMPTY_QUERY_RESPONSE, Edge::Stay),
    (
        Stage::QueryMore,
        tag::COPY_IN_RESPONSE,
        Edge::Become(Stage::QueryCopyIn),
    ),
    (
        Stage::QueryMore,
        tag::COPY_OUT_RESPONSE,
        Edge::Become(Stage::QueryCopyOut),
    ),
    (Stage::QueryMore, tag::READY_FOR_QUERY, Edge::Done),
    (Stage::QueryFailed, tag::READY_FOR_QUERY, Edge::Done),
    (Stage::Sync, tag::READY_FOR_QUERY, Edge::Done),
];

/// [`LEGAL`], laid out by stage and tag.
static EDGES: [[Edge; 128]; STAGES] = lay_out();

/// What the message `tag` does in `stage`.
#[inline]
pub(super) fn edge(stage: Stage, tag: u8) -> Edge {
    EDGES[stage as usize]
        .get(usize::from(tag))
        .copied()
        .unwrap_or(Edge::Illegal)
}

/// Whether the message `tag` ends `stage`.
pub(super) const fn ends(stage: Stage, tag: u8) -> bool {
    matches!(EDGES[stage as usize][tag as usize], Edge::Done)
}

/// Whether `stage` goes on behind the message `tag`.
pub(super) const fn goes_on(stage: Stage, tag: u8) -> bool {
    matches!(EDGES[stage as usize][tag as usize], Edge::Stay)
}

const fn lay_out() -> [[Edge; 128]; STAGES] {
    let mut edges = [[Edge::Illegal; 128]; STAGES];
    let mut i = 0;
    while i < LEGAL.len() {
        let (stage, tag, edge) = LEGAL[i];
        edges[stage as usize][tag as usize] = edge;
        i += 1;
    }
    edges
}

/// The stages that an entry still awaits, as a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stages(u32);

impl Stages {
    /// No stage.
    pub(super) const NONE: Self = Self(0);

    /// The set with `stage` added.
    #[must_use]
    #[inline]
    pub(super) const fn with(self, stage: Stage) -> Self {
        Self(self.0 | 1 << stage as u32)
    }

    /// The set without `stage`.
    #[must_use]
    #[inline]
    pub(super) const fn without(self, stage: Stage) -> Self {
        Self(self.0 & !(1 << stage as u32))
    }

    /// Whether `stage` is in the set.
    #[inline]
    pub(super) const fn has(self, stage: Stage) -> bool {
        self.0 & 1 << stage as u32 != 0
    }

    /// Whether all its stages are in `others`.
    #[inline]
    pub(super) const fn is_within(self, others: Self) -> bool {
        self.0 & !others.0 == 0
    }

    /// Whether a ReadyForQuery is awaited: the entry is its flight's last.
    #[inline]
    pub(super) const fn ends_flight(self) -> bool {
        self.0 >= 1 << Stage::Query as u32
    }

    /// Whether the set is empty.
    #[inline]
    pub(super) const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The stage that comes first.
    #[inline]
    pub(super) fn first(self) -> Option<Stage> {
        ALL.get(self.0.trailing_zeros() as usize).copied()
    }
}

/// The stages in their order.
const ALL: [Stage; STAGES] = [
    Stage::Close,
    Stage::Parse,
    Stage::Parameters,
    Stage::Fields,
    Stage::Bind,
    Stage::Execute,
    Stage::CopyIn,
    Stage::CopyOut,
    Stage::CopyOutEnd,
    Stage::Query,
    Stage::QueryRows,
    Stage::QueryCopyIn,
    Stage::QueryCopyOut,
    Stage::QueryCopyOutEnd,
    Stage::QueryMore,
    Stage::QueryFailed,
    Stage::Sync,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stages_are_listed_in_their_order() {
        for (index, stage) in ALL.iter().enumerate() {
            assert_eq!(*stage as usize, index);
            assert_eq!(
                Stages::NONE.with(*stage).with(Stage::Sync).first(),
                Some(*stage)
            );
        }
        assert_eq!(Stages::NONE.first(), None);
    }

    #[test]
    fn a_flight_ends_with_sync_or_a_simple_query() {
        for stage in ALL {
            let ends = format!("{stage:?}").starts_with("Query") || stage == Stage::Sync;
            assert_eq!(Stages::NONE.with(stage).ends_flight(), ends);
        }
    }

    #[test]
    fn each_edge_is_listed_once_and_found() {
        for (index, &(stage, tag, expected)) in LEGAL.iter().enumerate() {
            assert_eq!(edge(stage, tag), expected);
            assert!(
                LEGAL[index + 1..]
                    .iter()
                    .all(|&(s, t, _)| (s, t) != (stage, tag))
            );
        }
        let legal = ALL
            .iter()
            .flat_map(|&s| (0..=255).map(move |t| edge(s, t)))
            .filter(|&e| e != Edge::Illegal);
        assert_eq!(legal.count(), LEGAL.len());
    }
}
