"""The restricted profile of the Pod Security Standards (https://kubernetes.io/docs/concepts/security/pod-security-standards/),
the baseline profile included, and what this project asks for beyond it."""

from pods import containers, pod

VOLUMES = {
    "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"
}
SAFE_SYSCTLS = {
    "kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.tcp_syncookies", "net.ipv4.ping_group_range", "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.tcp_keepalive_time", "net.ipv4.tcp_fin_timeout", "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes", "net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem",
}
SELINUX_TYPES = {None, "", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"}


def problems(resource):
    template = pod(resource)
    if template is None:
        return
    spec = template["spec"]
    yield from baseline_of_pod(spec)
    yield from restricted_of_pod(spec)
    yield from ours_of_pod(spec)
    for container in containers(spec):
        for check in (baseline_of_container, restricted_of_container, ours_of_container):
            for problem in check(container, spec.get("securityContext") or {}):
                yield f"container {container['name']}: {problem}"


def baseline_of_pod(spec):
    for field in ("hostNetwork", "hostPID", "hostIPC"):
        if spec.get(field):
            yield f"{field} is not allowed"
    for sysctl in (spec.get("securityContext") or {}).get("sysctls") or []:
        if sysctl["name"] not in SAFE_SYSCTLS:
            yield f"sysctl {sysctl['name']} is not allowed"
    yield from baseline_of_context(spec.get("securityContext") or {})


def baseline_of_context(context):
    if (context.get("windowsOptions") or {}).get("hostProcess"):
        yield "hostProcess is not allowed"
    selinux = context.get("seLinuxOptions") or {}
    if selinux.get("type") not in SELINUX_TYPES or selinux.get("user") or selinux.get("role"):
        yield "seLinuxOptions are not allowed"
    if (context.get("appArmorProfile") or {}).get("type", "RuntimeDefault") == "Unconfined":
        yield "appArmorProfile Unconfined is not allowed"


def baseline_of_container(container, _):
    context = container.get("securityContext") or {}
    yield from baseline_of_context(context)
    if context.get("privileged"):
        yield "privileged is not allowed"
    if context.get("procMount", "Default") != "Default":
        yield "procMount has to be Default"
    if any(port.get("hostPort") for port in container.get("ports") or []):
        yield "hostPort is not allowed"
    handlers = [container.get(probe) for probe in ("livenessProbe", "readinessProbe", "startupProbe")]
    handlers += (container.get("lifecycle") or {}).values()
    for handler in filter(None, handlers):
        if any((handler.get(action) or {}).get("host") for action in ("httpGet", "tcpSocket")):
            yield "host of a probe or lifecycle handler is not allowed"


def restricted_of_pod(spec):
    for volume in spec.get("volumes") or []:
        for kind in set(volume) - {"name"} - VOLUMES:
            yield f"volume {volume['name']}: {kind} is not allowed"


def restricted_of_container(container, of_pod):
    """Fields that a container has are its own, others its pod's."""
    context = container.get("securityContext") or {}
    if context.get("allowPrivilegeEscalation") is not False:
        yield "allowPrivilegeEscalation has to be false"
    if context.get("runAsNonRoot", of_pod.get("runAsNonRoot")) is not True:
        yield "runAsNonRoot has to be true"
    if 0 in (context.get("runAsUser"), of_pod.get("runAsUser")):
        yield "runAsUser 0 is not allowed"
    seccomp = context.get("seccompProfile") or of_pod.get("seccompProfile") or {}
    if seccomp.get("type") not in ("RuntimeDefault", "Localhost"):
        yield "seccompProfile has to be RuntimeDefault or Localhost"
    capabilities = context.get("capabilities") or {}
    if "ALL" not in (capabilities.get("drop") or []):
        yield "capabilities have to drop ALL"
    for capability in set(capabilities.get("add") or []) - {"NET_BIND_SERVICE"}:
        yield f"capability {capability} is not allowed"


def ours_of_pod(spec):
    if spec.get("automountServiceAccountToken") is not False:
        yield "automountServiceAccountToken has to be false"
    if "terminationGracePeriodSeconds" not in spec:
        yield "terminationGracePeriodSeconds has to be said"


def ours_of_container(container, _):
    if (container.get("securityContext") or {}).get("readOnlyRootFilesystem") is not True:
        yield "readOnlyRootFilesystem has to be true"
    resources = container.get("resources") or {}
    for resource in ("cpu", "memory"):
        request, limit = (resources.get(kind, {}).get(resource) for kind in ("requests", "limits"))
        if request is None or request != limit:
            yield f"{resource}: request {request} has to be the limit {limit}"
    tag = container["image"].rpartition("/")[2].partition(":")[2]
    if tag in ("", "latest"):
        yield f"image {container['image']} has to say its version"
