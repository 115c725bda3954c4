// The parts of a stream's page: tracks, levels, the publisher's way, the time line, the pipeline's graph. Each is given
// what it shows; none of them asks for anything but the graph.

import { arrange, el, isOff, setAttribute, setHidden, setOff, setText } from "./dom.js";
import { clock, date, dbfs, fps, ms, percent, rate, rtt } from "./format.js";
import { address, streamPath } from "./rest.js";
import { badge, endpointLook } from "./state.js";
import { words } from "./words.js";

/** What a meter shows of, dBFS. */
const LEVEL_MIN = -60;
const TIMELINE_MAX = 100;

export function section(title, ...content) {
  return el("section", { class: "part" }, el("h2", {}, title), ...content);
}

/** One meter for each channel: RMS as the bar, the peak as a line. */
export function levels() {
  const list = el("div", { class: "levels" });
  const none = el("p", { class: "muted" }, words.stream.noLevels);
  const node = section(words.stream.levels, list, none);
  const meters = [];
  const meter = (at) => {
    const bar = el("div", { class: "level-bar" });
    const peak = el("div", { class: "level-peak" });
    const text = el("span", { class: "number small" });
    const scale = el("div", { class: "level", role: "meter", "aria-valuemin": LEVEL_MIN, "aria-valuemax": 0, "aria-label": words.stream.level(at + 1) }, bar, peak);
    return { bar, peak, text, scale, node: el("div", { class: "level-line" }, el("span", { class: "muted small" }, String(at + 1)), scale, text) };
  };
  return {
    node,
    render(tracks) {
      const channels = tracks.flatMap((track) => track.levels ?? []);
      while (meters.length < channels.length) meters.push(meter(meters.length));
      arrange(list, meters.slice(0, channels.length).map((one) => one.node));
      setHidden(none, channels.length > 0);
      channels.forEach(({ peakDbfs, rmsDbfs }, at) => {
        const share = (value) => `${Math.max(0, Math.min(100, (1 - value / LEVEL_MIN) * 100))}%`;
        const { bar, peak, text, scale } = meters[at];
        bar.style.width = share(rmsDbfs);
        peak.style.left = share(peakDbfs);
        setAttribute(scale, "data-look", peakDbfs > -1 ? "bad" : peakDbfs > -9 ? "warn" : "ok");
        setAttribute(scale, "aria-valuenow", Math.max(LEVEL_MIN, rmsDbfs).toFixed(1));
        setAttribute(scale, "aria-valuetext", dbfs(rmsDbfs));
        setText(text, dbfs(peakDbfs));
      });
    },
  };
}

/** The tracks, as the statistics tell them. */
export function tracks() {
  const list = el("ul", { class: "tracks" });
  const none = el("p", { class: "muted" }, words.stream.noTracks);
  const row = (track) => {
    const format = track.kind === "video"
      ? [track.widthPx ? `${track.widthPx}×${track.heightPx}` : null, fps(track.frameRateFps), track.keyFrameIntervalMs ? words.stream.keyFrames((track.keyFrameIntervalMs / 1000).toFixed(1)) : null]
      : [track.sampleRateHz ? `${track.sampleRateHz / 1000} kHz` : null, track.channels ? `${track.channels} ch` : null];
    const more = [track.transcodedFrom ? words.stream.from(track.transcodedFrom) : null, track.droppedUnits ? words.stream.dropped(track.droppedUnits) : null];
    return el(
      "li",
      {},
      el("span", { class: "track-kind" }, words.stream.kind[track.kind] ?? track.kind),
      el("strong", {}, track.codec),
      el("span", { class: "number" }, [...format, ...more].filter(Boolean).join(" · ")),
      el("span", { class: "number track-rate" }, rate(track.bitrate1sBps)),
    );
  };
  return {
    node: section(words.stream.tracks, list, none),
    render(all) {
      list.replaceChildren(...all.map(row));
      setHidden(none, all.length > 0);
    },
  };
}

