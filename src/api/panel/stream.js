// A stream's page: how it comes in, its sound, its tracks, its endpoints, what has happened, its pipeline.
//
// Owns what is read for it, and when: numbers come with the ticks, the statistics of the tracks (which no tick has) are
// read while the page is seen and the stream runs, names and the events before the page was opened once.

import { commands, nameOf } from "./actions.js";
import { el, icon, render, setHidden, setText } from "./dom.js";
import { openEndpoints } from "./endpoints.js";
import { endpointName } from "./endpoint_row.js";
import { rate } from "./format.js";
import { graph } from "./graph.js";
import { KEPT } from "./history.js";
import { menuButton } from "./menu.js";
import { address, rest } from "./rest.js";
import { mediaText, sourceText, sourceTrouble, stateText, stateTime } from "./row.js";
import { badge, endpointLook, heldUntil, streamLook } from "./state.js";
import { preview } from "./preview.js";
import { ingest, levels, pipeline, section, timeline, tracks } from "./stream_parts.js";
import { words } from "./words.js";

const LINES = "M2 3.2h12v1.6H2ZM2 7.2h12v1.6H2ZM2 11.2h12v1.6H2Z";
const STATISTICS_MS = 2_000;
/** What the page is rendered after. */
const CHANGES = ["stream", "list", "event", "connection"];
/** The earlier events come in one piece; a service that is slow is not waited for. */
const EARLIER_MAX_MS = 5_000;

/** Of all events that are kept (4000), it is asked for so many, then for fewer where the oldest have gone meanwhile. */
const EARLIER_MAX = [3_900, 3_000, 1_000];

/** What the service answers to one that comes back after this event: `{ id, name, data }` each, the first is `hello`. */
async function eventsAfter(lastEventId, app, id) {
  const query = `streamId=${encodeURIComponent(id)}&types=broadcast,stream,source,endpoint&lastEventId=${lastEventId}`;
  const stop = new AbortController();
  const timer = setTimeout(() => stop.abort(), EARLIER_MAX_MS);
  try {
    const answer = await fetch(address(`${encodeURIComponent(app)}/rest/v2/events?${query}`), { signal: stop.signal, cache: "no-store" });
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    do {
      const { value, done } = await reader.read();
      if (done) break;
      text += value;
    } while (!text.endsWith("\n\n"));
    return text.split("\n\n").flatMap((block) => {
      const [id_, name, data] = ["id: ", "event: ", "data: "].map((begin) => block.split("\n").find((line) => line.startsWith(begin))?.slice(begin.length));
      if (!name || !data) return [];
      try {
        return [{ id: id_, name, data: JSON.parse(data) }];
      } catch {
        // The piece was cut; the rest is told by the ticks.
        return [];
      }
    });
  } finally {
    clearTimeout(timer);
    stop.abort();
  }
}

/** The events of a stream that the service still knows, oldest first. */
async function earlierEvents(run, app, id) {
  try {
    let told = await eventsAfter(`${run}-0`, app, id);
    for (const count of EARLIER_MAX) {
      if (!told.some(({ name }) => name === "gap")) break;
      const last = Number(told[0]?.id?.split("-")[1]);
      if (!Number.isFinite(last)) break;
      told = await eventsAfter(`${run}-${Math.max(0, last - count)}`, app, id);
    }
    return told.filter(({ name }) => name !== "hello" && name !== "gap").map(({ name, data }) => ({ name, ...data }));
  } catch {
    return [];
  }
}

export class StreamPage {
  #store;
  #key;
  #app;
  #id;
  #stream = null;
  #earlier = null;
  #state = badge();
  #time = el("span", { class: "muted number" });
  #title = el("h2", { class: "stream-title" });
  #comes = el("p", { class: "muted" });
  #media = el("p", { class: "number" });
  #why = el("p", { class: "failure", hidden: true });
  #cause = el("strong", {});
  #next = el("span", { class: "number" });
  #preview;
  #rate = el("span", { class: "figure-value number big" });
  #graph = graph({ count: KEPT, least: 1e5, label: words.endpoints.graphOf(words.table.bitrate) });
  #levels = levels();
  #tracks = tracks();
  #ingest = ingest();
  #timeline = timeline();
  #pipeline;
  #endpoints = el("ul", { class: "brief" });
  #gone = el("p", { class: "empty", hidden: true });
  #content;
  #timer;

