// The publishing page: opens a camera, a microphone or a screen and sends it to this server over WebRTC,
// by the same WebSocket messages as Ant Media's SDK. Everything the page shows comes from here.

const PING_EVERY_MS = 3000; // what keeps the socket alive; the server closes a silent one after 20 s
const ICE_SERVERS_WAIT_MS = 3000; // then it goes on without any
const PUBLISH_WAIT_MS = 15000; // from `publish` to `publish_started`
const DISCONNECTED_WAIT_MS = 4000; // WebRTC often recovers by itself within it
const RETRY_MIN_MS = 1000;
const RETRY_MAX_MS = 30000;
const STATS_EVERY_MS = 1000;
const RATE_DEFAULT_KBPS = 1200;
const CODECS = { "video/h264": "H.264", "video/vp8": "VP8", "video/vp9": "VP9", "video/av1": "AV1", "audio/opus": "Opus" };

const byId = (id) => document.getElementById(id);
const query = new URLSearchParams(location.search);
const app = decodeURIComponent(location.pathname.split("/")[1]);
const streamId = query.get("id") || query.get("name") || madeUpId();

/** What runs now: media, and while published a socket and a peer connection. */
const session = { media: null, mediaKey: "", socket: null, peer: null, wanted: false, failures: 0, timers: new Set(), attempt: 0, starts: 0 };

function madeUpId() {
  const random = crypto.getRandomValues(new Uint8Array(5));
  const id = "stream-" + Array.from(random, (byte) => byte.toString(16).padStart(2, "0")).join("");
  query.set("id", id);
  // So that a reload, or a copied address, means the same stream.
  history.replaceState(null, "", "?" + query);
  return id;
}

// What people see.

const STATES = {
  idle: "Ready.",
  preparing: "Opening camera and microphone.",
  connecting: "Connecting.",
  live: "Live.",
  reconnecting: "Not connected.",
  failed: "Not publishing.",
};

function show(state, text) {
  const before = document.body.dataset.state;
  document.body.dataset.state = state;
  const shown = text || STATES[state];
  if (byId("state").textContent !== shown) byId("state").textContent = shown;
  const busy = !["idle", "failed"].includes(state);
  byId("start").hidden = busy;
  byId("stop").hidden = !busy;
  byId("choices").disabled = busy;
  // The focus must not fall off the page with the button that had it.
  if (busy && ["idle", "failed"].includes(before)) byId("stop").focus({ preventScroll: true });
  if (!busy && !["idle", "failed"].includes(before)) byId("start").focus({ preventScroll: true });
  if (state !== "live") showRate(null);
}

function complain(text) {
  byId("error").textContent = text || "";
  byId("error").hidden = !text;
}

function showRate(rate) {
  byId("bitrate").textContent = rate ? `${rate.kbps} kb/s` : "";
  byId("bitrate").dataset.kbps = rate ? rate.kbps : 0;
  byId("level").value = rate ? rate.kbps : 0;
  byId("details").textContent = rate ? rate.details : "";
}

/** An error that a new attempt can't mend. */
class Final extends Error {}

function wordsForMedia(error) {
  switch (error.name) {
    case "NotAllowedError":
    case "SecurityError":
      return byId("video").value === "screen"
        ? "The screen was not shared. Press Start and choose what to share."
        : "The browser does not let this page use the camera or the microphone. Allow it beside the address, then press Start again.";
    case "NotFoundError":
    case "OverconstrainedError":
      return "No such camera or microphone was found. Connect one, or choose another source.";
    case "NotReadableError":
    case "AbortError":
      return "The camera or microphone can't be read. Another program may be using it.";
    default:
      return `The source can't be opened: ${error.message || error.name}`;
  }
}

const WORDS = {
  streamIdInUse: () => `Somebody else is publishing “${streamId}” at this moment.`,
  invalidStreamName: (info) => `The stream id “${streamId}” can't be used${info ? `: ${info}` : ""}.`,
  noStreamNameSpecified: () => "The stream has no id.",
  no_codec_enabled_in_the_server: (info) => `The server can take none of this browser's codecs${info ? `: ${info}` : ""}.`,
  notSetRemoteDescription: (info) => `The server does not accept this browser's offer${info ? `: ${info}` : ""}.`,
  unauthorized_access: () => "This stream may not be published with this token.",
  server_error_check_logs: () => "The server could not take the stream. Its log says why.",
  not_initialized_yet: () => "The server is being restarted.",
  highResourceUsage: () => "The server is busy: it has as many publishers as it takes.",
  publishTimeoutError: (info) =>
    `No picture or sound reached the server${info ? ` (${info})` : ""}. A firewall may be blocking UDP.`,
};
/** What will not change by trying again. */
const FINAL = ["invalidStreamName", "noStreamNameSpecified", "no_codec_enabled_in_the_server", "notSetRemoteDescription", "unauthorized_access"];

