//! A lock where there is no kernel to keep it: an object that its holder writes anew every ten seconds.
//!
//! It is created if there is none, and changed only by who names its current ETag, so that of two who want it one gets it.
//! Whether its holder still lives is not read from any clock but one's own: an object that stays what it is for a whole
//! lease is nobody's. A holder that was taken for dead learns of it with its next renewal.

use std::sync::Arc;
use std::time::{Duration, Instant};

use object_store::path::Path as Key;
use object_store::{Error, ObjectStore, ObjectStoreExt, PutMode, UpdateVersion};
use serde::{Deserialize, Serialize};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

use crate::bridge::Bridge;
use crate::error::StoreError;
use crate::folder::Folder;
use crate::holder::Holder;
use crate::s3;
use crate::unique::unique;

/// How the time of a lease is cut.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    /// An object that nobody has renewed for so long is nobody's.
    pub(crate) ttl: Duration,
    /// How often its holder renews it.
    pub(crate) renewal: Duration,
    /// How often it is looked at by who waits for it.
    pub(crate) look: Duration,
}

impl Terms {
    /// Two renewals may fail before a lease is lost.
    pub(crate) const USUAL: Terms =
        Terms { ttl: Duration::from_secs(30), renewal: Duration::from_secs(10), look: Duration::from_secs(1) };
}

/// How long whoever gives a lease back waits for that: it ends by itself, too.
const PATIENCE: Duration = Duration::from_secs(5);

/// What the object says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Claim {
    /// Who holds it.
    #[serde(flatten)]
    holder: Holder,
    /// Tells holders apart that are called the same. Empty: given back.
    token: String,
    /// Makes every renewal another object, with another ETag.
    renewals: u64,
}

/// A claim as it was found.
struct Found {
    claim: Claim,
    etag: Option<String>,
}

/// Why a lease was not had.
pub(crate) enum Refusal {
    /// Somebody holds it.
    Held(Holder),
    /// The objects cannot be read or written.
    Failed(Error),
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Refusal {
        Refusal::Failed(error)
    }
}

/// A lease that is held until it is dropped, or lost.
#[derive(Debug)]
pub(crate) struct Lease {
    bridge: Arc<Bridge>,
    give_back: Option<oneshot::Sender<()>>,
    renewing: Option<JoinHandle<()>>,
    lost: watch::Receiver<Option<Holder>>,
}

impl Lease {
    /// Takes the lease in the object `key`, or says who holds it. Waits for as long as a lease lasts to see whether its
    /// holder lives.
    pub(crate) fn take(folder: &Folder, key: &str, terms: Terms) -> Result<Lease, StoreError> {
        let (objects, bridge) = folder.objects();
        let desk =
            Desk { objects: Arc::clone(objects), key: Key::from(key), shown: folder.path(key).display().to_string() };
        let claim = Claim { holder: Holder::this_process(), token: format!("{:032x}", unique()), renewals: 0 };
        let taken = bridge.wait(desk.take(claim, terms));
        let (claim, etag) = taken.map_err(|refusal| refused(folder, key, refusal))?;
        let (loses, lost) = watch::channel(None);
        let (give_back, given_back) = oneshot::channel();
        let renewing = bridge.handle().spawn(desk.keep(claim, etag, terms, given_back, loses));
        Ok(Lease { bridge: Arc::clone(bridge), give_back: Some(give_back), renewing: Some(renewing), lost })
    }

    /// Who has taken it over, once somebody has.
    pub(crate) fn lost(&self) -> watch::Receiver<Option<Holder>> {
        self.lost.clone()
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let (Some(give_back), Some(renewing)) = (self.give_back.take(), self.renewing.take()) else { return };
        // A lease that was lost has nobody to give it back.
        let _ = give_back.send(());
        self.bridge.wait(async {
            if tokio::time::timeout(PATIENCE, renewing).await.is_err() {
                tracing::debug!("a lock could not be given back; it ends by itself");
            }
        });
    }
}

