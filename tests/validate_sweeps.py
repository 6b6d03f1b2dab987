"""Checks sweep files against the JSON Schema, as an editor would.

usage: validate_sweeps.py SCHEMA FILE...
"""

import json
import sys

import jsonschema
import yaml

# YAML 1.1, which PyYAML speaks, takes 1e-5 for text; editors and the coordinator speak YAML 1.2.
yaml.SafeLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    __import__("re").compile(r"^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$"),
    list("-+0123456789."),
)
schema = json.load(open(sys.argv[1], encoding="utf-8"))
jsonschema.Draft7Validator.check_schema(schema)
validator = jsonschema.Draft7Validator(schema)
for path in sys.argv[2:]:
    sweep = yaml.safe_load(open(path, encoding="utf-8"))
    validator.validate(sweep)
    sweep["paramters"] = {}
    assert not validator.is_valid(sweep), f"{path}: a mistyped key passes the schema"
    print(f"{path}: valid")
