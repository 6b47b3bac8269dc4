//! A pool whose connections' dialogues are seen.

use kornak::PoolConnection;
#[cfg(feature = "derive")]
use kornak::{Decode, Encode};

use super::Tested;
use crate::support::proxy::{Link, Listen, Proxy, Sent};
use crate::support::raw::{RawClient, unique};
use crate::support::server;

/// A pool whose dialogues are recorded, and a schema of its own that its sessions see first.
pub struct Shared {
    pub tested: Tested,
    pub proxy: Proxy,
    pub schema: String,
    admin: RawClient,
}

/// What Rust has for the enum type `mood` of a schema, with the label that some add to it.
#[cfg(feature = "derive")]
#[derive(Clone, Copy, Debug, PartialEq, Encode, Decode)]
#[kornak(rename_all = "lowercase")]
pub enum Mood {
    Glum,
    Gay,
    Elated,
}

impl Shared {
    pub fn new(setup: &str) -> Self {
        let proxy = Proxy::recording(Listen::Unix, server::target().address);
        let schema = format!("sharing_{}", unique()).replace('-', "_");
        let mut admin = RawClient::of_tests();
        let script = format!("create schema {schema}; set search_path = {schema}; {setup}");
        admin.query(&script).unwrap();
        let path = format!("set search_path = {schema}, public");
        let tested = Tested::over(proxy.address(), 8, |builder| {
            builder.after_connect(move |connection| {
                let path = path.clone();
                Box::pin(async move { Ok(connection.batch_execute(&path).await?) })
            })
        });
        Self {
            tested,
            proxy,
            schema,
            admin,
        }
    }

    /// Changes the schema from outside.
    pub fn alter(&mut self, sql: &str) {
        self.admin.query(sql).unwrap();
    }

    /// A connection that has not been used before, and its recorded dialogue.
    pub async fn fresh(&self) -> (PoolConnection, Link) {
        let known = self.tested.pool.status().size;
        let mut held = Vec::new();
        loop {
            let connection = self.tested.acquire().await;
            if self.tested.pool.status().size > known {
                let number = self.proxy.links().len() - 1;
                return (connection, self.proxy.session(number).await);
            }
            held.push(connection);
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let sql = format!("drop schema if exists {} cascade", self.schema);
        if let Err(error) = self.admin.query(&sql) {
            eprintln!("{sql}: {error}");
        }
    }
}

/// Checks what the connection of this number, fresh as all before it, sent to run something: the
/// first one prepares it, looks types up, and executes it; each other one sends `known` at once.
#[track_caller]
pub fn check_learnt(number: i32, sent: &Sent, known: &[&str]) {
    let sent = sent.flights();
    if number == 0 {
        assert_eq!(sent.len(), 3, "{sent:?}");
    } else {
        assert_eq!(sent, [known], "{number}");
    }
}

/// What a statement that is new to its connection sends, where it takes one flight.
pub const COLD: [&str; 5] = ["Parse", "Describe", "Bind", "Execute", "Sync"];
