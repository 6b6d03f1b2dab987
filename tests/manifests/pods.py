"""Where pods are in resources."""

TEMPLATES = {"Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job", "ReplicationController"}


def pod(resource):
    """A resource's pod, as {metadata, spec}; None if it has none."""
    kind = resource.get("kind")
    if kind == "Pod":
        return resource
    if kind in TEMPLATES:
        return resource["spec"]["template"]
    if kind == "CronJob":
        return resource["spec"]["jobTemplate"]["spec"]["template"]
    return None


def containers(spec):
    """A pod's containers of every kind."""
    for kind in ("initContainers", "containers", "ephemeralContainers"):
        yield from spec.get(kind) or []
