"""Lets schemathesis send bodies of WHIP: to it they are text. And lets it test destinations on this machine alone: what
it makes up may be a name, and nobody is to be asked for that."""

import schemathesis

LOOPBACK = "127.0.0.1"

for kind in ("application/sdp", "application/trickle-ice-sdpfrag"):
    schemathesis.serializer.alias(kind, "text/plain")


@schemathesis.hook
def before_call(context, case, **kwargs):
    """Each request, of whatever phase, just before it is sent."""
    if not (case.operation.path.endswith("/test") and isinstance(case.body, dict)):
        return
    body = dict(case.body)
    if isinstance(body.get("host"), str):
        body["host"] = LOOPBACK
    if isinstance(body.get("url"), str) and "://" in body["url"]:
        _, mark, query = body["url"].partition("?")
        body["url"] = f"srt://{LOOPBACK}:9000{mark}{query}"
    case.body = body
