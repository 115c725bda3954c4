{
  description = "Live SRT restreaming: publish over RTMP or SRT, forward to any number of SRT endpoints while it runs";

  # unstable, because the crate asks for a newer Rust than a release branch may have (rust-version in
  # Cargo.toml). The first `nix` command writes flake.lock, which pins it from then on.
  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-unstable";

  outputs =
    { self, nixpkgs }:
    let
      inherit (nixpkgs) lib;
      systems = [
        "x86_64-linux"
        "aarch64-linux"
      ];
      forEachSystem = make: lib.genAttrs systems (system: make system nixpkgs.legacyPackages.${system});
    in
    {
      # nix build
      packages = forEachSystem (
        _: pkgs: {
          default = pkgs.callPackage ./nix/package.nix { };
        }
      );

      # nix run
      apps = forEachSystem (
        system: _: {
          default = {
            type = "app";
            program = lib.getExe self.packages.${system}.default;
          };
        }
      );

      # nix develop
      devShells = forEachSystem (
        system: pkgs: {
          default = pkgs.callPackage ./nix/shell.nix { srt-restream = self.packages.${system}.default; };
        }
      );

      # nix flake check
      checks = forEachSystem (
        system: pkgs: {
          package = self.packages.${system}.default;
          shell = self.devShells.${system}.default;
          format = pkgs.callPackage ./nix/format.nix { };
          module = import ./nix/module-check.nix {
            inherit nixpkgs system;
            module = self.nixosModules.default;
          };
        }
      );

      overlays.default = final: _: {
        srt-restream = final.callPackage ./nix/package.nix { };
      };

      nixosModules.default = import ./nix/module.nix { inherit self; };
    };
}
