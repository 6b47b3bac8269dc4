use super::*;

const NONCE: [u8; 18] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17];

/// The client's messages and the server's, in turn.
struct Dialogue {
    client_first: &'static str,
    server_first: &'static str,
    client_final: &'static str,
    server_final: &'static str,
}

/// Computed by Python's `hashlib` and `hmac`, for the password `secret`.
const PLAIN: Dialogue = Dialogue {
    client_first: "n,,n=,r=AAECAwQFBgcICQoLDA0ODxAR",
    server_first: "r=AAECAwQFBgcICQoLDA0ODxARc2VydmVyIG5vbmNlIQ,s=ZGVmZ2hpamtsbW5vcHFycw==,i=4096",
    client_final: "c=biws,r=AAECAwQFBgcICQoLDA0ODxARc2VydmVyIG5vbmNlIQ,p=ZUlpouEy6GNu62iWgstPGxjYVjuyb0cfQOEgHerDVyM=",
    server_final: "v=X9Tpxua4S3H+M+sXFrP+MjBOYYZkFnJvuPOR7uq5vGU=",
};

const BOUND: Dialogue = Dialogue {
    client_first: "p=tls-server-end-point,,n=,r=AAECAwQFBgcICQoLDA0ODxAR",
    server_first: PLAIN.server_first,
    client_final: "c=cD10bHMtc2VydmVyLWVuZC1wb2ludCwsAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=,\
                   r=AAECAwQFBgcICQoLDA0ODxARc2VydmVyIG5vbmNlIQ,\
                   p=Wg0SZAzL/JvrcA/bNkD7gm+aCvEhmSG8X39Fo1oKDCE=",
    server_final: "v=R5VJlp2QGZjAwKgJ8tNnkbK8B4F+oeFYIK1LkzrNsD8=",
};

fn begin(password: &str, binding: ChannelBinding) -> Scram {
    Scram::new(password.as_bytes(), NONCE, binding, ScramLimits::default())
}

fn plain() -> Scram {
    begin("secret", ChannelBinding::None)
}

fn work(scram: &mut Scram) -> u32 {
    let mut slices = 0;
    while scram.step(ROUNDS_PER_SLICE) == Progress::Working {
        slices += 1;
    }
    slices
}

#[track_caller]
fn replay(mut scram: Scram, dialogue: &Dialogue) -> Scram {
    assert_eq!(scram.initial_response(), dialogue.client_first.as_bytes());
    assert!(!scram.is_finished());
    let progress = scram.handle_server_first(dialogue.server_first.as_bytes());
    assert_eq!(progress.unwrap(), Progress::Working);
    work(&mut scram);
    assert_eq!(
        scram.client_final().unwrap(),
        dialogue.client_final.as_bytes()
    );
    assert!(!scram.is_finished());
    scram
        .handle_server_final(dialogue.server_final.as_bytes())
        .unwrap();
    assert!(scram.is_finished());
    scram
}

#[test]
fn the_vector_of_rfc_7677() {
    let scram = Scram::begin(
        b"pencil",
        "user",
        b"rOprNGfwEbeRWgbNEkqO".to_vec(),
        ChannelBinding::None,
        ScramLimits::default(),
    );
    assert_eq!(scram.mechanism(), "SCRAM-SHA-256");
    replay(
        scram,
        &Dialogue {
            client_first: "n,,n=user,r=rOprNGfwEbeRWgbNEkqO",
            server_first: "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                           s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
            client_final: "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                           p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
            server_final: "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
        },
    );
}

