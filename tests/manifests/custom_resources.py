"""Schemas of the custom resources in use: of each only the fields in use, so that a mistyped one is found. Their full
schemas come with KEDA (config/crd) and cert-manager (deploy/crds), and are not kept here."""

import jsonschema


def closed(required, **optional):
    return {
        "type": "object",
        "properties": {**required, **optional},
        "required": list(required),
        "additionalProperties": False,
    }


TEXT = {"type": "string", "minLength": 1}
COUNT = {"type": "integer", "minimum": 0}
DURATION = {"type": "string", "pattern": r"^(\d+h)?(\d+m)?(\d+s)?$"}
METADATA = {"type": "object", "required": ["name", "namespace"]}
NAMED = closed({"name": TEXT})
ISSUER_REF = closed({"name": TEXT, "kind": {"enum": ["Issuer", "ClusterIssuer"]}})
TEXTS = {"type": "object", "additionalProperties": {"type": "string"}}

SPECS = {
    ("keda.sh/v1alpha1", "ScaledObject"): closed(
        {
            "scaleTargetRef": closed({"name": TEXT}),
            "triggers": {
                "type": "array",
                "minItems": 1,
                "items": closed(
                    {"type": {"enum": ["external", "external-push"]}, "metadata": {**TEXTS, "required": ["scalerAddress"]}},
                    authenticationRef=NAMED,
                ),
            },
        },
        minReplicaCount=COUNT,
        maxReplicaCount=COUNT,
        pollingInterval=COUNT,
        cooldownPeriod=COUNT,
        advanced=closed(
            {},
            horizontalPodAutoscalerConfig=closed(
                {},
                behavior=closed(
                    {},
                    scaleUp={"type": "object"},
                    scaleDown=closed({}, selectPolicy={"enum": ["Min", "Max", "Disabled"]}),
                ),
            ),
        ),
    ),
    ("keda.sh/v1alpha1", "TriggerAuthentication"): closed(
        {
            "secretTargetRef": {
                "type": "array",
                "items": closed(
                    {"parameter": {"enum": ["caCert", "tlsClientCert", "tlsClientKey"]}, "name": TEXT, "key": TEXT}
                ),
            }
        }
    ),
    ("cert-manager.io/v1", "Issuer"): {
        "oneOf": [closed({"selfSigned": closed({})}), closed({"ca": closed({"secretName": TEXT})})]
    },
    ("cert-manager.io/v1", "Certificate"): closed(
        {"secretName": TEXT, "issuerRef": ISSUER_REF},
        isCA={"type": "boolean"},
        commonName=TEXT,
        dnsNames={"type": "array", "items": TEXT},
        usages={"type": "array", "items": {"enum": ["digital signature", "server auth", "client auth"]}},
        duration=DURATION,
        privateKey=closed(
            {"algorithm": {"enum": ["RSA", "ECDSA", "Ed25519"]}},
            size={"enum": [256, 384, 521, 2048, 4096]},
            rotationPolicy={"enum": ["Always", "Never"]},
        ),
    ),
}


def key(resource):
    return resource.get("apiVersion"), resource.get("kind")


def is_known(resource):
    return key(resource) in SPECS


def problems(resource):
    schema = closed({"apiVersion": TEXT, "kind": TEXT, "metadata": METADATA, "spec": SPECS[key(resource)]})
    for error in jsonschema.Draft202012Validator(schema).iter_errors(resource):
        place = ".".join(str(part) for part in error.path)
        yield f"{place}: {error.message.splitlines()[0]}"
