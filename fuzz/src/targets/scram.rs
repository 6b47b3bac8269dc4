//! SCRAM: the server's messages, the password's preparation, the choice of a mechanism.
//!
//! An input is lines: what to do in the first, then the server's messages. Whatever they
//! say, the exchange may end well only with a server that knows the password.

use kornak::internals::startup::saslprep;
use kornak::internals::startup::scram::{
    BindingPolicy, ChannelBinding, EndPoint, Progress, Scram, ScramLimits,
};

use super::{Memory, Target};
use crate::mutate::Shape;
use crate::outcome::Features;

pub static TARGET: Target = Target {
    name: "scram",
    shape: Shape {
        frames_at: None,
        dictionary: &[
            b"r=AAECAwQFBgcICQoLDA0ODxAR",
            b",s=",
            b",i=",
            b"v=",
            b"e=other-error",
            b"m=",
            b"=",
            b"==",
            b"\n",
            b"4294967296",
            b"SCRAM-SHA-256",
            b"-PLUS",
            "\u{ad}\u{a0}\u{2168}\u{301}\u{627}".as_bytes(),
        ],
    },
    memory: Memory {
        // A password is held as characters of four bytes, composed and decomposed.
        per_byte: 96,
        fixed: 16 * 1024,
    },
    execute,
};

/// The nonce of the corpus.
const NONCE: [u8; 18] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17];

/// Real work would be all that a run does.
const LIMITS: ScramLimits = ScramLimits {
    min_iterations: 1,
    max_iterations: 16,
};

/// The first message of the corpus, of a server that knows the password…
const GENUINE_FIRST: &[u8] =
    b"r=AAECAwQFBgcICQoLDA0ODxARc2VydmVyIG5vbmNlIQ,s=ZGVmZ2hpamtsbW5vcHFycw==,i=4";

/// … and its last one to each binding. Nobody else can find others.
const GENUINE_SIGNATURES: [(u8, &[u8]); 3] = [
    (b'n', b"cWxDOFuAxLHCeVdy/ApcceavAEFWLgsYgF9I3jrgsJE="),
    (b'y', b"eaHOWRcAW7RtJKDtBg0XIp7NghrwiLUISVaB2kWmzac="),
    (b'p', b"aZOXqnsgEGogiRp918JB8O5ZDdQVEg1kv/4PFlVudPY="),
];

fn execute(input: &[u8], features: &mut Features) {
    let (what, rest) = line(input);
    match what {
        b"n" => exchange(b'n', ChannelBinding::None, rest, features),
        b"y" => exchange(b'y', ChannelBinding::Unused, rest, features),
        b"p" => {
            let binding = ChannelBinding::EndPoint((0..32).collect());
            exchange(b'p', binding, rest, features);
        }
        b"saslprep" => prepare(rest, features),
        _ => choose(rest, features),
    }
}

fn exchange(kind: u8, binding: ChannelBinding, messages: &[u8], features: &mut Features) {
    let (first, last) = line(messages);
    let mut scram = Scram::new(b"secret", NONCE, binding, LIMITS);
    match scram.handle_server_first(first) {
        Ok(Progress::Working) => {
            let mut rounds = 0;
            while scram.step(5) == Progress::Working {
                rounds += 5;
                assert!(rounds <= LIMITS.max_iterations, "more work than is allowed");
            }
        }
        Ok(Progress::Ready) => {}
        Err(error) => {
            features.add_error(&error);
            assert!(
                scram.client_final().is_err(),
                "a proof for a refused message"
            );
        }
    }
    if let Ok(message) = scram.client_final() {
        assert!(message.starts_with(b"c="));
    }
    if let Err(error) = scram.handle_server_final(last) {
        features.add_error(&error);
        assert!(!scram.is_finished() && scram.keys().is_none());
        return;
    }
    assert!(scram.is_finished() && scram.keys().is_some());
    let genuine = GENUINE_SIGNATURES.iter().any(|&(binding, signature)| {
        binding == kind && first == GENUINE_FIRST && last.strip_prefix(b"v=") == Some(signature)
    });
    assert!(
        genuine,
        "the server got through without knowing the password"
    );
    features.add(u64::from(kind));
}

fn prepare(password: &[u8], features: &mut Features) {
    let prepared = saslprep::prepare(password);
    let (is_text, was_text) = (
        std::str::from_utf8(&prepared).is_ok(),
        std::str::from_utf8(password).is_ok(),
    );
    assert_eq!(is_text, was_text);
    if password.iter().all(u8::is_ascii_graphic) {
        assert_eq!(&*prepared, password, "plain ASCII stays as it is");
    }
    // Whether it was changed, and how its length was.
    let growth = prepared.len() as u64 * 4 / (password.len() as u64 + 1);
    features.add(growth << 2 | u64::from(was_text) << 1 | u64::from(*prepared == *password));
}

fn choose(list: &[u8], features: &mut Features) {
    let end_points = [
        EndPoint::Plain,
        EndPoint::Unbindable,
        EndPoint::Hash(vec![7; 32]),
    ];
    for policy in [
        BindingPolicy::Disable,
        BindingPolicy::Prefer,
        BindingPolicy::Require,
    ] {
        for end_point in &end_points {
            let offered = || list.split(|&byte| byte == b'\n');
            match ChannelBinding::choose(offered(), policy, end_point.clone()) {
                Ok(binding) => {
                    let mechanism = binding.mechanism().as_bytes();
                    assert!(offered().any(|name| name == mechanism), "not offered");
                    let bound = matches!(binding, ChannelBinding::EndPoint(_));
                    assert!(bound || policy != BindingPolicy::Require, "not bound");
                    features.follow(1 + u64::from(bound));
                }
                Err(error) => {
                    assert!(error.to_string().len() < 1024, "the peer fills the message");
                    features.follow(8 + error.kind() as u64);
                }
            }
        }
    }
}

/// The first line, and what follows.
fn line(input: &[u8]) -> (&[u8], &[u8]) {
    match input.iter().position(|&byte| byte == b'\n') {
        Some(end) => (&input[..end], &input[end + 1..]),
        None => (input, &[]),
    }
}
