// Calls of the service's REST interface. Owns addresses and the wording of what went wrong; knows no element.

import { words } from "./words.js";

/** Where the service lies: a proxy may have put it below a path. */
const ROOT = new URL("../", import.meta.url);

/** How long an answer may take before it counts as lost. */
const ANSWER_MAX_MS = 20_000;

/** Broadcasts of one page of a list, the most that the service gives. */
const PAGE = 250;

/** By so much each page lies over the one before: so many streams may go between the two, and none is left out. */
const OVERLAP = 10;

/** A list that changes faster than it is read is taken as it comes. */
const PAGE_TRIES_MAX = 3;

export function address(path) {
  return new URL(path, ROOT).href;
}

/** What the service refused, or why it could not be asked. `field` names the field at fault, where it is known. */
export class Refusal extends Error {
  constructor(text, { status = 0, field = null } = {}) {
    super(text);
    this.status = status;
    this.field = field;
  }
}

async function read(answer) {
  const text = await answer.text();
  try {
    return text ? JSON.parse(text) : null;
  } catch {
    return null;
  }
}

/**
 * Asks; gives the body, or throws a Refusal that a person can read. With `revision` only what has that one still is
 * changed (412 otherwise).
 */
export async function call(method, path, body, options = {}) {
  let answer;
  try {
    answer = await fetch(address(path), {
      method,
      headers: {
        ...(body === undefined ? {} : { "Content-Type": "application/json" }),
        ...(options.revision === undefined ? {} : { "If-Match": `"${options.revision}"` }),
      },
      body: body === undefined ? undefined : JSON.stringify(body),
      cache: "no-store",
      signal: AbortSignal.timeout(options.timeoutMs ?? ANSWER_MAX_MS),
      keepalive: options.keepalive ?? false,
    });
  } catch (error) {
    const [slow, lost] = method === "GET" || options.changesNothing ? [words.errors.slowRead, words.errors.unreachable] : [words.errors.slow, words.errors.answerLost];
    throw new Refusal(error.name === "TimeoutError" ? slow : lost);
  }
  const data = await read(answer);
  if (answer.ok && data?.success !== false) return data;
  const said = data?.detail || [data?.message, data?.dataId].filter(Boolean).join(": ");
  const foreign = answer.status === 403 && said === "Not allowed IP";
  throw new Refusal(foreign ? words.errors.notAllowed : said || words.errors.status(answer.status), {
    status: answer.status,
    field: data?.field ?? null,
  });
}

const broadcasts = (app) => `${encodeURIComponent(app)}/rest/v2/broadcasts`;

export const streamPath = (app, id) => `${broadcasts(app)}/${encodeURIComponent(id)}`;

const endpointPath = (app, id, endpoint) => `${streamPath(app, id)}/endpoints/${encodeURIComponent(endpoint)}`;

export const rest = {
  applications: async () => (await call("GET", "rest/v2/applications")).applications,
  health: () => call("GET", "health"),

  async broadcasts(app) {
    const found = new Map();
    for (let at = 0, tries = 1; ; ) {
      const page = await call("GET", `${broadcasts(app)}/list/${at}/${PAGE}?sort_by=date`);
      const joins = at === 0 || page.some(({ streamId }) => found.has(streamId));
      for (const broadcast of page) found.set(broadcast.streamId, broadcast);
      if (!joins && tries < PAGE_TRIES_MAX) {
        at = 0;
        tries += 1;
      } else if (page.length < PAGE) {
        return [...found.values()];
      } else {
        at += PAGE - OVERLAP;
      }
    }
  },
  broadcast: (app, id) => call("GET", streamPath(app, id)),
  create: (app, body, start) => call("POST", `${broadcasts(app)}/create${start ? "?autoStart=true" : ""}`, body),
  remove: (app, id) => call("DELETE", streamPath(app, id)),
  start: (app, id) => call("POST", `${streamPath(app, id)}/start`),
  stop: (app, id) => call("POST", `${streamPath(app, id)}/stop`),
  statistics: (app, id) => call("GET", `${streamPath(app, id)}/statistics`),

  endpoints: (app, id) => call("GET", `${streamPath(app, id)}/endpoints`),
  addEndpoint: (app, id, body) => call("POST", `${streamPath(app, id)}/endpoints`, body),
  endpoint: (app, id, endpoint) => call("GET", endpointPath(app, id, endpoint)),
  changeEndpoint: (app, id, endpoint, body, options) => call("PATCH", endpointPath(app, id, endpoint), body, options),
  removeEndpoint: (app, id, endpoint, options) =>
    call("DELETE", endpointPath(app, id, endpoint), undefined, options),
  retryEndpoint: (app, id, endpoint) => call("POST", `${endpointPath(app, id, endpoint)}/retry`),
  /** Of a stored endpoint, whose secrets only the service has. */
  testEndpoint: (app, id, endpoint, body) => call("POST", `${endpointPath(app, id, endpoint)}/test`, body ?? {}, { changesNothing: true }),
  testDestination: (app, id, body) => call("POST", `${streamPath(app, id)}/endpoints/test`, body, { changesNothing: true }),
};
