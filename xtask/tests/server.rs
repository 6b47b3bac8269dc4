//! Clusters start, answer, and go away again.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::time::Duration;

use xtask::process::{find_program, is_alive, wait_until};
use xtask::server::{Role, Server, StopMode};

/// A deadline for what should take a second, on a machine under load.
const LIMIT: Duration = Duration::from_secs(60);

/// The reply to the startup packet of `role` (manual, "Message Formats"): the tag of the
/// first message and the code of its authentication request.
fn authentication_of(stream: &mut (impl Read + Write), role: Role) -> (u8, u32) {
    let mut body = vec![0, 3, 0, 0];
    for text in ["user", role.name(), "database", "kornak", ""] {
        body.extend_from_slice(text.as_bytes());
        body.push(0);
    }
    let length = u32::try_from(body.len() + 4).unwrap();
    stream.write_all(&length.to_be_bytes()).unwrap();
    stream.write_all(&body).unwrap();
    let mut reply = [0; 9];
    stream.read_exact(&mut reply).unwrap();
    (
        reply[0],
        u32::from_be_bytes(reply[5..9].try_into().unwrap()),
    )
}

fn by_socket(server: &Server) -> UnixStream {
    let path = server
        .socket_dir()
        .join(format!(".s.PGSQL.{}", server.port()));
    UnixStream::connect(path).unwrap()
}

fn by_tcp(server: &Server) -> TcpStream {
    TcpStream::connect(("127.0.0.1", server.port())).unwrap()
}

#[test]
fn the_shared_cluster_asks_each_role_for_its_own_proof() {
    let server = Server::cluster_for_tests();
    for (role, over_socket, over_tcp) in [
        (Role::Kornak, Some(0), Some(10)),
        (Role::Postgres, Some(0), Some(10)),
        (Role::Trust, Some(0), Some(0)),
        (Role::Cleartext, Some(3), Some(3)),
        (Role::Md5, Some(5), Some(5)),
        (Role::Scram, Some(10), Some(10)),
        (Role::Reject, None, None),
    ] {
        for (got, want) in [
            (authentication_of(&mut by_socket(server), role), over_socket),
            (authentication_of(&mut by_tcp(server), role), over_tcp),
        ] {
            match want {
                Some(code) => assert_eq!(got, (b'R', code), "{role:?}"),
                None => assert_eq!(got.0, b'E', "{role:?}"),
            }
        }
    }
}

#[test]
fn the_shared_cluster_is_one() {
    let first = Server::cluster_for_tests();
    let major = first.major().unwrap();
    assert_eq!(*first, Server::shared(major).unwrap());
    assert!(is_alive(first.postmaster()));
    assert!(first.url().contains(&format!("port={}", first.port())));
}

#[test]
fn a_private_cluster_restarts_and_goes_with_its_owner() {
    let mut server = Server::private("life", &["max_connections = 7"]).unwrap();
    let shared = Server::cluster_for_tests();
    assert_ne!(server.port(), shared.port());

    let mut idle = by_tcp(&server);
    assert_eq!(authentication_of(&mut idle, Role::Trust), (b'R', 0));
    assert!(wait_until(LIMIT, || server.backends().len() == 1));
    let (port, first) = (server.port(), server.postmaster());
    server.restart(StopMode::Fast).unwrap();
    assert_eq!(server.port(), port);
    assert_ne!(server.postmaster(), first);
    assert!(!is_alive(first));
    let mut rest = Vec::new();
    idle.read_to_end(&mut rest).unwrap();
    assert!(
        rest.windows(5).any(|code| code == b"57P01"),
        "a fast stop tells its sessions why"
    );

    server.stop(StopMode::Immediate).unwrap();
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
    server.start_again().unwrap();
    assert_eq!(
        authentication_of(&mut by_socket(&server), Role::Md5),
        (b'R', 5)
    );

    let folder = server.log_path().parent().unwrap().to_path_buf();
    let last = server.postmaster();
    assert!(folder.exists());
    drop(server);
    assert!(!is_alive(last));
    assert!(!folder.exists());
}

#[test]
fn a_killed_cluster_says_nothing_and_can_start_again() {
    let mut server = Server::private("killed", &[]).unwrap();
    let mut idle = by_socket(&server);
    assert_eq!(authentication_of(&mut idle, Role::Trust), (b'R', 0));
    server.kill().unwrap();
    let mut rest = Vec::new();
    // The end of the stream or a reset, but no message that explains.
    let _ = idle.read_to_end(&mut rest);
    assert!(!rest.windows(5).any(|code| code.starts_with(b"57P")));
    server.start_again().unwrap();
    assert_eq!(
        authentication_of(&mut by_tcp(&server), Role::Scram),
        (b'R', 10)
    );
}

#[test]
fn a_backend_can_be_stopped_alone() {
    let server = Server::private("backend", &[]).unwrap();
    let mut first = by_socket(&server);
    assert_eq!(authentication_of(&mut first, Role::Trust), (b'R', 0));
    assert!(wait_until(LIMIT, || server.backends().len() == 1));
    let backend = server.backends()[0];
    server.signal(backend, "TERM").unwrap();
    let mut rest = Vec::new();
    first.read_to_end(&mut rest).unwrap();
    assert!(rest.windows(5).any(|code| code == b"57P01"));
    assert!(wait_until(LIMIT, || server.backends().is_empty()));
    assert!(is_alive(server.postmaster()));
}

/// A machine without PostgreSQL, and without anything to install it by: one sentence says what to
/// do.
#[test]
fn where_no_server_can_be_had_one_sentence_says_what_to_install() {
    let folder = std::env::temp_dir().join(format!("kornak-bare-{}", std::process::id()));
    let programs = folder.join("bin");
    std::fs::create_dir_all(&programs).unwrap();
    for name in ["sh", "cat", "flock"] {
        let program = find_program(name).unwrap();
        std::os::unix::fs::symlink(program, programs.join(name)).unwrap();
    }
    for command in [&["demo"][..], &["pg", "start"]] {
        let output = Command::new(env!("CARGO_BIN_EXE_xtask"))
            .args(command)
            .env("PATH", &programs)
            .env("KORNAK_PG_BIN", "")
            .env("KORNAK_PG_DIR", folder.join("pg"))
            .env_remove("DATABASE_URL")
            .env_remove("KORNAK_TEST_MAJOR")
            .output()
            .unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success(), "{command:?}");
        assert!(
            text.starts_with("error: install PostgreSQL") && text.lines().count() == 1,
            "{command:?}: {text}"
        );
        for word in ["KORNAK_PG_BIN", "DATABASE_URL"] {
            assert!(text.contains(word), "{command:?}: {text}");
        }
    }
    std::fs::remove_dir_all(&folder).unwrap();
}
