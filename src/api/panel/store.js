// What the service has said: streams and their endpoints, kept by what it lists, its events and its ticks.
//
// Owns the state and its reloading; knows no element. The hard thing is that lists and events come by different ways:
// so an event never changes more than it says, whatever it leaves open is asked for again, once for many events, and so
// is what an answer that was on its way may have put back as it was before the event.

import { History } from "./history.js";
import { Live } from "./live.js";
import { rest } from "./rest.js";

/** Events of one stream that are kept for its time line. */
const EVENTS_MAX = 200;
/** Endpoints of one stream whose names are kept: more than it can have at a time. */
const KNOWN_MAX = 1_200;
/** Events come in bursts; what they ask for is read once for all that come within this time. */
const READ_AFTER_MS = 120;
/** With more changed streams than this, the lists are read whole. */
const READ_SINGLE_MAX = 8;
const RELOAD_AFTER_MS = 3_000;

export const keyOf = (app, id) => `${app}/${id}`;

function endpointOf(id) {
  return { id, state: "idle", figures: null, rate: new History(), rtt: new History(), loss: new History() };
}

export class Store extends EventTarget {
  /** By `app/id`. */
  streams = new Map();
  applications = [];
  ports = null;
  /** `loading`, `live`, `lost`, `refused`. */
  connection = "loading";
  refusal = null;
  /** Whether the lists have been read; why they could not be, the last time. */
  loaded = false;
  failure = null;
  /** Which run of the service answers. */
  run = null;
  /** What the service's clock is ahead of ours, ms. */
  #ahead = 0;
  /** Where its time stands still while nothing comes from there. */
  #stopped = null;
  #dirty = new Set();
  #reading = null;
  #reload = false;
  #again = null;
  #live = new Live((name, data) => this.#hear(name, data), (state, refusal) => this.#connected(state, refusal));

  start() {
    this.#live.start();
  }

  /** The service's time, by which its moments are to be read. Without a connection no clock and no countdown goes on. */
  now() {
    return this.#stopped ?? Date.now() + this.#ahead;
  }

  /** A change made here: what it changed is read at once. */
  touch(app, id) {
    this.#dirty.add(keyOf(app, id));
    this.#readSoon(0);
  }

  /** What endpoints of a stream are called: events name them by their ids, also those that are gone. */
  learn({ known }, endpoints) {
    for (const { id, label, host, url } of endpoints) {
      known.delete(id);
      known.set(id, { label, host, url });
    }
    while (known.size > KNOWN_MAX) known.delete(known.keys().next().value);
  }

  #tell(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }

