//! What a workload costs the client: instructions, allocations, system calls; and the gates.

pub mod by_hand;
pub mod coding;
pub mod command;
pub mod gates;
pub mod measure;
pub mod table;

use crate::work::Work;

/// The drivers, in the order of the table's columns.
pub const DRIVERS: [&str; 4] = ["kornak", "raw", "raw-decode", "tokio-postgres"];

/// The rows of one W10 run.
pub const STREAM_ROWS: i64 = 10_000;

/// The rows of one W9 run.
pub const COPIED: u64 = 1_000;

/// What one driver's run of one workload costs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Figures {
    /// User instructions per unit of the workload.
    pub instructions: f64,
    /// Calls of the allocator that hand out memory, per run.
    pub allocations: f64,
    /// Bytes so handed out, per run.
    pub bytes: f64,
    /// Calls that write to the socket, per run.
    pub sends: f64,
    /// Calls that read from the socket, per run.
    pub receives: f64,
    /// Other system calls per run, waiting above all.
    pub other_calls: f64,
}

/// A workload of the table.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// The workload.
    pub work: Work,
    /// The two run lengths whose difference is what is counted.
    pub lengths: (u64, u64),
}

/// The table's rows.
pub fn rows() -> Vec<Row> {
    Work::ALL
        .into_iter()
        // The replay is never far.
        .filter(|work| !work.is_far())
        .map(|work| Row {
            work,
            lengths: match work {
                Work::SelectOne | Work::Lookup | Work::Checkout => (200, 1200),
                Work::Connect | Work::ConnectScram => (20, 70),
                Work::TenTasks | Work::ManyTasks | Work::QueuedTasks => (2, 7),
                Work::Visit | Work::Stream => (2, 6),
                Work::BlobsBorrowed | Work::BlobsOwned | Work::Arrays => (5, 15),
                _ => (5, 25),
            },
        })
        .collect()
}
