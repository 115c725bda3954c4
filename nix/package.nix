# The program, wrapped so that it finds exactly the GStreamer plugins it needs.
{
  lib,
  rustPlatform,
  pkg-config,
  makeWrapper,
  gst_all_1,
  libnice,
  glib-networking,
  graphviz,
  # The same library that gst-plugins-bad links: the process must hold one copy of it.
  srt,
}:
let
  manifest = (lib.importTOML ../Cargo.toml).package;
  plugins = [
    gst_all_1.gstreamer # capsfilter, tee
    gst_all_1.gst-plugins-base # appsrc, appsink, opusdec, audioconvert, audioresample, videoconvert
    gst_all_1.gst-plugins-good # parsers for AAC, MP2, AC-3; vp8dec, vp9dec, mulawdec, alawdec; RTP; rtspsrc, udpsrc
    gst_all_1.gst-plugins-bad # mpegtsmux, tsdemux, srtsink, srtsrc, rtmp2src, voaacenc, parsers for H.264, H.265, Opus; webrtcbin, DTLS, SRTP
    gst_all_1.gst-plugins-ugly # x264enc
    gst_all_1.gst-libav # avdec_h264, avdec_h265, for previews
    libnice # ICE, for webrtcbin
  ];
  searchPath = lib.makeSearchPathOutput "lib" "lib/gstreamer-1.0";
  pluginPath = searchPath plugins;
  # TLS of sources that are pulled by rtsps and rtmps: GLib loads it, no library links it.
  gioModulePath = "${glib-networking}/lib/gio/modules";
in
rustPlatform.buildRustPackage {
  pname = manifest.name;
  inherit (manifest) version;

  src = lib.fileset.toSource {
    root = ../.;
    fileset = lib.fileset.unions [
      ../Cargo.toml
      ../Cargo.lock
      ../build.rs
      ../src
      ../pipelines
      ../srt-restream.example.toml
      ../migrations
      (lib.fileset.maybeMissing ../benches)
    ];
  };
  cargoLock.lockFile = ../Cargo.lock;

  nativeBuildInputs = [
    pkg-config
    makeWrapper
  ];
  buildInputs = [
    gst_all_1.gstreamer
    gst_all_1.gst-plugins-base
    gst_all_1.gst-plugins-bad # the types of webrtcbin
    libnice # ICE restarts and receive buffers of webrtcbin's agent
    gst_all_1.gst-rtsp-server
    srt
  ];

  # The unit tests; the tests with real publishers and receivers (tests/) want ffmpeg, time and ports.
  cargoTestFlags = [ "--lib" ];
  preCheck = ''
    export GST_PLUGIN_SYSTEM_PATH_1_0=${pluginPath}
    export GST_REGISTRY=$TMPDIR/gst-registry.bin
  '';

  postInstall = ''
    wrapProgram $out/bin/srt-restream --set GST_PLUGIN_SYSTEM_PATH_1_0 ${pluginPath} \
      --prefix GIO_EXTRA_MODULES : ${gioModulePath} \
      --suffix PATH : ${lib.makeBinPath [ graphviz ]} # draws pipelines
    install -Dm644 srt-restream.example.toml -t $out/share/doc/srt-restream
  '';

  passthru = { inherit pluginPath gioModulePath; };

  meta = {
    inherit (manifest) description;
    license = lib.licenses.mit;
    mainProgram = "srt-restream";
    platforms = lib.platforms.linux;
  };
}
