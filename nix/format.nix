# Holds the sources to rustfmt.
{
  lib,
  runCommand,
  cargo,
  rustfmt,
}:
let
  source = lib.fileset.toSource {
    root = ../.;
    fileset = lib.fileset.unions [
      ../Cargo.toml
      ../Cargo.lock
      ../rustfmt.toml
      ../build.rs
      ../src
      ../tests
      (lib.fileset.maybeMissing ../benches)
    ];
  };
in
runCommand "srt-restream-format"
  {
    nativeBuildInputs = [
      cargo
      rustfmt
    ];
  }
  ''
    cd ${source}
    cargo fmt --check
    touch $out
  ''
