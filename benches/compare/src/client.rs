//! The process that is measured: one connection, one workload, so many times.

use std::path::PathBuf;

use crate::Result;
use crate::cost::COPIED;
use crate::driver::kornak::{Kornak, KornakPool, KornakQueued};
use crate::driver::raw::{Raw, RawPool};
use crate::driver::raw_decode::RawDecode;
use crate::driver::tokio_postgres::{Deadpool, TokioPostgres};
use crate::driver::{Driver, Place, PoolDriver, Target};
use crate::repeat::{self, Input};
use crate::replay;
use crate::work::{self, Work};

/// What to do.
#[derive(Debug)]
pub struct Client {
    driver: String,
    work: Work,
    /// How often the workload is done, warm-up aside.
    pub times: u64,
    stream_rows: i64,
    target: Target,
}

/// Where a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// The workload has been done and checked a few times: caches are filled.
    Warm,
    /// It has been done as often as was asked for.
    Done,
}

/// The replay of a folder and port: it lets this user in without a password.
///
/// # Errors
///
/// If the port is no number.
pub fn replay_target(folder: &str, port: &str) -> Result<Target> {
    Ok(Target {
        place: Place::Socket(PathBuf::from(folder)),
        port: port.parse()?,
        user: "kornak".to_owned(),
        password: replay::PASSWORD.to_owned(),
        database: "kornak".to_owned(),
    })
}

/// How often the workload is done first: caches fill, buffers grow.
const WARM_UP: u64 = 3;

/// What the exit status says where the driver has no such verb.
pub const UNSUPPORTED: i32 = 64;

impl Client {
    /// The client of a command line.
    ///
    /// # Errors
    ///
    /// If it is wrong.
    pub fn from_arguments(arguments: &[String]) -> Result<Self> {
        let [driver, work, times, stream_rows, folder, port] = arguments else {
            return Err("<driver> <workload> <times> <rows of W10> <folder> <port>".into());
        };
        let work = Work::named(work).ok_or_else(|| format!("no workload {work:?}"))?;
        let mut target = replay_target(folder, port)?;
        if work == Work::ConnectScram {
            target.user = replay::SCRAM_USER.to_owned();
        }
        Ok(Self {
            driver: driver.clone(),
            work,
            times: times.parse()?,
            stream_rows: stream_rows.parse()?,
            target,
        })
    }

    /// Does it, and tells `at` where it is.
    ///
    /// # Errors
    ///
    /// What the driver reports; values that were read wrongly. Where the driver has no such
    /// verb the process exits with [`UNSUPPORTED`].
    pub fn run(self, at: impl FnMut(Moment)) -> Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        if let Some(tasks) = self.work.tasks() {
            return match self.driver.as_str() {
                "kornak" if self.work == Work::QueuedTasks => {
                    runtime.block_on(self.share::<KornakQueued>(tasks, at))
                }
                // No other has such a thing.
                _ if self.work == Work::QueuedTasks => std::process::exit(UNSUPPORTED),
                "kornak" => runtime.block_on(self.share::<KornakPool>(tasks, at)),
                "raw" => runtime.block_on(self.share::<RawPool>(tasks, at)),
                "tokio-postgres" => runtime.block_on(self.share::<Deadpool>(tasks, at)),
                _ => std::process::exit(UNSUPPORTED),
            };
        }
        match self.driver.as_str() {
            "raw" => runtime.block_on(self.drive::<Raw>(at)),
            "raw-decode" => runtime.block_on(self.drive::<RawDecode>(at)),
            "kornak" => runtime.block_on(self.drive::<Kornak>(at)),
            "tokio-postgres" => runtime.block_on(self.drive::<TokioPostgres>(at)),
            other => Err(format!("no driver {other:?}").into()),
        }
    }

    async fn drive<D: Driver>(&self, mut at: impl FnMut(Moment)) -> Result<()> {
        let input = Input::new(self.stream_rows, COPIED);
        let mut driver = D::connect(&self.target).await?;
        if !repeat::check(&mut driver, &self.target, self.work, &input).await? {
            std::process::exit(UNSUPPORTED);
        }
        for turn in 0..WARM_UP {
            repeat::once(&mut driver, &self.target, self.work, turn, &input).await?;
        }
        at(Moment::Warm);
        for turn in 0..self.times {
            repeat::once(&mut driver, &self.target, self.work, turn, &input).await?;
        }
        at(Moment::Done);
        driver.close().await
    }

    async fn share<P: PoolDriver>(&self, tasks: u64, mut at: impl FnMut(Moment)) -> Result<()> {
        let pool = P::open(&self.target, work::POOL_SIZE).await?;
        for turn in 0..WARM_UP {
            repeat::shared(&pool, tasks, turn).await?;
        }
        at(Moment::Warm);
        for turn in 0..self.times {
            repeat::shared(&pool, tasks, turn).await?;
        }
        at(Moment::Done);
        Ok(())
    }
}