#[test]
fn other_vectors() {
    replay(plain(), &PLAIN);
    let bound = begin("secret", ChannelBinding::EndPoint((0..32).collect()));
    assert_eq!(bound.mechanism(), "SCRAM-SHA-256-PLUS");
    replay(bound, &BOUND);
    replay(
        begin("secret", ChannelBinding::EndPoint((0..64).collect())),
        &Dialogue {
            client_final: "c=cD10bHMtc2VydmVyLWVuZC1wb2ludCwsAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBka\
                           GxwdHh8gISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0+Pw==,\
                           r=AAECAwQFBgcICQoLDA0ODxARc2VydmVyIG5vbmNlIQ,\
                           p=cGwLhuHyEMLScDL7b87FrIWxsBOMg4My5xsiYjHiwZU=",
            server_final: "v=rMvXEjnjyQiQwxkooqeRnKBiYeNnV5nYzIhNlvwY2wk=",
            ..BOUND
        },
    );
    // SASLprep makes `Straße IX` of it.
    replay(
        begin("Stra\u{AD}ße\u{A0}\u{2168}", ChannelBinding::Unused),
        &Dialogue {
            client_first: "y,,n=,r=AAECAwQFBgcICQoLDA0ODxAR",
            server_first: "r=AAECAwQFBgcICQoLDA0ODxARc2VydmVyIG5vbmNlIQ,\
                           s=ZGVmZ2hpamtsbW5vcHFycw==,i=5000",
            client_final: "c=eSws,r=AAECAwQFBgcICQoLDA0ODxARc2VydmVyIG5vbmNlIQ,\
                           p=2+195YPkTv8pdTUpEFa0FCYPYup/CNRAp7Vq5m+xtp0=",
            server_final: "v=nsz1gZVqQi+6zzco1omi1jaksW9hSOdFFRNnvM0Kv/Q=",
        },
    );
    replay(
        begin("", ChannelBinding::None),
        &Dialogue {
            client_final: "c=biws,r=AAECAwQFBgcICQoLDA0ODxARc2VydmVyIG5vbmNlIQ,\
                           p=5rb5IxjPJaQxQ17RNoMGsZm0753llj1WuAh0Tq0BQus=",
            server_final: "v=a1hCSqpfO3CX5ONmW2jdyrV15Vf0UCni6NYOLmLMVyM=",
            ..PLAIN
        },
    );
    replay(
        begin(&"x".repeat(100), ChannelBinding::None),
        &Dialogue {
            server_first: "r=AAECAwQFBgcICQoLDA0ODxARc2VydmVyIG5vbmNlIQ,\
                           s=ZGVmZ2hpamtsbW5vcHFycw==,i=10000",
            client_final: "c=biws,r=AAECAwQFBgcICQoLDA0ODxARc2VydmVyIG5vbmNlIQ,\
                           p=7byPLcd0iF1/ycGGNKB+bDJMPUoUY3LL9ceXrKU7+6A=",
            server_final: "v=QmHY2u42wHetSoJkTOtGODDQe/Ma7e1qzlkCUE5h/j4=",
            ..PLAIN
        },
    );
}

fn first_with_iterations(iterations: &str) -> String {
    PLAIN.server_first.replace("4096", iterations)
}

#[test]
fn s9_iterations_above_the_cap_are_refused_at_once() {
    for iterations in ["600001", "2147483648", "4294967296", "99999999999999999999"] {
        let mut scram = plain();
        let error = scram
            .handle_server_first(first_with_iterations(iterations).as_bytes())
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Authentication, "{iterations}");
        assert_eq!(scram.step(u32::MAX), Progress::Ready);
        assert!(scram.client_final().is_err());
    }
    let limits = ScramLimits {
        max_iterations: 5000,
        ..ScramLimits::default()
    };
    for (iterations, allowed) in [("5000", true), ("5001", false)] {
        let mut scram = Scram::new(b"secret", NONCE, ChannelBinding::None, limits);
        let result = scram.handle_server_first(first_with_iterations(iterations).as_bytes());
        assert_eq!(result.is_ok(), allowed, "{iterations}");
    }
}

#[test]
fn s9_no_step_does_more_than_its_rounds() {
    let mut scram = plain();
    let progress = scram.handle_server_first(first_with_iterations("600000").as_bytes());
    assert_eq!(progress.unwrap(), Progress::Working);
    // The first round is done with the message; the last slice reports the end.
    assert_eq!(work(&mut scram), (600_000 - 1) / ROUNDS_PER_SLICE);
    assert!(scram.client_final().is_ok());
}

#[test]
fn s10_too_few_iterations_are_refused_unless_allowed() {
    for iterations in ["1", "4095"] {
        let message = first_with_iterations(iterations);
        let mut scram = plain();
        let error = scram.handle_server_first(message.as_bytes()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Authentication);
        assert!(scram.client_final().is_err());

        let limits = ScramLimits {
            min_iterations: 1,
            ..ScramLimits::default()
        };
        let mut scram = Scram::new(b"secret", NONCE, ChannelBinding::None, limits);
        let progress = scram.handle_server_first(message.as_bytes()).unwrap();
        assert_eq!(progress == Progress::Ready, iterations == "1");
        work(&mut scram);
        assert!(scram.client_final().is_ok());
    }
}

#[test]
fn s10_the_floor_may_be_raised() {
    let limits = ScramLimits {
        min_iterations: 10_000,
        ..ScramLimits::default()
    };
    for (iterations, allowed) in [("4096", false), ("9999", false), ("10000", true)] {
        let mut scram = Scram::new(b"secret", NONCE, ChannelBinding::None, limits);
        let result = scram.handle_server_first(first_with_iterations(iterations).as_bytes());
        assert_eq!(result.is_ok(), allowed, "{iterations}");
    }
}

