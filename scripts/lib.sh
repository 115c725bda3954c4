# shellcheck shell=bash
# What the scripts share: messages, Debian packages with the reason for each, the Rust toolchain.
# Sourced, never run. Needs nothing but bash and dpkg.
# shellcheck disable=SC2034 # the lists are used by the scripts that source this one

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
export ROOT

say() { printf '%s\n' "$*" >&2; }

die() {
  say "$(basename "$0"): $*"
  exit 2
}

# The header comment of the running script, without its marks, is its help.
help_text() { sed -n '2,/^[^#]/{/^#/s/^# \{0,1\}//p}' "$0"; }

# Debian packages and why each is needed, "name: why".
PACKAGES_BUILD=(
  'ca-certificates: cargo fetches the crates over TLS'
  'gcc: links the program and compiles the embedded SQLite'
  'libc6-dev: the C library to link against'
  'pkg-config: finds GStreamer and libsrt for the build'
  'libgstreamer1.0-dev: GStreamer core to build against'
  'libgstreamer-plugins-base1.0-dev: appsrc, appsink and session descriptions to build against'
  'libgstreamer-plugins-bad1.0-dev: the types of webrtcbin to build against'
  'libgstrtspserver-1.0-dev: the RTSP server to build against'
  'libsrt-gnutls-dev: libsrt, the same shared library that the srtsink element uses'
  'libnice-dev: libnice, the same shared library that webrtcbin uses: ICE restarts, receive buffers'
)
PACKAGES_RUN=(
  'gstreamer1.0-plugins-base: appsrc, appsink, the Opus decoder, conversion of sound and pictures'
  'gstreamer1.0-plugins-good: parsers for AAC, MP2 and AC-3, decoders for VP8, VP9, G.711 and MP2, the level meter, RTP, RTSP and UDP sources'
  'gstreamer1.0-plugins-bad: mpegtsmux, tsdemux, srtsink, parsers for H.264, H.265 and Opus, the AAC encoder, the decoders for AAC and AV1; webrtcbin, DTLS, SRTP'
  'libgstrtspserver-1.0-0: the RTSP server'
  'glib-networking: TLS of sources that are pulled by rtsps and rtmps'
  'gstreamer1.0-nice: ICE, for WebRTC publishers'
  'gstreamer1.0-libav: decodes pictures for the preview in the panel'
  'graphviz: draws the graph of a running pipeline (…/pipeline.svg)'
  'gstreamer1.0-plugins-ugly: x264enc, for publishers that send VP8, VP9 or AV1; the decoder for AC-3'
)
PACKAGES_TEST=(
  'ffmpeg: publishers and receivers of the tests'
  'curl: a client of HTTPS'
  'openssl: a client of TLS, one version at a time'
  'srt-tools: srt-live-transmit, a receiver of the tests'
  'gstreamer1.0-tools: gst-launch-1.0 for scripts/gst-debug'
  'gstreamer1.0-rtsp: rtspclientsink, a publisher of the tests'
  'python3: scripts/watch measures with it'
  'python3-venv: an environment for schemathesis, which tests the HTTP interface'
  'python3-gi: steers the RTSP server of the tests'
  'gir1.2-gst-rtsp-server-1.0: an RTSP server to pull from in the tests, not of this code'
  'nginx-light: an RTMP server to pull from in the tests'
  'libnginx-mod-rtmp: its RTMP module'
  'nix-bin: evaluates flake.nix'
  'shellcheck: checks the scripts'
  'chromium: a publisher over WebRTC in the tests, with its fake camera'
  'chromium-driver: chromedriver, by which the tests steer it'
  'iproute2: network namespaces in which tests lose packets'
  'nftables: loses them'
  'libfaketime: a clock that steps, for the service alone'
  'coturn: the TURN server over which tests publish'
)
# Only where there is no npm: a machine may have one that is not of Debian.
PACKAGES_NPM=(
  'npm: installs the WebRTC publishers of others that the tests run in Chromium'
)

package_is_installed() {
  [[ $(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null) == installed ]]
}

as_root() {
  if [[ $(id -u) -eq 0 ]]; then
    "$@"
  elif command -v sudo >/dev/null; then
    sudo "$@"
  else
    die "root is needed for: $*"
  fi
}

# Installs those of the packages "name: why" that are missing, and says which and why.
install_packages() {
  local entry missing=()
  if ! command -v dpkg-query >/dev/null; then
    say "This is not Debian, so nothing is installed. What Debian calls these packages is needed:"
    printf '  %s\n' "$@" >&2
    return
  fi
  for entry in "$@"; do
    if ! package_is_installed "${entry%%:*}"; then
      missing+=("${entry%%:*}")
      say "missing Debian package ${entry}"
    fi
  done
  if ((${#missing[@]} == 0)); then
    return
  fi
  say "installing: ${missing[*]}"
  as_root apt-get update -q >&2 </dev/null
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${missing[@]}" >&2 </dev/null
}

# Makes sure that cargo and rustc are there and new enough for Cargo.toml's rust-version.
require_rust() {
  local wanted found
  wanted=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' "$ROOT/Cargo.toml")
  if ! command -v cargo >/dev/null && [[ -x ${CARGO_HOME:-$HOME/.cargo}/bin/cargo ]]; then
    PATH="${CARGO_HOME:-$HOME/.cargo}/bin:$PATH"
  fi
  if ! command -v cargo >/dev/null || ! command -v rustc >/dev/null; then
    die "cargo and rustc are missing. Rust $wanted or newer is needed, newer than Debian 12's own: install it by rustup, see https://rustup.rs"
  fi
  found=$(rustc --version | cut -d ' ' -f 2)
  if [[ $(printf '%s\n' "$wanted" "${found%%-*}" | sort -V | head -n 1) != "$wanted" ]]; then
    die "rustc is $found, but $wanted or newer is needed: rustup update stable"
  fi
}

# Stops with the package's name when a program is missing. $1 program, $2 Debian package.
require_program() {
  command -v "$1" >/dev/null || die "$1 is missing: apt-get install $2"
}

# What makes requests out of the OpenAPI document in the tests (PyPI), in an environment of its own below target/.
SCHEMATHESIS=schemathesis==4.32.5
install_schemathesis() {
  local at=$ROOT/target/schemathesis
  if [[ -x $at/bin/st && $(cat "$at/installed" 2>/dev/null) == "$SCHEMATHESIS" ]]; then
    return
  fi
  say "installing $SCHEMATHESIS"
  rm -rf "$at"
  # Debian's own: another python3 in front of it may lack venv.
  /usr/bin/python3 -m venv "$at" </dev/null
  "$at/bin/pip" install --quiet --disable-pip-version-check "$SCHEMATHESIS" >&2 </dev/null
  printf '%s\n' "$SCHEMATHESIS" >"$at/installed"
}

# Installs the publishers of others (tests/browser/package-lock.json) unless they are there already.
install_browser_publishers() {
  local at=$ROOT/tests/browser
  if [[ $at/node_modules/.package-lock.json -nt $at/package-lock.json ]]; then
    return
  fi
  command -v npm >/dev/null || install_packages "${PACKAGES_NPM[@]}"
  require_program npm npm
  say "installing the browser's publishers"
  npm ci --prefix "$at" --ignore-scripts --no-audit --no-fund --no-progress >&2 </dev/null
}