// Camera, microphone, screen.

function rateMax() {
  return Number(byId("rate").value) || RATE_DEFAULT_KBPS;
}

function pictureSize() {
  const [width, height] = rateMax() > 2500 ? [1920, 1080] : rateMax() >= 1200 ? [1280, 720] : [640, 360];
  return { width: { ideal: width }, height: { ideal: height }, frameRate: { ideal: 30 } };
}

/** `current` says, once the browser has asked its user, whether the media are still wanted. */
async function openMedia(current) {
  const [video, audio] = [byId("video").value, byId("audio").value];
  if (video === "none" && audio === "none") throw new Final("Choose a picture or a sound to publish.");
  if (!navigator.mediaDevices || !window.isSecureContext) {
    throw new Final("Browsers give camera, microphone and screen only to pages that came over HTTPS. Open this page by https:// (port 5443 unless the server is configured otherwise).");
  }
  const key = `${video} ${audio} ${rateMax()}`;
  if (session.media?.active && session.mediaKey === key) return session.media;
  closeMedia();
  const device = (value, general) => (value === general ? true : { deviceId: { exact: value } });
  const sound = audio === "none" ? false : device(audio, "microphone");
  let media;
  try {
    if (video === "screen") {
      media = await navigator.mediaDevices.getDisplayMedia({ video: { frameRate: { ideal: 30 } }, audio: false });
      if (sound) {
        const spoken = await navigator.mediaDevices.getUserMedia({ audio: sound }).catch((error) => {
          media.getTracks().forEach((track) => track.stop());
          throw error;
        });
        spoken.getTracks().forEach((track) => media.addTrack(track));
      }
    } else {
      const camera = device(video, "camera");
      const picture = video === "none" ? false : { ...pictureSize(), ...(camera === true ? {} : camera) };
      media = await navigator.mediaDevices.getUserMedia({ video: picture, audio: sound });
    }
  } catch (error) {
    throw new Final(wordsForMedia(error));
  }
  if (!current()) {
    media.getTracks().forEach((track) => track.stop());
    return null;
  }
  for (const track of media.getTracks()) {
    // Not fired by stop(): it was unplugged, or the sharing was ended in the browser's own bar.
    track.addEventListener("ended", () => {
      if (media !== session.media) return;
      const what = track.kind === "audio" ? "The microphone" : byId("video").value === "screen" ? "Screen sharing" : "The camera";
      end("failed");
      complain(`${what} was ended.`);
    });
  }
  Object.assign(session, { media, mediaKey: key });
  byId("preview").srcObject = media;
  byId("empty").textContent = media.getVideoTracks().length ? "" : "Sound only.";
  listDevices();
  return media;
}

function closeMedia() {
  const media = session.media;
  Object.assign(session, { media: null, mediaKey: "" });
  media?.getTracks().forEach((track) => track.stop());
  byId("preview").srcObject = null;
  byId("empty").textContent = "The preview appears here.";
}

/** Names are known only after the first permission; until then the lists are general. */
async function listDevices() {
  const devices = (await navigator.mediaDevices?.enumerateDevices().catch(() => [])) || [];
  for (const [select, kind, general] of [["video", "videoinput", "camera"], ["audio", "audioinput", "microphone"]]) {
    const named = devices.filter((device) => device.kind === kind && device.label && device.deviceId && device.deviceId !== "default");
    const list = byId(select);
    const chosen = list.value;
    list.querySelectorAll("option[data-device]").forEach((option) => option.remove());
    const place = list.querySelector(`option[value="${general}"]`);
    if (named.length > 1) {
      for (const device of named.reverse()) {
        const option = new Option(device.label, device.deviceId);
        option.dataset.device = "";
        place.after(option);
      }
    }
    list.value = [...list.options].some((option) => option.value === chosen) ? chosen : general;
  }
}

// Signalling.