/** The publisher's connection, where its protocol tells. */
export function ingest() {
  const list = el("dl", { class: "facts" });
  const node = section(words.stream.ingest, list);
  return {
    node,
    render(figures) {
      setHidden(node, !figures);
      if (!figures) return;
      const facts = [
        [words.endpoints.rtt, rtt(figures.rttMs)],
        [words.endpoints.loss, percent(figures.lossRatio)],
        [words.stream.lost, String(figures.lostPackets)],
        [words.endpoints.latency, ms(figures.latencyMs)],
        [words.endpoints.encryption, figures.encryption],
      ].filter(([, text]) => text);
      list.replaceChildren(...facts.map(([name, text]) => el("div", {}, el("dt", {}, name), el("dd", { class: "number" }, text))));
    },
  };
}

/** What happened, newest first. */
export function timeline() {
  const list = el("ol", { class: "timeline", tabindex: "0", "aria-label": words.stream.timeline });
  const none = el("p", { class: "muted" }, words.stream.noEvents);
  const line = (event, nameOf) => {
    const mark = badge();
    const look = event.name === "endpointState" ? endpointLook(event.state) : { streamStarted: "ok", streamResumed: "ok", streamPreparing: "busy", streamHeld: "busy", streamEnded: "idle" }[event.name] ?? "off";
    const failing = event.failure?.cause;
    mark.show(event.state === "waiting" && event.name === "sourceState" ? "warn" : look, words.event[event.name] ?? event.name);
    const state = event.name === "endpointState" ? words.endpointState[event.state] ?? event.state : event.name === "sourceState" ? words.sourceState[event.state] ?? event.state : null;
    const endpoint = event.endpointId ? nameOf(event.endpointId) : null;
    const said = [endpoint, state, event.text ?? failing].filter(Boolean).join(" · ");
    return el("li", {}, el("time", { datetime: new Date(event.at).toISOString(), title: date(event.at), class: "number muted" }, clock(event.at)), mark.node, el("span", {}, said));
  };
  let shown = null;
  return {
    node: section(words.stream.timeline, list, none),
    render(events, nameOf) {
      const latest = events.slice(-TIMELINE_MAX);
      // Names come later than events, and change.
      const names = latest.map(({ endpointId }) => (endpointId ? nameOf(endpointId) : "")).join("\n");
      const last = events.at(-1);
      if (shown?.last === last && shown?.length === events.length && shown?.names === names) return;
      shown = { last, length: events.length, names };
      list.replaceChildren(...latest.reverse().map((event) => line(event, nameOf)));
      setHidden(none, events.length > 0);
    },
  };
}

/** The pipeline's graph, drawn when it is asked for: it costs the service half a second. */
export function pipeline(app, id, name) {
  const picture = el("img", { class: "pipeline", alt: words.stream.pipelineAlt(name), hidden: true });
  const said = el("p", { class: "muted", role: "status" });
  const href = address(`${streamPath(app, id)}/pipeline.svg`);
  const full = el("a", { href, target: "_blank", rel: "noopener", hidden: true }, words.stream.openFull);
  const button = el("button", { type: "button", class: "button small", on: { click: () => draw() } }, words.stream.showPipeline);
  let url = null;
  async function draw() {
    if (isOff(button)) return;
    setOff(button, true);
    setText(said, words.stream.drawing);
    try {
      const answer = await fetch(href, { cache: "no-store" });
      if (answer.ok) {
        if (url) URL.revokeObjectURL(url);
        url = URL.createObjectURL(await answer.blob());
        picture.src = url;
        setText(said, "");
      } else {
        const problem = await answer.json().catch(() => null);
        setText(said, problem?.detail ?? words.errors.status(answer.status));
      }
      setHidden(picture, !answer.ok);
      setHidden(full, !answer.ok);
    } catch {
      setText(said, words.errors.unreachable);
    }
    setOff(button, false);
  }
  return {
    node: section(words.stream.pipeline, el("p", { class: "part-tools" }, button, full), said, picture),
    close: () => url && URL.revokeObjectURL(url),
  };
}
