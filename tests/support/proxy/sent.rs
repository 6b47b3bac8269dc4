//! What a client says on a recorded connection: its messages, and how often it waits.

use super::Link;

/// What the client of a recorded connection sends from some moment on.
#[derive(Clone, Debug)]
pub struct Sent {
    link: Link,
    /// How many lines the transcript had.
    before: usize,
}

impl Link {
    /// What the client sends from now on.
    pub fn sent_from_now(&self) -> Sent {
        Sent {
            link: self.clone(),
            before: self.transcript().lines().count(),
        }
    }
}

impl Sent {
    /// The names of its messages, flight by flight: each is what it sends without a word of the
    /// server in between. Whoever waits for the answer to each makes so many round trips.
    pub fn flights(&self) -> Vec<Vec<String>> {
        let mut flights: Vec<Vec<String>> = Vec::new();
        let mut is_answered = true;
        for line in self.link.transcript().lines().skip(self.before) {
            let Some(message) = line.strip_prefix("F ") else {
                is_answered = true;
                continue;
            };
            if is_answered {
                flights.push(Vec::new());
            }
            is_answered = false;
            let name = message.split(' ').next().expect("there is a first part");
            flights
                .last_mut()
                .expect("one was begun")
                .push(name.to_owned());
        }
        flights
    }

    /// The SQL of its Parse messages.
    pub fn parsed(&self) -> Vec<String> {
        let transcript = self.link.transcript();
        let parsed = transcript.lines().skip(self.before).filter_map(|line| {
            let (_, sql) = line.strip_prefix("F Parse ")?.split_once(' ')?;
            Some(sql.to_owned())
        });
        parsed.collect()
    }
}
