#!/usr/bin/python3
"""hold_answers.py SCHEMA [KIND FILE]...: is each file what the schema calls KIND?

Exit status 0: all are, 1: one is not, 77: there is no jsonschema module to tell."""
import json
import sys

try:
    import jsonschema
except ImportError:
    sys.exit(77)

with open(sys.argv[1], encoding="utf-8") as file:
    schema = json.load(file)
jsonschema.Draft7Validator.check_schema(schema)
bad = 0
for kind, name in zip(sys.argv[2::2], sys.argv[3::2]):
    with open(name, encoding="utf-8") as file:
        answer = json.load(file)
    one = {"$ref": "#/definitions/" + kind, "definitions": schema["definitions"]}
    for error in jsonschema.Draft7Validator(one).iter_errors(answer):
        print(f"{name} as {kind}: {'/'.join(map(str, error.absolute_path))}: {error.message}")
        bad = 1
    if not jsonschema.Draft7Validator(schema).is_valid(answer):
        print(f"{name}: not known to the schema as a whole")
        bad = 1
sys.exit(bad)
