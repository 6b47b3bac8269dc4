//! The real server of the tests, found by the project's own command.

use xtask::server::{Role, Server};

use super::address::Target;

/// The superuser's login at the server of the tests, whichever that is.
pub fn target() -> Target {
    Target::from_url(&Server::for_tests().url())
}

/// As [`target`], over TCP.
pub fn tcp_target() -> Target {
    Target::from_url(&Server::for_tests().url_tcp())
}

/// A role's login over the Unix socket of a private cluster.
pub fn role_target(role: Role) -> Target {
    Target::from_url(&Server::cluster_for_tests().role_url_socket(role))
}

/// A role's login over TCP at a private cluster.
pub fn role_tcp_target(role: Role) -> Target {
    Target::from_url(&Server::cluster_for_tests().role_url(role))
}