/// Makes sure that none of these leases is held: waits for as long as a lease lasts to see whether their holders live.
pub(crate) fn none_is_held(folder: &Folder, keys: Vec<String>, terms: Terms) -> Result<(), StoreError> {
    let (objects, bridge) = folder.objects();
    bridge.wait(async {
        for key in &keys {
            let shown = folder.path(key).display().to_string();
            let desk = Desk { objects: Arc::clone(objects), key: Key::from(key.as_str()), shown };
            desk.await_end("", terms).await.map(drop).map_err(|refusal| refused(folder, key, refusal))?;
        }
        Ok(())
    })
}

fn refused(folder: &Folder, key: &str, refusal: Refusal) -> StoreError {
    match refusal {
        Refusal::Held(holder) => StoreError::Locked { path: folder.path(key), holder },
        Refusal::Failed(error) => folder.error(key, &error),
    }
}

/// The object, and what can be done to it.
struct Desk {
    objects: Arc<dyn ObjectStore>,
    key: Key,
    shown: String,
}

impl Desk {
    async fn take(&self, claim: Claim, terms: Terms) -> Result<(Claim, Option<String>), Refusal> {
        loop {
            match self.write(&claim, PutMode::Create).await {
                Ok(etag) => return Ok((claim, etag)),
                Err(Error::AlreadyExists { .. }) => {}
                Err(error) => return Err(error.into()),
            }
            let Some(found) = self.await_end(&claim.token, terms).await? else { continue };
            if found.claim.token == claim.token {
                // A request got through, and its answer did not.
                return Ok((claim, found.etag));
            }
            match self.write(&claim, update(found.etag)).await {
                Ok(etag) => return Ok((claim, etag)),
                // Somebody else was faster.
                Err(Error::Precondition { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Waits until nobody holds the lease but who has this token: returns what lies there then, `None` for nothing. Who
    /// renews it is told of at once.
    async fn await_end(&self, own: &str, terms: Terms) -> Result<Option<Found>, Refusal> {
        let Some(first) = self.read().await? else { return Ok(None) };
        if first.claim.token.is_empty() || first.claim.token == own {
            return Ok(Some(first));
        }
        let began = Instant::now();
        tracing::warn!(
            "{}: locked by {}; waiting up to {:?} to see whether it is still at work",
            self.shown,
            first.claim.holder,
            terms.ttl
        );
        while began.elapsed() < terms.ttl {
            tokio::time::sleep(terms.look).await;
            match self.read().await? {
                Some(now) if now.claim == first.claim && now.etag == first.etag => {}
                Some(now) if !now.claim.token.is_empty() => return Err(Refusal::Held(now.claim.holder)),
                ended => return Ok(ended),
            }
        }
        Ok(Some(first))
    }

    /// Renews the lease until it is given back or lost.
    async fn keep(
        self,
        mut claim: Claim,
        mut etag: Option<String>,
        terms: Terms,
        mut given_back: oneshot::Receiver<()>,
        loses: watch::Sender<Option<Holder>>,
    ) {
        loop {
            let goes_on = tokio::time::timeout(terms.renewal, &mut given_back).await.is_err();
            claim.renewals += 1;
            let next = if goes_on { claim.clone() } else { Claim { token: String::new(), ..claim.clone() } };
            match self.write(&next, update(etag.clone())).await {
                Ok(new) => etag = new,
                Err(Error::Precondition { .. } | Error::AlreadyExists { .. }) => match self.read().await {
                    // A renewal got through whose answer did not: the next one goes by what is there.
                    Ok(Some(found)) if found.claim.token == claim.token => etag = found.etag,
                    // Somebody removed it: it is written again.
                    Ok(None) => etag = None,
                    Ok(Some(found)) => {
                        loses.send_replace(Some(found.claim.holder));
                        return;
                    }
                    Err(error) => tracing::debug!(%error, "whether the lock is still held is not known"),
                },
                // Whoever waits for it takes it over; if nobody does, the next renewal may succeed.
                Err(error) => tracing::debug!(%error, "the lock could not be renewed"),
            }
            if !goes_on {
                return;
            }
        }
    }

    async fn write(&self, claim: &Claim, mode: PutMode) -> Result<Option<String>, Error> {
        let text = serde_json::to_string(claim).expect("a claim is plain data");
        Ok(s3::put(&*self.objects, &self.key, text.into(), mode).await?.e_tag)
    }

    /// What lies there; a claim that cannot be read is somebody's all the same.
    async fn read(&self) -> Result<Option<Found>, Error> {
        let found = match self.objects.get(&self.key).await {
            Ok(found) => found,
            Err(Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        let etag = found.meta.e_tag.clone();
        let content = found.bytes().await?;
        let foreign = || Claim { token: "unreadable".to_owned(), ..Claim::default() };
        let claim = serde_json::from_slice(&content).unwrap_or_else(|_| foreign());
        Ok(Some(Found { claim, etag }))
    }
}

/// Over what has this ETag; creates the object if there was none.
fn update(etag: Option<String>) -> PutMode {
    match etag {
        Some(etag) => PutMode::Update(UpdateVersion { e_tag: Some(etag), version: None }),
        None => PutMode::Create,
    }
}

#[cfg(test)]
mod tests {
    use object_store::memory::InMemory;

    use super::*;

    const KEY: &str = "locks/sweep.json";

    /// Time enough for every test, renewals one after the other.
    const BRISK: Terms =
        Terms { ttl: Duration::from_secs(600), renewal: Duration::from_millis(2), look: Duration::from_millis(1) };

    /// A lease of whose holder nothing is heard any more is over at once.
    const OVER: Terms = Terms { ttl: Duration::from_millis(20), renewal: Duration::from_secs(600), ..BRISK };

    fn folder(objects: &Arc<InMemory>) -> Folder {
        Folder::in_memory(Arc::clone(objects))
    }

    fn claim(folder: &Folder) -> Claim {
        serde_json::from_slice(&folder.read(KEY).unwrap()).unwrap()
    }

    #[test]
    fn who_comes_while_it_is_renewed_hears_who_holds_it() {
        let objects = Arc::default();
        let (first, second) = (folder(&objects), folder(&objects));
        let held = Lease::take(&first, KEY, BRISK).unwrap();
        let error = Lease::take(&second, KEY, BRISK).unwrap_err();
        let StoreError::Locked { holder, .. } = error else { panic!("{error}") };
        assert_eq!(holder.pid, std::process::id());
        let error = none_is_held(&second, vec![KEY.to_owned()], BRISK).unwrap_err();
        assert!(matches!(error, StoreError::Locked { .. }), "{error}");
        drop(held);
        assert_eq!(claim(&first).token, "", "it was given back");
        none_is_held(&second, vec![KEY.to_owned()], BRISK).unwrap();
        drop(Lease::take(&second, KEY, BRISK).unwrap());
    }

    #[test]
    fn a_lease_that_nobody_renews_is_taken_over_and_its_holder_hears_of_it() {
        let objects = Arc::default();
        let (first, second) = (folder(&objects), folder(&objects));
        let sleepy = Terms { renewal: Duration::from_millis(100), ..BRISK };
        let crashed = Lease::take(&first, KEY, sleepy).unwrap();
        let mut lost = crashed.lost();
        // Somebody overwrites it, as if a whole lease had passed between two renewals.
        let taken = Claim { token: "another".to_owned(), ..Claim::default() };
        second.replace(KEY, serde_json::to_string(&taken).unwrap()).unwrap();
        first.objects().1.wait(async { lost.wait_for(Option::is_some).await.map(drop) }).unwrap();
        let _over = Lease::take(&second, KEY, OVER).unwrap();
        let before = claim(&second);
        drop(crashed);
        assert_eq!(claim(&second), before, "whoever has lost it does not give it back");
    }

    #[test]
    fn a_lock_that_cannot_be_read_is_waited_for_like_any_other() {
        let objects = Arc::default();
        let folder = folder(&objects);
        folder.replace(KEY, "nonsense").unwrap();
        drop(Lease::take(&folder, KEY, OVER).unwrap());
    }

    #[test]
    fn a_lock_that_somebody_removes_is_written_again() {
        let objects = Arc::default();
        let folder = folder(&objects);
        let held = Lease::take(&folder, KEY, BRISK).unwrap();
        folder.delete(KEY).unwrap();
        while matches!(folder.read(KEY), Err(StoreError::Missing { .. })) {
            std::thread::yield_now();
        }
        assert!(held.lost().borrow().is_none());
    }
}
