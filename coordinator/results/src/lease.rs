//! A lock where there is no kernel to keep it: an object that its holder writes anew every ten seconds.
//!
//! It is created if there is none, and changed only by who names its current ETag, so that of two who want it one gets it.
//! Whether its holder still lives is not read from any clock but one's own: an object that stays what it is for a whole
//! lease is nobody's. A holder that was taken for dead learns of it with its next renewal.

use std::sync::Arc;
use std::time::Duration;

use futures::future::try_join_all;
use object_store::path::Path as Key;
use object_store::{Error, ObjectStore, ObjectStoreExt, PutMode, UpdateVersion};
use serde::{Deserialize, Serialize};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior};

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
    /// One renewal may fail, if the next one takes all the time that it may as well; a second one in a row may be one too
    /// many.
    pub(crate) const USUAL: Terms =
        Terms { ttl: Duration::from_secs(30), renewal: Duration::from_secs(10), look: Duration::from_secs(1) };
}

/// So many leases are looked at in one go.
const LOOKS: usize = 16;

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
        let (_, bridge) = folder.objects();
        let desk = Desk::at(folder, key);
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
    let (_, bridge) = folder.objects();
    let desks: Vec<Desk> = keys.iter().map(|key| Desk::at(folder, key)).collect();
    let free = bridge.wait(async {
        let ended = await_ends(&desks, "", terms).await?;
        let dead: Vec<_> = desks.iter().zip(ended).filter_map(|(desk, found)| Some((desk, found?))).collect();
        for some in dead.chunks(LOOKS) {
            try_join_all(some.iter().map(|(desk, found)| desk.bury(found))).await?;
        }
        Ok(())
    });
    free.map_err(|(key, refusal): (Key, Refusal)| refused(folder, key.as_ref(), refusal))
}

/// Waits until none of these leases is held but by who has this token, for all of them at once: returns what lies there
/// then, `None` for nothing. Of one that somebody renews it tells at once.
async fn await_ends(desks: &[Desk], own: &str, terms: Terms) -> Result<Vec<Option<Found>>, (Key, Refusal)> {
    let is_free = |claim: &Claim| claim.token.is_empty() || claim.token == own;
    let all: Vec<usize> = (0..desks.len()).collect();
    let mut found = look(desks, &all).await?;
    let mut held = all;
    held.retain(|place| found[*place].as_ref().is_some_and(|found| !is_free(&found.claim)));
    if let Some(Found { claim, .. }) = held.first().and_then(|place| found[*place].as_ref()) {
        let (shown, holder) = (&desks[held[0]].shown, &claim.holder);
        let others = if held.len() > 1 { format!(", and {} more locks", held.len() - 1) } else { String::new() };
        tracing::warn!(
            "{shown}: locked by {holder}{others}; waiting up to {:?} to see whether it is still at work",
            terms.ttl
        );
    }
    let began = Instant::now();
    while !held.is_empty() {
        tokio::time::sleep(terms.look).await;
        // A lease is over when it is seen unchanged by a look that begins a whole lease after the first one.
        let is_last = began.elapsed() >= terms.ttl;
        let now = look(desks, &held).await?;
        let mut still = Vec::new();
        for (place, now) in held.into_iter().zip(now) {
            match (now, &found[place]) {
                (Some(now), Some(first)) if now.claim == first.claim && now.etag == first.etag => still.push(place),
                (Some(now), _) if !is_free(&now.claim) => {
                    return Err((desks[place].key.clone(), Refusal::Held(now.claim.holder)));
                }
                (ended, _) => found[place] = ended,
            }
        }
        held = if is_last { Vec::new() } else { still };
    }
    Ok(found)
}

