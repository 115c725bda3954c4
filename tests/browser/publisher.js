// What the tests publish with, in Chromium: media of known content, Ant Media's SDK and a WHIP client, both as
// npm has installed them. Owns no judgement: tests ask by `publisher.…` and look at the receiver.

import { WHIPClient } from "./node_modules/whip-whep/whip.js";

const FRAME_MS = 33;
const FLASH_S = 0.2;
const WIDTH = 640;
const HEIGHT = 360;

// A picture that moves, with a white corner in the first 0.2 s of each second, and a beep at the same time:
// what scripts/watch measures the offset of sound against pictures by.
async function flash({ width = WIDTH, height = HEIGHT } = {}) {
  const audio = new AudioContext({ sampleRate: 48000, latencyHint: "interactive" });
  await audio.resume();
  const tone = new OscillatorNode(audio, { frequency: 1000 });
  const gain = new GainNode(audio, { gain: 0 });
  const out = new MediaStreamAudioDestinationNode(audio);
  tone.connect(gain).connect(out);
  tone.start();
  const first = Math.ceil(audio.currentTime) + 1;
  let planned = first;

  const canvas = document.createElement("canvas");
  Object.assign(canvas, { width, height });
  const picture = canvas.getContext("2d", { alpha: false });
  let count = 0;
  let white = false;
  // How much later than the beep each flash was drawn: a busy page's own share of the offset.
  publisher.late_ms = [];
  const draw = () => {
    const now = audio.currentTime;
    // Beeps are planned ahead, on the clock of the sound itself.
    for (; planned < now + 2; planned += 1) {
      gain.gain.setValueAtTime(0.5, planned);
      gain.gain.setValueAtTime(0, planned + FLASH_S);
    }
    picture.fillStyle = `hsl(${count % 360} 60% 35%)`;
    picture.fillRect(0, 0, canvas.width, canvas.height);
    picture.fillStyle = "#888";
    picture.fillRect((count * 7) % canvas.width, canvas.height / 2, canvas.width / 10, canvas.height / 4);
    const was = white;
    white = now >= first && now % 1 < FLASH_S;
    if (white && !was) {
      publisher.late_ms.push((now % 1) * 1000);
    }
    picture.fillStyle = white ? "#fff" : "#000";
    picture.fillRect(0, 0, canvas.width / 8, canvas.height / 8);
    count += 1;
  };
  draw();
  setInterval(draw, FRAME_MS);
  const stream = canvas.captureStream(1000 / FRAME_MS);
  stream.addTrack(out.stream.getAudioTracks()[0]);
  stream.resize = (w, h) => Object.assign(canvas, { width: w, height: h });
  return stream;
}

// Busy pictures, to be paid for with bits.
function noise({ width = WIDTH, height = HEIGHT } = {}) {
  const canvas = document.createElement("canvas");
  Object.assign(canvas, { width, height });
  const picture = canvas.getContext("2d", { alpha: false });
  const small = new ImageData(Math.ceil(width / 16), Math.ceil(height / 16));
  const values = new Uint32Array(small.data.buffer);
  setInterval(async () => {
    for (let at = 0; at < values.length; at += 1) {
      values[at] = 0xff000000 | (Math.random() * 0xffffff);
    }
    picture.imageSmoothingEnabled = false;
    picture.drawImage(await createImageBitmap(small), 0, 0, width, height);
  }, FRAME_MS);
  return canvas.captureStream(1000 / FRAME_MS);
}

const camera = (wanted = { video: { width: WIDTH, height: HEIGHT }, audio: true }) =>
  navigator.mediaDevices.getUserMedia(wanted);

// A peer connection that offers these tracks, with only the video codecs wanted, up to so many kb/s.
function connection(stream, { codecs, kbps, config } = {}) {
  const pc = new RTCPeerConnection(config);
  for (const track of stream.getTracks()) {
    const encoding = track.kind === "video" && kbps ? { maxBitrate: kbps * 1000 } : {};
    const transceiver = pc.addTransceiver(track, { direction: "sendonly", streams: [stream], sendEncodings: [encoding] });
    if (track.kind === "video" && codecs) {
      const helpers = ["video/rtx", "video/red", "video/ulpfec"];
      const all = RTCRtpSender.getCapabilities("video").codecs;
      transceiver.setCodecPreferences(
        all.filter(({ mimeType }) => codecs.includes(mimeType.split("/")[1]) || helpers.includes(mimeType)));
    }
  }
  return pc;
}

