//! A bank: many clients transfer money over a network that breaks, from a server that is
//! killed and restarted under them. In the end the books are compared with what each client
//! was told.
//!
//! `cargo xtask bank --faults N` sets how many faults there are.

mod chaos;
mod client;
#[path = "../live/mod.rs"]
mod live;
#[path = "../support/mod.rs"]
mod support;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use chaos::Chaos;
use client::{Client, Random};
use kornak::Pool;
use support::address::Target;
use support::deadline::{GENEROUS, blocking, within};
use support::proxy::{Listen, Proxy};
use support::raw::RawClient;
use tokio::sync::watch;
use tokio::task::JoinSet;
use xtask::server::{Private, Server};

/// How many accounts there are, each with so much money at first.
const ACCOUNTS: u64 = 64;
const FUNDS: i64 = 1000;

/// How many clients share how many connections.
const CLIENTS: u64 = 64;
const CONNECTIONS: usize = 32;

/// How many faults there are where nobody says otherwise.
const FAULTS: u64 = 600;

/// After how many faults the books are compared.
const FAULTS_OF_A_ROUND: u64 = 500;

/// The sessions of the clients.
const APPLICATION: &str = "kornak-bank";

/// What a client believes of a transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Belief {
    /// It was told so.
    Done,
    /// It was told so, or never asked for a commit.
    Undone,
    /// It was told that nobody knows, when the commit was under way.
    Unknown,
    /// It did not wait for the answer.
    Unheard,
}

/// What all clients of a round believe.
#[derive(Default)]
struct Beliefs {
    transfers: Mutex<HashMap<String, Belief>>,
    attempts: watch::Sender<u64>,
    is_over: AtomicBool,
}

impl Beliefs {
    fn note(&self, token: String, belief: Belief) {
        let mut transfers = self
            .transfers
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        transfers.insert(token, belief);
        self.attempts.send_modify(|attempts| *attempts += 1);
    }

    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    /// Waits until so many more transfers have been tried.
    async fn attempts(&self, more: u64) {
        let mut attempts = self.attempts.subscribe();
        let wanted = *attempts.borrow() + more;
        let enough = attempts.wait_for(|attempts| *attempts >= wanted).await;
        drop(enough.expect("the sender is here"));
    }
}

