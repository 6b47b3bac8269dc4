//! Doing a workload again and again, and checking once that a driver reads what was sent.

use std::hint::black_box;

use crate::Result;
use crate::driver::{Driver, PoolDriver, Target, Unsupported, is_unsupported};
use crate::work::{self, Event, Seen, Work};

/// What a workload's runs share, made beforehand.
#[derive(Debug)]
pub struct Input {
    /// The keys of a pipeline.
    ids: Vec<i32>,
    /// What is inserted.
    triples: Vec<(i64, String, f64)>,
    /// What is copied in.
    events: Vec<Event>,
    /// The rows of W10.
    stream_rows: i64,
}

impl Input {
    /// The input for streams and copies of so many rows.
    pub fn new(stream_rows: i64, copied: u64) -> Self {
        Self {
            ids: (0..work::PIPELINED).map(nth_id).collect(),
            triples: (1..=work::INSERTS as i64).map(work::triple).collect(),
            events: (1..=copied as i32).map(work::event).collect(),
            stream_rows,
        }
    }

    /// How many units a run of `work` has.
    pub fn units(&self, work: Work) -> u64 {
        match work {
            Work::CopyIn | Work::CopyOut => self.events.len() as u64,
            Work::Visit | Work::Stream => self.stream_rows.unsigned_abs(),
            _ => work.unit().0,
        }
    }
}

/// The key that W2 asks for in this turn.
pub fn nth_id(turn: u64) -> i32 {
    (turn * 97 % work::WORLD_ROWS as u64) as i32 + 1
}

/// Does `work` once; `turn` varies what is asked for.
pub async fn once<D: Driver>(
    driver: &mut D,
    target: &Target,
    work: Work,
    turn: u64,
    input: &Input,
) -> Result<()> {
    match work {
        Work::SelectOne => {
            black_box(driver.select_one().await?);
        }
        Work::Lookup => {
            black_box(driver.lookup(nth_id(turn)).await?);
        }
        // A single connection can't.
        Work::TenTasks | Work::ManyTasks | Work::QueuedTasks => return Err(Unsupported.into()),
        Work::Wide => {
            black_box(driver.wide().await?);
        }
        Work::Integers => {
            black_box(driver.integers().await?);
        }
        Work::BlobsBorrowed => {
            black_box(driver.blobs_borrowed().await?);
        }
        Work::BlobsOwned => {
            black_box(driver.blobs_owned().await?);
        }
        Work::Arrays => {
            black_box(driver.arrays().await?);
        }
        Work::PipelineEach => {
            black_box(driver.pipeline_each(&input.ids).await?);
        }
        Work::PipelineOne => {
            black_box(driver.pipeline_one(&input.ids).await?);
        }
        Work::Inserts => {
            black_box(driver.inserts(&input.triples).await?);
        }
        Work::CopyIn => {
            black_box(driver.copy_in(&input.events).await?);
        }
        Work::CopyOut => {
            black_box(driver.copy_out().await?);
        }
        Work::Visit => {
            black_box(driver.visit(input.stream_rows).await?);
        }
        Work::Stream => {
            black_box(driver.stream(input.stream_rows).await?);
        }
        Work::Connect | Work::ConnectScram => {
            black_box(driver.connect_and_ask(target).await?);
        }
        Work::Checkout => driver.checkout(target).await?,
        Work::Far => {
            black_box(driver.far(&input.ids[..work::FAR as usize]).await?);
        }
        Work::FarOneByOne => {
            for &id in &input.ids[..work::FAR as usize] {
                black_box(driver.lookup(id).await?);
            }
        }
    }
    Ok(())
}

/// Does W2 on a pool: so many tasks, each its part of all lookups, one after the other.
pub async fn shared<P: PoolDriver>(pool: &P, tasks: u64, turn: u64) -> Result<()> {
    let tasks: Vec<_> = (0..tasks)
        .map(|task| {
            let pool = pool.clone();
            tokio::spawn(async move {
                for lookup in 0..work::SHARED / tasks {
                    let id = nth_id(turn + task * 1000 + lookup);
                    let world = pool.lookup(id).await?;
                    if world.id != id {
                        return Err(format!("{} reads another task's row", P::NAME).into());
                    }
                }
                Result::<_>::Ok(())
            })
        })
        .collect();
    for task in tasks {
        task.await??;
    }
    Ok(())
}

