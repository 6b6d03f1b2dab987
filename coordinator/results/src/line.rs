//! For tests, a bucket at the end of a bad line: no request carries more than a piece, answers are lost, and it is known
//! what was asked.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures::StreamExt;
use futures::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path as Key;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, UploadPart,
};

use crate::pieces::PIECE;

/// What becomes of a write.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    /// It is done, and an error is all that is heard of it.
    AnswerLost,
    /// It is done, and nothing is heard of it.
    AnswerAwaited,
    /// It is not done, and nothing is heard of it.
    Stuck,
}

/// The bucket.
#[derive(Debug, Default)]
pub(crate) struct Line {
    objects: InMemory,
    state: Arc<State>,
}

#[derive(Debug, Default)]
struct State {
    /// What befalls the next writes, one after the other.
    faults: Mutex<VecDeque<Fault>>,
    /// The keys that were read, in order.
    reads: Mutex<Vec<String>>,
    /// Whether the next listing sees nothing, as one does that is past a part's place when the part is written.
    blind: AtomicBool,
    /// Uploads in pieces that were begun, and neither completed nor aborted.
    uploads: AtomicU64,
}

impl Line {
    /// What befalls the next write that has no other fault before it.
    pub(crate) fn fault(&self, fault: Fault) {
        self.state.faults.lock().unwrap().push_back(fault);
    }

    /// The next listing comes too early for what is there.
    pub(crate) fn blind_next_listing(&self) {
        self.state.blind.store(true, Ordering::SeqCst);
    }

    /// The keys that were read since it was asked last.
    pub(crate) fn take_reads(&self) -> Vec<String> {
        std::mem::take(&mut self.state.reads.lock().unwrap())
    }

    /// Uploads in pieces that nobody has ended.
    pub(crate) fn uploads(&self) -> u64 {
        self.state.uploads.load(Ordering::SeqCst)
    }
}

impl State {
    async fn afflict<T>(&self, write: impl Future<Output = Result<T>> + Send) -> Result<T> {
        let fault = self.faults.lock().unwrap().pop_front();
        match fault {
            None => write.await,
            Some(Fault::AnswerLost) => {
                write.await?;
                Err(broken("the answer was lost"))
            }
            Some(Fault::AnswerAwaited) => {
                write.await?;
                std::future::pending().await
            }
            Some(Fault::Stuck) => std::future::pending().await,
        }
    }
}

fn broken(what: &str) -> Error {
    Error::Generic { store: "line", source: what.into() }
}

fn refuse_large(bytes: usize) -> Result<()> {
    if bytes > PIECE { Err(broken("timed out")) } else { Ok(()) }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("line")
    }
}

#[async_trait]
impl ObjectStore for Line {
    async fn put_opts(&self, key: &Key, content: PutPayload, options: PutOptions) -> Result<PutResult> {
        refuse_large(content.content_length())?;
        self.state.afflict(self.objects.put_opts(key, content, options)).await
    }

    async fn put_multipart_opts(&self, key: &Key, options: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        let upload = self.objects.put_multipart_opts(key, options).await?;
        self.state.uploads.fetch_add(1, Ordering::SeqCst);
        Ok(Box::new(LineUpload { upload, state: Arc::clone(&self.state) }))
    }

    async fn get_opts(&self, key: &Key, options: GetOptions) -> Result<GetResult> {
        self.state.reads.lock().unwrap().push(key.to_string());
        let is_head = options.head;
        let mut found = self.objects.get_opts(key, options).await?;
        if !is_head && let Err(error) = refuse_large((found.range.end - found.range.start) as usize) {
            found.payload = GetResultPayload::Stream(futures::stream::iter([Err(error)]).boxed());
        }
        Ok(found)
    }

    fn delete_stream(&self, keys: BoxStream<'static, Result<Key>>) -> BoxStream<'static, Result<Key>> {
        self.objects.delete_stream(keys)
    }

    fn list(&self, prefix: Option<&Key>) -> BoxStream<'static, Result<ObjectMeta>> {
        if self.state.blind.swap(false, Ordering::SeqCst) {
            return futures::stream::empty().boxed();
        }
        self.objects.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Key>) -> Result<ListResult> {
        self.objects.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Key, to: &Key, options: CopyOptions) -> Result<()> {
        self.objects.copy_opts(from, to, options).await
    }
}

#[derive(Debug)]
struct LineUpload {
    upload: Box<dyn MultipartUpload>,
    state: Arc<State>,
}

#[async_trait]
impl MultipartUpload for LineUpload {
    fn put_part(&mut self, content: PutPayload) -> UploadPart {
        match refuse_large(content.content_length()) {
            Ok(()) => self.upload.put_part(content),
            Err(error) => Box::pin(std::future::ready(Err(error))),
        }
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let state = Arc::clone(&self.state);
        state
            .afflict(async {
                let done = self.upload.complete().await?;
                self.state.uploads.fetch_sub(1, Ordering::SeqCst);
                Ok(done)
            })
            .await
    }

    async fn abort(&mut self) -> Result<()> {
        self.state.uploads.fetch_sub(1, Ordering::SeqCst);
        self.upload.abort().await
    }
}
