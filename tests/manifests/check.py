"""Checks rendered Kubernetes manifests: python3 tests/manifests/check.py FILE...

Each file is one kustomization's output. What is checked: strict schemas of several Kubernetes versions
(kubernetes-validate), custom resources (custom_resources.py), the restricted profile of the Pod Security Standards
(restricted.py), and whether what refers to something refers to something that is there (wiring.py). Prints one line a
problem and exits with 1 if there is any.
"""

import sys

import custom_resources
import kubernetes_validate
import restricted
import wiring
import yaml

VERSIONS = ["1.29", "1.30", "1.31", "1.32", "1.33"]


def name(resource):
    return f"{resource.get('kind')}/{resource.get('metadata', {}).get('name')}"


def schema_problems(resource):
    """What the API servers would refuse; for custom resources, what their controllers would."""
    if custom_resources.is_known(resource):
        yield from custom_resources.problems(resource)
        return
    for version in VERSIONS:
        try:
            checked = kubernetes_validate.validate(resource, version, strict=True)
            assert checked == version, f"checked against {checked} rather than {version}"
        except kubernetes_validate.ValidationError as error:
            place = ".".join(str(part) for part in error.path)
            yield f"Kubernetes {version}: {place}: {error.message.splitlines()[0]}"
        except kubernetes_validate.SchemaNotFoundError:
            yield f"Kubernetes {version}: there is no {resource['apiVersion']} {resource['kind']}"


def problems(resources):
    for resource in resources:
        for check in (schema_problems, restricted.problems):
            for problem in check(resource):
                yield f"{name(resource)}: {problem}"
    yield from wiring.problems(resources)


def main(files):
    found = 0
    for file in files:
        with open(file, encoding="utf-8") as text:
            resources = [resource for resource in yaml.safe_load_all(text) if resource]
        if not resources:
            sys.exit(f"{file}: nothing in it")
        for problem in problems(resources):
            found += 1
            print(f"{file}: {problem}")
        print(f"{file}: {len(resources)} resources against Kubernetes {', '.join(VERSIONS)}")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main(sys.argv[1:])
