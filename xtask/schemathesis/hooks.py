"""What is true of requests and no schema can say.

Each request is put right before it is sent, and schemathesis then decides anew whether it is a valid one.
"""

import base64
import re

import schemathesis

TRUE_WORDS = {"true", "t", "yes", "y", "on", "1"}
FALSE_WORDS = {"false", "f", "no", "n", "off", "0"}
# One field has two names: both may be sent, with one value.
ALIASES = ("data_warehouse_platform", "datawarehouse_type")
# Settings decide which values these fields can have, and the document is the same for all settings. The run is made with these.
VALUES_OF_SETTINGS = {"namespace": "dbt-server", "size": "small"}
# The token of a next page is opaque: only the service can give one. This is what it gives after the deployment `a`.
NEXT_PAGE = base64.urlsafe_b64encode(b"after:dbt-server/a").decode().rstrip("=")


@schemathesis.hook
def before_call(context, case, kwargs):
    if isinstance(case.body, dict):
        fields = case.operation.schema.raw_schema["components"]["schemas"]["DeployBody"]["properties"]
        body = {name: put_right(name, fields.get(name, {}), value) for name, value in case.body.items()}
        if all(isinstance(body.get(name), str) for name in ALIASES):
            body[ALIASES[1]] = body[ALIASES[0]]
        case.body = body
    if "continue" in (case.query or {}):
        case.query = {**case.query, "continue": NEXT_PAGE}


def put_right(name, schema, value):
    if name in VALUES_OF_SETTINGS and isinstance(value, str):
        fits = schema["minLength"] <= len(value) <= schema["maxLength"] and re.search(schema["pattern"], value)
        return VALUES_OF_SETTINGS[name] if fits else value
    # Old pipelines send numbers as texts and booleans as words. The service takes that with a warning; the document does not invite to it.
    if schema.get("type") == "boolean" and not isinstance(value, float):
        word = str(value).lower()
        return True if word in TRUE_WORDS else False if word in FALSE_WORDS else value
    if schema.get("type") == "integer" and isinstance(value, str) and re.fullmatch("-?[0-9]+", value):
        return int(value)
    return value
