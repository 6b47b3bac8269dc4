//! The process that is measured against a live server: one driver, one workload, for so many
//! seconds.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::Result;
#[cfg(feature = "diesel-async")]
use crate::driver::diesel;
use crate::driver::kornak::{Kornak, KornakPool, KornakQueued};
use crate::driver::raw::{Raw, RawPool};
use crate::driver::raw_decode::RawDecode;
#[cfg(feature = "sqlx")]
use crate::driver::sqlx;
use crate::driver::tokio_postgres::{Deadpool, TokioPostgres};
#[cfg(feature = "wtx")]
use crate::driver::wtx;
#[cfg(feature = "xitca")]
use crate::driver::xitca;
use crate::driver::{Driver, Place, PoolDriver, Target};
use crate::repeat::{self, Input};
use crate::work::{self, POOL_SIZE, Work, World};

/// What to do.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Order {
    /// The driver.
    pub driver: String,
    /// The workload.
    pub work: String,
    /// Who does it.
    pub crowd: Crowd,
    /// Whether the runtime has several threads.
    pub multi_thread: bool,
    /// How long it is done.
    pub seconds: f64,
    /// Whether what is read is checked first, as it is in the first round.
    pub checks: bool,
    /// The rows of W10.
    pub stream_rows: i64,
    /// The server.
    pub url: String,
    /// The certificate to trust; without it there is no TLS.
    pub root: Option<String>,
}

/// Who does a workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Crowd {
    /// One task, on one connection.
    Alone,
    /// As many tasks as a pool has connections, each on a connection of its own, without a
    /// pool.
    Exclusive,
    /// So many tasks, on the connections of one pool.
    Pool(usize),
}

/// What came of it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Outcome {
    /// How often the workload was done in a second.
    pub per_second: f64,
    /// The median time, in microseconds.
    pub p50_us: f64,
    /// The time that one in a hundred exceeds, in microseconds.
    pub p99_us: f64,
    /// The client's processor time each took, in microseconds.
    pub cpu_us: f64,
    /// How often the client went to sleep for each, until the server had said more.
    pub waits: f64,
    /// The most memory that the client ever held, in KiB.
    pub peak_kib: u64,
    /// How much of that came after the client had connected, in KiB.
    pub grown_kib: u64,
}

impl Order {
    /// Does it; nothing where the driver has no such verb.
    ///
    /// # Errors
    ///
    /// What the driver reports; values that were read wrongly.
    pub fn run(&self) -> Result<Option<Outcome>> {
        let mut builder = if self.multi_thread {
            tokio::runtime::Builder::new_multi_thread()
        } else {
            tokio::runtime::Builder::new_current_thread()
        };
        builder.enable_all().build()?.block_on(async {
            match self.driver.as_str() {
                "raw" => self.done_by::<Raw, RawPool>().await,
                "raw-decode" => self.done_by::<RawDecode, RawPool>().await,
                "kornak" => self.done_by::<Kornak, KornakPool>().await,
                // All but the pool is the same.
                "kornak-queued" => match self.crowd {
                    Crowd::Pool(tasks) => self.pooled::<KornakQueued>(tasks).await,
                    Crowd::Alone | Crowd::Exclusive => Ok(None),
                },
                "tokio-postgres" => self.done_by::<TokioPostgres, Deadpool>().await,
                #[cfg(feature = "sqlx")]
                "sqlx" => self.done_by::<sqlx::Sqlx, sqlx::SqlxPool>().await,
                #[cfg(feature = "xitca")]
                "xitca-postgres" => self.done_by::<xitca::Xitca, xitca::XitcaPool>().await,
                #[cfg(feature = "wtx")]
                "wtx" => self.done_by::<wtx::Wtx, wtx::WtxPool>().await,
                #[cfg(feature = "diesel-async")]
                "diesel-async" => self.done_by::<diesel::Diesel, diesel::DieselPool>().await,
                other => Err(format!("no driver {other:?}").into()),
            }
        })
    }

