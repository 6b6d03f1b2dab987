//! The Kubernetes manifests: rendered by kubectl, checked by `tests/manifests`, and their commands run as they are.
//!
//! Without kubectl, and `kubernetes-validate` in the Python that `HEDGESWEEP_PYTHON` names, these tests say that they are
//! skipped.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use hedgesweep_tests::{Background, Finished, Sandbox, repository, skipped};
use proto::keda::ScaledObjectRef;
use proto::keda::external_scaler_client::ExternalScalerClient;
use serde::Deserialize;
use serde_json::Value;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Identity};

/// Ends in no time.
const QUICK: &str = "name: quick\npreset: paper\nseeds: 12\nparameters:\n  training.epochs: {value: 0}\n";

/// The kubectl to render with: `KUBECTL`, or the one that is found. `None`, saying so, if it is not there or too old for
/// components.
fn kubectl() -> Option<PathBuf> {
    let kubectl = std::env::var_os("KUBECTL").map_or_else(|| PathBuf::from("kubectl"), PathBuf::from);
    let version = Command::new(&kubectl).args(["version", "--client"]).output();
    if !version.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains("Kustomize Version: v5")) {
        skipped("there is no kubectl of version 1.27 or later");
        return None;
    }
    Some(kubectl)
}

/// The checks, for a list of files to be added; `None`, saying so, if they cannot be made here.
fn checks() -> Option<Command> {
    let wants = "HEDGESWEEP_PYTHON names no Python with kubernetes-validate";
    let Some(python) = std::env::var_os("HEDGESWEEP_PYTHON") else {
        skipped(wants);
        return None;
    };
    if !Command::new(&python).args(["-c", "import kubernetes_validate"]).output().is_ok_and(|it| it.status.success()) {
        skipped(wants);
        return None;
    }
    let mut command = Command::new(python);
    command.arg("-B").arg(repository().join("tests/manifests/check.py"));
    Some(command)
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// A copy of the manifests, and kubectl to render them with.
struct Manifests {
    sandbox: Sandbox,
    kubectl: PathBuf,
}

impl Manifests {
    fn here() -> Option<Manifests> {
        let kubectl = kubectl()?;
        let sandbox = Sandbox::new();
        copy(&repository().join("deploy/k8s"), &sandbox.path("deploy/k8s"));
        Some(Manifests { sandbox, kubectl })
    }

    /// What is to be applied of a kustomization.
    #[track_caller]
    fn render(&self, folder: &str) -> String {
        let output = Command::new(&self.kubectl).arg("kustomize").arg(self.sandbox.path(folder)).output().unwrap();
        let rendered = Finished::from(output).expect_code(0);
        assert!(!rendered.stderr.to_lowercase().contains("deprecated"), "{folder}: {}", rendered.stderr);
        rendered.stdout
    }

    /// Writes what a user would write, over an overlay, with components; returns its folder.
    fn user(&self, overlay: &str, sweep: &str, components: &[&str]) -> String {
        let folder = format!("{overlay}-{}", components.join("-"));
        let mut text = readme_example().replace("overlays/batch", &format!("overlays/{overlay}"));
        if overlay != "batch" {
            text.truncate(text.find("patches:").expect("the example patches a Job"));
        }
        if !components.is_empty() {
            let list: Vec<_> = components.iter().map(|name| format!("../deploy/k8s/components/{name}")).collect();
            text.push_str(&format!("components: [{}]\n", list.join(", ")));
        }
        if components.contains(&"s3") {
            let generator = "configMapGenerator:\n  - name: s3\n    literals: [RESULTS=s3://bucket/prefix]\n";
            text = text.replace("configMapGenerator:\n", generator);
        }
        self.sandbox.write(&format!("{folder}/kustomization.yaml"), text);
        self.sandbox.write(&format!("{folder}/sweep.yaml"), sweep);
        folder
    }
}

/// The first kustomization that the README has users write.
fn readme_example() -> String {
    let readme = std::fs::read_to_string(repository().join("deploy/k8s/README.md")).unwrap();
    let example = readme.split("```yaml\n").nth(1).unwrap().split("```").next().unwrap();
    assert!(example.contains("kind: Kustomization"), "{example}");
    example.to_owned()
}

#[test]
fn every_overlay_is_valid_restricted_and_wired() {
    let (Some(manifests), Some(mut check)) = (Manifests::here(), checks()) else { return };
    let mut rendered = vec![(
        "reader".to_owned(),
        std::fs::read_to_string(repository().join("deploy/k8s/results-reader.yaml")).unwrap(),
    )];
    for entry in std::fs::read_dir(repository().join("deploy/k8s/overlays")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        rendered.push((name.clone(), manifests.render(&format!("deploy/k8s/overlays/{name}"))));
    }
    for overlay in ["batch", "fleet"] {
        for components in [&[][..], &["s3"], &["cert-manager"], &["s3", "cert-manager"]] {
            let folder = manifests.user(overlay, QUICK, components);
            let text = manifests.render(&folder);
            assert!(text.contains("image: registry.example/hedgesweep:0.1.0"), "{text}");
            assert_eq!(text.contains("--out=$(RESULTS)"), components.contains(&"s3"));
            assert_eq!(text.contains("kind: PersistentVolumeClaim"), !components.contains(&"s3"));
            rendered.push((folder, text));
        }
    }
    for (name, text) in rendered {
        check.arg(manifests.sandbox.write(&format!("rendered/{name}.yaml"), text));
    }
    Finished::from(check.output().unwrap()).expect_code(0);
}

#[test]
fn what_is_wrong_with_a_manifest_is_found() {
    let (Some(manifests), Some(mut check)) = (Manifests::here(), checks()) else { return };
    let good = manifests.render(&manifests.user("fleet", QUICK, &["cert-manager"]));
    let plants = [
        // Schema: an unknown field, a wrong type.
        ("terminationGracePeriodSeconds: 40", "terminationGraceSeconds: 40", "terminationGraceSeconds"),
        ("periodSeconds: 10", "periodSeconds: often", "'often' is not"),
        ("kind: PodDisruptionBudget", "kind: PodDisruptionBudgets", "there is no policy/v1 PodDisruptionBudgets"),
        ("pollingInterval: 15", "pollInterval: 15", "pollInterval"),
        ("tasksPerWorker: \"100\"", "tasksPerWorker: 100", "100 is not of type 'string'"),
        ("secretName: hedgesweep-ca", "secret: hedgesweep-ca", "'secret' was unexpected"),
        // The restricted profile.
        (
            "allowPrivilegeEscalation: false",
            "allowPrivilegeEscalation: true",
            "allowPrivilegeEscalation has to be false",
        ),
        ("runAsNonRoot: true", "runAsNonRoot: false", "runAsNonRoot has to be true"),
        ("runAsUser: 65532", "runAsUser: 0", "runAsUser 0 is not allowed"),
        ("type: RuntimeDefault", "type: Unconfined", "seccompProfile has to be RuntimeDefault"),
        ("- ALL", "- CHOWN", "capabilities have to drop ALL"),
        (
            "            drop:\n",
            "            add: [SYS_ADMIN]\n            drop:\n",
            "capability SYS_ADMIN is not allowed",
        ),
        ("emptyDir:\n          sizeLimit: 2Gi", "hostPath:\n          path: /", "volume tmp: hostPath is not allowed"),
        (
            "enableServiceLinks: false",
            "enableServiceLinks: false\n      hostNetwork: true",
            "hostNetwork is not allowed",
        ),
        ("containerPort: 4750", "containerPort: 4750\n          hostPort: 4750", "hostPort is not allowed"),
        ("allowPrivilegeEscalation: false", "privileged: true", "privileged is not allowed"),
        ("pod-security.kubernetes.io/enforce: restricted", "other: label", "the restricted profile has to be enforced"),
        // What this project asks for beyond it.
        ("readOnlyRootFilesystem: true", "readOnlyRootFilesystem: false", "readOnlyRootFilesystem has to be true"),
        ("limits:\n            cpu: \"2\"", "limits:\n            cpu: \"4\"", "cpu: request 2 has to be the limit 4"),
        (
            "automountServiceAccountToken: false\n      containers",
            "containers",
            "automountServiceAccountToken has to be false",
        ),
        (
            "image: registry.example/hedgesweep:0.1.0",
            "image: registry.example:5000/hedgesweep",
            "has to say its version",
        ),
        // References.
        ("claimName: results", "claimName: result", "there is no PersistentVolumeClaim result"),
        ("serviceAccountName: hedgesweep", "serviceAccountName: other", "there is no ServiceAccount other"),
        ("secretName: hedgesweep-token", "secretName: token", "there is no Secret token"),
        ("--scaler-listen=0.0.0.0:4751", "--scaler-listen=0.0.0.0:4752", "containerPort 4752 is not among its ports"),
        ("--coordinator=https://coordinator:4750", "--coordinator=https://coordinator:475", "has no port 475"),
        ("coordinator.hedgesweep.svc:4751", "coordinator:4751", "does not say its namespace"),
        ("mountPath: /token", "mountPath: /tokens", "nothing is mounted at /token"),
        ("targetPort: scaler", "targetPort: keda", "no pod of it has the port keda"),
        ("path: /healthz\n            port: ops", "path: /healthz\n            port: op", "there is no port op"),
        ("- port: 4751\n      protocol", "- port: 4755\n      protocol", "ingress: no pod of it has the port 4755"),
        ("- port: 4750\n      protocol", "- port: 4755\n      protocol", "egress: no pod reached has the port 4755"),
        ("scaleTargetRef:\n    name: worker", "scaleTargetRef:\n    name: workers", "there is no Deployment workers"),
        ("name: results\n  namespace: hedgesweep", "name: results\n  namespace: default", "namespace default is not"),
        (
            "authenticationRef:\n      name: coordinator",
            "authenticationRef:\n      name: keda",
            "no TriggerAuthentication keda",
        ),
    ];
    let mut wanted = Vec::new();
    for (number, (right, wrong, problem)) in plants.iter().enumerate() {
        assert!(good.contains(right), "{right:?} is not in\n{good}");
        let file = manifests.sandbox.write(&format!("planted/{number}.yaml"), good.replace(right, wrong));
        wanted.push((format!("{}: ", file.display()), right, *problem));
        check.arg(file);
    }
    let found = Finished::from(check.output().unwrap()).expect_code(1).stdout;
    for (file, right, problem) in wanted {
        let is_found = found.lines().any(|line| line.starts_with(&file) && line.contains(problem));
        assert!(is_found, "in the place of {right:?}, {problem:?} is not found in\n{found}");
    }
}

#[test]
fn the_sweep_that_ships_with_the_manifests_is_the_one_of_the_readme() {
    let body = |place: &str| {
        let text = std::fs::read_to_string(repository().join(place)).unwrap();
        text.split_once('\n').unwrap().1.to_owned()
    };
    assert_eq!(body("deploy/k8s/base/sweep.yaml"), body("sweeps/damping.yaml"));
}

#[test]
fn a_batch_and_an_indexed_job_in_one_namespace_have_claims_of_their_own() {
    let Some(manifests) = Manifests::here() else { return };
    let claims = |overlay: &str| -> BTreeSet<String> {
        let text = manifests.render(&format!("deploy/k8s/overlays/{overlay}"));
        text.lines().filter_map(|line| line.trim().strip_prefix("claimName: ")).map(str::to_owned).collect()
    };
    let (batch, indexed) = (claims("batch"), claims("indexed"));
    assert!((batch.len(), indexed.len()) == (1, 1) && batch.is_disjoint(&indexed), "{batch:?} and {indexed:?}");
}

/// Rendered resources, laid out in a sandbox as pods would find them.
struct Pods {
    sandbox: Sandbox,
    resources: Vec<Value>,
}

/// What a container runs.
struct Container {
    program: String,
    arguments: Vec<String>,
}

impl Pods {
    /// Renders an overlay with a sweep that takes no time, and makes the Secrets that it wants.
    fn of(manifests: Manifests, overlay: &str) -> Option<Pods> {
        let text = manifests.render(&manifests.user(overlay, QUICK, &[]));
        let mut secrets = Command::new(manifests.sandbox.path("deploy/k8s/secrets"));
        let openssl = Command::new("openssl").arg("version").output();
        if !openssl.is_ok_and(|output| output.stdout.starts_with(b"OpenSSL 3")) {
            skipped("there is no openssl of version 3");
            return None;
        }
        let secrets = Finished::from(secrets.env("KUBECTL", &manifests.kubectl).output().unwrap()).expect_code(0);
        let mut resources = Vec::new();
        for text in [text, secrets.stdout] {
            for document in serde_yaml::Deserializer::from_str(&text) {
                resources.push(Value::deserialize(document).unwrap());
            }
        }
        let pods = Pods { sandbox: manifests.sandbox, resources };
        for (place, secret) in
            [("tls", "hedgesweep-tls"), ("token", "hedgesweep-token"), ("keda", "hedgesweep-keda-tls")]
        {
            for (key, value) in pods.named("Secret", secret)["data"].as_object().unwrap() {
                pods.sandbox.write(&format!("{place}/{key}"), decode(value.as_str().unwrap()));
            }
        }
        let sweep = pods.resources.iter().find(|resource| resource["kind"] == "ConfigMap").unwrap();
        pods.sandbox.write("sweep/sweep.yaml", sweep["data"]["sweep.yaml"].as_str().unwrap());
        Some(pods)
    }

    #[track_caller]
    fn named(&self, kind: &str, name: &str) -> &Value {
        let is_it = |resource: &&Value| resource["kind"] == kind && resource["metadata"]["name"] == name;
        self.resources.iter().find(is_it).unwrap_or_else(|| panic!("there is no {kind} {name}"))
    }

    /// What a workload's pod runs, with its files in the sandbox, ports of its own, and all else as it is.
    fn container(&self, kind: &str, name: &str) -> Container {
        let spec = &self.named(kind, name)["spec"]["template"]["spec"];
        let container = &spec["containers"][0];
        let mounts: Vec<_> =
            container["volumeMounts"].as_array().unwrap().iter().map(|mount| &mount["mountPath"]).collect();
        let arguments = container["args"].as_array().unwrap().iter().map(|argument| {
            let mut argument = argument.as_str().unwrap().replace("$(POD_NAME)", "worker-0");
            // Once: the sandbox's own path may have a mount's name in it.
            let is_in = |mount: &&str| argument.contains(&format!("={mount}/"));
            if let Some(mount) = mounts.iter().filter_map(|mount| mount.as_str()).find(is_in) {
                let inside = self.sandbox.path(&mount[1..]);
                argument = argument.replace(&format!("={mount}/"), &format!("={}/", inside.display()));
            }
            for port in [":4750", ":4751", ":9464"] {
                if argument.contains("listen=") {
                    argument = argument.replace(port, ":0");
                }
            }
            argument
        });
        let program = container["command"][0].as_str().unwrap().trim_start_matches('/').to_owned();
        Container { program, arguments: arguments.collect() }
    }

    fn start(&self, container: &Container) -> Background {
        Background::start(self.sandbox.command(&container.program, &container.arguments))
    }

    /// The worker's container, told where the coordinator is in place of its Service.
    fn worker(&self, kind: &str, fleet_port: &str) -> Container {
        let mut worker = self.container(kind, "worker");
        let service = "--coordinator=https://coordinator:4750";
        let flag = worker.arguments.iter_mut().find(|argument| *argument == service).expect("it calls the Service");
        *flag = format!("--coordinator=https://127.0.0.1:{fleet_port}");
        // Its certificate has to be the Service's.
        worker.arguments.push("--tls-domain=coordinator".to_owned());
        worker
    }
}

fn decode(base64: &str) -> Vec<u8> {
    let sandbox = Sandbox::new();
    let file = sandbox.write("encoded", base64);
    let decoded = Command::new("openssl").args(["base64", "-d", "-A", "-in"]).arg(file).output().unwrap();
    assert!(decoded.status.success() && !decoded.stdout.is_empty(), "{base64}");
    decoded.stdout
}

/// The port in a line such as `listening on 0.0.0.0:4750: …`.
fn port<'a>(line: &'a str, before: &str) -> &'a str {
    let address = line[before.len()..].split(": ").next().unwrap();
    address.rsplit(':').next().unwrap()
}