// Publishes by WHIP with npm's client.
async function whip(url, stream, { codecs, kbps, token, config } = {}) {
  const client = new WHIPClient();
  const pc = connection(stream, { codecs, kbps, config });
  Object.assign(publisher, { client, pc, stream });
  await client.publish(pc, url, token);
  return String(client.resourceURL);
}

// Long enough for every interface. A browser begins to gather anew when an interface comes or goes, as those of other
// tests' namespaces do, and may then never say that it is complete.
const GATHERED_MAX_MS = 5000;

// Waits until the candidates are in the description, or for long enough.
async function gathered(pc) {
  const until = performance.now() + GATHERED_MAX_MS;
  while (pc.iceGatheringState !== "complete" && performance.now() < until) {
    await new Promise((done) => setTimeout(done, 20));
  }
}

// Publishes by WHIP without a client, so that what is sent may differ from what the browser offers. Gives the status.
async function post_offer(url, stream, change = (offer) => offer, options = {}) {
  const pc = connection(stream, options);
  Object.assign(publisher, { pc, stream });
  await pc.setLocalDescription();
  await gathered(pc);
  const body = change(pc.localDescription.sdp);
  const answer = await fetch(url, { method: "POST", headers: { "Content-Type": "application/sdp" }, body });
  publisher.answer = await answer.text();
  if (answer.ok) {
    publisher.resource = new URL(answer.headers.get("location"), url).href;
    await pc.setRemoteDescription({ type: "answer", sdp: publisher.answer });
  }
  return answer.status;
}

// Restarts ICE of what `whip` or `post_offer` publishes (RFC 9725, 4.3.3), without the client: its own way of taking
// an answer with more than one candidate breaks the description. Gives the status and what was answered.
async function restart_ice({ pc = publisher.pc, resource = publisher.resource, headers = { "If-Match": "*" } } = {}) {
  pc.restartIce();
  await pc.setLocalDescription();
  await gathered(pc);
  const all = pc.localDescription.sdp.split("\r\n");
  const first = all.slice(all.findIndex((line) => line.startsWith("m=")));
  const wanted = /^(a=mid|a=ice-ufrag|a=ice-pwd|a=candidate|a=end-of-candidates)/;
  const kept = first.slice(1).slice(0, first.slice(1).findIndex((line) => /^m=|^$/.test(line))).filter((line) => wanted.test(line));
  const body = [first[0], ...kept, ""].join("\r\n");
  const type = { "Content-Type": "application/trickle-ice-sdpfrag" };
  const answer = await fetch(resource, { method: "PATCH", headers: { ...type, ...headers }, body });
  const said = { status: answer.status, etag: answer.headers.get("etag"), text: await answer.text(), sent: body };
  if (answer.ok) {
    const lines = said.text.split("\r\n");
    const one = (name) => lines.find((line) => line.startsWith(`a=${name}:`));
    const candidates = lines.filter((line) => line.startsWith("a=candidate:"));
    const old = pc.remoteDescription.sdp.replace(/a=candidate:.*\r\n|a=end-of-candidates\r\n/g, "");
    const fresh = old.replace(/a=ice-ufrag:.*/g, one("ice-ufrag")).replace(/a=ice-pwd:.*/g, one("ice-pwd"));
    const sdp = fresh.replace(/(a=ice-pwd:.*\r\n)/, `$1${candidates.map((line) => `${line}\r\n`).join("")}`);
    await pc.setRemoteDescription({ type: "answer", sdp });
  }
  return said;
}