  constructor(store, app, id) {
    this.#store = store;
    this.#app = app;
    this.#id = id;
    this.#key = `${app}/${id}`;
    this.#pipeline = pipeline(app, id, id);
    this.#preview = preview(app, id);
    this.#why.append(this.#cause, " ", this.#next);
    const menu = menuButton({ "aria-label": words.table.menuOf(id) }, icon(LINES), () => (this.#stream ? commands(store, this.#stream) : []));
    const edit = () => this.#stream && openEndpoints(store, this.#stream);
    this.#content = el(
      "div",
      { class: "stream-content" },
      el(
        "div",
        { class: "stream-head" },
        el("div", { class: "stream-name-line" }, menu, this.#title),
        el("p", { class: "stream-state" }, this.#state.node, this.#time),
        this.#comes,
        this.#media,
        this.#why,
      ),
      el(
        "div",
        { class: "parts" },
        this.#preview.node,
        section(words.table.bitrate, el("p", {}, this.#rate), this.#graph.node),
        this.#levels.node,
        this.#tracks.node,
        section(words.stream.endpoints, this.#endpoints, el("button", { type: "button", class: "button small", on: { click: edit } }, words.menu.endpoints)),
        this.#ingest.node,
        this.#timeline.node,
        this.#pipeline.node,
      ),
    );
    this.node = el("section", { class: "page stream-page" }, el("a", { class: "back", href: "#/" }, `← ${words.stream.back}`), this.#gone, this.#content);
    this.#changed = ({ detail }) => (!detail || detail.key === this.#key) && render(this.render);
    for (const name of CHANGES) store.addEventListener(name, this.#changed);
    this.#timer = setInterval(() => this.#read(), STATISTICS_MS);
    render(this.render);
  }

  #changed;

  get key() {
    return this.#key;
  }

  get title() {
    return this.#id;
  }

  close() {
    clearInterval(this.#timer);
    this.#preview.close();
    this.#pipeline.close();
    for (const name of CHANGES) this.#store.removeEventListener(name, this.#changed);
  }

  async #read() {
    if (document.hidden || !this.#stream?.pulse || this.#store.connection !== "live") return;
    try {
      const statistics = await rest.statistics(this.#app, this.#id);
      this.#tracks.render(statistics.tracks);
      this.#ingest.render(statistics.ingest);
    } catch {
      // The connection's state says so already; a stream that is gone is said by the list.
    }
  }

  async #readNames() {
    try {
      const endpoints = await rest.endpoints(this.#app, this.#id);
      if (this.#stream) this.#store.learn(this.#stream, endpoints);
      render(this.render);
    } catch {
      // Their addresses are known from the list.
    }
  }

  #nameOf(id) {
    const known = this.#stream.known.get(id);
    return known ? endpointName(known) : this.#stream.endpoints.get(id)?.url ?? id;
  }

  async #readEarlier() {
    this.#earlier = [];
    this.#earlier = await earlierEvents(this.#store.run, this.#app, this.#id);
    render(this.render);
  }

  tick() {
    if (!this.#stream) return;
    const now = this.#store.now();
    setText(this.#time, stateTime(this.#stream, now));
    setText(this.#next, sourceTrouble(this.#stream, now)?.next);
  }

  render = () => {
    const stream = this.#store.streams.get(this.#key) ?? null;
    const first = this.#stream === null && stream !== null;
    this.#stream = stream;
    const { loaded, failure } = this.#store;
    setText(this.#gone, loaded ? words.stream.gone : failure ? words.table.unread : words.table.loading);
    setHidden(this.#gone, stream !== null);
    setHidden(this.#content, stream === null);
    if (!stream) {
      this.#preview.render(this.#id, words.preview.notLive);
      return;
    }
    if (first) {
      this.#read();
      this.#readNames();
    }
    if (this.#earlier === null && this.#store.run) this.#readEarlier();
    setText(this.#title, nameOf(stream));
    this.#state.show(streamLook(stream), stateText(stream));
    const { kind, from } = sourceText(stream);
    setText(this.#comes, [`${stream.app}/${stream.id}`, from ? words.stream.comesFrom(kind, from) : kind, stream.record.userAgent === "N/A" ? null : stream.record.userAgent].filter(Boolean).join(" · "));
    const media = mediaText(stream);
    setText(this.#media, [media.first, media.second].filter(Boolean).join(" · "));
    const trouble = sourceTrouble(stream, this.#store.now());
    setHidden(this.#why, !trouble);
    setText(this.#cause, trouble ? `${trouble.cause}.` : "");
    this.#preview.render(nameOf(stream), this.#noPicture(stream));
    if (!stream.pulse) {
      this.#tracks.render([]);
      this.#ingest.render(null);
    }
    setText(this.#rate, stream.status === "broadcasting" ? rate(stream.pulse?.bitrate1sBps) : "–");
    this.#graph.draw(stream.rate, this.#store.now());
    this.#levels.render(stream.pulse?.tracks ?? []);
    this.#renderEndpoints(stream);
    this.#renderTimeline(stream);
    this.tick();
  };

  #noPicture(stream) {
    if (this.#store.connection !== "live") return words.connection[this.#store.connection];
    if (heldUntil(stream)) return words.streamState.held;
    return stream.status === "broadcasting" ? null : words.preview.notLive;
  }

  #renderEndpoints(stream) {
    const lines = [...stream.endpoints.values()].map((endpoint) => {
      const state = badge();
      state.show(endpointLook(endpoint.state), words.endpointState[endpoint.state] ?? endpoint.state);
      const figures = endpoint.figures;
      const name = this.#nameOf(endpoint.id);
      return el("li", {}, state.node, el("span", { class: "clip", title: name }, name), el("span", { class: "number" }, figures?.sendRateBps ? rate(figures.sendRateBps) : ""));
    });
    this.#endpoints.replaceChildren(...lines);
  }

  #renderTimeline(stream) {
    const since = stream.events[0]?.at ?? Infinity;
    const before = (this.#earlier ?? []).filter((event) => event.at < since);
    this.#timeline.render([...before, ...stream.events], (id) => this.#nameOf(id));
  }
}
