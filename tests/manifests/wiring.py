"""Whether what refers to something refers to something that is there: selectors, ports, volumes, addresses, names."""

import re

from pods import containers, pod

# Made by deploy/k8s/secrets, or by the operator as deploy/k8s/README.md says.
SECRETS = {"hedgesweep-tls", "hedgesweep-token", "hedgesweep-keda-tls", "hedgesweep-s3"}


def problems(resources):
    cluster = Cluster(resources)
    for resource in resources:
        kind = resource["kind"]
        checks = [namespace_problems, pod_problems]
        checks += {"Service": [service_problems], "NetworkPolicy": [policy_problems],
                   "PodDisruptionBudget": [budget_problems], "ScaledObject": [scaling_problems],
                   "TriggerAuthentication": [authentication_problems]}.get(kind, [])
        for check in checks:
            for problem in check(resource, cluster):
                yield f"{kind}/{resource['metadata']['name']}: {problem}"


class Cluster:
    """What there is."""

    def __init__(self, resources):
        self.resources = resources
        self.pods = [pod(resource) for resource in resources if pod(resource) is not None]
        self.namespaces = {resource["metadata"]["name"]: resource for resource in self.of("Namespace")}
        certificates = self.of("Certificate")
        self.secrets = SECRETS | {certificate["spec"].get("secretName") for certificate in certificates}

    def of(self, kind):
        return [resource for resource in self.resources if resource["kind"] == kind]

    def names(self, kind):
        return {resource["metadata"]["name"] for resource in self.of(kind)}

    def selected(self, selector):
        """The pods with all these labels."""
        labels = lambda template: template.get("metadata", {}).get("labels") or {}
        return [template for template in self.pods if selector.items() <= labels(template).items()]


def namespace_problems(resource, cluster):
    if resource["kind"] == "Namespace":
        labels = resource["metadata"].get("labels") or {}
        if labels.get("pod-security.kubernetes.io/enforce") != "restricted":
            yield "the restricted profile has to be enforced"
        return
    namespace = resource["metadata"].get("namespace")
    if namespace is None or cluster.namespaces and namespace not in cluster.namespaces:
        yield f"namespace {namespace} is not one of {sorted(cluster.namespaces)}"


def pod_problems(resource, cluster):
    template = pod(resource)
    if template is None:
        return
    spec = template["spec"]
    volumes = {volume["name"]: volume for volume in spec.get("volumes") or []}
    for volume in volumes.values():
        yield from volume_problems(volume, resource, cluster)
    account = spec.get("serviceAccountName")
    if account is not None and account not in cluster.names("ServiceAccount"):
        yield f"there is no ServiceAccount {account}"
    for container in containers(spec):
        for problem in container_problems(container, volumes, cluster):
            yield f"container {container['name']}: {problem}"


def volume_problems(volume, resource, cluster):
    wanted = [
        ("ConfigMap", (volume.get("configMap") or {}).get("name"), cluster.names("ConfigMap")),
        ("Secret", (volume.get("secret") or {}).get("secretName"), cluster.secrets),
    ]
    # A pod by itself comes to a cluster in which its claim is.
    if resource["kind"] != "Pod":
        claim = (volume.get("persistentVolumeClaim") or {}).get("claimName")
        wanted.append(("PersistentVolumeClaim", claim, cluster.names("PersistentVolumeClaim")))
    for kind, name, there in wanted:
        if name is not None and name not in there:
            yield f"volume {volume['name']}: there is no {kind} {name}"


def container_problems(container, volumes, cluster):
    mounted = {mount["name"] for mount in container.get("volumeMounts") or []}
    for name in mounted - volumes.keys():
        yield f"there is no volume {name}"
    ports = container.get("ports") or []
    known = {port.get("name") for port in ports} | {port["containerPort"] for port in ports}
    for probe in ("livenessProbe", "readinessProbe", "startupProbe"):
        port = ((container.get(probe) or {}).get("httpGet") or {}).get("port")
        if port is not None and port not in known:
            yield f"{probe}: there is no port {port}"
    for source in container.get("envFrom") or []:
        config, secret = (source.get(kind, {}).get("name") for kind in ("configMapRef", "secretRef"))
        if config is not None and config not in cluster.names("ConfigMap"):
            yield f"envFrom: there is no ConfigMap {config}"
        if secret is not None and secret not in cluster.secrets:
            yield f"envFrom: there is no Secret {secret}"
    for argument in container.get("args") or []:
        listens = re.fullmatch(r"--[a-z-]*listen=.*:(\d+)", argument)
        if listens and int(listens[1]) not in known:
            yield f"{argument}: containerPort {listens[1]} is not among its ports"
        calls = re.fullmatch(r"--coordinator=https://([a-z.-]+):(\d+)", argument)
        if calls:
            yield from address_problems(argument, calls[1], int(calls[2]), cluster)
        path = re.fullmatch(r"--[a-z-]+=(/[^/]+)/.*", argument)
        if path and path[1] not in {mount["mountPath"] for mount in container.get("volumeMounts") or []}:
            yield f"{argument}: nothing is mounted at {path[1]}"


