# The packages of nixpkgs that this project names, as derivations that are never built.
{ lib, system }:
let
  platform = {
    inherit system;
    canExecute = other: other.system == system;
  };

  # A derivation; what is not a string, number, list or derivation stays out of its environment but is
  # evaluated to the last leaf.
  make =
    name: attributes:
    let
      shallow = builtins.removeAttrs attributes [
        "meta"
        "passthru"
        "cargoLock"
      ];
      drv = derivation (
        shallow
        // {
          inherit name system;
          builder = "/bin/sh";
        }
      );
    in
    builtins.deepSeq (attributes.meta or { }) (
      drv // (attributes.passthru or { }) // { meta = attributes.meta or { }; inherit name; }
    );

  # Names and outputs as in nixpkgs.
  simple =
    names:
    lib.genAttrs names (
      name:
      make name {
        passthru = {
          pname = name;
        };
      }
    );

  callPackage =
    file: overrides:
    let
      function = import file;
      arguments = builtins.intersectAttrs (builtins.functionArgs function) pkgs;
      missing = builtins.filter (
        name: !(pkgs ? ${name}) && !(overrides ? ${name}) && !(builtins.functionArgs function).${name}
      ) (builtins.attrNames (builtins.functionArgs function));
    in
    if missing != [ ] then
      throw "nixpkgs stub: ${toString file} asks for unknown packages: ${toString missing}"
    else
      function (arguments // overrides);

  pkgs =
    simple [
      "cargo"
      "chromedriver"
      "chromium"
      "clippy"
      "coreutils"
      "curl"
      "ffmpeg"
      "glib-networking"
      "graphviz"
      "iproute2"
      "libfaketime"
      "libnice"
      "makeWrapper"
      "nftables"
      "nodejs"
      "pkg-config"
      "python3"
      "rust-analyzer"
      "rustc"
      "rustfmt"
      "shellcheck"
      "srt"
    ]
    // {
      inherit lib callPackage system;

      gst_all_1 = simple [
        "gstreamer"
        "gst-plugins-base"
        "gst-plugins-good"
        "gst-plugins-bad"
        "gst-plugins-ugly"
        "gst-rtsp-server"
        "gst-libav"
      ];

      stdenv = {
        buildPlatform = platform;
        hostPlatform = platform;
      };

      rustPlatform.buildRustPackage =
        {
          pname,
          version,
          src,
          cargoLock,
          nativeBuildInputs ? [ ],
          buildInputs ? [ ],
          cargoTestFlags ? [ ],
          preCheck ? "",
          postInstall ? "",
          passthru ? { },
          meta,
        }@arguments:
        # vendoring reads the lock file: it must be there and hold packages
        assert builtins.length (builtins.fromTOML (builtins.readFile cargoLock.lockFile)).package > 0;
        make "${pname}-${version}" arguments;

      mkShell =
        {
          inputsFrom ? [ ],
          packages ? [ ],
          ...
        }@arguments:
        make "nix-shell" arguments;

      runCommand =
        name: environment: script:
        make name (environment // { buildCommand = script; });

      formats.toml = { }: {
        type =
          let
            isToml =
              value:
              builtins.isString value
              || builtins.isInt value
              || builtins.isFloat value
              || builtins.isBool value
              || (builtins.isList value && builtins.all isToml value)
              || (builtins.isAttrs value && builtins.all isToml (builtins.attrValues value));
          in
          lib.mkType "TOML value" isToml lib.types.anything.merge;
        generate = name: value: make name { content = builtins.toJSON value; };
      };
    };
in
pkgs