#[test]
fn the_commands_of_a_batch_run_a_sweep_to_its_end() {
    let Some(pods) = Manifests::here().and_then(|manifests| Pods::of(manifests, "batch")) else { return };
    let mut coordinator = pods.start(&pods.container("Job", "coordinator"));
    let listening = coordinator.read_stderr_until(|line| line.starts_with("listening on "));
    coordinator.read_stderr_until(|line| line.starts_with("operations at "));
    let container = pods.worker("Job", port(&listening, "listening on "));
    // Who is moved before the end says so by an exit code that the Job does not count.
    let rules = &pods.named("Job", "worker")["spec"]["podFailurePolicy"]["rules"];
    let uncounted: Vec<_> = rules.as_array().unwrap().iter().filter(|rule| rule["action"] == "Ignore").collect();
    assert_eq!(uncounted[0]["onExitCodes"]["values"], serde_json::json!([143]));
    let finished = pods.start(&container).wait();
    finished.expect_code(0);
    coordinator.wait().expect_code(0);
    assert!(pods.sandbox.path("results/quick/report.html").exists(), "below the root, where the claim is mounted");
}

#[test]
fn a_worker_that_is_moved_before_the_sweeps_end_says_so() {
    let sandbox = Sandbox::new();
    // Too long for this test to see the end of.
    sandbox.write("long.yaml", "name: long\npreset: paper\nseeds: 4000\n");
    let arguments = ["--sweep", "long.yaml", "--slots", "0", "--listen", "127.0.0.1:0", "--quiet"];
    let mut coordinator = Background::start(sandbox.command("coordinator", arguments));
    let listening = coordinator.read_stderr_until(|line| line.starts_with("listening on "));
    let url = format!("http://127.0.0.1:{}", port(&listening, "listening on "));
    for (flags, code) in [(&["--exit-when-done"][..], 143), (&[], 0)] {
        let arguments = ["--coordinator", &url, "--slots", "1"].into_iter().chain(flags.iter().copied());
        let mut worker = Background::start(sandbox.command("worker", arguments));
        worker.read_stderr_until(|line| line.contains("joined"));
        worker.signal("TERM");
        worker.wait().expect_code(code);
    }
}

