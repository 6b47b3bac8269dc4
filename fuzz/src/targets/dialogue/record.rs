//! Records what a real server says in each script.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use kornak::internals::buffer::ReadBuffer;

use super::client::{Client, Handled, SCRIPTS, Script};
use super::trace::Trace;
use crate::outcome::Features;
use crate::runner::root;

/// Plays each script with the server whose socket is in `directory`, and writes what it
/// says to the corpora of the targets that read such streams.
pub fn record(directory: &Path) -> io::Result<()> {
    for (index, script) in SCRIPTS.iter().enumerate() {
        let stream = talk(script, connect(directory)?)?;
        // At once, one byte at a time, in small pieces.
        let header = [index as u8, 0, 0];
        write("dialogue", script.name, &[&header[..], &stream].concat())?;
        write("frames", script.name, &stream)?;
        println!("{}: {} bytes", script.name, stream.len());
    }
    Ok(())
}

/// What the server says, from where the script begins.
fn talk(script: &'static Script, mut socket: UnixStream) -> io::Result<Vec<u8>> {
    let mut client = Client::connecting(script);
    let mut features = Features::default();
    let mut trace = Trace::<false>::new(0, &mut features);
    let mut input = ReadBuffer::new();
    let mut said = Vec::new();
    loop {
        let handled = client.handle(&mut input, &mut trace);
        socket.write_all(client.sent())?;
        client.take_sent(client.sent().len());
        let needed = match handled {
            Ok(Handled::Again) => continue,
            Ok(Handled::Needs(_)) if client.is_idle() => return Ok(said),
            Ok(Handled::Needs(needed)) => needed,
            Err(error) => {
                println!("{}: ended by: {error}", script.name);
                return Ok(said);
            }
        };
        let was_started = client.is_started();
        let mut piece = vec![0; 4096];
        let count = socket.read(&mut piece)?;
        piece.truncate(count);
        if count == 0 {
            return Err(io::Error::other(format!("{}: cut off", script.name)));
        }
        if was_started || script.begins_with_startup {
            said.extend_from_slice(&piece);
        }
        let mut rest = &piece[..];
        while !rest.is_empty() {
            rest = &rest[super::arrive(&mut input, needed, rest)..];
        }
    }
}

/// Connects to the server whose socket is in `directory`.
pub fn connect(directory: &Path) -> io::Result<UnixStream> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with(".s.PGSQL.") && !name.ends_with(".lock") {
            let socket = UnixStream::connect(&path)?;
            socket.set_read_timeout(Some(Duration::from_secs(30)))?;
            return Ok(socket);
        }
    }
    let place = directory.display();
    Err(io::Error::other(format!("no server's socket in {place}")))
}

/// Writes a file of the corpus of `target`.
pub fn write(target: &str, name: &str, bytes: &[u8]) -> io::Result<()> {
    let directory = root().join("corpus").join(target);
    fs::create_dir_all(&directory)?;
    fs::write(directory.join(name), bytes)
}