/// What lies at the places of some of the desks.
async fn look(desks: &[Desk], places: &[usize]) -> Result<Vec<Option<Found>>, (Key, Refusal)> {
    let mut found = Vec::with_capacity(places.len());
    for some in places.chunks(LOOKS) {
        let reads = some.iter().map(|place| async {
            let desk = &desks[*place];
            desk.read().await.map_err(|error| (desk.key.clone(), error.into()))
        });
        found.extend(try_join_all(reads).await?);
    }
    Ok(found)
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
    fn at(folder: &Folder, key: &str) -> Desk {
        let (objects, _) = folder.objects();
        Desk { objects: Arc::clone(objects), key: Key::from(key), shown: folder.path(key).display().to_string() }
    }

    async fn take(&self, claim: Claim, terms: Terms) -> Result<(Claim, Option<String>), Refusal> {
        loop {
            match self.write(&claim, PutMode::Create).await {
                Ok(etag) => return Ok((claim, etag)),
                Err(Error::AlreadyExists { .. }) => {}
                Err(error) => return Err(error.into()),
            }
            let ended =
                await_ends(std::slice::from_ref(self), &claim.token, terms).await.map_err(|(_, refusal)| refusal)?;
            let Some(found) = ended.into_iter().flatten().next() else { continue };
            if found.claim.token == claim.token {
                // A request got through, and its answer did not.
                return Ok((claim, found.etag));
            }
            match self.write(&claim, update(found.etag)).await {
                Ok(etag) => return Ok((claim, etag)),
                // Somebody else was faster.
                Err(Error::Precondition { .. } | Error::NotFound { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Marks the lease of a dead holder as given back, so that nobody waits for it again.
    async fn bury(&self, dead: &Found) -> Result<(), (Key, Refusal)> {
        let Found { claim, etag: etag @ Some(_) } = dead else { return Ok(()) };
        if claim.token.is_empty() {
            return Ok(());
        }
        let failed = |error: Error| (self.key.clone(), error.into());
        // Should the holder live after all, it hears from whom it has lost the lease.
        let ended = Claim { holder: Holder::this_process(), token: String::new(), renewals: claim.renewals + 1 };
        match self.write(&ended, update(etag.clone())).await {
            Ok(_) => {}
            Err(error) if is_otherwise(&error) => {
                // Somebody has ended it too, or it was renewed at the last moment.
                let now = self.read().await.map_err(failed)?;
                if let Some(now) = now.filter(|now| !now.claim.token.is_empty()) {
                    return Err((self.key.clone(), Refusal::Held(now.claim.holder)));
                }
            }
            Err(error) => tracing::debug!(%error, "the lock of a dead holder stays as it is"),
        }
        Ok(())
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
        // However long a renewal takes, the next one comes when it would have come.
        let mut ticks = tokio::time::interval_at(Instant::now() + terms.renewal, terms.renewal);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            tokio::select! {
                _ = &mut given_back => break,
                _ = ticks.tick() => {}
            }
            claim.renewals += 1;
            match tokio::time::timeout(terms.renewal / 2, self.renew(&claim, etag.clone())).await {
                Ok(Ok(new)) => etag = new,
                Ok(Err(Refusal::Held(holder))) => {
                    loses.send_replace(Some(holder));
                    return;
                }
                // Whoever waits for it takes it over; if nobody does, the next renewal may succeed.
                Ok(Err(Refusal::Failed(error))) => tracing::debug!(%error, "the lock could not be renewed"),
                Err(_) => tracing::debug!("the lock could not be renewed in time"),
            }
        }
        self.give_back(&claim, etag).await;
    }

    /// Writes the lease anew over what has this ETag. Returns the ETag for the next time.
    async fn renew(&self, claim: &Claim, etag: Option<String>) -> Result<Option<String>, Refusal> {
        match self.write(claim, update(etag)).await {
            Ok(new) => Ok(new),
            Err(error) if is_otherwise(&error) => match self.read().await? {
                // A renewal got through whose answer did not: the next one goes by what is there.
                Some(found) if found.claim.token == claim.token => Ok(found.etag),
                Some(found) => Err(Refusal::Held(found.claim.holder)),
                // Somebody removed it: it is written again.
                None => Ok(None),
            },
            Err(error) => Err(error.into()),
        }
    }

    /// Gives the lease back, if it is still one's own.
    async fn give_back(&self, claim: &Claim, mut etag: Option<String>) {
        let ended = Claim { token: String::new(), renewals: claim.renewals + 1, ..claim.clone() };
        // The second time if the last renewal got through and its answer did not.
        for _ in 0..2 {
            match self.write(&ended, update(etag)).await {
                Ok(_) => return,
                Err(error) if is_otherwise(&error) => match self.read().await {
                    Ok(Some(found)) if found.claim.token == claim.token => etag = found.etag,
                    // It was given back by a request whose answer was lost, or somebody else has it.
                    _ => return,
                },
                Err(error) => {
                    tracing::debug!(%error, "a lock could not be given back; it ends by itself");
                    return;
                }
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

/// Whether a conditional write has found something else than it asked for, or nothing.
fn is_otherwise(error: &Error) -> bool {
    matches!(error, Error::Precondition { .. } | Error::AlreadyExists { .. } | Error::NotFound { .. })
}

/// Over what has this ETag; creates the object if there was none.
fn update(etag: Option<String>) -> PutMode {
    match etag {
        Some(etag) => PutMode::Update(UpdateVersion { e_tag: Some(etag), version: None }),
        None => PutMode::Create,
    }
}

#[cfg(test)]
mod tests;
