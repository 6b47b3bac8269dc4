//! The loop: take an input, change it, execute it, look at what happened.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use peak_alloc::PeakAlloc;

use crate::mutate::mutate;
use crate::outcome::Features;
use crate::random::Random;
use crate::targets::Target;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// When a run ends.
#[derive(Clone, Copy)]
pub enum Until {
    Elapsed(Duration),
    Executions(u64),
}

/// How many inputs that did something new are kept to build on.
const MAX_KEPT: usize = 4096;

/// One execution takes microseconds; whatever takes longer than this hangs.
const HANG: Duration = Duration::from_secs(30);

/// The message of the last panic. The hook that writes it keeps the terminal clean.
static PANIC: Mutex<String> = Mutex::new(String::new());

/// Runs `target` and returns whether all went well.
pub fn run(target: &'static Target, until: Until, seed: u64) -> io::Result<bool> {
    hide_panics();
    let mut inputs = corpus(target)?;
    let from_corpus = inputs.len();
    let mut seen: HashSet<u64> = HashSet::new();
    let watched = Watched::start(target, seed);
    let mut random = Random::new(seed);
    let begun = Instant::now();
    let mut executions = 0_u64;
    let mut input = Vec::new();
    let mut features = Features::default();
    warm_up(target, &inputs[0]);
    loop {
        let over = match until {
            Until::Executions(most) => executions >= most,
            // The clock is read now and then only, it takes longer than an execution.
            Until::Elapsed(most) => executions % 256 == 0 && begun.elapsed() >= most,
        };
        if over {
            break;
        }
        input.clear();
        // First the corpus as it is.
        if let Some(unchanged) = inputs
            .get(executions as usize)
            .filter(|_| executions < from_corpus as u64)
        {
            input.extend_from_slice(unchanged);
        } else {
            let (first, second) = (random.below(inputs.len()), random.below(inputs.len()));
            input.extend_from_slice(&inputs[first]);
            mutate(&mut random, &target.shape, &mut input, &inputs[second]);
        }
        watched.about_to_execute(executions, &input);
        if let Err(why) = execute(target, &input, &mut features) {
            report(target, seed, executions, &input, &why);
            watched.stop();
            return Ok(false);
        }
        let before = seen.len();
        seen.extend(features.numbers());
        if seen.len() > before && executions >= from_corpus as u64 {
            if inputs.len() < MAX_KEPT {
                inputs.push(input.clone());
            } else {
                let at = from_corpus + random.below(MAX_KEPT - from_corpus);
                inputs[at] = input.clone();
            }
        }
        executions += 1;
    }
    watched.stop();
    let elapsed = begun.elapsed().as_secs_f64();
    println!(
        "{}: {executions} executions in {elapsed:.1} s, {:.0}/s, {} features, seed {seed}",
        target.name,
        executions as f64 / elapsed.max(1e-9),
        seen.len(),
    );
    Ok(true)
}

/// Executes one file and returns whether all went well.
pub fn replay(target: &'static Target, path: &Path) -> io::Result<bool> {
    let input = fs::read(path)?;
    hide_panics();
    let mut features = Features::default();
    warm_up(target, &input);
    match execute(target, &input, &mut features) {
        Ok(()) => {
            println!(
                "{}: {} is fine, {} features",
                target.name,
                path.display(),
                features.numbers().len()
            );
            Ok(true)
        }
        Err(why) => {
            println!("{}: {} fails: {why}", target.name, path.display());
            Ok(false)
        }
    }
}

/// An execution that isn't measured: what a target makes once and keeps is made here.
fn warm_up(target: &Target, input: &[u8]) {
    // If it fails, it fails again when it counts.
    let _ = panic::catch_unwind(AssertUnwindSafe(|| {
        (target.execute)(input, &mut Features::default());
    }));
}

/// One execution: its features, or what was wrong with it.
fn execute(target: &Target, input: &[u8], features: &mut Features) -> Result<(), String> {
    features.clear();
    MEMORY.reset_peak_usage();
    let before = MEMORY.current_usage();
    let outcome = panic::catch_unwind(AssertUnwindSafe(|| (target.execute)(input, features)));
    let used = MEMORY.peak_usage() - before;
    if outcome.is_err() {
        return Err(PANIC.lock().unwrap_or_else(PoisonError::into_inner).clone());
    }
    let allowed = target.memory.per_byte * input.len() + target.memory.fixed;
    if used > allowed {
        return Err(format!(
            "{used} bytes of memory for {} bytes of input, {allowed} are allowed",
            input.len()
        ));
    }
    Ok(())
}

fn hide_panics() {
    panic::set_hook(Box::new(|info| {
        let mut last = PANIC.lock().unwrap_or_else(PoisonError::into_inner);
        *last = info.to_string();
    }));
}

/// The files of the target's corpus, in the order of their names.
fn corpus(target: &Target) -> io::Result<Vec<Vec<u8>>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(root().join("corpus").join(target.name))? {
        paths.push(entry?.path());
    }
    paths.sort();
    let inputs: Vec<_> = paths.iter().map(fs::read).collect::<io::Result<_>>()?;
    if inputs.is_empty() {
        return Err(io::Error::other(format!("{} has no corpus", target.name)));
    }
    Ok(inputs)
}

fn report(target: &Target, seed: u64, execution: u64, input: &[u8], why: &str) {
    let directory = root().join("artifacts");
    let path = directory.join(format!("{}-{seed}-{execution}", target.name));
    let written = fs::create_dir_all(&directory).and_then(|()| fs::write(&path, input));
    println!(
        "{}: execution {execution} of seed {seed} fails: {why}",
        target.name
    );
    match written {
        Ok(()) => println!("replay it with: {} --input {}", target.name, path.display()),
        Err(error) => println!("its input could not be written: {error}"),
    }
}

/// The folder of this package.
pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Ends the process when an execution hangs, with its input written.
struct Watched {
    shared: Arc<Shared>,
}

struct Shared {
    /// The number of the execution, or [`STOPPED`].
    execution: AtomicU64,
    input: Mutex<Vec<u8>>,
}

const STOPPED: u64 = u64::MAX;

impl Watched {
    fn start(target: &'static Target, seed: u64) -> Self {
        let shared = Arc::new(Shared {
            execution: AtomicU64::new(0),
            input: Mutex::default(),
        });
        let watching = Arc::clone(&shared);
        thread::spawn(move || {
            let mut last = STOPPED;
            loop {
                thread::park_timeout(HANG);
                let execution = watching.execution.load(Ordering::Relaxed);
                if execution == STOPPED {
                    return;
                }
                if execution == last {
                    let input = watching
                        .input
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner);
                    report(target, seed, execution, &input, "it hangs");
                    process::exit(1);
                }
                last = execution;
            }
        });
        Self { shared }
    }

    fn about_to_execute(&self, execution: u64, input: &[u8]) {
        let mut copy = self
            .shared
            .input
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        copy.clear();
        copy.extend_from_slice(input);
        drop(copy);
        self.shared.execution.store(execution, Ordering::Relaxed);
    }

    fn stop(&self) {
        self.shared.execution.store(STOPPED, Ordering::Relaxed);
    }
}
