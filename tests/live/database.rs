//! A database for one test alone, in which nobody else makes or drops anything.

use kornak::{Config, Connection};

use super::{config, open};
use crate::support::raw::RawClient;
use crate::support::server;

/// A database that is dropped with this.
#[derive(Debug)]
pub struct Database {
    name: &'static str,
}

impl Database {
    /// Makes the database `name` out of `template0`, with what `options` add in SQL.
    pub fn create(name: &'static str, options: &str) -> Self {
        let mut owner = RawClient::of_tests();
        owner.execute(&format!("drop database if exists {name} with (force)"));
        owner.execute(&format!(
            "create database {name} template template0 {options}"
        ));
        Self { name }
    }

    /// How the driver is told to reach it.
    pub fn config(&self) -> Config {
        config(&server::target()).dbname(self.name)
    }

    /// A connection to it.
    pub async fn connect(&self) -> Connection {
        open(self.config()).await
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        RawClient::of_tests().execute(&format!("drop database {} with (force)", self.name));
    }
}