/// What has happened to whom.
#[derive(Debug, Default)]
struct Figures {
    faults: HashMap<&'static str, u64>,
    beliefs: HashMap<Belief, u64>,
    unknown_and_done: u64,
    unheard_and_done: u64,
    connections: u64,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r2_r26_r31_r35_money_is_conserved_under_faults() {
    let wanted = std::env::var("KORNAK_BANK_FAULTS").map_or(FAULTS, |text| {
        text.parse().expect("KORNAK_BANK_FAULTS is a number")
    });
    let begun = Instant::now();
    // A commit that was answered has to outlive the server's death, and a deadlock is one of
    // the errors that are wanted.
    let settings = ["synchronous_commit = on", "deadlock_timeout = 20ms"];
    let mut server = blocking(move || Server::private("bank", &settings).unwrap()).await;
    open_the_bank(&server).await;
    let mut figures = Figures::default();
    let mut faults = 0;
    let mut seed = 1;
    while faults < wanted {
        let count = (wanted - faults).min(FAULTS_OF_A_ROUND);
        server = round(server, count, seed, &mut figures).await;
        faults += count;
        seed += 1;
        if wanted > FAULTS {
            println!("{faults} faults after {} s", begun.elapsed().as_secs());
        }
    }
    let done = figures.beliefs[&Belief::Done];
    println!("{figures:#?}");
    println!(
        "{faults} faults, {} transfers, {done} done, in {} s",
        figures.beliefs.values().sum::<u64>(),
        begun.elapsed().as_secs()
    );
    assert!(done > faults, "{figures:?}");
    // What the faults hit was heard of.
    for belief in [Belief::Undone, Belief::Unknown, Belief::Unheard] {
        assert!(figures.beliefs.contains_key(&belief), "{figures:?}");
    }
}

async fn open_the_bank(server: &Private) {
    let target = Target::from_url(&server.url());
    blocking(move || {
        let mut client = RawClient::connect(&target).unwrap();
        client.execute(&format!(
            "create table accounts (id int8 primary key, balance int8 not null check (balance >= 0)); \
             insert into accounts select id, {FUNDS} from generate_series(0, {ACCOUNTS} - 1) id; \
             create table transfers (token text not null, source int8, target int8, amount int8)"
        ));
    })
    .await;
}

/// Lets clients work while so many faults happen, and compares the books.
async fn round(server: Private, faults: u64, seed: u64, figures: &mut Figures) -> Private {
    let target = Target::from_url(&server.url());
    let listen = [Listen::Unix, Listen::Tcp][seed as usize % 2];
    let proxy = Proxy::start(listen, target.address.clone());
    let config = live::config(&target.at(proxy.address())).application_name(APPLICATION);
    let pool = Pool::builder()
        .max_size(CONNECTIONS)
        .acquire_timeout(Some(GENEROUS))
        .query_timeout(Some(Duration::from_millis(300)))
        .build(config)
        .unwrap();
    let beliefs = Arc::new(Beliefs::default());
    let mut clients = JoinSet::new();
    for number in 1..=CLIENTS {
        let random = Random::new(seed * CLIENTS + number);
        clients.spawn(Client::new(pool.clone(), Arc::clone(&beliefs), random).run());
    }
    let mut chaos = Chaos::new(server, proxy, Random::new(seed));
    for _ in 0..faults {
        // Some work is done between any two.
        tokio::select! {
            () = within(GENEROUS, "some work", beliefs.attempts(2)) => {}
            Some(panicked) = clients.join_next() => panicked.unwrap(),
        }
        *figures.faults.entry(chaos.strike().await).or_default() += 1;
    }
    beliefs.is_over.store(true, Ordering::Relaxed);
    while let Some(client) = within(GENEROUS * 3, "a client", clients.join_next()).await {
        client.unwrap();
    }
    pool.close(Duration::from_secs(1)).await;
    let (server, connections) = chaos.end().await;
    figures.connections += connections;
    compare(&target, &beliefs, figures).await;
    server
}

/// Compares what the clients believe with what is in the books.
async fn compare(target: &Target, beliefs: &Beliefs, figures: &mut Figures) {
    let target = target.clone();
    let (sum, mut found) = blocking(move || {
        let mut client = RawClient::connect(&target).unwrap();
        // What was under way comes to its end before the books are read.
        client.wait_for(&format!(
            "not exists (select from pg_stat_activity where application_name = '{APPLICATION}')"
        ));
        let sum = client.value("select sum(balance) from accounts");
        let mut found: HashMap<String, u64> = HashMap::new();
        for token in client.column("select token from transfers") {
            *found.entry(token).or_default() += 1;
        }
        client.execute("truncate transfers");
        (sum, found)
    })
    .await;
    assert_eq!(sum, (ACCOUNTS as i64 * FUNDS).to_string(), "money was made");
    let transfers = beliefs
        .transfers
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    for (token, belief) in &*transfers {
        let count = found.remove(token).unwrap_or_default();
        let is_right = match belief {
            Belief::Done => count == 1,
            Belief::Undone => count == 0,
            Belief::Unknown | Belief::Unheard => count <= 1,
        };
        assert!(is_right, "{token}: {belief:?}, but {count} times there");
        *figures.beliefs.entry(*belief).or_default() += 1;
        match belief {
            Belief::Unknown => figures.unknown_and_done += count,
            Belief::Unheard => figures.unheard_and_done += count,
            Belief::Done | Belief::Undone => {}
        }
    }
    assert!(found.is_empty(), "nobody asked for {found:?}");
}
