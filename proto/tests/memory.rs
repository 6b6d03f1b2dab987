//! A message costs whoever decodes it little more than it cost whoever sent it.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use bytes::Bytes;
use prost::Message;
use proto::limits::{MAX_BATCH_LISTS_BYTES, MAX_BATCH_REPORTS, MAX_HELD, MAX_REQUEST_BYTES};
use proto::{Assembler, AssemblyError, Counted, Excess, v1};

/// The system's allocator, which knows what each thread has and had at most.
struct Counting;

thread_local! {
    static HELD: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

fn note(change: isize) {
    HELD.set(HELD.get() + change);
    PEAK.set(PEAK.get().max(HELD.get()));
}

// SAFETY: every call is the system allocator's own; the counters take no memory and have no destructor.
#[expect(unsafe_code, reason = "an allocator is an unsafe trait")]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(layout.size() as isize);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        note(-(layout.size() as isize));
        // SAFETY: as above.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note(size as isize - layout.size() as isize);
        // SAFETY: as above.
        unsafe { System.realloc(memory, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// What something comes to, and how many bytes this thread took for it at most.
fn peak<T>(act: impl FnOnce() -> T) -> (T, usize) {
    let before = HELD.get();
    PEAK.set(before);
    let out = act();
    (out, (PEAK.get() - before).max(0) as usize)
}

fn received(encoded: &Bytes) -> Assembler {
    let mut assembler = Assembler::new(encoded.len());
    assembler.push(encoded.clone()).unwrap();
    assembler
}

/// So many fields of this number with nothing in them: two bytes each.
fn empty_items(number: u8, count: usize) -> Vec<u8> {
    [number << 3 | 2, 0].repeat(count)
}

/// A field with this content.
fn field(number: u8, content: &[u8]) -> Vec<u8> {
    let mut encoded = vec![number << 3 | 2];
    prost::encoding::encode_varint(content.len() as u64, &mut encoded);
    encoded.extend_from_slice(content);
    encoded
}

#[test]
fn a_batch_of_nothings_is_refused_before_it_takes_memory() {
    let nothings = 4 << 20;
    let samples_of_one_report = field(2, &field(3, &empty_items(7, nothings)));
    let sample_lists_of_many = field(2, &field(3, &empty_items(7, 200_000))).repeat(20);
    for encoded in [empty_items(2, nothings), samples_of_one_report, sample_lists_of_many] {
        let encoded = Bytes::from(encoded);
        let (refused, bytes) = peak(|| received(&encoded).finish_batch());
        assert!(matches!(refused, Err(AssemblyError::Excess(_))), "{refused:?}");
        assert!(bytes < 4096, "{bytes} bytes were taken to refuse {}", encoded.len());
    }
}

/// Lists of numbers take on the wire what they take in memory, or a quarter of it if they are shorter than four.
#[test]
fn what_was_counted_is_enough_for_decoding() {
    let report = |samples, epochs: u32| {
        let curves = v1::Curves { epoch: (0..epochs).collect(), ..v1::Curves::default() };
        let samples = vec![v1::Samples { pnl: vec![1.0; 3], ..v1::Samples::default() }; samples];
        let finished = v1::Finished { curves: Some(curves), samples, ..v1::Finished::default() };
        v1::Report { outcome: Some(v1::report::Outcome::Finished(finished)), ..v1::Report::default() }
    };
    let batches = [
        vec![report(0, 0); 1000],
        vec![report(1, 1); 33],
        vec![report(5000, 3); 3],
        vec![report(0, 100_000), report(65, 65)],
        vec![v1::Report::default(); MAX_BATCH_REPORTS],
    ];
    for reports in batches {
        let encoded = Bytes::from(v1::ResultBatch { worker_id: 7, reports }.encode_to_vec());
        let batch = received(&encoded).finish_encoded().unwrap();
        let limit = batch.lists_bytes() + 4 * batch.len();
        let (decoded, bytes) = peak(|| batch.decode());
        let reports = decoded.unwrap().reports.len();
        assert!(bytes <= limit, "{reports} reports take {bytes} bytes, and {limit} were counted");
    }
}

#[test]
fn the_largest_requests_take_little_beyond_their_length() {
    // Whatever a batch is, and however few bytes.
    assert!(2 * MAX_BATCH_REPORTS * size_of::<v1::Report>() < MAX_BATCH_LISTS_BYTES);
    let held = |count: usize| v1::HeartbeatRequest::LAYOUT.count(&empty_items(2, count));
    let largest = held(MAX_HELD).unwrap();
    assert!(largest <= 4 * MAX_REQUEST_BYTES, "{largest}");
    assert_eq!(held(MAX_REQUEST_BYTES / 2), Err(Excess::TooMany { field: "held", limit: MAX_HELD }));
}

#[test]
fn a_heartbeat_of_all_that_may_be_held_is_a_message_that_may_be_sent() {
    let held = v1::Held {
        run_id: Bytes::from_static(&[0xff; 16]),
        attempt: u32::MAX,
        epoch: u32::MAX,
        epochs: u32::MAX,
        loss: Some(1.0),
    };
    let request = v1::HeartbeatRequest { worker_id: u64::MAX, held: vec![held; MAX_HELD] };
    assert!(request.encoded_len() <= MAX_REQUEST_BYTES, "{}", request.encoded_len());
}
