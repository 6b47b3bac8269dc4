//! A database for one test alone, in which nobody else makes or drops anything.

use kornak::Connection;

use super::{config, open};
use crate::support::raw::{RawClient, unique};
use crate::support::server;

/// A database that is dropped with this.
#[derive(Debug)]
pub struct Database {
    name: String,
}

impl Database {
    /// Makes one out of `template0`, with what `options` add in SQL.
    pub fn create(options: &str) -> Self {
        let name = format!("kornak_{}", unique().replace('-', "_"));
        let sql = format!("create database {name} template template0 {options}");
        RawClient::of_tests().execute(&sql);
        Self { name }
    }

    /// A connection to it.
    pub async fn connect(&self) -> Connection {
        open(config(&server::target()).dbname(&self.name)).await
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        RawClient::of_tests().execute(&format!("drop database {} with (force)", self.name));
    }
}