    /// The server as it is asked for: a long way off for W12.
    ///
    /// # Errors
    ///
    /// If the order makes no sense.
    pub fn target(&self) -> Result<Target> {
        Target::parse_tls(&self.url, self.root.as_deref())
    }

    async fn done_by<D: Driver + 'static, P: PoolDriver>(&self) -> Result<Option<Outcome>> {
        match self.crowd {
            Crowd::Alone => self.alone::<D>().await,
            Crowd::Exclusive => self.exclusive::<D>().await,
            // raw-decode has no pool of its own.
            Crowd::Pool(_) if P::NAME != D::NAME => Ok(None),
            Crowd::Pool(tasks) => self.pooled::<P>(tasks).await,
        }
    }

    async fn alone<D: Driver>(&self) -> Result<Option<Outcome>> {
        let work = Work::named(&self.work).ok_or("no such workload")?;
        let target = self.target()?;
        if !D::TLS && matches!(target.place, Place::Tls(..)) {
            return Ok(None);
        }
        let copied = match work {
            Work::CopyIn | Work::CopyOut => work::COPIED,
            _ => 0,
        };
        let input = Input::new(self.stream_rows, copied);
        let mut times = Vec::with_capacity(1 << 16);
        let mut driver = D::connect(&target).await?;
        let idle_kib = peak_memory()?;
        // The check warms up, too.
        let warm = Instant::now();
        if self.checks && !repeat::check(&mut driver, &target, work, &input).await? {
            return Ok(None);
        }
        // What takes as long as W9 and W10 doesn't get faster by it.
        let mut turn = 0;
        while !work.is_bulky() && warm.elapsed().as_secs_f64() < self.seconds / 5.0 {
            turn += 1;
            repeat::once(&mut driver, &target, work, turn, &input).await?;
        }
        let begun = Start::now()?;
        while begun.time.elapsed().as_secs_f64() < self.seconds || times.is_empty() {
            turn += 1;
            let one = Instant::now();
            repeat::once(&mut driver, &target, work, turn, &input).await?;
            times.push(one.elapsed());
        }
        let outcome = begun.outcome(times, idle_kib)?;
        driver.close().await?;
        Ok(Some(outcome))
    }

    /// W2 on connections that no two tasks share.
    async fn exclusive<D: Driver + 'static>(&self) -> Result<Option<Outcome>> {
        let target = self.target()?;
        if !D::TLS && matches!(target.place, Place::Tls(..)) {
            return Ok(None);
        }
        let mut drivers = Vec::new();
        for _ in 0..POOL_SIZE {
            drivers.push(D::connect(&target).await?);
        }
        let idle_kib = peak_memory()?;
        let (drivers, _) = apart(drivers, self.seconds / 5.0).await?;
        let begun = Start::now()?;
        let (_, times) = apart(drivers, self.seconds).await?;
        begun.outcome(times, idle_kib).map(Some)
    }

    async fn pooled<P: PoolDriver>(&self, tasks: usize) -> Result<Option<Outcome>> {
        let target = self.target()?;
        if !P::TLS && matches!(target.place, Place::Tls(..)) {
            return Ok(None);
        }
        let pool = P::open(&target, POOL_SIZE).await?;
        let idle_kib = peak_memory()?;
        crowd(&pool, tasks, self.seconds / 5.0).await?;
        let begun = Start::now()?;
        let times = crowd(&pool, tasks, self.seconds).await?;
        begun.outcome(times, idle_kib).map(Some)
    }
}

/// So many tasks look up on one pool for so many seconds.
async fn crowd<P: PoolDriver>(pool: &P, tasks: usize, seconds: f64) -> Result<Vec<Duration>> {
    let begun = Instant::now();
    let tasks: Vec<_> = (0..tasks as u64)
        .map(|task| {
            let pool = pool.clone();
            tokio::spawn(async move {
                let mut times = Vec::with_capacity(1 << 12);
                let mut turn = task * 1000;
                while begun.elapsed().as_secs_f64() < seconds {
                    turn += 1;
                    let id = repeat::nth_id(turn);
                    let one = Instant::now();
                    let world = pool.lookup(id).await?;
                    times.push(one.elapsed());
                    is_of(&world, id)?;
                }
                Result::<_>::Ok(times)
            })
        })
        .collect();
    let mut times = Vec::new();
    for task in tasks {
        times.extend(task.await??);
    }
    Ok(times)
}