/// The keys of a finished exchange make the same messages without the password, and no
/// others do.
#[test]
fn given_keys_stand_in_for_the_password() {
    let mut scram = plain();
    let _ = scram
        .handle_server_first(PLAIN.server_first.as_bytes())
        .unwrap();
    work(&mut scram);
    let expected = scram.client_final().unwrap().to_vec();
    scram
        .handle_server_final(PLAIN.server_final.as_bytes())
        .unwrap();
    let keys = scram.keys().unwrap().clone();

    let given = GivenKeys {
        client_key: keys.client_key,
        server_key: keys.server_key,
    };
    let with = |given: GivenKeys| {
        let mut scram = Scram::new(b"", NONCE, ChannelBinding::None, ScramLimits::default())
            .with_given_keys(given);
        let first = PLAIN.server_first.as_bytes();
        assert_eq!(scram.handle_server_first(first).unwrap(), Progress::Ready);
        scram
    };
    let mut scram = with(given.clone());
    assert_eq!(scram.client_final().unwrap(), expected);
    scram
        .handle_server_final(PLAIN.server_final.as_bytes())
        .unwrap();
    assert!(scram.is_finished());

    let mut scram = with(GivenKeys {
        server_key: [7; 32],
        ..given
    });
    let error = scram.handle_server_final(PLAIN.server_final.as_bytes());
    assert_eq!(error.unwrap_err().kind(), ErrorKind::Authentication);
}

#[test]
fn s11_a_server_without_the_proof_is_refused() {
    for server_final in [
        // Of the dialogue with channel binding, and of another password.
        BOUND.server_final,
        "v=a1hCSqpfO3CX5ONmW2jdyrV15Vf0UCni6NYOLmLMVyM=",
        "v=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        "e=other-error",
    ] {
        let mut scram = plain();
        let progress = scram.handle_server_first(PLAIN.server_first.as_bytes());
        assert_eq!(progress.unwrap(), Progress::Working);
        work(&mut scram);
        let error = scram
            .handle_server_final(server_final.as_bytes())
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Authentication, "{server_final}");
        assert!(!scram.is_finished() && scram.keys().is_none());
        // A second, right one comes too late.
        let late = scram.handle_server_final(PLAIN.server_final.as_bytes());
        assert!(late.is_err() && !scram.is_finished());
    }
}

#[test]
fn s11_steps_skipped_doubled_and_out_of_order_are_refused() {
    let first = PLAIN.server_first.as_bytes();
    let last = PLAIN.server_final.as_bytes();
    #[derive(Clone, Copy)]
    enum Step {
        First,
        Work,
        Last,
    }
    use Step::{First, Last, Work};
    let orders: &[&[Step]] = &[
        &[Last],
        &[First, Last],
        &[First, First],
        &[First, Work, First],
        &[First, Work, Last, First],
        &[First, Work, Last, Last],
        &[Work, Last],
    ];
    for steps in orders {
        let mut scram = plain();
        let mut error = None;
        for step in *steps {
            assert!(error.is_none(), "only the last step is wrong");
            error = match step {
                First => scram.handle_server_first(first).err(),
                Work => {
                    work(&mut scram);
                    None
                }
                Last => scram.handle_server_final(last).err(),
            };
        }
        assert_eq!(error.unwrap().kind(), ErrorKind::Protocol);
        assert!(!scram.is_finished());
        assert!(scram.client_final().is_err());
        assert!(scram.handle_server_first(first).is_err());
        assert!(scram.handle_server_final(last).is_err());
    }
    // No proof before the server's first message, nor while there is work.
    let mut scram = plain();
    assert!(scram.client_final().is_err());
    assert_eq!(scram.handle_server_first(first).unwrap(), Progress::Working);
    assert!(scram.client_final().is_err());
    assert!(scram.initial_response().is_empty());
}

