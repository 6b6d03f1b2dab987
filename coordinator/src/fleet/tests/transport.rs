//! The fleet as its workers see it, through gRPC in memory and over a socket.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::time::Duration;

use proto::v1;
use proto::{Hello, Lease, Outcome, Report};
use tonic::transport::Channel;
use tonic::{Code, Status as Refusal};

use super::super::{Fleet, FleetOptions, Gate, Summary, start};
use super::*;

fn options() -> FleetOptions {
    FleetOptions {
        store_interval: Duration::from_millis(20),
        farewell: Duration::from_secs(2),
        ..FleetOptions::default()
    }
}

fn fleet(options: FleetOptions, tasks: u64, sink: &Memory) -> Fleet {
    start(options, Arc::new(Source), numbers(tasks), sink.clone()).unwrap()
}

fn client(fleet: &Fleet) -> Client {
    client_of(fleet.connector().channel(), None)
}

fn hello(slots: u32) -> v1::JoinRequest {
    (&Hello { engine_version: "test".into(), host: "host".into(), name: "name".into(), slots }).into()
}

async fn join(client: &mut Client, slots: u32) -> u64 {
    client.join(hello(slots)).await.unwrap().into_inner().worker_id
}

async fn lease(client: &mut Client, worker_id: u64) -> Result<Lease, Refusal> {
    let request = v1::LeaseTasksRequest { worker_id, max_tasks: 10_000, wait_ms: 5_000 };
    Ok(client.lease_tasks(request).await?.into_inner().try_into().unwrap())
}

async fn report(
    client: &mut Client,
    worker_id: u64,
    reports: Vec<v1::Report>,
) -> Result<Vec<v1::acknowledgement::Verdict>, Refusal> {
    let batch = proto::chunk::encode_batch(&v1::ResultBatch { worker_id, reports });
    let pieces = proto::pieces(batch).map(|piece| v1::ReportResultsRequest { piece });
    let response = client.report_results(futures::stream::iter(pieces)).await?.into_inner();
    Ok(response.acknowledgements.iter().map(|acknowledgement| acknowledgement.verdict()).collect())
}

fn result(run_id: RunId, attempt: u32) -> v1::Report {
    (&Report { run_id, attempt, outcome: Outcome::Finished(output(0.25)) }).into()
}

/// Works until there is nothing left. Reports go out while the next tasks are being asked for. Returns how many tasks
/// it has done.
pub(super) async fn work(mut client: Client, slots: u32) -> Result<u64, Refusal> {
    let worker_id = join(&mut client, slots).await;
    let mut reporting = tokio::task::JoinSet::new();
    let mut done = 0;
    loop {
        let grant = match lease(&mut client, worker_id).await? {
            Lease::Granted(grant) => grant,
            Lease::Nothing => continue,
            Lease::Finished | Lease::Draining => break,
        };
        let reports: Vec<_> = grant.tasks.iter().map(|task| result(task.run_id, task.attempt)).collect();
        done += reports.len() as u64;
        let mut client = client.clone();
        reporting.spawn(async move { report(&mut client, worker_id, reports).await });
    }
    for verdicts in reporting.join_all().await {
        assert!(verdicts?.iter().all(|verdict| *verdict == v1::acknowledgement::Verdict::Stored));
    }
    Ok(done)
}

#[tokio::test]
async fn every_task_is_done_and_stored_once() {
    let sink = Memory::default();
    let fleet = fleet(options(), 500, &sink);
    let progress = fleet.progress();
    let workers = [work(client(&fleet), 2), work(client(&fleet), 1)].map(tokio::spawn);
    let summary = fleet.join().await.unwrap();
    assert_eq!((summary.finished, summary.counts.ok), (true, 500));
    let mut done = 0;
    for worker in workers {
        done += worker.await.unwrap().unwrap();
    }
    assert_eq!(done, 500);
    let records = sink.records();
    assert_eq!(records.len(), 500);
    assert_eq!(records.iter().map(|record| record.run_id).collect::<BTreeSet<_>>().len(), 500);
    let last = records.iter().find(|record| record.run_id == task(499).run_id).unwrap();
    assert_eq!((&*last.config, last.output.provenance.attempt), ("{\"seed\":499}", 1));
    assert!(progress.borrow().planned && progress.borrow().counts.ok == 500);
}