#[test]
fn the_commands_of_a_fleet_answer_keda_with_its_certificate_and_nobody_else() {
    let Some(pods) = Manifests::here().and_then(|manifests| Pods::of(manifests, "fleet")) else { return };
    let mut coordinator = pods.start(&pods.container("Deployment", "coordinator"));
    let listening = coordinator.read_stderr_until(|line| line.starts_with("listening on "));
    let answered = "autoscalers are answered at ";
    let answering = coordinator.read_stderr_until(|line| line.starts_with(answered));

    // As KEDA does: the name is the address's, the files are the TriggerAuthentication's.
    let trigger = &pods.named("ScaledObject", "worker")["spec"]["triggers"][0];
    let metadata = trigger["metadata"].as_object().unwrap();
    let name = metadata["scalerAddress"].as_str().unwrap().split(':').next().unwrap().to_owned();
    let read = |key: &str| std::fs::read(pods.sandbox.path("keda").join(key)).unwrap();
    let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(read("ca.crt"))).domain_name(name);
    let known = tls.clone().identity(Identity::from_pem(read("tls.crt"), read("tls.key")));
    let url = format!("https://127.0.0.1:{}", port(&answering, answered));
    worker::credentials::install_crypto_provider();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let client = |tls: ClientTlsConfig| {
        let _inside = runtime.enter();
        ExternalScalerClient::new(Channel::from_shared(url.clone()).unwrap().tls_config(tls).unwrap().connect_lazy())
    };
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let scaler_metadata = metadata.iter().map(|(key, value)| (key.clone(), text(value))).collect();
    let reference = ScaledObjectRef { name: "worker".into(), namespace: "hedgesweep".into(), scaler_metadata };

    let stranger = runtime.block_on(client(tls).is_active(reference.clone())).unwrap_err();
    assert_eq!(stranger.code(), tonic::Code::Unauthenticated, "{stranger}");
    let mut keda = client(known);
    let mut activity = runtime.block_on(keda.stream_is_active(reference.clone())).unwrap().into_inner();
    assert!(runtime.block_on(activity.message()).unwrap().unwrap().result);
    let specs = runtime.block_on(keda.get_metric_spec(reference)).unwrap().into_inner().metric_specs;
    assert_eq!(specs[0].target_size, 100);

    let mut worker = pods.start(&pods.worker("Deployment", port(&listening, "listening on ")));
    assert!(!runtime.block_on(activity.message()).unwrap().unwrap().result);
    // Scaled to zero.
    worker.signal("TERM");
    worker.wait().expect_code(0);
    coordinator.read_stderr_until(|line| line.starts_with("answering until "));
    coordinator.signal("TERM");
    coordinator.wait().expect_code(0);
}

#[test]
fn a_worker_has_time_to_drain() {
    let Some(manifests) = Manifests::here() else { return };
    let drain_s = worker::AgentOptions::new("any", 1).grace.as_secs();
    for overlay in ["batch", "fleet"] {
        let text = manifests.render(&format!("deploy/k8s/overlays/{overlay}"));
        let graces = text.lines().filter_map(|line| line.trim().strip_prefix("terminationGracePeriodSeconds: "));
        let graces: Vec<u64> = graces.map(|seconds| seconds.parse().unwrap()).collect();
        assert_eq!(graces.len(), 2, "coordinator and worker");
        assert!(graces.iter().all(|grace| *grace >= drain_s + 5), "{graces:?}");
    }
}
