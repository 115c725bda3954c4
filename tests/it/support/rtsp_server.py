"""An RTSP server that is not the service's: GStreamer's own, steered from the command line.

Usage: rtsp_server.py PORT LAUNCH [tcp | basic|digest USER PASSWORD]
Serves LAUNCH (pay0, pay1, ...) to everybody at /stream, with the media shared, until it is killed; with tcp not by UDP.
"""

import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtsp", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtsp, GstRtspServer  # noqa: E402


def main():
    port, launch, *auth = sys.argv[1:]
    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(port)
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_launch("( " + launch + " )")
    factory.set_shared(True)
    if auth == ["tcp"]:
        factory.set_protocols(GstRtsp.RTSPLowerTrans.TCP)
    elif auth:
        kind, user, password = auth
        methods = {"basic": GstRtsp.RTSPAuthMethod.BASIC, "digest": GstRtsp.RTSPAuthMethod.DIGEST}
        guard = GstRtspServer.RTSPAuth()
        guard.set_supported_methods(methods[kind])
        token = GstRtspServer.RTSPToken()
        token.set_string("media.factory.role", "viewer")
        if kind == "basic":
            guard.add_basic(GstRtspServer.RTSPAuth.make_basic(user, password), token)
        else:
            guard.add_digest(user, password, token)
        server.set_auth(guard)
        permissions = GstRtspServer.RTSPPermissions()
        permissions.add_permission_for_role("viewer", "media.factory.access", True)
        permissions.add_permission_for_role("viewer", "media.factory.construct", True)
        factory.set_permissions(permissions)
    server.get_mount_points().add_factory("/stream", factory)
    if not server.attach(None):
        sys.exit(f"port {port} is taken")
    print("serving", flush=True)
    GLib.MainLoop().run()


main()