// What is in use of ICE: both user fragments, the addresses, and the DTLS transport's own figures.
async function way(pc = publisher.pc) {
  const all = await pc.getStats();
  const transport = [...all.values()].find((entry) => entry.type === "transport");
  const pair = all.get(transport.selectedCandidatePairId) ?? {};
  const [local, remote] = [all.get(pair.localCandidateId) ?? {}, all.get(pair.remoteCandidateId) ?? {}];
  return {
    local: local.address,
    port: local.port,
    local_type: local.candidateType,
    local_ufrag: transport.iceLocalUsernameFragment,
    remote: remote.address,
    remote_type: remote.candidateType,
    remote_ufrag: remote.usernameFragment,
    pair: transport.selectedCandidatePairId,
    changes: transport.selectedCandidatePairChanges,
    dtls: transport.dtlsState,
    ice: pc.iceConnectionState,
  };
}

// Publishes by Ant Media's SDK as its own sample page does: the id is published once the socket is open.
// `publisher.news` is what it called back, each with its time.
function sdk(url, id, options = {}) {
  const begun = performance.now();
  const news = [];
  const tell = (kind) => (name, value) => {
    const at_ms = Math.round(performance.now() - begun);
    const text = value === undefined || value === null ? null : (value.streamId ?? (typeof value === "object" ? null : value));
    news.push({ kind, name, at_ms, value: text });
  };
  const inform = tell("callback");
  publisher.news = news;
  publisher.clock = () => Math.round(performance.now() - begun);
  publisher.adaptor = new webrtc_adaptor.WebRTCAdaptor({
    websocket_url: url,
    mediaConstraints: { video: { width: WIDTH, height: HEIGHT }, audio: true },
    sdp_constraints: { OfferToReceiveAudio: false, OfferToReceiveVideo: false },
    localVideoId: "localVideo",
    bandwidth: 1200,
    ...options,
    callback: (name, value) => {
      inform(name, value);
      if (name === "initialized" && id) {
        publisher.adaptor.publish(id);
      }
    },
    callbackError: tell("error"),
  });
}

const heard = (name, kind = "callback") => publisher.news.filter((one) => one.kind === kind && one.name === name).length;

// One entry of the statistics of what is sent, as plain values.
async function sending(kind, pc = publisher.pc) {
  const all = [...(await pc.getStats()).values()];
  const out = all.find((entry) => entry.type === "outbound-rtp" && entry.kind === kind) ?? {};
  const room = all.map((entry) => (entry.type === "candidate-pair" ? (entry.availableOutgoingBitrate ?? 0) : 0));
  const codec = all.find((entry) => entry.id === out.codecId) ?? {};
  return {
    bytes: out.bytesSent ?? 0,
    frames: out.framesEncoded ?? 0,
    key_frames: out.keyFramesEncoded ?? 0,
    width: out.frameWidth ?? 0,
    codec: codec.mimeType ?? "",
    available_kbps: Math.round(Math.max(...room) / 1000),
    nacks: out.nackCount ?? 0,
    plis: out.pliCount ?? 0,
    retransmitted: out.retransmittedPacketsSent ?? 0,
    state: pc.connectionState,
  };
}

// The bit rate that is sent, over some seconds.
async function sent_kbps(seconds, kind = "video", pc = publisher.pc) {
  const before = (await sending(kind, pc)).bytes;
  const begun = performance.now();
  await new Promise((done) => setTimeout(done, seconds * 1000));
  return (((await sending(kind, pc)).bytes - before) * 8) / (performance.now() - begun);
}

const sender = (kind, pc = publisher.pc) => pc.getSenders().find((one) => one.track?.kind === kind);

// A WebSocket of our own hand: `said` is what the server answered, `state` how it ended.
function socket(url) {
  const ws = new WebSocket(url);
  const one = { ws, said: [], state: "opening" };
  ws.onopen = () => (one.state = "open");
  ws.onmessage = ({ data }) => one.said.push(JSON.parse(data));
  ws.onclose = () => (one.state = "closed");
  return one;
}

window.publisher = {
  camera, connection, flash, heard, noise, post_offer, restart_ice, sdk, sender, sending, sent_kbps, socket, way, whip,
};
