//! A training takes its memory in its first steps, and none after them.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::ops::ControlFlow;

use engine::record::Epoch;
use engine::{Observer, Preset, RunConfig, Status, Value};

/// The system's allocator, which counts what each thread asks of it.
struct Counting;

thread_local! {
    static ASKED: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: every call is the system allocator's own; the counter takes no memory and has no destructor.
#[expect(unsafe_code, reason = "an allocator is an unsafe trait")]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ASKED.set(ASKED.get() + 1);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ASKED.set(ASKED.get() + 1);
        // SAFETY: as above.
        unsafe { System.realloc(memory, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Notes after every epoch how often memory was asked for.
struct Notes(Vec<u64>);

impl Observer for Notes {
    fn epoch(&mut self, _: &Epoch) -> ControlFlow<()> {
        self.0.push(ASKED.get());
        ControlFlow::Continue(())
    }
}

/// How often memory was asked for in the first epoch, and in each of the others.
fn allocations(preset: Preset, keys: &[(&str, Value)]) -> (u64, Vec<u64>) {
    let short = [
        ("training.epochs", Value::Int(12)),
        ("training.keep", "last".into()),
        ("evaluation.validation_paths", Value::Int(0)),
        ("evaluation.test_paths", Value::Int(0)),
        ("evaluation.hedges", Value::List(Vec::new())),
    ];
    let config = RunConfig::resolve(preset, 1, short.iter().chain(keys).map(|(key, value)| (*key, value))).unwrap();
    let mut notes = Notes(Vec::with_capacity(12));
    let before = ASKED.get();
    let result = engine::run(&config, &mut notes).unwrap();
    assert_eq!((result.status, notes.0.len()), (Status::Ok, 12), "{:?}", result.error);
    (notes.0[0] - before, notes.0.windows(2).map(|pair| pair[1] - pair[0]).collect())
}

#[test]
fn no_optimiser_and_no_loss_takes_memory_after_the_first_steps() {
    let kfac = [("optimizer.kind", Value::from("kfac")), ("optimizer.kl_clip", Value::Float(1e-3))];
    let with = |keys: &[(&'static str, Value)]| [&kfac[..], keys].concat();
    let small = [("training.paths", Value::Int(96)), ("network.hidden", Value::Int(11))];
    let loss = |kind: &str| vec![("loss.kind", Value::from(kind))];
    let cases: Vec<(Preset, Vec<(&'static str, Value)>)> = vec![
        (Preset::Paper, vec![]),
        (Preset::Paper, vec![("optimizer.kind", "sgd".into())]),
        (Preset::Paper, vec![("optimizer.kind", "kfac".into())]),
        (Preset::Paper, vec![("market.generator", "numpy_mt19937".into()), ("market.generator_seed", Value::Int(42))]),
        (Preset::Hedging, vec![]),
        (Preset::Hedging, vec![("network.hidden", Value::Int(27))]),
        (Preset::Hedging, vec![("training.average", Value::Float(0.9))]),
        (Preset::Hedging, loss("mean_variance")),
        (Preset::Hedging, loss("entropic")),
        (Preset::Hedging, loss("cvar")),
        (Preset::Hedging, with(&[])),
        (Preset::Hedging, with(&[("optimizer.sharing", "reduce".into())])),
        (Preset::Hedging, with(&[("optimizer.layers", "head".into()), ("optimizer.rest", "adam".into())])),
        (Preset::Hedging, with(&[("optimizer.fisher", "ggn".into()), ("loss.kind", "entropic".into())])),
        (
            Preset::Hedging,
            with(&[
                ("optimizer.fisher", "ggn".into()),
                ("optimizer.recurrent_factors", "joint".into()),
                ("optimizer.damping_adapt", "levenberg_marquardt".into()),
            ]),
        ),
    ];
    for (preset, keys) in cases {
        let keys = if preset == Preset::Hedging { [&small[..], &keys].concat() } else { keys };
        let (first, others) = allocations(preset, &keys);
        assert!(first > 10, "{keys:?}: the count counts");
        // Levenberg and Marquardt's rule looks at every fifth step, and takes the room for it then.
        assert_eq!(others[5..], [0; 6], "{preset:?} {keys:?}: {others:?}");
    }
}
