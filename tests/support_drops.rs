//! The instrument that drops a future at each of its polls.

use std::cell::{Cell, RefCell};
use std::future::pending;
use std::time::Duration;

use support::deadline::Watchdog;
use support::drops::{Case, DropAtEachPoll};
use support::transport::{Counting, Dripping};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::yield_now;

mod support;

async fn yields(times: usize) {
    for _ in 0..times {
        yield_now().await;
    }
}

#[tokio::test]
async fn every_poll_is_dropped_at_once() {
    let cases = RefCell::new(Vec::new());
    let polls = DropAtEachPoll::new("three yields")
        .run(
            async || Cell::new(0),
            async |steps: &mut Cell<usize>| {
                for _ in 0..3 {
                    steps.set(steps.get() + 1);
                    yield_now().await;
                }
                steps.set(steps.get() + 1);
            },
            async |steps, case| cases.borrow_mut().push((case, steps.get())),
        )
        .await;
    assert_eq!(polls, 3);
    // A first run counts; the last is tried again, in case it ended early only by chance.
    let ends = [(Case::Completed(3), 4); 3];
    let mut expected = vec![
        (Case::Completed(3), 4),
        (Case::DroppedAfter(0), 0),
        (Case::DroppedAfter(1), 1),
        (Case::DroppedAfter(2), 2),
        (Case::DroppedAfter(3), 3),
    ];
    expected.extend(ends);
    assert_eq!(cases.into_inner(), expected);
}

#[tokio::test]
async fn spurious_polls_add_places_to_drop_at() {
    let plain = DropAtEachPoll::new("a timer").at_least(1);
    let wait = async |_: &mut ()| {
        let (wake, woken) = tokio::sync::oneshot::channel();
        // Later than all polls that nobody asked for.
        tokio::spawn(async move {
            for _ in 0..16 {
                yield_now().await;
            }
            wake.send(())
        });
        woken.await.expect("it is woken");
    };
    assert_eq!(plain.run(async || (), wait, async |(), _| ()).await, 1);
    let polls = plain
        .spurious_polls(4)
        .run(async || (), wait, async |(), _| ())
        .await;
    assert!((2..=5).contains(&polls), "{polls}");
}

/// A stream whose other end sends back what it gets, in the same thread: a read is pending
/// before the answer can be there.
async fn echo() -> TcpStream {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        let (mut reader, mut writer) = stream.split();
        // The test closes its end when it is done, whatever is under way.
        let _ = tokio::io::copy(&mut reader, &mut writer).await;
    });
    TcpStream::connect(address).await.expect("a connection")
}

async fn four_round_trips(stream: &mut TcpStream) {
    for byte in *b"abcd" {
        stream.write_all(&[byte]).await.expect("the echo takes it");
        assert_eq!(stream.read_u8().await.expect("an answer"), byte);
    }
}

#[tokio::test]
async fn real_sockets_are_dropped_at_each_wait() {
    let left = RefCell::new(Vec::new());
    let polls = DropAtEachPoll::new("four round trips")
        .at_least(4)
        .run(echo, four_round_trips, async |mut stream, case| {
            stream.shutdown().await.expect("it is open");
            let mut rest = String::new();
            stream.read_to_string(&mut rest).await.expect("the end");
            left.borrow_mut().push((case, rest));
        })
        .await;
    assert_eq!(polls, 4);
    let expected = [
        (Case::Completed(4), ""),
        (Case::DroppedAfter(0), ""),
        (Case::DroppedAfter(1), "a"),
        (Case::DroppedAfter(2), "b"),
        (Case::DroppedAfter(3), "c"),
        (Case::DroppedAfter(4), "d"),
        (Case::Completed(4), ""),
    ]
    .map(|(case, rest)| (case, rest.to_owned()));
    let mut left = left.into_inner();
    left.dedup();
    assert_eq!(left, expected);
}

