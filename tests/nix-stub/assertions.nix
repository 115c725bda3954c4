# What must hold in the evaluated outputs; the result is the list of names of what does not.
{ source, stub }:
let
  inherit (stub) lib;
  # The flake's own functions, with the stub as nixpkgs.
  outputs = (import (source + "/flake.nix")).outputs {
    inherit self;
    nixpkgs = stub;
  };
  self = outputs // {
    outPath = source;
  };
  system = "x86_64-linux";
  pkgs = stub.legacyPackages.${system};
  package = self.packages.${system}.default;

  machine =
    settings:
    (stub.lib.nixosSystem {
      inherit system;
      modules = [
        self.nixosModules.default
        settings
      ];
    }).config;
  with' =
    service:
    machine {
      services.srt-restream = service;
    };
  off = with' { };
  plain = with' { enable = true; };
  open = with' {
    enable = true;
    openFirewall = true;
    settings = {
      srt.listen = "[::]:4201";
      webrtc.udp_ports = "40000-40100";
      store.url = "sqlite:///srv/x.db";
    };
    environmentFile = "/run/secrets/x";
  };
  low = with' {
    enable = true;
    settings.http.listen = "0.0.0.0:80";
  };
  service = config: config.systemd.services.srt-restream;
  fails = value: !(builtins.tryEval (builtins.deepSeq value value)).success;

  plugins = [
    pkgs.gst_all_1.gstreamer
    pkgs.gst_all_1.gst-plugins-base
    pkgs.gst_all_1.gst-plugins-good
    pkgs.gst_all_1.gst-plugins-bad
    pkgs.gst_all_1.gst-plugins-ugly
    pkgs.gst_all_1.gst-libav
    pkgs.libnice
  ];
  assertions = {
    "the version is the crate's" = package.name == "srt-restream-${(lib.importTOML (source + "/Cargo.toml")).package.version}";
    "the plugin path has each plugin package once" =
      package.pluginPath == builtins.concatStringsSep ":" (map (plugin: "${plugin}/lib/gstreamer-1.0") plugins);
    "GLib finds its TLS" =
      package.gioModulePath == "${pkgs.glib-networking}/lib/gio/modules";
    "the overlay has the package" = (self.overlays.default pkgs pkgs).srt-restream.drvPath == package.drvPath;
    "nothing runs unless enabled" = !(off.systemd.services ? srt-restream);
    "the firewall stays closed unless asked" =
      plain.networking.firewall.allowedTCPPorts == [ ] && plain.networking.firewall.allowedUDPPorts == [ ];
    "the ports of publishers are opened, that of plain HTTP is not" =
      open.networking.firewall.allowedTCPPorts == [
        5443
        1935
        8554
      ]
      && open.networking.firewall.allowedUDPPorts == [ 4201 ]
      && open.networking.firewall.allowedUDPPortRanges == [
        {
          from = 40000;
          to = 40100;
        }
      ];
    "the database is in the state directory" =
      plain.services.srt-restream.settings.store.url == "sqlite:///var/lib/srt-restream/srt-restream.db"
      && (service plain).serviceConfig.StateDirectory == "srt-restream";
    "a setting is stronger than the module's own" = open.services.srt-restream.settings.store.url == "sqlite:///srv/x.db";
    "no environment file unless given" = !((service plain).serviceConfig ? EnvironmentFile);
    "the environment file is passed on" = (service open).serviceConfig.EnvironmentFile == "/run/secrets/x";
    "the program runs with the checked file" =
      builtins.match ".*/bin/srt-restream --config /nix/store/.*-srt-restream-checked.toml" (service plain).serviceConfig.ExecStart != null;
    "no capability without a port below 1024" = (service plain).serviceConfig.CapabilityBoundingSet == [ "" ];
    "a port below 1024 gets the one capability" =
      (service low).serviceConfig.AmbientCapabilities == [ "CAP_NET_BIND_SERVICE" ]
      && (service low).serviceConfig.PrivateUsers == false;
    "a mistyped option fails" = fails (with' { enabled = true; }).systemd.services;
    "a value of the wrong type fails" = fails (with' {
      enable = true;
      openFirewall = 1;
    }).networking.firewall;
    "a setting that TOML cannot hold fails" = fails (with' {
      enable = true;
      settings.srt.listen = null;
    }).services.srt-restream.settings;
    "two values for one setting fail" = fails (
      (stub.lib.nixosSystem {
        inherit system;
        modules = [
          self.nixosModules.default
          { services.srt-restream.settings.srt.latency_ms = 200; }
          { services.srt-restream.settings.srt.latency_ms = 300; }
        ];
      }).config.services.srt-restream.settings
    );
  };
in
builtins.filter (name: !assertions.${name}) (builtins.attrNames assertions)
