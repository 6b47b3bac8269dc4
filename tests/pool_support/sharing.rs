//! A pool whose connections' dialogues are seen.

use kornak::PoolConnection;

use super::Tested;
use crate::support::proxy::{Link, Listen, Proxy};
use crate::support::raw::{RawClient, unique};
use crate::support::server;

/// A pool whose dialogues are recorded, and a schema of its own that its sessions see first.
pub struct Shared {
    pub tested: Tested,
    pub proxy: Proxy,
    pub schema: String,
    admin: RawClient,
}

impl Shared {
    pub fn new(setup: &str) -> Self {
        let proxy = Proxy::start(Listen::Unix, server::target().address);
        proxy.plan(|plan| plan.record = true);
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

/// What the client has sent, flight by flight, since the transcript had so many lines.
pub fn flights(link: &Link, lines: usize) -> Vec<Vec<String>> {
    let transcript = link.transcript();
    let mut flights = vec![Vec::new()];
    let mut was_client = true;
    for line in transcript.lines().skip(lines) {
        let is_client = line.starts_with('F');
        if is_client {
            if !was_client {
                flights.push(Vec::new());
            }
            let name = line[2..].split(' ').next().unwrap();
            flights.last_mut().unwrap().push(name.to_owned());
        }
        was_client = is_client;
    }
    flights
}

/// How many lines the transcript has by now.
pub fn lines(link: &Link) -> usize {
    link.transcript().lines().count()
}

/// What a statement that is new to its connection sends, where it takes one flight.
pub const COLD: [&str; 5] = ["Parse", "Describe", "Bind", "Execute", "Sync"];