#[tokio::test]
async fn once_woken_the_answer_is_there_and_unread() {
    let seen = Cell::new(0);
    DropAtEachPoll::new("four round trips")
        .at_least(4)
        .once_woken()
        .run(echo, four_round_trips, async |stream, case| {
            if let Case::DroppedAfter(1..) = case {
                let mut byte = [0];
                // Without a wait: it has arrived before the drop.
                assert_eq!(stream.try_read(&mut byte).ok(), Some(1), "{case:?}");
                seen.set(seen.get() + 1);
            }
        })
        .await;
    assert_eq!(seen.get(), 4);
}

#[tokio::test]
async fn small_reads_add_places_to_drop_at() {
    let read_ten = |size: usize| async move {
        DropAtEachPoll::new("ten bytes")
            .run(
                async || {
                    let mut stream = echo().await;
                    stream.write_all(b"0123456789").await.expect("it is open");
                    Dripping::new(stream, size, usize::MAX)
                },
                async |stream: &mut Dripping<TcpStream>| {
                    let mut bytes = [0; 10];
                    stream.read_exact(&mut bytes).await.expect("ten bytes");
                    assert_eq!(&bytes, b"0123456789");
                },
                async |_, _| (),
            )
            .await
    };
    assert!(read_ten(1).await >= 10);
    assert!(read_ten(3).await >= 4);
}

/// What the harness is for: an operation that loses its state when it is dropped midway.
#[tokio::test]
#[should_panic = "the value is gone: DroppedAfter(2)"]
async fn a_lost_value_is_found() {
    DropAtEachPoll::new("borrowing a value")
        .at_least(1)
        .run(
            async || Some(String::from("value")),
            async |slot: &mut Option<String>| {
                yield_now().await;
                let taken = slot.take();
                yield_now().await;
                *slot = taken;
            },
            async |slot, case| assert!(slot.is_some(), "the value is gone: {case:?}"),
        )
        .await;
}

#[tokio::test]
#[should_panic = "two yields was dropped at 2 polls, which proves less than 3 would"]
async fn too_few_polls_prove_nothing() {
    DropAtEachPoll::new("two yields")
        .run(async || (), async |()| yields(2).await, async |(), _| ())
        .await;
}

#[tokio::test]
#[should_panic = "a wait for nothing, not dropped took longer than 20ms"]
async fn what_hangs_is_ended() {
    DropAtEachPoll::new("a wait for nothing")
        .limit(Duration::from_millis(20))
        .run(async || (), async |()| pending().await, async |(), _| ())
        .await;
}

#[tokio::test]
#[should_panic = "the check of nothing, not dropped took longer than 20ms"]
async fn a_check_that_hangs_is_ended() {
    DropAtEachPoll::new("nothing")
        .limit(Duration::from_millis(20))
        .run(async || (), async |()| (), async |(), _| pending().await)
        .await;
}

/// It runs again in a process of its own, which the watchdog ends.
#[test]
fn a_watchdog_ends_a_process_that_spins() {
    const SPINS: &str = "KORNAK_TEST_SPINS";
    if std::env::var_os(SPINS).is_some() {
        let _watchdog = Watchdog::start(Duration::from_millis(50), "a loop without an end");
        loop {
            std::hint::spin_loop();
        }
    }
    let output = std::process::Command::new(std::env::current_exe().expect("a binary"))
        .args([
            "a_watchdog_ends_a_process_that_spins",
            "--exact",
            "--nocapture",
        ])
        .env(SPINS, "1")
        .output()
        .expect("it runs");
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("a loop without an end took longer"), "{said}");
}

#[tokio::test]
async fn a_counting_stream_counts_each_read_and_write() {
    use std::sync::atomic::Ordering::Relaxed;

    let (mut stream, counts) = Counting::new(echo().await);
    stream.write_all(b"abc").await.expect("it is open");
    let mut bytes = [0; 16];
    assert_eq!(stream.read(&mut bytes).await.expect("an answer"), 3);
    assert_eq!(counts.writes.load(Relaxed), 1);
    assert_eq!(counts.bytes_written.load(Relaxed), 3);
    assert_eq!(counts.reads.load(Relaxed), 1);
    assert_eq!(counts.bytes_read.load(Relaxed), 3);
    assert!(counts.pending_reads.load(Relaxed) >= 1);
}