/** Resolves when the stream is live; rejects when this attempt came to nothing. */
function publishOnce(media, attempt) {
  const socket = new WebSocket(new URL("websocket?target=origin", location.href).href.replace(/^http/, "ws"));
  session.socket = socket;
  const current = () => session.attempt === attempt;
  const send = (message) => socket.readyState === WebSocket.OPEN && socket.send(JSON.stringify({ streamId, ...message }));
  return new Promise((resolve, reject) => {
    let iceServersCame = () => {};
    let peer = null;
    const early = [];
    const lost = (error) => {
      reject(error);
      if (current()) interrupted(error);
    };
    timer(() => lost(new Error("The server did not answer in time.")), PUBLISH_WAIT_MS, "wait");
    socket.onopen = async () => {
      every(() => send({ command: "ping" }), PING_EVERY_MS, attempt);
      const servers = new Promise((came) => {
        iceServersCame = came;
        setTimeout(() => came([]), ICE_SERVERS_WAIT_MS);
      });
      send({ command: "getIceServerConfig" });
      const iceServers = await servers;
      if (!current()) return;
      peer = newPeer(media, iceServers, send, lost);
      session.peer = peer;
      send({
        command: "publish",
        token: query.get("token") || undefined,
        subscriberId: query.get("subscriberId") || "",
        subscriberCode: query.get("subscriberCode") || "",
        streamName: query.get("streamName") || "",
        mainTrack: "",
        metaData: query.get("metaData") || "",
        video: media.getVideoTracks().length > 0,
        audio: media.getAudioTracks().length > 0,
        role: "",
      });
    };
    socket.onclose = () => lost(new Error("The connection to the server was lost."));
    const handlers = {
      iceServerConfig: (message) => iceServersCame(iceServersOf(message)),
      start: async () => {
        await peer.setLocalDescription(await peer.createOffer());
        send({ command: "takeConfiguration", type: "offer", sdp: peer.localDescription.sdp });
      },
      takeConfiguration: async (message) => {
        await peer.setRemoteDescription({ type: "answer", sdp: message.sdp });
        for (const candidate of early.splice(0)) await peer.addIceCandidate(candidate);
      },
      takeCandidate: async (message) => {
        const candidate = { sdpMLineIndex: message.label, candidate: message.candidate };
        if (peer.remoteDescription) await peer.addIceCandidate(candidate);
        else early.push(candidate);
      },
      notification: ({ definition }) => {
        if (definition === "publish_started") resolve(peer);
        if (definition === "publish_finished") lost(new Error("The server ended the stream."));
        if (definition === "server_will_stop") lost(new Error("The server is being restarted."));
      },
      error: ({ definition, information }) => {
        const words = WORDS[definition]?.(information) || `The server refuses: ${information || definition}.`;
        const final = FINAL.includes(definition) || (definition === "streamIdInUse" && session.failures === 0);
        lost(final ? new Final(words) : new Error(words));
      },
    };
    socket.onmessage = async ({ data }) => {
      const message = JSON.parse(data);
      if (!current()) return;
      try {
        await handlers[message.command]?.(message);
      } catch (error) {
        if (current()) lost(new Error(`WebRTC failed: ${error.message}`));
      }
    };
  });
}

function iceServersOf({ stunServerUri, turnServerUsername, turnServerCredential }) {
  if (!stunServerUri) return [];
  return [{ urls: stunServerUri, username: turnServerUsername || "", credential: turnServerCredential || "" }];
}

function newPeer(media, iceServers, send, lost) {
  const peer = new RTCPeerConnection({ iceServers, bundlePolicy: "max-bundle" });
  for (const track of media.getTracks()) {
    const encoding = track.kind === "video" ? { maxBitrate: rateMax() * 1000 } : {};
    const transceiver = peer.addTransceiver(track, { direction: "sendonly", streams: [media], sendEncodings: [encoding] });
    if (track.kind === "video") preferH264(transceiver);
  }
  peer.onicecandidate = ({ candidate }) => {
    if (!candidate) return;
    send({ command: "takeCandidate", label: candidate.sdpMLineIndex, id: candidate.sdpMid, candidate: candidate.candidate });
  };
  peer.onconnectionstatechange = () => {
    if (peer.connectionState === "failed") {
      lost(new Error("The media connection failed. A firewall may be blocking UDP."));
    } else if (peer.connectionState === "disconnected") {
      timer(() => peer.connectionState === "disconnected" && lost(new Error("The media connection was lost.")), DISCONNECTED_WAIT_MS);
    }
  };
  return peer;
}

/** H.264 goes through the server as it is; anything else it must encode anew. */
function preferH264(transceiver) {
  const codecs = RTCRtpSender.getCapabilities?.("video")?.codecs;
  if (!codecs || !transceiver.setCodecPreferences) return;
  const rank = ({ mimeType, sdpFmtpLine = "" }) =>
    mimeType !== "video/H264" ? 2 : sdpFmtpLine.includes("packetization-mode=1") ? 0 : 1;
  transceiver.setCodecPreferences([...codecs].sort((a, b) => rank(a) - rank(b)));
}

// The life of a publication.

async function start() {
  complain("");
  Object.assign(session, { wanted: true, failures: 0 });
  show("preparing", byId("video").value === "screen" ? "Choose what to share." : undefined);
  session.starts += 1;
  const run = session.starts;
  const current = () => session.wanted && session.starts === run;
  try {
    const media = await openMedia(current);
    if (media && current()) attemptToPublish();
  } catch (error) {
    if (current()) interrupted(error);
  }
}

