# NixOS module: services.srt-restream. `self` is the flake, for the default package.
{ self }:
{
  config,
  lib,
  pkgs,
  ...
}:
let
  cfg = config.services.srt-restream;
  format = pkgs.formats.toml { };

  # The port of a listen address, of the program's default when the settings have none.
  portOf =
    section: default:
    lib.toInt (lib.last (lib.splitString ":" (cfg.settings.${section}.listen or default)));
  ports = {
    http = portOf "http" "0.0.0.0:5080";
    https = portOf "https" "0.0.0.0:5443";
    rtmp = portOf "rtmp" "0.0.0.0:1935";
    rtsp = portOf "rtsp" "0.0.0.0:8554";
    srt = portOf "srt" "0.0.0.0:4200";
  };

  # First and last UDP port of WebRTC publishers.
  webrtcPorts = map lib.toInt (lib.splitString "-" (cfg.settings.webrtc.udp_ports or "50000-60000"));

  generated = format.generate "srt-restream.toml" cfg.settings;
  # A bad key or value fails the build, not the start; only where the build machine can run the program.
  configFile =
    if pkgs.stdenv.buildPlatform.canExecute pkgs.stdenv.hostPlatform then
      pkgs.runCommand "srt-restream-checked.toml" { } ''
        ${lib.getExe cfg.package} --check-config --config ${generated}
        cp ${generated} $out
      ''
    else
      generated;

  privilegedPorts = lib.any (port: port > 0 && port < 1024) (lib.attrValues ports);
in
{
  options.services.srt-restream = {
    enable = lib.mkEnableOption "srt-restream, a live SRT restreaming service";

    package = lib.mkOption {
      type = lib.types.package;
      default = self.packages.${pkgs.stdenv.hostPlatform.system}.default;
      defaultText = lib.literalExpression "srt-restream of this flake";
      description = "The package to run.";
    };

    settings = lib.mkOption {
      inherit (format) type;
      default = { };
      example = {
        apps = [
          "live"
          "LiveApp"
        ];
        srt.latency_ms = 400;
        rest.allow = [ "10.0.0.0/8" ];
      };
      description = ''
        The configuration, as in srt-restream.example.toml. It is checked when the system is built, and it
        is readable by everybody on the machine: secrets belong into {option}`environmentFile`.
      '';
    };

    environmentFile = lib.mkOption {
      type = lib.types.nullOr lib.types.path;
      default = null;
      example = "/run/secrets/srt-restream";
      description = "File with environment variables (`SRT_RESTREAM__SECTION__KEY=value`), stronger than the settings.";
    };

    openFirewall = lib.mkOption {
      type = lib.types.bool;
      default = false;
      description = ''
        Whether to open the ports of publishers: HTTPS, RTMP and RTSP (TCP), SRT and WebRTC (UDP). The port of plain
        HTTP stays closed; over HTTPS the REST interface is there too, for the addresses in `rest.allow`.
      '';
    };
  };

  config = lib.mkIf cfg.enable {
    services.srt-restream.settings.store.url = lib.mkDefault "sqlite:///var/lib/srt-restream/srt-restream.db";

    networking.firewall = lib.mkIf cfg.openFirewall {
      allowedTCPPorts = [
        ports.https
        ports.rtmp
        ports.rtsp
      ];
      allowedUDPPorts = [ ports.srt ];
      allowedUDPPortRanges = [
        {
          from = builtins.head webrtcPorts;
          to = lib.last webrtcPorts;
        }
      ];
    };

    systemd.services.srt-restream = {
      description = "Live SRT restreaming";
      documentation = [ "file://${cfg.package}/share/doc/srt-restream/srt-restream.example.toml" ];
      wantedBy = [ "multi-user.target" ];
      # Endpoints are retried for ever, so nothing waits for the network to be complete.
      after = [ "network.target" ];

      environment = {
        # GStreamer's plugin registry, kept over restarts.
        GST_REGISTRY = "/var/cache/srt-restream/gst-registry.bin";
      };

      serviceConfig = {
        ExecStart = "${lib.getExe cfg.package} --config ${configFile}";
        # Reads the certificate again.
        ExecReload = "${pkgs.coreutils}/bin/kill -HUP $MAINPID";
        EnvironmentFile = lib.mkIf (cfg.environmentFile != null) cfg.environmentFile;
        Restart = "on-failure";
        RestartSec = 2;
        # Exit code 2: the configuration has to change first.
        RestartPreventExitStatus = 2;
        # It stops within 5 s by itself.
        TimeoutStopSec = 10;
        # Sockets and pipes of some thousand endpoints.
        LimitNOFILE = 65536;

        DynamicUser = true;
        StateDirectory = "srt-restream";
        StateDirectoryMode = "0700";
        CacheDirectory = "srt-restream";
        WorkingDirectory = "/var/lib/srt-restream";
        UMask = "0077";

        AmbientCapabilities = lib.optional privilegedPorts "CAP_NET_BIND_SERVICE";
        CapabilityBoundingSet = if privilegedPorts then [ "CAP_NET_BIND_SERVICE" ] else [ "" ];
        LockPersonality = true;
        # No MemoryDenyWriteExecute: GStreamer's orc writes code at run time where pictures or sound are converted, as
        # for a browser's Opus.
        NoNewPrivileges = true;
        PrivateDevices = true;
        PrivateTmp = true;
        # A user namespace of its own would take a port below 1024 away.
        PrivateUsers = !privilegedPorts;
        ProcSubset = "pid";
        ProtectClock = true;
        ProtectControlGroups = true;
        ProtectHome = true;
        ProtectHostname = true;
        ProtectKernelLogs = true;
        ProtectKernelModules = true;
        ProtectKernelTunables = true;
        ProtectProc = "invisible";
        ProtectSystem = "strict";
        RemoveIPC = true;
        RestrictAddressFamilies = [
          "AF_INET"
          "AF_INET6"
          # The list of this machine's own addresses.
          "AF_NETLINK"
          # Name resolution by a local daemon.
          "AF_UNIX"
        ];
        RestrictNamespaces = true;
        RestrictRealtime = true;
        RestrictSUIDSGID = true;
        SystemCallArchitectures = "native";
        SystemCallErrorNumber = "EPERM";
        SystemCallFilter = [
          "@system-service"
          "~@privileged"
        ];
      };
    };
  };
}