/// Each connection's own task looks up for so many seconds, and gives the connection back.
async fn apart<D: Driver + 'static>(
    drivers: Vec<D>,
    seconds: f64,
) -> Result<(Vec<D>, Vec<Duration>)> {
    let begun = Instant::now();
    let tasks: Vec<_> = (0..)
        .zip(drivers)
        .map(|(task, mut driver)| {
            tokio::spawn(async move {
                let mut times = Vec::with_capacity(1 << 12);
                let mut turn = task * 1000;
                while begun.elapsed().as_secs_f64() < seconds {
                    turn += 1;
                    let id = repeat::nth_id(turn);
                    let one = Instant::now();
                    let world = driver.lookup(id).await?;
                    times.push(one.elapsed());
                    is_of(&world, id)?;
                }
                Result::<_>::Ok((driver, times))
            })
        })
        .collect();
    let (mut drivers, mut times) = (Vec::new(), Vec::new());
    for task in tasks {
        let (driver, its_times) = task.await??;
        drivers.push(driver);
        times.extend(its_times);
    }
    Ok((drivers, times))
}

fn is_of(world: &World, id: i32) -> Result<()> {
    if world.id == id {
        Ok(())
    } else {
        Err("another task's row".into())
    }
}

/// When the measured part of a run began, and what the client had spent until then.
struct Start {
    time: Instant,
    cpu: Duration,
    waits: u64,
}

impl Start {
    fn now() -> Result<Self> {
        Ok(Self {
            waits: waits()?,
            cpu: cpu_time()?,
            time: Instant::now(),
        })
    }

    fn outcome(&self, mut times: Vec<Duration>, idle_kib: u64) -> Result<Outcome> {
        let elapsed = self.time.elapsed();
        let (cpu, waits) = (cpu_time()? - self.cpu, waits()? - self.waits);
        times.sort_unstable();
        let at = |part: f64| {
            let index = ((times.len() - 1) as f64 * part) as usize;
            times[index].as_secs_f64() * 1e6
        };
        let count = times.len() as f64;
        let peak_kib = peak_memory()?;
        Ok(Outcome {
            per_second: count / elapsed.as_secs_f64(),
            p50_us: at(0.5),
            p99_us: at(0.99),
            cpu_us: cpu.as_secs_f64() * 1e6 / count,
            waits: waits as f64 / count,
            peak_kib,
            grown_kib: peak_kib - idle_kib,
        })
    }
}

/// The processor time of all threads of this process, from `/proc/self/task/*/schedstat`.
///
/// # Errors
///
/// If the kernel doesn't tell.
pub fn cpu_time() -> Result<Duration> {
    let mut nanoseconds = 0;
    for task in std::fs::read_dir("/proc/self/task")? {
        // A thread may have ended since.
        let text = std::fs::read_to_string(task?.path().join("schedstat")).unwrap_or_default();
        let first = text.split_whitespace().next();
        nanoseconds += first.map_or(Ok(0), str::parse)?;
    }
    Ok(Duration::from_nanos(nanoseconds))
}

/// How often all threads of this process have gone to sleep, from `/proc/self/task/*/status`.
fn waits() -> Result<u64> {
    let mut waits = 0;
    for task in std::fs::read_dir("/proc/self/task")? {
        // A thread may have ended since.
        let status = std::fs::read_to_string(task?.path().join("status")).unwrap_or_default();
        waits += number_of(&status, "voluntary_ctxt_switches:").unwrap_or_default();
    }
    Ok(waits)
}

/// `VmHWM` of `/proc/self/status`, in KiB.
fn peak_memory() -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    Ok(number_of(&status, "VmHWM:").ok_or("the kernel doesn't tell VmHWM")?)
}

/// The number in a line of a `status` file that begins so.
fn number_of(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}