async function attemptToPublish() {
  disconnect();
  const attempt = session.attempt;
  show(session.failures ? "reconnecting" : "connecting", session.failures ? "Connecting again." : undefined);
  try {
    const peer = await publishOnce(session.media, attempt);
    if (session.attempt !== attempt) return;
    clearTimers("wait");
    session.failures = 0;
    complain("");
    show("live");
    measure(peer, attempt);
    keepAwake();
  } catch {
    // Told and dealt with by interrupted().
  }
}

/** The attempt, or the publication, has come to an end that nobody asked for. */
function interrupted(error) {
  disconnect();
  if (!session.wanted) return;
  if (error instanceof Final) {
    end("failed");
    complain(error.message);
    return;
  }
  const wait = Math.min(RETRY_MAX_MS, RETRY_MIN_MS * 2 ** session.failures) * (0.75 + Math.random() / 2);
  session.failures += 1;
  show("reconnecting", `Not connected; trying again in ${Math.max(1, Math.round(wait / 1000))} s.`);
  complain(error.message);
  timer(attemptToPublish, wait);
}

/** Takes socket and peer connection down; whatever they still say is of an old attempt. */
function disconnect() {
  session.attempt += 1;
  clearTimers();
  const { socket, peer } = session;
  Object.assign(session, { socket: null, peer: null });
  if (socket) {
    socket.onclose = null;
    if (socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify({ command: "stop", streamId }));
    socket.close();
  }
  peer?.close();
}

function end(state) {
  session.wanted = false;
  disconnect();
  closeMedia();
  show(state);
}

function timer(action, ms, kind = "") {
  const run = () => {
    session.timers.delete(entry);
    action();
  };
  const entry = { id: setTimeout(run, ms), kind };
  session.timers.add(entry);
}

function every(action, ms, attempt) {
  const entry = { id: setInterval(() => session.attempt === attempt && action(), ms), kind: "every" };
  session.timers.add(entry);
}

function clearTimers(kind) {
  for (const entry of session.timers) {
    if (kind && entry.kind !== kind) continue;
    clearTimeout(entry.id);
    clearInterval(entry.id);
    session.timers.delete(entry);
  }
}

// What goes out, once a second.

function measure(peer, attempt) {
  let before = null;
  every(async () => {
    const stats = await peer.getStats();
    if (session.attempt !== attempt) return;
    const now = { bytes: 0, at: performance.now() };
    const [picture, codecs] = [[], []];
    let path = null;
    for (const report of stats.values()) {
      if (report.type === "outbound-rtp") {
        now.bytes += report.bytesSent + (report.headerBytesSent || 0);
        const codec = CODECS[stats.get(report.codecId)?.mimeType?.toLowerCase()];
        if (report.kind === "video" && report.frameWidth) {
          picture.push(`${report.frameWidth}×${report.frameHeight}`, `${Math.round(report.framesPerSecond || 0)} pictures/s`);
        }
        if (codec) codecs[report.kind === "video" ? "unshift" : "push"](codec);
      }
      if (report.type === "transport") path = stats.get(report.selectedCandidatePairId);
    }
    if (before) {
      const kbps = Math.max(0, Math.round(((now.bytes - before.bytes) * 8) / (now.at - before.at)));
      const delay = path?.currentRoundTripTime;
      const trip = delay === undefined ? [] : [`round trip ${Math.round(delay * 1000)} ms`];
      showRate({ kbps, details: [...picture, codecs.join(" + "), ...trip].filter(Boolean).join(" · ") });
    }
    before = now;
  }, STATS_EVERY_MS, attempt);
}

async function changeRate() {
  byId("level").max = rateMax();
  const sender = session.peer?.getSenders().find((sender) => sender.track?.kind === "video");
  if (!sender) return;
  const parameters = sender.getParameters();
  if (!parameters.encodings?.length) return;
  parameters.encodings[0].maxBitrate = rateMax() * 1000;
  // A connection that is just closing has no use for it.
  await sender.setParameters(parameters).catch(() => {});
}

/** A phone that goes to sleep stops sending. */
async function keepAwake() {
  const lock = await navigator.wakeLock?.request("screen").catch(() => null);
  if (!lock) return;
  const release = () => document.body.dataset.state === "live" || lock.release();
  new MutationObserver(release).observe(document.body, { attributes: true, attributeFilter: ["data-state"] });
}

byId("stream").append(`${app} / `, Object.assign(document.createElement("strong"), { textContent: streamId }));
document.title = `Publish ${app}/${streamId}`;
byId("start").addEventListener("click", start);
byId("stop").addEventListener("click", () => {
  end("idle");
  complain("");
});
byId("rate").addEventListener("change", changeRate);
navigator.mediaDevices?.addEventListener?.("devicechange", listDevices);
listDevices();
byId("start").disabled = false;
show("idle");
