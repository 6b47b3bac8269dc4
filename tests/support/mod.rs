//! Instruments for the integration tests: a scripted server, a faulty proxy, wire dialogues
//! as text, a harness that drops a future at each of its polls, and a plain blocking client
//! that looks at the server from outside.
//!
//! None of them uses the driver: what checks it must not share its mistakes.

#![allow(
    dead_code,
    unreachable_pub,
    unused_imports,
    reason = "every test binary compiles this tree and uses a part of it"
)]

pub mod address;
pub mod allocations;
pub mod certificates;
pub mod deadline;
pub mod dialogue;
pub mod drops;
pub mod memory;
pub mod observer;
pub mod proxy;
pub mod raw;
pub mod scram;
pub mod scripted;
pub mod server;
pub mod syscalls;
pub mod temporary;
pub mod token;
pub mod transport;
