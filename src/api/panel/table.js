// The list of streams: filter, order, rows. Owns which rows there are; each row renders itself.

import { nameOf } from "./actions.js";
import { arrange, el, render, setAttribute, setHidden, setText } from "./dom.js";
import { Row } from "./row.js";
import { needsAttention } from "./state.js";
import { words } from "./words.js";

const COLUMNS = [
  ["c-menu", words.table.menu, null],
  ["c-stream", words.table.stream, "name"],
  ["c-app", words.table.app, "app"],
  ["c-state", words.table.state, "state"],
  ["c-source", words.table.source, null],
  ["c-media", words.table.media, null],
  ["c-rate", words.table.bitrate, "rate"],
  ["c-endpoints", words.table.endpoints, null],
];

const STATE_ORDER = ["error", "preparing", "broadcasting", "finished", "created"];

/** One for all: making one costs more than thousands of comparisons. */
const COLLATOR = new Intl.Collator(undefined, { numeric: true });

const byName = (one, other) => COLLATOR.compare(nameOf(one), nameOf(other)) || (one.key < other.key ? -1 : 1);

const ORDERS = {
  name: byName,
  app: (one, other) => COLLATOR.compare(one.app, other.app) || byName(one, other),
  state: (one, other) => STATE_ORDER.indexOf(one.status) - STATE_ORDER.indexOf(other.status) || byName(one, other),
  rate: (one, other) => (other.pulse?.bitrate1sBps ?? 0) - (one.pulse?.bitrate1sBps ?? 0) || byName(one, other),
};

/** What an order puts first: the name at A, the bitrate at the largest. */
const DIRECTIONS = { rate: "descending" };

const STATES = {
  live: (stream) => stream.status === "broadcasting",
  trouble: needsAttention,
  offline: (stream) => stream.status !== "broadcasting",
};

