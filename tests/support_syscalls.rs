//! System calls and memory, measured.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};

use support::{memory, syscalls};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

mod support;

#[test]
fn blocking_calls_are_counted_exactly() {
    let Some(trace) = syscalls::traced("blocking_calls_are_counted_exactly", || {
        let (mut near, mut far) = UnixStream::pair().expect("a pair of sockets");
        let mut bytes = [0; 16];
        far.write_all(b"before").expect("it is open");
        near.read_exact(&mut bytes[..6]).expect("it is there");
        syscalls::mark("begin");
        near.write_all(b"one").expect("it is open");
        near.write_all(b"two").expect("it is open");
        far.read_exact(&mut bytes[..6]).expect("it is there");
        std::fs::write("/dev/null", "no socket").expect("it is there");
        syscalls::mark("end");
        near.write_all(b"after").expect("it is open");
    }) else {
        return;
    };
    let calls = trace.between("begin", "end");
    assert_eq!((calls.sends(), calls.receives()), (2, 1), "{calls}");
    assert_eq!(calls.waits(), 0, "{calls}");
    assert_eq!(calls.count(|call| call.name == "openat"), 1, "{calls}");
}

/// The figure that the driver is measured by: a warm round trip on a runtime of one thread.
#[test]
fn an_asynchronous_round_trip_is_one_send_and_one_receive() {
    let name = "an_asynchronous_round_trip_is_one_send_and_one_receive";
    let Some(trace) = syscalls::traced(name, || {
        let (near, mut far) = UnixStream::pair().expect("a pair of sockets");
        let echo = std::thread::spawn(move || {
            let mut byte = [0];
            while far.read_exact(&mut byte).is_ok() {
                far.write_all(&byte).expect("it is open");
            }
        });
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        runtime.block_on(async {
            near.set_nonblocking(true).expect("a socket");
            let mut near = tokio::net::UnixStream::from_std(near).expect("a socket");
            let mut byte = [0; 16];
            near.write_all(b"a").await.expect("it is open");
            assert_eq!(near.read(&mut byte).await.expect("it is open"), 1);
            // The event of that byte may still wait in epoll, and would let the next read
            // look too early. A yield takes it, and a read that finds nothing puts it away.
            tokio::task::yield_now().await;
            near.try_read(&mut byte).expect_err("nothing is there");
            syscalls::mark("begin");
            near.write_all(b"c").await.expect("it is open");
            assert_eq!(near.read(&mut byte).await.expect("it is open"), 1);
            syscalls::mark("end");
        });
        echo.join().expect("it does not panic");
    }) else {
        return;
    };
    let calls = trace.between("begin", "end");
    assert_eq!((calls.sends(), calls.receives()), (1, 1), "{calls}");
    assert!(calls.waits() >= 1, "{calls}");
}

#[test]
fn a_missing_mark_is_told() {
    let Some(trace) = syscalls::traced("a_missing_mark_is_told", || syscalls::mark("begin")) else {
        return;
    };
    let why = panic_message(|| trace.between("begin", "end"));
    assert_eq!(why, "the mark end was not set");
}

#[test]
fn a_failure_in_the_traced_process_is_told() {
    let test = "a_failure_in_the_traced_process_is_told";
    assert!(!syscalls::is_traced(), "on purpose");
    let why = panic_message(|| syscalls::traced(test, || {}));
    assert!(
        why.contains("in the traced process") && why.contains("on purpose"),
        "{why}"
    );
}

fn panic_message<T>(work: impl FnOnce() -> T) -> String {
    let result = catch_unwind(AssertUnwindSafe(work));
    let panic = result.err().expect("it panics");
    *panic.downcast().expect("a formatted message")
}

#[test]
fn memory_that_is_touched_is_seen() {
    const SIZE: usize = 64 << 20;
    memory::forget_peak();
    let before = memory::peak_resident();
    let block = std::hint::black_box(vec![1_u8; SIZE]);
    assert!(memory::resident() >= SIZE);
    drop(block);
    assert!(memory::peak_resident() >= before + SIZE / 2);
}
