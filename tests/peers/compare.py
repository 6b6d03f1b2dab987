"""Runs the engine and a peer on the same config in turns, and compares seconds and results.

    cargo build --release --bin worker
    python3 -m venv /tmp/peers && /tmp/peers/bin/pip install torch jax numpy
    /tmp/peers/bin/python tests/peers/compare.py --peer hedging_torch --compile

Round k has seed k in both. Both are pinned to one core (with --threads N to N, of which the engine, whose runs are
single-threaded, uses one) and time themselves from inside: neither the start of a process
nor compilation counts. The ratio is the peer's seconds over ours. Exit status: 0 if the results agree, 1 if they do not,
2 if something is missing or fails.
"""

import argparse
import importlib.util
import json
import os
import subprocess
import sys
from math import sqrt
from pathlib import Path

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parent.parent
DEFAULT_PEER = "hedging_torch"
FARTHEST = 3.0  # standard errors between two means that still agree
# What must agree, with the standard error of one test set: the two sides' are different draws of one size.
COMPARED = {"test.loss": "test.loss_se", "test.cvar95": "test.cvar95_se"}


def fail(message):
    print(f"error: {message}", file=sys.stderr)
    sys.exit(2)


def require(module, what):
    if importlib.util.find_spec(module) is None:
        fail(f"{what} needs {module}, which {sys.executable} lacks: {sys.executable} -m pip install {module}")


require("numpy", "compare.py")
from common import PEERS, add_run_arguments


def arguments():
    # The defaults of the other arguments depend on the peer.
    first = argparse.ArgumentParser(add_help=False)
    first.add_argument("--peer", default=DEFAULT_PEER)
    peer = PEERS.get(first.parse_known_args()[0].peer, PEERS[DEFAULT_PEER])
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", choices=PEERS, default=DEFAULT_PEER)
    parser.add_argument("--worker", type=Path, default=REPOSITORY / "target/release/worker", metavar="PATH")
    parser.add_argument("--rounds", type=int, default=peer.rounds, help="at least 3 (default: %(default)s)")
    parser.add_argument("--core", type=int, help="the core to run on (default: the last one that is allowed)")
    add_run_arguments(parser, peer)
    args = parser.parse_args()
    if args.rounds < 3:
        parser.error(f"--rounds {args.rounds}: at least 3")
    if not (args.worker.is_file() and os.access(args.worker, os.X_OK)):
        fail(f"{args.worker} is no program: cargo build --release --bin worker, or say --worker PATH")
    require(args.peer.partition("_")[2], args.peer)
    return args


def pin(args):
    """Pins this process, and with it all that it starts. Returns what to say of it."""
    if not hasattr(os, "sched_setaffinity"):
        return "not pinned: this system has no affinity"
    allowed = sorted(os.sched_getaffinity(0))
    if args.core is not None and args.core not in allowed:
        fail(f"--core {args.core} is not allowed; allowed: {', '.join(map(str, allowed))}")
    if args.core is not None and args.threads > 1:
        fail("--core is for one thread: two on one core would wait for each other")
    cores = {args.core} if args.core is not None else set(allowed[-args.threads:])
    os.sched_setaffinity(0, cores)
    return f"core {', '.join(map(str, sorted(cores)))}"


def run(command, stdin=None):
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        fail(f"{command[0]} {command[1]} ended with {done.returncode}:\n{done.stderr.strip()}")
    result = json.loads(done.stdout)
    if result.get("status", "ok") != "ok":
        fail(f"{command[0]} {command[1]}: {result['status']}: {result['error']}")
    return result["metrics"]


def ours(args, seed):
    config = {
        "preset": PEERS[args.peer].preset, "seed": seed, "loss.kind": args.loss, "training.epochs": args.epochs,
        "training.batch_size": args.batch_size, "optimizer.lr": args.lr, "evaluation.hedges": [],
    }
    return run([str(args.worker), "run", "-"], json.dumps(config))


def theirs(args, seed):
    command = [sys.executable, str(HERE / f"{args.peer}.py"), "--json", f"--seed={seed}"]
    passed_on = ("epochs", "batch_size", "lr", "loss", "threads")
    command += [f"--{key.replace('_', '-')}={getattr(args, key)}" for key in passed_on]
    return run(command + ["--compile"] * getattr(args, "compile", False))


def trained_in(metrics):
    return metrics["time.simulate_s"] + metrics["time.train_s"]


def print_round(name, ours, theirs):
    """Prints one round's seconds, and returns both ratios."""
    trained, evaluated = ((of(ours), of(theirs)) for of in (trained_in, lambda m: m["time.evaluate_s"]))
    ratios = [peer / own for own, peer in (trained, evaluated)]
    print("{:>6} {:10.4f} {:10.4f} {:8.2f} {:13.4f} {:10.4f} {:8.2f}".format(
        name, *trained, ratios[0], *evaluated, ratios[1]), flush=True)
    return ratios


def median(values):
    values, half = sorted(values), len(values) // 2
    return values[half] if len(values) % 2 else (values[half - 1] + values[half]) / 2


def mean_and_error(values):
    """Mean over seeds, and its standard error."""
    mean = sum(values) / len(values)
    return mean, sqrt(sum((x - mean) ** 2 for x in values) / (len(values) - 1) / len(values))


def compare_results(ours, theirs):
    """Prints the test metrics' means over seeds; returns whether those that must agree do.

    The standard error of a difference has both sides' seeds in it, and both test sets, which all seeds of a side share.
    """
    print("\n{:14} {:>12} {:>9} {:>12} {:>9} {:>9} {:>6}".format("", "ours", "±seeds", "peer", "±seeds", "±sets", "z"))
    agree = True
    for name in ("test.loss", "test.cvar95", "test.pnl_mean", "test.pnl_sd", "test.mean_cost"):
        (our_mean, our_error), (mean, error) = (mean_and_error([m[name] for m in side]) for side in (ours, theirs))
        row = f"{name:14} {our_mean:12.5g} {our_error:9.2g} {mean:12.5g} {error:9.2g}"
        if name in COMPARED:
            sets = sqrt(2) * mean_and_error([m[COMPARED[name]] for m in theirs])[0]
            z = (our_mean - mean) / sqrt(our_error**2 + error**2 + sets**2)
            agree &= abs(z) <= FARTHEST
            row += f" {sets:9.2g} {z:+6.2f}"
        print(row)
    return agree


def main():
    args = arguments()
    where = pin(args)
    compiled = ", compiled" if getattr(args, "compile", False) else ""
    print(f"{args.worker} and {args.peer}{compiled}, {where}")
    print(f"{args.loss}, {args.epochs} epochs, batch {args.batch_size}, lr {args.lr:g}\n")
    print("{:6} {:^30} {:^35}".format("", "simulate + train, s", "   evaluate, s"))
    heads = "ours", "peer", "ratio"
    print("{:>6} {:>10} {:>10} {:>8} {:>13} {:>10} {:>8}".format("round", *heads, *heads))
    engine, peer, ratios = [], [], []
    for seed in range(args.rounds):
        engine.append(ours(args, seed))
        peer.append(theirs(args, seed))
        ratios.append(print_round(seed, engine[-1], peer[-1]))
    print("{:>6} {:30.2f} {:33.2f}".format("median", *map(median, zip(*ratios))))
    agree = compare_results(engine, peer)
    print(f"\n{' and '.join(COMPARED)}: {'agree' if agree else 'DISAGREE'} (within {FARTHEST:g} standard errors)")
    sys.exit(0 if agree else 1)


if __name__ == "__main__":
    main()
