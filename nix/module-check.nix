# Evaluates the NixOS module inside a whole NixOS configuration and builds the unit that comes of it.
{
  nixpkgs,
  system,
  module,
}:
let
  machine = nixpkgs.lib.nixosSystem {
    inherit system;
    modules = [
      module
      {
        # No kernel, no boot loader, no file systems: only the service is of interest.
        boot.isContainer = true;
        system.stateVersion = nixpkgs.lib.trivial.release;
        services.srt-restream = {
          enable = true;
          openFirewall = true;
          settings.srt.listen = "[::]:4201";
        };
      }
    ];
  };
in
machine.config.systemd.units."srt-restream.service".unit
