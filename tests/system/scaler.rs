//! What KEDA is told through a sweep's life, by a real client of a real coordinator; and what `--linger` stays for.

use hedgesweep_tests::{Background, Sandbox};
use proto::keda::external_scaler_client::ExternalScalerClient;
use proto::keda::{GetMetricsRequest, ScaledObjectRef};
use tonic::transport::Channel;

/// Ends in no time.
fn quick(seeds: u32) -> String {
    format!("name: quick\npreset: paper\nseeds: {seeds}\nparameters:\n  training.epochs: {{value: 0}}\n")
}

/// A coordinator of `quick.yaml` that leaves the work to others and stays, with the addresses of fleet and scaler.
fn coordinator(sandbox: &Sandbox) -> (Background, String, String) {
    let arguments = ["--sweep", "quick.yaml", "--slots", "0", "--listen", "127.0.0.1:0"];
    let arguments = arguments.into_iter().chain(["--scaler-listen", "127.0.0.1:0", "--linger", "forever", "--quiet"]);
    let mut coordinator = Background::start(sandbox.command("coordinator", arguments));
    let fleet = coordinator.read_stderr_until(|line| line.starts_with("listening on "));
    let fleet = fleet["listening on ".len()..].split(": ").next().unwrap().to_owned();
    let scaler = coordinator.read_stderr_until(|line| line.starts_with("autoscalers are answered at "));
    let scaler = scaler["autoscalers are answered at ".len()..].to_owned();
    (coordinator, fleet, scaler)
}

fn reference() -> ScaledObjectRef {
    let metadata = [("tasksPerWorker".to_owned(), "4".to_owned())].into();
    ScaledObjectRef { name: "worker".to_owned(), namespace: "hedgesweep".to_owned(), scaler_metadata: metadata }
}

async fn tasks(keda: &mut ExternalScalerClient<Channel>) -> f64 {
    let specs = keda.get_metric_spec(reference()).await.unwrap().into_inner().metric_specs;
    assert_eq!((specs.len(), specs[0].target_size_float), (1, 4.0));
    let metric_name = specs[0].metric_name.clone();
    let request = GetMetricsRequest { scaled_object_ref: Some(reference()), metric_name };
    let values = keda.get_metrics(request).await.unwrap().into_inner().metric_values;
    assert_eq!(values.len(), 1);
    values[0].metric_value_float
}

/// Waits until the coordinator has nothing left to do.
fn read_until_it_lingers(coordinator: &mut Background) {
    coordinator.read_stderr_until(|line| line.starts_with("answering until "));
}

#[test]
fn keda_hears_of_no_work_of_work_and_of_its_end() {
    let sandbox = Sandbox::new();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let connect = |address: &str| {
        let endpoint = Channel::from_shared(format!("http://{address}")).unwrap();
        runtime.block_on(async { ExternalScalerClient::new(endpoint.connect().await.unwrap()) })
    };
    sandbox.write("quick.yaml", quick(4));
    sandbox.coordinator(["--sweep", "quick.yaml", "--quiet"]).expect_code(0);

    // All is done already: nobody is needed.
    let (mut idle, _, scaler) = coordinator(&sandbox);
    let mut keda = connect(&scaler);
    runtime.block_on(async {
        let mut activity = keda.stream_is_active(reference()).await.unwrap().into_inner();
        while activity.message().await.unwrap().unwrap().result {}
        assert!(!keda.is_active(reference()).await.unwrap().into_inner().result);
        assert_eq!(tasks(&mut keda).await, 0.0);
    });
    read_until_it_lingers(&mut idle);
    idle.signal("TERM");
    idle.wait().expect_code(0);

    // Eight runs more: work for somebody, until a worker has done it.
    sandbox.write("quick.yaml", quick(12));
    let (mut busy, fleet, scaler) = coordinator(&sandbox);
    let mut keda = connect(&scaler);
    let mut activity = runtime.block_on(async {
        let mut activity = keda.stream_is_active(reference()).await.unwrap().into_inner();
        assert!(activity.message().await.unwrap().unwrap().result);
        assert!(keda.is_active(reference()).await.unwrap().into_inner().result);
        assert_eq!(tasks(&mut keda).await, 8.0);
        activity
    });
    sandbox.worker(["--coordinator", &format!("http://{fleet}"), "--exit-when-done"]).expect_code(0);
    runtime.block_on(async {
        assert!(!activity.message().await.unwrap().unwrap().result, "it is told, and need not ask");
        assert_eq!(tasks(&mut keda).await, 0.0);
    });
    read_until_it_lingers(&mut busy);
    assert!(sandbox.path("results/quick/runs.parquet").exists());
    runtime.block_on(async { assert!(!keda.is_active(reference()).await.unwrap().into_inner().result) });
    busy.signal("INT");
    busy.wait().expect_code(0);
}

#[test]
fn whoever_lingers_ends_in_time_with_the_sweeps_own_exit_code() {
    let sandbox = Sandbox::new();
    sandbox.write("quick.yaml", quick(2));
    let arguments = ["--sweep", "quick.yaml", "--ops-listen", "127.0.0.1:0", "--linger", "1ms", "--quiet"];
    let ended = sandbox.coordinator(arguments).expect_code(0);
    assert!(ended.stderr.contains("answering for another "), "{}", ended.stderr);
    for (flags, wanted) in [
        (&["--linger", "forever"][..], "--scaler-listen, --ops-listen or --dashboard"),
        (&["--linger", "never"], "or forever"),
        (&["--scaler-listen", "127.0.0.1:0"], "--listen"),
        (&["--listen", "127.0.0.1:0", "--scaler-listen", "0.0.0.0:0"], "certificates of its clients"),
        (&["--listen", "127.0.0.1:0", "--scaler-listen", "127.0.0.1:0", "--scaler-client-ca", "ca.pem"], "--tls-cert"),
    ] {
        let refused = sandbox.coordinator(["--sweep", "quick.yaml"].iter().chain(flags)).expect_code(2);
        assert!(refused.stderr.contains(wanted), "no {wanted:?} in:\n{}", refused.stderr);
    }
}

#[test]
fn whoever_was_interrupted_does_not_linger() {
    let sandbox = Sandbox::new();
    sandbox.write("quick.yaml", quick(4));
    let (mut coordinator, ..) = coordinator(&sandbox);
    coordinator.signal("TERM");
    let ended = coordinator.wait().expect_code(130);
    assert!(!ended.stderr.contains("answering"), "{}", ended.stderr);
}
