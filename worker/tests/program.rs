//! The `worker` program as a member of a fleet, over TCP.

mod support;

use std::process::Stdio;
use std::time::Duration;

use engine::Value;
use proto::Outcome;
use support::{Coordinator, task};
use tokio::io::AsyncReadExt;
use tokio::process::{Child, Command};

fn worker(url: &str, arguments: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_worker"))
        .args(["--coordinator", url, "--slots", "2", "--name", "fred"])
        .args(arguments)
        .env_remove("RUST_LOG")
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

/// Waits for the end; the exit code and the log.
async fn ended(mut child: Child) -> (Option<i32>, String) {
    let mut log = String::new();
    let end = async {
        child.stderr.take().unwrap().read_to_string(&mut log).await.unwrap();
        child.wait().await.unwrap()
    };
    let status = tokio::time::timeout(Duration::from_secs(60), end).await.expect("it ends within a minute");
    (status.code(), log)
}

#[cfg(unix)]
async fn terminate(child: &Child) {
    let id = child.id().expect("it runs").to_string();
    assert!(Command::new("kill").args(["-TERM", &id]).status().await.unwrap().success());
}

#[tokio::test]
async fn runs_what_it_is_given_and_ends_with_the_sweep() {
    let coordinator = Coordinator::new();
    let small = [
        ("training.epochs", Value::Int(2)),
        ("market.steps", Value::Int(4)),
        ("evaluation.validation_paths", Value::Int(4)),
        ("evaluation.test_paths", Value::Int(4)),
    ];
    coordinator.change(|books| {
        books.tasks.extend((0..5).map(|seed| task(seed, &small)));
        books.finished = true;
    });
    let url = coordinator.listen().await;
    let (code, log) = ended(worker(&url, &["--exit-when-done", "--log-format", "json"])).await;
    assert_eq!(code, Some(0), "{log}");
    let done = log.lines().last().unwrap();
    assert!(done.contains(r#""message":"done""#) && done.contains(r#""ok":5"#), "{done}");
    let books = coordinator.books();
    assert_eq!(books.reports.len(), 5);
    for (_, report) in &books.reports {
        let Outcome::Finished(output) = &report.outcome else { panic!("{report:?}") };
        assert!(output.metrics.get("test.loss").is_some());
        assert_eq!(output.curves.len(), 2);
        assert_eq!(output.path.len(), 5);
        assert_eq!(output.provenance.worker, "fred");
    }
}

#[tokio::test]
async fn a_refusal_is_told_and_is_bad_usage() {
    let coordinator = Coordinator::new();
    coordinator.change(|books| books.refusal = Some("upgrade the worker".into()));
    let (code, log) = ended(worker(&coordinator.listen().await, &[])).await;
    assert_eq!(code, Some(2), "{log}");
    assert!(log.contains("error: refused by the coordinator: upgrade the worker"), "{log}");
}

#[tokio::test]
async fn a_coordinator_that_does_not_answer_is_given_up_and_that_is_a_failure() {
    // Taken, so that nobody else answers there, and not listened to.
    let taken = tokio::net::TcpSocket::new_v4().unwrap();
    taken.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let url = format!("http://{}", taken.local_addr().unwrap());
    let (code, log) = ended(worker(&url, &["--exit-when-done", "--give-up-after", "50ms"])).await;
    assert_eq!(code, Some(1), "{log}");
    assert!(log.contains("error: the coordinator has not answered for"), "{log}");
}

#[cfg(unix)]
#[tokio::test]
async fn the_first_signal_drains_and_the_second_ends() {
    let coordinator = Coordinator::new();
    let url = coordinator.listen().await;
    let idle = worker(&url, &[]);
    coordinator.heartbeats(1).await;
    terminate(&idle).await;
    let (code, log) = ended(idle).await;
    assert_eq!(code, Some(0), "{log}");

    // Another coordinator: the first one may not have noticed yet that nobody waits for its tasks.
    let coordinator = Coordinator::new();
    let url = coordinator.listen().await;
    let long = [("training.epochs", Value::Int(1_000_000))];
    coordinator.change(|books| books.tasks.push_back(task(0, &long)));
    let busy = worker(&url, &[]);
    coordinator
        .until(|books| books.heartbeats.last().is_some_and(|last| last.held.iter().any(|held| held.epoch > 0)))
        .await;
    terminate(&busy).await;
    // The first signal was heard when the worker says what it does about it.
    let mut busy = busy;
    let mut stderr = busy.stderr.take().unwrap();
    let mut log = Vec::new();
    while !String::from_utf8_lossy(&log).contains("handing back the rest") {
        assert_ne!(stderr.read_buf(&mut log).await.unwrap(), 0, "{}", String::from_utf8_lossy(&log));
    }
    terminate(&busy).await;
    let status = tokio::time::timeout(Duration::from_secs(60), busy.wait()).await.unwrap().unwrap();
    assert_eq!(status.code(), Some(130));
}