/// Does `work` once and says where what was read differs from what was sent. A driver whose
/// API has no such thing is asked nothing: `false`.
pub async fn check<D: Driver>(
    driver: &mut D,
    target: &Target,
    work: Work,
    input: &Input,
) -> Result<bool> {
    match checked(driver, target, work, input).await {
        Ok(true) => Ok(true),
        Ok(false) => Err(format!("{} reads {work} wrongly", D::NAME).into()),
        Err(error) if is_unsupported(&*error) => Ok(false),
        Err(error) => Err(format!("{} at {work}: {error}", D::NAME).into()),
    }
}

async fn checked<D: Driver>(
    driver: &mut D,
    target: &Target,
    work: Work,
    input: &Input,
) -> Result<bool> {
    if !D::DECODES {
        once(driver, target, work, 1, input).await?;
        return Ok(true);
    }
    let numbers = input
        .ids
        .iter()
        .map(|&id| i64::from(work::world(id).random_number));
    let blob = work::blob();
    Ok(match work {
        Work::SelectOne => driver.select_one().await? == 1,
        Work::Lookup => driver.lookup(42).await? == work::world(42),
        Work::TenTasks | Work::ManyTasks | Work::QueuedTasks => return Err(Unsupported.into()),
        Work::Wide => {
            let wanted = (1..=work::WIDE_ROWS as u32).map(work::wide);
            driver.wide().await?.into_iter().eq(wanted)
        }
        Work::Integers => {
            let rows = driver.integers().await?;
            rows.into_iter().eq(1..=work::INTEGER_ROWS as i32)
        }
        Work::BlobsBorrowed => {
            let each = blob.len() as u64 + u64::from(blob[0]);
            driver.blobs_borrowed().await? == work::BLOBS * each
        }
        Work::BlobsOwned => {
            let rows = driver.blobs_owned().await?;
            rows.len() as u64 == work::BLOBS && rows.iter().all(|row| *row == blob)
        }
        Work::Arrays => {
            let wanted = (1..=work::ARRAYS as i32).map(work::array);
            driver.arrays().await?.into_iter().eq(wanted)
        }
        Work::PipelineEach => driver.pipeline_each(&input.ids).await? == numbers.sum::<i64>(),
        Work::PipelineOne => driver.pipeline_one(&input.ids).await? == numbers.sum::<i64>(),
        Work::Inserts => driver.inserts(&input.triples).await? == work::INSERTS,
        Work::CopyIn => driver.copy_in(&input.events).await? == input.events.len() as u64,
        Work::CopyOut => {
            let mut seen = Seen::default();
            for event in &input.events {
                seen.event(event.id, &event.name, event.moment_us);
            }
            driver.copy_out().await? == seen
        }
        Work::Visit => driver.visit(input.stream_rows).await? == seen(input.stream_rows),
        Work::Stream => driver.stream(input.stream_rows).await? == seen(input.stream_rows),
        Work::Connect | Work::ConnectScram => driver.connect_and_ask(target).await? == 1,
        Work::Checkout => {
            driver.checkout(target).await?;
            true
        }
        Work::Far => {
            let far = work::FAR as usize;
            driver.far(&input.ids[..far]).await? == numbers.take(far).sum::<i64>()
        }
        Work::FarOneByOne => {
            let mut is_right = true;
            for &id in &input.ids[..work::FAR as usize] {
                is_right &= driver.lookup(id).await? == work::world(id);
            }
            is_right
        }
    })
}

fn seen(rows: i64) -> Seen {
    let mut seen = Seen::default();
    for (id, name, value) in (1..=rows).map(work::triple) {
        seen.row(id, &name, value);
    }
    seen
}