#[tokio::test]
async fn remote_workers_are_served_over_a_socket() {
    let sink = Memory::default();
    let fleet = fleet(
        FleetOptions { listen: Some(Gate::new(([127, 0, 0, 1], 0).into(), None, None, false).unwrap()), ..options() },
        20,
        &sink,
    );
    let address = fleet.local_addr().unwrap();
    let channel = Channel::from_shared(format!("http://{address}")).unwrap().connect_lazy();
    let client = client_of(channel, None);
    let worker = tokio::spawn(work(client, 2));
    assert_eq!(fleet.join().await.unwrap().counts.ok, 20);
    assert_eq!(worker.await.unwrap().unwrap(), 20);
}

#[tokio::test]
async fn a_worker_of_another_version_is_told_what_to_upgrade() {
    let fleet = fleet(options(), 1, &Memory::default());
    let mut client = client(&fleet);
    let request = v1::JoinRequest { numeric_version: engine::NUMERIC_VERSION + 1, ..hello(1) };
    let refusal = client.join(request).await.unwrap_err();
    assert_eq!(refusal.code(), Code::FailedPrecondition);
    assert!(refusal.message().contains("upgrade the coordinator"), "{refusal}");
}

#[tokio::test]
async fn names_are_bounded() {
    let fleet = fleet(options(), 1, &Memory::default());
    let request = v1::JoinRequest { host: "h".repeat(1_000), ..hello(1) };
    assert_eq!(client(&fleet).join(request).await.unwrap_err().code(), Code::InvalidArgument);
}

#[tokio::test]
async fn workers_are_bounded() {
    let fleet = fleet(FleetOptions { max_workers: 1, ..options() }, 1, &Memory::default());
    let mut client = client(&fleet);
    join(&mut client, 1).await;
    assert_eq!(client.join(hello(1)).await.unwrap_err().code(), Code::ResourceExhausted);
}

#[tokio::test]
async fn who_is_not_known_is_to_join_again() {
    let fleet = fleet(options(), 1, &Memory::default());
    let mut client = client(&fleet);
    assert_eq!(lease(&mut client, 99).await.unwrap_err().code(), Code::NotFound);
    let request = v1::HeartbeatRequest { worker_id: 99, held: Vec::new() };
    assert_eq!(client.heartbeat(request).await.unwrap_err().code(), Code::NotFound);
}

#[tokio::test]
async fn nonsense_is_refused_report_by_report() {
    let sink = Memory::default();
    let fleet = fleet(options(), 3, &sink);
    let mut client = client(&fleet);
    let worker_id = join(&mut client, 3).await;
    let Lease::Granted(grant) = lease(&mut client, worker_id).await.unwrap() else { panic!() };
    let id = |index: usize| grant.tasks[index].run_id;
    let mut infinite = result(id(0), 1);
    if let Some(v1::report::Outcome::Finished(finished)) = &mut infinite.outcome {
        finished.metrics[0] = f64::INFINITY;
    }
    let mut short = result(id(1), 1);
    if let Some(v1::report::Outcome::Finished(finished)) = &mut short.outcome {
        finished.metrics.pop();
    }
    let nameless = v1::Report { run_id: Bytes::from_static(b"short"), ..result(id(1), 1) };
    let stranger = result(RunId([9; 16]), 1);
    let reports = vec![infinite, nameless, result(id(2), 1), short, stranger];
    let verdicts = report(&mut client, worker_id, reports).await.unwrap();
    use v1::acknowledgement::Verdict::{Invalid, Stored, Unknown};
    assert_eq!(verdicts, [Invalid, Invalid, Stored, Invalid, Unknown]);
    assert_eq!(sink.records().len(), 1);
    // What was reported as nonsense is tried again.
    let Lease::Granted(again) = lease(&mut client, worker_id).await.unwrap() else { panic!() };
    assert_eq!(again.tasks.iter().map(|task| task.attempt).collect::<Vec<_>>(), [2, 2]);
}

