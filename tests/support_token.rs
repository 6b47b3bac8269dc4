//! The token check, against pools of one that are right and that are wrong.

use std::cell::RefCell;
use std::time::Duration;

use support::dialogue::frontend;
use support::observer::{Observer, Scope};
use support::raw::{RawClient, RawError, unique};
use support::server;
use support::token::{TokenCheck, TokenProbe};

mod support;

/// A pool of one plain client, which blocks: all that matters is what it hands on.
struct PoolOfOne<'a> {
    client: &'a RefCell<RawClient>,
    /// What a borrower is made to wait for.
    is_stuck: bool,
}

impl<'a> TokenProbe for PoolOfOne<'a> {
    type Borrowed = std::cell::RefMut<'a, RawClient>;
    type Error = RawError;

    async fn borrow(&self) -> Result<Self::Borrowed, RawError> {
        if self.is_stuck {
            std::future::pending::<()>().await;
        }
        Ok(self.client.borrow_mut())
    }

    async fn echo(&self, client: &mut Self::Borrowed, token: &str) -> Result<String, RawError> {
        let rows = client.query(&format!("select '{token}'"))?;
        let value = rows.into_iter().flatten().flatten().next();
        value.ok_or_else(|| RawError::Unexpected("no row".to_owned()))
    }
}

/// Checks the one client after `last` has had it.
async fn check_after(is_stuck: bool, last: impl FnOnce(&mut RawClient)) {
    let application = format!("token-{}", unique());
    let parameters = [("application_name", &*application)];
    let mut client = RawClient::connect_with(&server::target(), &parameters).expect("it gets in");
    last(&mut client);
    let client = RefCell::new(client);
    let pool = PoolOfOne {
        client: &client,
        is_stuck,
    };
    let check = TokenCheck::new(&server::target(), Scope::Application(application)).await;
    // Short, as the wrong ones are waited for in vain.
    let mut check = check.limit(Duration::from_millis(500));
    check.check(&pool).await;
}

#[tokio::test]
async fn a_clean_connection_passes() {
    check_after(false, |client| client.execute("begin; select 1; rollback")).await;
}

#[tokio::test]
#[should_panic = "the next borrower got another reply"]
async fn a_reply_of_somebody_else_is_noticed() {
    check_after(false, |client| {
        let left_behind = frontend::query("select 'left behind'");
        client.send(&left_behind).expect("it is open");
    })
    .await;
}

#[tokio::test]
#[should_panic = "every session should be idle"]
async fn an_open_transaction_is_noticed() {
    check_after(false, |client| client.execute("begin")).await;
}

#[tokio::test]
#[should_panic = "the next borrower's token: ERROR 25P02"]
async fn a_failed_transaction_is_noticed() {
    check_after(false, |client| {
        client.execute("begin");
        client.query("select 1/0").expect_err("an error");
    })
    .await;
}

#[tokio::test]
#[should_panic = "borrowing for the token check took longer than 500ms"]
async fn a_borrower_that_waits_for_ever_is_noticed() {
    check_after(true, |_| {}).await;
}

#[tokio::test]
async fn the_observer_sees_what_is_in_its_scope() {
    let target = server::target();
    let mut client = RawClient::connect(&target).expect("it gets in");
    let other = RawClient::connect(&target).expect("it gets in");
    let scope = Scope::Processes(vec![client.process(), other.process()]);
    let mut observer = Observer::new(&target, scope).await;
    client.execute("begin; create temp table t ()");
    let sessions = observer.sessions().await;
    assert_eq!(sessions.len(), 2);
    assert_eq!(sessions[0].process, client.process());
    assert_eq!(sessions[0].state, "idle in transaction");
    assert_eq!(sessions[0].query, "begin; create temp table t ()");
    assert!(sessions[0].in_transaction);
    assert!(!sessions[1].in_transaction);

    observer.terminate(client.process()).await;
    observer.until_at_most(1, Duration::ZERO).await;
    observer.until_idle(Duration::ZERO).await;
    drop(other);
    observer.until_at_most(0, support::deadline::GENEROUS).await;

    let scope = Scope::Database("it's not there".to_owned());
    let mut observer = Observer::new(&target, scope).await;
    assert_eq!(observer.sessions().await, []);
}