def address_problems(what, host, port, cluster):
    """Whether a Service of the name, with or without its namespace, has the port."""
    for service in cluster.of("Service"):
        metadata = service["metadata"]
        short, long = metadata["name"], f"{metadata['name']}.{metadata.get('namespace')}"
        if host in (short, long, f"{long}.svc"):
            if port not in {known["port"] for known in service["spec"]["ports"]}:
                yield f"{what}: Service {short} has no port {port}"
            return
    yield f"{what}: there is no Service {host}"


def service_problems(service, cluster):
    selected = cluster.selected(service["spec"]["selector"])
    if not selected:
        yield "selects no pod"
    for port in service["spec"]["ports"]:
        target = port.get("targetPort", port["port"])
        if not any(has_port(template, target) for template in selected):
            yield f"no pod of it has the port {target}"


def has_port(template, wanted):
    ports = [port for container in containers(template["spec"]) for port in container.get("ports") or []]
    return any(wanted in (port.get("name"), port["containerPort"]) for port in ports)


def policy_problems(policy, cluster):
    spec = policy["spec"]
    selected = cluster.selected(spec["podSelector"].get("matchLabels") or {})
    if not selected:
        yield "selects no pod"
    for rule in spec.get("ingress") or []:
        for port in rule.get("ports") or []:
            if not any(has_port(template, port["port"]) for template in selected):
                yield f"ingress: no pod of it has the port {port['port']}"
    # Within the namespace; other namespaces' pods are not known.
    for rule in spec.get("egress") or []:
        for peer in rule.get("to") or []:
            if "podSelector" in peer and "namespaceSelector" not in peer:
                reached = cluster.selected(peer["podSelector"].get("matchLabels") or {})
                for port in rule.get("ports") or []:
                    if not any(has_port(template, port["port"]) for template in reached):
                        yield f"egress: no pod reached has the port {port['port']}"


def budget_problems(budget, cluster):
    selector = budget["spec"]["selector"]["matchLabels"]
    owners = [resource for resource in cluster.resources if pod(resource) in cluster.selected(selector)]
    if not owners:
        yield "selects no pod"
    # A Job has no scale, so that maxUnavailable and shares allow no eviction at all, and minAvailable not that of the last pods.
    if any(owner["kind"] == "Job" for owner in owners) and budget["spec"].get("minAvailable") != 0:
        yield "keeps a Job's last pod where it is, and its node from being drained"


def scaling_problems(scaled, cluster):
    target = scaled["spec"]["scaleTargetRef"]["name"]
    owners = [resource for resource in cluster.of("Deployment") if resource["metadata"]["name"] == target]
    if not owners:
        yield f"there is no Deployment {target}"
    for owner in owners:
        if "replicas" in owner["spec"]:
            yield f"Deployment {target} has replicas, which each apply would set again"
    for trigger in scaled["spec"]["triggers"]:
        host, _, port = trigger["metadata"]["scalerAddress"].rpartition(":")
        # KEDA asks from a namespace of its own.
        if host.count(".") < 2:
            yield f"scalerAddress {host} does not say its namespace"
        yield from address_problems("scalerAddress", host, int(port), cluster)
        wanted = trigger.get("authenticationRef", {}).get("name")
        if wanted is not None and wanted not in cluster.names("TriggerAuthentication"):
            yield f"there is no TriggerAuthentication {wanted}"


def authentication_problems(authentication, cluster):
    for reference in authentication["spec"]["secretTargetRef"]:
        if reference["name"] not in cluster.secrets:
            yield f"there is no Secret {reference['name']}"