  #connected(state, refusal = null) {
    // Whoever may not ask has no connection either; the reason is the better word.
    if (state === "lost" && this.connection === "refused") return;
    if (state === "live") this.#stopped = null;
    else this.#stopped ??= this.now();
    this.connection = state;
    this.refusal = refusal;
    this.#tell("connection");
  }

  #hear(name, data) {
    if (data.at) this.#ahead = data.at - Date.now();
    if (name === "hello") {
      const restarted = this.run !== null && this.run !== data.run;
      this.run = data.run;
      if (!data.resumed || restarted) this.#readAll();
      return;
    }
    if (name === "gap") return this.#readAll();
    if (name === "statistics") return this.#tick(data);
    this.#happened(name, data);
  }

  #happened(name, data) {
    const key = keyOf(data.app, data.streamId);
    // What is known from the event itself is not asked for; but an answer that is on its way may not know it yet.
    const isWhole = ["endpointState", "sourceState", "broadcastDeleted"].includes(name);
    if (!isWhole || this.#reading === "running") {
      this.#dirty.add(key);
      this.#readSoon(READ_AFTER_MS);
    }
    if (name === "broadcastDeleted") {
      this.streams.delete(key);
      this.#tell("list");
      this.#tell("event", { name, key, data });
      return;
    }
    const stream = this.streams.get(key);
    if (stream) {
      if (data.status && name.startsWith("stream")) {
        stream.status = data.status;
        // The next tick says the same, some time later.
        if (stream.pulse) stream.pulse = { ...stream.pulse, heldUntil: data.heldUntil ?? null };
      }
      if (name === "endpointRemoved") stream.endpoints.delete(data.endpointId);
      if (name === "endpointState") {
        const endpoint = this.#endpoint(stream, data.endpointId);
        endpoint.state = data.state;
      }
      if (data.endpoint) this.learn(stream, [data.endpoint]);
      if (name === "sourceState") stream.record = { ...stream.record, sourceState: data.state, sourceError: data.failure };
      stream.events.push({ name, ...data });
      if (stream.events.length > EVENTS_MAX) stream.events.shift();
      this.#tell("stream", stream);
    }
    this.#tell("event", { name, key, data });
  }

  #endpoint(stream, id) {
    let endpoint = stream.endpoints.get(id);
    if (!endpoint) {
      endpoint = endpointOf(id);
      stream.endpoints.set(id, endpoint);
    }
    return endpoint;
  }

  #tick({ streams, at }) {
    const seen = new Set();
    for (const pulse of streams) {
      const key = keyOf(pulse.app, pulse.streamId);
      const stream = this.streams.get(key);
      if (!stream) {
        this.#dirty.add(key);
        this.#readSoon(READ_AFTER_MS);
        continue;
      }
      seen.add(key);
      stream.status = pulse.status;
      stream.pulse = pulse;
      stream.rate.push(pulse.status === "broadcasting" ? pulse.bitrate1sBps : null, at);
      for (const figures of pulse.endpoints) {
        const endpoint = this.#endpoint(stream, figures.endpointId);
        endpoint.state = figures.state;
        endpoint.figures = figures;
        endpoint.rate.push(figures.sendRateBps, at);
        endpoint.rtt.push(figures.rttMs, at);
        endpoint.loss.push(figures.lossRatio, at);
      }
      this.#tell("stream", stream);
    }
    for (const stream of this.streams.values()) {
      if (!stream.pulse || seen.has(stream.key)) continue;
      // It runs no more; how it ended is asked for.
      stream.pulse = null;
      stream.rate.push(null, at);
      this.#dirty.add(stream.key);
      this.#readSoon(READ_AFTER_MS);
      this.#tell("stream", stream);
    }
    this.#tell("tick");
  }

  #readAll() {
    this.#reload = true;
    this.#readSoon(0);
  }

  #readSoon(after) {
    if (this.#reading === "running") return;
    clearTimeout(this.#reading);
    this.#reading = setTimeout(() => this.#read(), after);
  }

  async #read() {
    this.#reading = "running";
    clearTimeout(this.#again);
    const whole = this.#reload || this.#dirty.size > READ_SINGLE_MAX;
    const keys = [...this.#dirty];
    this.#dirty.clear();
    this.#reload = false;
    try {
      if (whole) await this.#readLists();
      else await Promise.all(keys.map((key) => this.#readOne(key)));
    } catch (refusal) {
      // What could not be read is read later: a connection that comes back asks by itself, a slow service does not.
      this.#reload = true;
      this.#again = setTimeout(() => this.#readSoon(0), RELOAD_AFTER_MS);
      if (refusal.status === 403) this.#connected("refused", refusal);
      this.failure = refusal;
      this.#reading = null;
      this.#tell("list");
      return;
    }
    this.#reading = null;
    if (this.failure) {
      this.failure = null;
      this.#tell("list");
    }
    if (this.#dirty.size > 0 || this.#reload) this.#readSoon(READ_AFTER_MS);
  }

  async #readLists() {
    const [applications, health] = await Promise.all([rest.applications(), rest.health()]);
    const lists = await Promise.all(applications.map((app) => rest.broadcasts(app)));
    this.applications = applications;
    this.ports = health.ports;
    this.version = health.version;
    const found = new Set();
    applications.forEach((app, at) => {
      for (const broadcast of lists[at]) found.add(this.#put(app, broadcast).key);
    });
    for (const key of this.streams.keys()) {
      if (!found.has(key)) this.streams.delete(key);
    }
    this.loaded = true;
    this.#tell("list");
  }

  async #readOne(key) {
    const [app, id] = key.split("/");
    try {
      const broadcast = await rest.broadcast(app, id);
      // `count` is a call of its own at this place: a stream of that name stands in the list alone.
      if (broadcast?.streamId === id) this.#put(app, broadcast);
      else this.#reload = true;
    } catch (refusal) {
      if (refusal.status !== 404) throw refusal;
      this.streams.delete(key);
    }
    this.#tell("list");
  }

  /** Takes over a broadcast as the service lists it. */
  #put(app, broadcast) {
    const key = keyOf(app, broadcast.streamId);
    let stream = this.streams.get(key);
    if (!stream) {
      stream = {
        key, app, id: broadcast.streamId, endpoints: new Map(), known: new Map(), rate: new History(), events: [], pulse: null,
      };
      this.streams.set(key, stream);
    }
    stream.record = broadcast;
    stream.name = broadcast.name || null;
    stream.status = broadcast.status;
    const listed = broadcast.endPointList ?? [];
    const ids = new Set(listed.map((endpoint) => endpoint.endpointServiceId));
    for (const id of stream.endpoints.keys()) {
      if (!ids.has(id)) stream.endpoints.delete(id);
    }
    for (const { endpointServiceId, state, endpointUrl } of listed) {
      const endpoint = this.#endpoint(stream, endpointServiceId);
      endpoint.url = endpointUrl;
      // A tick knows it newer.
      if (!stream.pulse) endpoint.state = state;
    }
    this.#tell("stream", stream);
    return stream;
  }
}