#[tokio::test]
async fn a_batch_beyond_the_limit_is_refused() {
    let fleet = fleet(FleetOptions { max_batch_bytes: 1_000, ..options() }, 1, &Memory::default());
    let mut client = client(&fleet);
    let worker_id = join(&mut client, 1).await;
    let reports = (0..100).map(|index| result(task(index).run_id, 1)).collect();
    let refusal = report(&mut client, worker_id, reports).await.unwrap_err();
    // The worker is to send less, not later.
    assert_eq!(refusal.code(), Code::OutOfRange, "{refusal}");
}

#[tokio::test]
async fn lists_of_nothings_are_refused_before_they_take_memory() {
    use proto::limits::{MAX_BATCH_REPORTS, MAX_HELD};
    let fleet = fleet(options(), 1, &Memory::default());
    let mut client = client(&fleet);
    let worker_id = join(&mut client, 1).await;
    let request = v1::HeartbeatRequest { worker_id, held: vec![v1::Held::default(); MAX_HELD + 1] };
    let refusal = client.heartbeat(request).await.unwrap_err();
    assert_eq!(refusal.code(), Code::OutOfRange, "{refusal}");
    assert!(refusal.message().contains("held has more than"), "{refusal}");
    let reports = vec![v1::Report::default(); MAX_BATCH_REPORTS + 1];
    let refusal = report(&mut client, worker_id, reports).await.unwrap_err();
    assert_eq!(refusal.code(), Code::OutOfRange, "{refusal}");
    // The connection and the worker are none the worse for it.
    assert!(matches!(lease(&mut client, worker_id).await.unwrap(), Lease::Granted(_)));
}

#[tokio::test]
async fn who_leaves_gives_its_leases_back_at_once_and_is_not_missed() {
    let fleet = fleet(options(), 1, &Memory::default());
    let mut client = client(&fleet);
    let first = join(&mut client, 1).await;
    let Lease::Granted(grant) = lease(&mut client, first).await.unwrap() else { panic!() };
    client.leave(v1::LeaveRequest { worker_id: first }).await.unwrap();
    assert_eq!(client.leave(v1::LeaveRequest { worker_id: first }).await.unwrap_err().code(), Code::NotFound);
    let second = join(&mut client, 1).await;
    let Lease::Granted(again) = lease(&mut client, second).await.unwrap() else { panic!() };
    assert_eq!((again.tasks[0].run_id, again.tasks[0].attempt), (grant.tasks[0].run_id, 2));
    // Whoever looks on hears of it a moment later.
    let seen = *fleet.progress().wait_for(|progress| progress.tally.attempts == 2).await.unwrap();
    let tally = seen.tally;
    assert_eq!((tally.workers_joined, tally.workers_left, tally.workers_lost), (2, 1, 0));
    assert_eq!(seen.counts.strikes, 0);
    // What it had finished is as good as anybody's, though nobody knows it any more.
    let verdicts = report(&mut client, first, vec![result(grant.tasks[0].run_id, 1)]).await.unwrap();
    assert_eq!(verdicts, [v1::acknowledgement::Verdict::Stored]);
}

#[tokio::test]
async fn a_broken_store_is_the_fleets_error_and_nothing_is_acknowledged() {
    let sink = Memory::default();
    sink.broken.store(true, Ordering::SeqCst);
    let fleet = fleet(options(), 5, &sink);
    let worker = tokio::spawn(work(client(&fleet), 2));
    let error = fleet.join().await.unwrap_err();
    assert_eq!(error.to_string(), "the results cannot be stored: no space left on device");
    assert_eq!(worker.await.unwrap().unwrap_err().code(), Code::Unavailable);
}

