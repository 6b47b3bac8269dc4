//! What goes wrong: the network, the backends, the server.

use std::time::Duration;

use xtask::server::{Private, StopMode};

use crate::APPLICATION;
use crate::client::Random;
use crate::support::address::Target;
use crate::support::deadline::blocking;
use crate::support::proxy::{CancelPolicy, Fault, Link, Pace, Proxy, Way};
use crate::support::raw::RawClient;

/// Whoever breaks things.
pub(crate) struct Chaos {
    server: Option<Private>,
    proxy: Proxy,
    random: Random,
    observer: Option<RawClient>,
    /// What stands still, and goes on with one of the next faults.
    stalled: Vec<Link>,
    strikes: u64,
}

/// After how many other faults the server is restarted.
const RESTART_AFTER: u64 = 150;

impl Chaos {
    pub(crate) fn new(server: Private, proxy: Proxy, random: Random) -> Self {
        Self {
            server: Some(server),
            proxy,
            random,
            observer: None,
            stalled: Vec::new(),
            strikes: 0,
        }
    }

    /// Breaks something, and says what.
    pub(crate) async fn strike(&mut self) -> &'static str {
        self.strikes += 1;
        if self.strikes % RESTART_AFTER == 0 {
            return self.restart().await;
        }
        if self.stalled.len() > 2 {
            self.stalled.remove(0).resume();
        }
        let sessions = self.proxy.links().into_iter().rev();
        let open: Vec<Link> = sessions
            .filter(|link| link.is_session() && link.is_open())
            .take(64)
            .collect();
        let way = [Way::ToServer, Way::ToClient][self.random.below(2) as usize];
        let kind = self.random.below(12);
        let Some(link) = self.pick(&open) else {
            self.proxy.refuse_next(1);
            return "refused";
        };
        match kind {
            0 => {
                link.cut();
                "cut"
            }
            1 => {
                link.reset();
                "reset"
            }
            2 => {
                link.half_close(way);
                "half-closed"
            }
            3 => {
                link.stall(way);
                self.stalled.push(link);
                "stalled"
            }
            4 => {
                link.black_hole();
                self.stalled.push(link);
                "black hole"
            }
            5 => {
                let delay = Duration::from_millis(1 + self.random.below(4));
                link.set_pace(
                    way,
                    Pace {
                        delay,
                        ..Pace::default()
                    },
                );
                "delayed"
            }
            6 => {
                let write_size = Some(1 + self.random.below(3) as usize);
                link.set_pace(
                    way,
                    Pace {
                        write_size,
                        ..Pace::default()
                    },
                );
                "throttled"
            }
            7 => {
                let policies = [
                    CancelPolicy::Forward,
                    CancelPolicy::Delay(Duration::from_millis(20)),
                    CancelPolicy::Reset,
                    CancelPolicy::Close,
                ];
                let policy = policies[self.random.below(4) as usize];
                self.proxy.plan(|plan| plan.cancel = policy);
                link.cut();
                "cut, and cancels hindered"
            }
            8 | 9 => {
                // Somewhere in what comes: within a message, within a commit.
                let fault = [Fault::Cut, Fault::Reset][self.random.below(2) as usize];
                link.arm(way, self.random.below(400), fault);
                "cut later"
            }
            _ => self.terminate().await,
        }
    }

    /// Stops everything. Returns how many connections there were, too.
    pub(crate) async fn end(mut self) -> (Private, u64) {
        let accepted = self.proxy.connections().accepted;
        // The server hears of the end of those that stood still.
        drop(self.proxy);
        let server = self.server.take().expect("it is there between two faults");
        (server, accepted)
    }

    fn pick(&mut self, open: &[Link]) -> Option<Link> {
        match open.len() as u64 {
            0 => None,
            count => open.get(self.random.below(count) as usize).cloned(),
        }
    }

    /// Ends one of the clients' sessions.
    async fn terminate(&mut self) -> &'static str {
        let target = Target::from_url(&self.server().url());
        let observer = self.observer.take();
        let sql = format!(
            "select pg_terminate_backend(pid) from pg_stat_activity \
             where application_name = '{APPLICATION}' order by random() limit 1"
        );
        self.observer = blocking(move || {
            let mut observer = observer.or_else(|| RawClient::connect(&target).ok())?;
            observer.query(&sql).ok().map(|_| observer)
        })
        .await;
        "terminated"
    }

    async fn restart(&mut self) -> &'static str {
        let (mode, name) = match self.random.below(2) {
            0 => (StopMode::Fast, "restarted"),
            _ => (StopMode::Immediate, "restarted after a crash"),
        };
        self.observer = None;
        let mut server = self.server.take().expect("it is there between two faults");
        let server = blocking(move || {
            server.restart(mode).unwrap();
            server
        })
        .await;
        self.server = Some(server);
        name
    }

    fn server(&self) -> &Private {
        self.server
            .as_ref()
            .expect("it is there between two faults")
    }
}
