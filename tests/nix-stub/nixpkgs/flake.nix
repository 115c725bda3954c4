# A nixpkgs of a few hundred lines, for machines that cannot fetch the real one: enough to evaluate every
# output of the flake, strict enough to fail on a wrong name. It builds nothing.
{
  outputs =
    { self }:
    let
      lib = import ./lib.nix;
      systems = [
        "x86_64-linux"
        "aarch64-linux"
      ];
      pkgsFor = system: import ./pkgs.nix { inherit lib system; };
    in
    {
      lib = lib // {
        nixosSystem =
          { system, modules }:
          import ./nixos.nix {
            inherit lib modules;
            pkgs = pkgsFor system;
          };
      };
      legacyPackages = lib.genAttrs systems pkgsFor;
    };
}