#[tokio::test]
async fn a_full_disk_delays_the_results_and_loses_none() {
    let sink = Memory::default();
    sink.full.store(1, Ordering::SeqCst);
    let fleet = fleet(options(), 50, &sink);
    let options = worker::AgentOptions { exit_when_done: true, ..worker::AgentOptions::new("patient", 2) };
    let runner = Arc::new(worker::EngineRunner::default());
    let (_handle, shutdown) = worker::ShutdownHandle::new();
    let agent = tokio::spawn(worker::run(fleet.connector().channel(), options, runner, shutdown));
    let summary = fleet.join().await.unwrap();
    // The source's run ids are numbers, which no config has: every task is refused by the worker, and that is stored.
    assert_eq!((summary.finished, summary.counts.failed), (true, 50));
    assert_eq!(sink.records().iter().map(|record| record.run_id).collect::<BTreeSet<_>>().len(), 50);
    assert_eq!(agent.await.unwrap().unwrap().undelivered, 0);
}

#[tokio::test]
async fn a_drained_fleet_tells_its_workers_and_ends() {
    let sink = Memory::default();
    let fleet = fleet(options(), 1_000_000, &sink);
    let mut client = client(&fleet);
    let worker_id = join(&mut client, 1).await;
    let Lease::Granted(grant) = lease(&mut client, worker_id).await.unwrap() else { panic!() };
    fleet.drain();
    let heartbeat = v1::HeartbeatRequest { worker_id, held: Vec::new() };
    let told = client.heartbeat(heartbeat).await.unwrap().into_inner();
    assert!(told.drain && !told.finished);
    assert_eq!(lease(&mut client, worker_id).await.unwrap(), Lease::Draining);
    let reports = grant.tasks.iter().map(|task| result(task.run_id, task.attempt)).collect();
    report(&mut client, worker_id, reports).await.unwrap();
    let Summary { counts, finished, .. } = fleet.join().await.unwrap();
    assert_eq!((counts.ok, finished), (grant.tasks.len() as u64, false));
}

#[tokio::test]
async fn blobs_come_in_pieces() {
    let fleet = fleet(options(), 1, &Memory::default());
    let mut client = client(&fleet);
    let mut pieces = client.get_blob(v1::GetBlobRequest { digest: "blake3:0".into() }).await.unwrap().into_inner();
    let mut length = 0;
    while let Some(response) = pieces.message().await.unwrap() {
        assert!(response.piece.len() <= proto::limits::MAX_PIECE_BYTES);
        length += response.piece.len();
    }
    assert_eq!(length, 3 << 20);
    let missing = client.get_blob(v1::GetBlobRequest { digest: "blake3:1".into() }).await.unwrap_err();
    assert_eq!(missing.code(), Code::NotFound);
}

#[tokio::test]
async fn health_can_be_asked_for() {
    let fleet = fleet(options(), 1, &Memory::default());
    let mut health = tonic_health::pb::health_client::HealthClient::new(fleet.connector().channel());
    for service in ["", "hedgesweep.v1.Fleet"] {
        let request = tonic_health::pb::HealthCheckRequest { service: service.into() };
        let status = health.check(request).await.unwrap().into_inner().status();
        assert_eq!(status, tonic_health::pb::health_check_response::ServingStatus::Serving, "{service}");
    }
}

#[tokio::test]
async fn the_services_can_be_listed() {
    use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
    use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
    use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
    use tonic_reflection::pb::v1::{ServerReflectionRequest, ServerReflectionResponse};

    let fleet = fleet(options(), 1, &Memory::default());
    let mut reflection = ServerReflectionClient::new(fleet.connector().channel());
    let list = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut answers = reflection.server_reflection_info(futures::stream::iter([list])).await.unwrap().into_inner();
    let ServerReflectionResponse { message_response, .. } = answers.message().await.unwrap().unwrap();
    let Some(MessageResponse::ListServicesResponse(list)) = message_response else { panic!("{message_response:?}") };
    let names: BTreeSet<_> = list.service.into_iter().map(|service| service.name).collect();
    assert!(names.contains("hedgesweep.v1.Fleet") && names.contains("grpc.health.v1.Health"), "{names:?}");
}

