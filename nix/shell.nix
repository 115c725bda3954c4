# What working on the program needs: the build's inputs, Rust's tools, and the parts that tests and scripts use.
{
  mkShell,
  srt-restream,
  cargo,
  rustc,
  rustfmt,
  clippy,
  rust-analyzer,
  gst_all_1,
  ffmpeg,
  srt,
  curl,
  python3,
  shellcheck,
  chromium,
  chromedriver,
  nodejs,
  iproute2,
  nftables,
  libfaketime,
}:
mkShell {
  inputsFrom = [ srt-restream ];
  packages = [
    cargo
    rustc
    rustfmt
    clippy
    rust-analyzer
    # gst-launch-1.0 and gst-inspect-1.0, for scripts/gst-debug
    gst_all_1.gstreamer
    # publishers and receivers: ffmpeg, srt-live-transmit
    ffmpeg
    srt
    curl
    # scripts/watch
    python3
    shellcheck
    # a publisher over WebRTC, and npm for the clients of others that run in it
    chromium
    chromedriver
    nodejs
    # a namespace in which packets are lost
    iproute2
    nftables
    # a clock that steps, for the service alone
    libfaketime
  ];
  # With what test sources need beside the service's own elements.
  GST_PLUGIN_SYSTEM_PATH_1_0 = srt-restream.pluginPath;
  # Where the tests find it.
  LIBFAKETIME = "${libfaketime}/lib/libfaketimeMT.so.1";
}
