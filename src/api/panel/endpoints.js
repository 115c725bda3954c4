// The dialog Edit ReStreaming Endpoints: the list of a stream's endpoints, and the form that adds one. Owns which rows
// there are; a row and the form have files of their own.

import { nameOf } from "./actions.js";
import { announce, complain, openDialog, tell } from "./dialog.js";
import { arrange, el, icon, render, setHidden, setText } from "./dom.js";
import { endpointForm } from "./endpoint_form.js";
import { EndpointRow, endpointName } from "./endpoint_row.js";
import { removals } from "./removals.js";
import { rest } from "./rest.js";
import { words } from "./words.js";

const PLUS = "M7.2 2h1.6v5.2H14v1.6H8.8V14H7.2V8.8H2V7.2h5.2Z";
const CLOCK_MS = 1_000;
/** What no event tells (the latency adviser's hint) is read this often while it is seen. */
const READ_MS = 10_000;

/** The failure that a step tells of; the last one stays until data flows again. */
function failureOf(before, { state, cause, rejectCode, rejectName, text, attempt, at, nextRetryAt }) {
  if (state === "broadcasting") return null;
  return cause ? { ...before, cause, rejectCode, rejectName, text, attempt, at, nextRetryAt } : before;
}

/** Opens it for a stream. */
export function openEndpoints(store, of) {
  const { key, app, id } = of;
  const stream = () => store.streams.get(key) ?? of;
  const rows = new Map();
  let order = [];
  let reading = false;
  let readAgain = false;
  let loaded = false;
  let complained = false;

  const list = el("ul", { class: "endpoint-list", "aria-label": words.endpoints.list });
  const none = el("p", { class: "empty small-empty", hidden: true });
  const notLive = el("p", { class: "notice", hidden: true }, words.endpoints.notLive);
  const addSlot = el("div", { class: "slot" });
  const add = el("button", { type: "button", class: "button primary", id: "add-endpoint", on: { click: () => openAdd() } }, icon(PLUS), words.endpoints.add);

  /** Where the focus goes when what had it is gone. */
  const home = () => (add.hidden ? node.querySelector("h2") : add);

  const changed = (resource) => {
    const row = rows.get(resource.id);
    if (row) row.of(resource);
    else rows.set(resource.id, makeRow(resource));
    if (!order.includes(resource.id)) order.push(resource.id);
    show();
  };

  const makeRow = (resource) =>
    new EndpointRow(resource, { store, stream, changed, reread: read, edit: openEdit, focusList: () => home().focus(), hasFocus: () => document.activeElement === home() });

  const show = () => render(draw);
  const draw = () => {
    arrange(list, order.map((one) => rows.get(one).node));
    for (const row of rows.values()) row.render();
    setText(none, loaded ? words.endpoints.none : words.endpoints.loading);
    setHidden(none, order.length > 0 || addSlot.hasChildNodes());
    setHidden(notLive, order.length === 0 || stream().status === "broadcasting");
  };

  /** Reads the list; once more when it was asked for meanwhile. */
  const read = async () => {
    if (reading) {
      readAgain = true;
      return;
    }
    reading = true;
    try {
      do {
        readAgain = false;
        const resources = await rest.endpoints(app, id);
        loaded = true;
        const found = new Set(resources.map((resource) => resource.id));
        for (const one of rows.keys()) if (!found.has(one)) rows.delete(one);
        order = resources.map((resource) => resource.id);
        resources.forEach(changed);
      } while (readAgain);
      complained = false;
      show();
    } catch (refusal) {
      if (refusal.status === 404) {
        node.close();
        tell(words.stream.gone);
      } else {
        // It is read again by itself: a complaint for each time would fill the window.
        if (!complained) complain(refusal);
        complained = true;
      }
    } finally {
      reading = false;
    }
  };

  const advice = (host, endpoint) => {
    if (!host) return null;
    if (endpoint?.advice) return { advice: endpoint.advice, own: true };
    const same = [...rows.values()].map((row) => row.endpoint).find((other) => other.advice && other.host === host);
    return same ? { advice: same.advice, own: false } : null;
  };

  const exists = (url) => [...rows.values()].some((row) => row.endpoint.url === url.trim());

  const closeAdd = () => {
    addSlot.replaceChildren();
    setHidden(add, false);
    draw();
    add.focus();
  };

  function openAdd() {
    const form = endpointForm({
      endpoint: null,
      advice,
      exists,
      test: (body) => rest.testDestination(app, id, body),
      cancel: closeAdd,
      async send(body) {
        const resource = await rest.addEndpoint(app, id, body).catch((refusal) => {
          // An answer that was lost says nothing of what was done.
          if (refusal.status === 0) read();
          throw refusal;
        });
        changed(resource);
        closeAdd();
        announce(words.endpoints.added(endpointName(resource)));
        store.touch(app, id);
      },
    });
    addSlot.replaceChildren(el("h3", {}, words.form.add), form.node);
    setHidden(add, true);
    setHidden(none, true);
    form.focus();
    addSlot.scrollIntoView({ block: "nearest" });
  }

  function openEdit(row) {
    const { endpoint, slot } = row;
    const done = () => {
      slot.replaceChildren();
      row.focus("edit");
    };
    const form = endpointForm({
      endpoint,
      advice,
      exists,
      latest: () => rest.endpoint(app, id, endpoint.id),
      test: (body) => rest.testEndpoint(app, id, endpoint.id, body),
      cancel: done,
      async send(body, revision) {
        const resource = await rest.changeEndpoint(app, id, endpoint.id, body, { revision });
        changed(resource);
        done();
        announce(words.endpoints.changed(endpointName(resource)));
      },
    });
    slot.replaceChildren(form.node);
    form.node.setAttribute("aria-label", words.form.edit(endpointName(endpoint)));
    form.focus();
    form.node.scrollIntoView({ block: "nearest" });
  }

  /** An event of this stream: what it says is shown at once, what it leaves open is read. */
  const hear = ({ detail: { name, key: of_, data } }) => {
    if (of_ !== key) return;
    // A list that is on its way was made before this.
    if (reading) readAgain = true;
    if (name === "broadcastDeleted") {
      node.close();
      tell(words.stream.gone);
      return;
    }
    if (name === "endpointRemoved") {
      rows.delete(data.endpointId);
      order = order.filter((one) => one !== data.endpointId);
      show();
    } else if (name.startsWith("endpoint") && data.endpoint) {
      changed(data.endpoint);
    } else if (name === "endpointState" && rows.has(data.endpointId)) {
      const row = rows.get(data.endpointId);
      const { state, status, attempt, at: since } = data;
      row.of({ ...row.endpoint, state, status, attempt, since, failure: failureOf(row.endpoint.failure, data) });
      show();
    } else if (name.startsWith("stream")) {
      read();
    }
  };
  const ticked = () => {
    for (const row of rows.values()) {
      const seen = stream().endpoints.get(row.endpoint.id);
      if (seen?.figures && row.endpoint.state !== seen.state) row.of({ ...row.endpoint, state: seen.state });
    }
    show();
  };
  const connected = () => (store.connection === "live" ? read() : show());
  const removed = ({ detail }) => {
    if (detail.app !== app || detail.id !== id) return;
    draw();
    // What was taken back is where it was.
    const row = detail.back ? rows.get(detail.endpoint) : null;
    if (row && (document.activeElement === home() || document.activeElement === document.body)) row.focus("remove");
    if (detail.back) read();
  };
  store.addEventListener("event", hear);
  store.addEventListener("tick", ticked);
  store.addEventListener("connection", connected);
  removals.addEventListener("change", removed);
  const clock = setInterval(() => {
    for (const row of rows.values()) row.tick();
  }, CLOCK_MS);
  const reader = setInterval(() => !document.hidden && store.connection === "live" && read(), READ_MS);

  const title = words.endpoints.title;
  const subtitle = `${nameOf(of)} · ${app}/${id}`;
  const node = openDialog(
    {
      title,
      subtitle,
      wide: true,
      name: "endpoints",
      closed() {
        clearInterval(clock);
        clearInterval(reader);
        removals.removeEventListener("change", removed);
        store.removeEventListener("event", hear);
        store.removeEventListener("tick", ticked);
        store.removeEventListener("connection", connected);
      },
    },
    el("div", { class: "dialog-body" }, notLive, add, addSlot, none, list),
  );
  draw();
  add.focus();
  read();
}