#[tokio::test]
async fn a_result_without_what_the_sweep_records_is_not_taken() {
    let sink = Memory::default();
    let fleet = fleet(options(), 1, &sink);
    let mut client = client(&fleet);
    let worker_id = join(&mut client, 1).await;
    let Lease::Granted(grant) = lease(&mut client, worker_id).await.unwrap() else { panic!("no task") };
    // Computed for a version of the file that recorded no curves.
    let mut bare = output(0.25);
    bare.metrics.set("train.loss_final", 0.5);
    let run_id = grant.tasks[0].run_id;
    let old: v1::Report = (&Report { run_id, attempt: 1, outcome: Outcome::Finished(bare.clone()) }).into();
    assert_eq!(report(&mut client, worker_id, vec![old]).await.unwrap(), [v1::acknowledgement::Verdict::Invalid]);
    assert!(sink.records().is_empty());
    let Lease::Granted(again) = lease(&mut client, worker_id).await.unwrap() else { panic!("the task is gone") };
    assert_eq!((again.tasks[0].run_id, again.tasks[0].attempt), (run_id, 2));
    bare.curves = vec![engine::record::Epoch { epoch: 1, loss: Some(0.5), ..Default::default() }];
    let whole: v1::Report = (&Report { run_id, attempt: 2, outcome: Outcome::Finished(bare) }).into();
    assert_eq!(report(&mut client, worker_id, vec![whole]).await.unwrap(), [v1::acknowledgement::Verdict::Stored]);
    assert_eq!(sink.records().len(), 1);
}

#[tokio::test]
async fn a_result_that_does_not_fit_its_task_is_not_taken() {
    let sink = Memory::default();
    let fleet = fleet(options(), 1, &sink);
    let mut client = client(&fleet);
    let worker_id = join(&mut client, 1).await;
    let Lease::Granted(grant) = lease(&mut client, worker_id).await.unwrap() else { panic!("no task") };
    let run_id = grant.tasks[0].run_id;
    let with_epochs = |attempt, epochs| -> v1::Report {
        let mut output = output(0.25);
        output.metrics.set("train.loss_final", 0.5);
        output.curves = (1..=epochs).map(|epoch| engine::record::Epoch { epoch, ..Default::default() }).collect();
        (&Report { run_id, attempt, outcome: Outcome::Finished(output) }).into()
    };
    use v1::acknowledgement::Verdict::{Invalid, Stored, Unknown};
    assert_eq!(report(&mut client, worker_id, vec![with_epochs(1, 3)]).await.unwrap(), [Invalid]);
    let foreign = v1::Report { run_id: Bytes::from_static(&[9; 16]), ..with_epochs(1, 3) };
    assert_eq!(report(&mut client, worker_id, vec![foreign]).await.unwrap(), [Unknown]);
    assert!(sink.records().is_empty());
    let Lease::Granted(again) = lease(&mut client, worker_id).await.unwrap() else { panic!("the task is gone") };
    assert_eq!((again.tasks[0].run_id, again.tasks[0].attempt), (run_id, 2));
    assert_eq!(report(&mut client, worker_id, vec![with_epochs(2, 2)]).await.unwrap(), [Stored]);
}

/// Many tasks, so that grants grow, parts are cut by size, and nothing is lost between them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tasks_that_do_nothing_flow() {
    const TASKS: u64 = 100_000;
    let sink = Memory::default();
    let fleet = fleet(FleetOptions::default(), TASKS, &sink);
    let worker = tokio::spawn(work(client(&fleet), 2));
    let summary = fleet.join().await.unwrap();
    assert_eq!((worker.await.unwrap().unwrap(), summary.counts.ok), (TASKS, TASKS));
}
