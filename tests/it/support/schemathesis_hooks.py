"""Lets schemathesis send bodies of WHIP: to it they are text."""

import schemathesis

for kind in ("application/sdp", "application/trickle-ice-sdpfrag"):
    schemathesis.serializer.alias(kind, "text/plain")