/// Each byte of each message replaced by some others, removed and doubled, and each end cut
/// off: nothing panics, and what passes is as well-formed as the original.
#[test]
fn s12_mutated_messages_are_refused_or_well_formed() {
    let limits = ScramLimits {
        min_iterations: 1,
        max_iterations: 10_000,
    };
    let mut passed = 0;
    for message in mutations(PLAIN.server_first) {
        let mut scram = Scram::new(b"secret", NONCE, ChannelBinding::None, limits);
        match scram.handle_server_first(&message) {
            Ok(_) => {
                passed += 1;
                let text = String::from_utf8(message).unwrap();
                let parts: Vec<&str> = text.split(',').collect();
                let [nonce, salt, iterations] = parts[..] else {
                    panic!("{text}");
                };
                assert!(nonce.starts_with("r=AAECAwQFBgcICQoLDA0ODxAR"), "{text}");
                assert!(salt.starts_with("s=") && salt.len() % 4 == 2, "{text}");
                let iterations = iterations.strip_prefix("i=").unwrap();
                assert!(!iterations.starts_with(['0', '+']), "{text}");
                assert!(iterations.parse::<u32>().is_ok(), "{text}");
            }
            Err(_) => assert!(scram.client_final().is_err()),
        }
    }
    assert!(
        passed > 100,
        "the mutations reach what is behind the parser"
    );

    let mut ready = plain();
    let progress = ready.handle_server_first(PLAIN.server_first.as_bytes());
    assert_eq!(progress.unwrap(), Progress::Working);
    work(&mut ready);
    let State::Proven {
        server_signature,
        keys,
    } = &ready.state
    else {
        panic!("{ready:?}");
    };
    for message in mutations(PLAIN.server_final) {
        let mut scram = plain();
        scram.state = State::Proven {
            server_signature: server_signature.clone(),
            keys: keys.clone(),
        };
        assert!(
            message == PLAIN.server_final.as_bytes()
                || scram.handle_server_final(&message).is_err(),
            "{message:?}"
        );
    }
}

fn mutations(message: &str) -> Vec<Vec<u8>> {
    let message = message.as_bytes();
    let mut all = Vec::new();
    for at in 0..message.len() {
        let (head, tail) = (&message[..at], &message[at..]);
        all.push(head.to_vec());
        all.push([head, &tail[1..]].concat());
        all.push([head, &tail[..1], tail].concat());
        for byte in [
            0, 9, b' ', b',', b'=', b'A', b'z', b'0', b'9', b'+', b'-', 0x7f, 0x80, 0xff,
        ] {
            all.push([head, &[byte], &tail[1..]].concat());
            all.push([head, &[byte], tail].concat());
        }
    }
    all
}

#[test]
fn keys_of_an_earlier_exchange_spare_the_work() {
    let earlier = replay(plain(), &PLAIN);
    let keys = earlier.keys().unwrap();

    let mut scram = plain().with_keys(keys.clone());
    let progress = scram.handle_server_first(PLAIN.server_first.as_bytes());
    assert_eq!(progress.unwrap(), Progress::Ready);
    assert_eq!(scram.client_final().unwrap(), PLAIN.client_final.as_bytes());
    // The server has to prove itself all the same.
    assert!(!scram.is_finished());
    scram
        .handle_server_final(PLAIN.server_final.as_bytes())
        .unwrap();
    assert!(scram.is_finished());

    // Keys of another password, salt or number of iterations are not used.
    let others = [
        ("Secret", PLAIN.server_first.to_owned()),
        ("secret", PLAIN.server_first.replace("s=ZG", "s=ZH")),
        ("secret", first_with_iterations("4097")),
    ];
    for (password, message) in others {
        let mut scram = begin(password, ChannelBinding::None).with_keys(keys.clone());
        let progress = scram.handle_server_first(message.as_bytes());
        assert_eq!(progress.unwrap(), Progress::Working);
    }
}

#[test]
fn s31_no_state_shows_a_secret() {
    let password = "hunter2hunter2";
    let mut shown = String::new();
    let mut scram = begin(password, ChannelBinding::None);
    shown += &format!("{scram:?}");
    let progress = scram.handle_server_first(PLAIN.server_first.as_bytes());
    assert_eq!(progress.unwrap(), Progress::Working);
    shown += &format!("{scram:#?}");
    work(&mut scram);
    shown += &format!("{scram:?}");
    let proof = String::from_utf8(scram.client_final().unwrap().to_vec()).unwrap();
    let error = scram.handle_server_final(PLAIN.server_final.as_bytes());
    shown += &format!("{scram:?} {:#} {:?}", error.as_ref().unwrap_err(), error);
    let scram = replay(plain(), &PLAIN);
    let keys = scram.keys().unwrap();
    shown += &format!("{scram:?} {keys:?}");
    for secret in [
        password,
        proof.rsplit_once("p=").unwrap().1,
        &format!("{:?}", keys.client_key),
        &format!("{:x?}", keys.server_key),
    ] {
        assert!(!shown.contains(secret), "{shown}");
    }
}
