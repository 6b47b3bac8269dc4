//! Streams that stand between a driver and its socket: one that gives and takes little at a
//! time, and one that counts.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A stream that reads and writes a few bytes at a time, and is pending before each of them.
#[derive(Debug)]
pub struct Dripping<S> {
    stream: S,
    read_size: usize,
    write_size: usize,
    read_rested: bool,
    write_rested: bool,
}

impl<S> Dripping<S> {
    /// One byte a read, whole writes.
    pub fn one_byte_reads(stream: S) -> Self {
        Self::new(stream, 1, usize::MAX)
    }

    /// At most `read_size` bytes a read and `write_size` bytes a write.
    pub fn new(stream: S, read_size: usize, write_size: usize) -> Self {
        Self {
            stream,
            read_size,
            write_size,
            read_rested: false,
            write_rested: false,
        }
    }

    /// The stream itself.
    pub fn into_inner(self) -> S {
        self.stream
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Dripping<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if !std::mem::replace(&mut this.read_rested, true) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let mut bytes = vec![0; out.remaining().min(this.read_size)];
        let mut part = ReadBuf::new(&mut bytes);
        let read = Pin::new(&mut this.stream).poll_read(cx, &mut part);
        if let Poll::Ready(Ok(())) = read {
            this.read_rested = false;
            out.put_slice(part.filled());
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Dripping<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        if this.write_size != usize::MAX && !std::mem::replace(&mut this.write_rested, true) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let part = &bytes[..bytes.len().min(this.write_size)];
        let written = Pin::new(&mut this.stream).poll_write(cx, part);
        if written.is_ready() {
            this.write_rested = false;
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// What passed through a [`Counting`] stream.
#[derive(Debug, Default)]
pub struct Counts {
    /// Reads that gave bytes or the end.
    pub reads: AtomicUsize,
    /// Reads that were pending.
    pub pending_reads: AtomicUsize,
    /// Bytes read.
    pub bytes_read: AtomicUsize,
    /// Writes that took bytes.
    pub writes: AtomicUsize,
    /// Writes that were pending.
    pub pending_writes: AtomicUsize,
    /// Bytes written.
    pub bytes_written: AtomicUsize,
}

/// A stream that counts its reads and writes. A ready one is one system call of the socket
/// below, a pending one is at most one.
#[derive(Debug)]
pub struct Counting<S> {
    stream: S,
    counts: Arc<Counts>,
}

impl<S> Counting<S> {
    /// A stream that counts, and its counts.
    pub fn new(stream: S) -> (Self, Arc<Counts>) {
        let counts = Arc::new(Counts::default());
        let counting = Self {
            stream,
            counts: Arc::clone(&counts),
        };
        (counting, counts)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Counting<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = out.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, out);
        match &read {
            Poll::Ready(_) => add(&self.counts.reads, 1),
            Poll::Pending => add(&self.counts.pending_reads, 1),
        }
        add(&self.counts.bytes_read, out.filled().len() - before);
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Counting<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        match &written {
            Poll::Ready(result) => {
                add(&self.counts.writes, 1);
                add(
                    &self.counts.bytes_written,
                    result.as_ref().copied().unwrap_or(0),
                );
            }
            Poll::Pending => add(&self.counts.pending_writes, 1),
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

fn add(counter: &AtomicUsize, more: usize) {
    counter.fetch_add(more, Ordering::Relaxed);
}