export class Table {
  #store;
  #rows = new Map();
  #order = "name";
  #body = el("tbody", { role: "rowgroup" });
  #heads = new Map();
  #search;
  #app;
  #state;
  #found = el("p", { class: "muted number filter-found", role: "status" });
  #notice = el("p", { class: "notice bad", hidden: true });
  #empty = el("div", { class: "empty", hidden: true });
  #table;
  #watch = new IntersectionObserver((changes) => {
    for (const { target, isIntersecting } of changes) this.#rows.get(target.dataset.key)?.setSeen(isIntersecting);
  });

  constructor(store, { app, create }) {
    this.#store = store;
    this.#build(create);
    this.#app.value = "";
    this.wantedApp = app;
    store.addEventListener("list", () => render(this.#list));
    store.addEventListener("stream", ({ detail }) => this.#changed(detail));
    render(this.#list);
  }

  /** It is in the page again. `key`: the row whose stream was looked at, which gets the focus. */
  shown(key) {
    this.#list();
    this.#rows.get(key)?.focus();
  }

  #build(create) {
    const relist = { input: () => render(this.#list) };
    this.#search = el("input", {
      type: "search", id: "search", placeholder: words.filter.searchHint, "aria-label": words.filter.search,
      autocomplete: "off", spellcheck: "false", on: relist,
    });
    this.#app = el("select", { id: "filter-app", "aria-label": words.filter.app, on: relist }, el("option", { value: "" }, words.filter.allApps));
    const state = (value, text) => el("option", { value }, text);
    this.#state = el(
      "select",
      { id: "filter-state", "aria-label": words.filter.state, on: relist },
      state("", words.filter.allStates),
      state("live", words.filter.live),
      state("trouble", words.filter.trouble),
      state("offline", words.filter.offline),
    );
    const filters = el(
      "search",
      { class: "filters", "aria-label": words.filter.label },
      this.#search, this.#app, this.#state, this.#found,
    );
    this.#table = el(
      "table",
      { role: "table", class: "streams", "aria-label": words.table.label },
      el("thead", { role: "rowgroup" }, el("tr", { role: "row", class: "row head" }, COLUMNS.map((column) => this.#head(...column)))),
      this.#body,
    );
    this.#create = create;
    this.node = el("section", { class: "page list-page", "aria-label": words.table.label }, filters, this.#notice, this.#table, this.#empty);
  }

  #create;

  #head(name, text, order) {
    if (!order) return el("th", { role: "columnheader", class: `cell ${name}` }, el("span", { class: name === "c-menu" ? "visually-hidden" : "" }, text));
    const choose = () => {
      this.#order = order;
      render(this.#list);
    };
    const head = el(
      "th",
      { role: "columnheader", class: `cell ${name}` },
      el("button", { type: "button", class: "sort", title: words.table.sortBy(text), on: { click: choose } }, text),
    );
    this.#heads.set(order, head);
    return head;
  }

  #changed(stream) {
    const row = this.#rows.get(stream.key);
    // A row that the filter has taken out, or that lies behind a stream's page, is rendered when it comes back.
    if (row?.node.isConnected) render(row.render);
    else if (row) row.stale = true;
    // A stream may come into the filter, or leave it; an order by what changes each second would jump.
    if (this.#state.value || this.#order === "state") render(this.#list);
  }

  /** The clock of every row moves on. */
  tick() {
    for (const row of this.#rows.values()) if (row.node.isConnected) row.tick();
  }

  focusSearch() {
    this.#search.focus();
  }

  #apps() {
    const apps = this.#store.applications;
    const shown = [...this.#app.options].slice(1).map((option) => option.value);
    if (apps.join() === shown.join()) return;
    const kept = this.wantedApp ?? this.#app.value;
    arrange(this.#app, [this.#app.options[0], ...apps.map((app) => el("option", { value: app }, app))]);
    this.#app.value = apps.includes(kept) ? kept : "";
    this.wantedApp = null;
  }

  #fits() {
    const needle = this.#search.value.trim().toLowerCase();
    const state = STATES[this.#state.value];
    const app = this.#app.value;
    return (stream) =>
      (!app || stream.app === app) &&
      (!state || state(stream)) &&
      (!needle || stream.id.toLowerCase().includes(needle) || (stream.name ?? "").toLowerCase().includes(needle));
  }

  #list = () => {
    if (!this.node.isConnected) return undefined;
    const { failure } = this.#store;
    if (!this.#store.loaded) return this.#say(failure ? words.table.unread : words.table.loading, failure?.message);
    setHidden(this.#notice, !failure);
    setText(this.#notice, failure ? `${words.table.notReread} ${failure.message}` : "");
    this.#apps();
    const all = [...this.#store.streams.values()];
    const shown = all.filter(this.#fits()).sort(ORDERS[this.#order]);
    for (const [order, head] of this.#heads) setAttribute(head, "aria-sort", order === this.#order ? DIRECTIONS[order] ?? "ascending" : null);
    for (const [key, row] of this.#rows) {
      if (this.#store.streams.has(key)) continue;
      this.#watch.unobserve(row.node);
      this.#rows.delete(key);
    }
    const nodes = shown.map((stream) => {
      let row = this.#rows.get(stream.key);
      if (!row) {
        row = new Row(this.#store, stream);
        this.#rows.set(stream.key, row);
        this.#watch.observe(row.node);
      }
      row.of(stream);
      if (row.stale) row.render();
      return row.node;
    });
    arrange(this.#body, nodes);
    setText(this.#found, words.filter.found(shown.length, all.length));
    if (all.length === 0) {
      const button = el("button", { type: "button", class: "button primary", on: { click: this.#create } }, words.create.open);
      return this.#say(words.table.empty, words.table.emptyHow, button);
    }
    if (shown.length === 0) {
      const clear = () => {
        for (const filter of [this.#search, this.#app, this.#state]) filter.value = "";
        render(this.#list);
        this.#search.focus();
      };
      return this.#say(words.table.none, null, el("button", { type: "button", class: "button", on: { click: clear } }, words.table.clear));
    }
    setHidden(this.#table, false);
    setHidden(this.#empty, true);
    return undefined;
  };

  #say(text, more, button) {
    setHidden(this.#table, true);
    setHidden(this.#empty, false);
    if (this.#empty.textContent.startsWith(text + (more ?? ""))) return;
    this.#empty.replaceChildren(el("p", {}, text));
    if (more) this.#empty.append(el("p", { class: "muted" }, more));
    if (button) this.#empty.append(button);
  }
}
