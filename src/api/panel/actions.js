// What can be done with a stream, from its row and from its page. Owns the menu's commands.

import { openAddresses } from "./addresses.js";
import { ask, complain, tell } from "./dialog.js";
import { openEndpoints } from "./endpoints.js";
import { address, rest } from "./rest.js";
import { words } from "./words.js";

export const nameOf = (stream) => stream.name ?? stream.id;

/** Names need not be different; this is. */
const whichOf = ({ app, id }) => `${app}/${id}`;

export const isPulled = (stream) => ["streamSource", "ipCamera"].includes(stream.record.type);

/** A browser gives camera and microphone to a safe origin only: over plain HTTP from afar, the page's HTTPS is the one. */
export function publishPage({ app, id }, ports) {
  const path = `${app}/?id=${encodeURIComponent(id)}`;
  return isSecureContext || !ports ? address(path) : `https://${location.hostname}:${ports.https}/${path}`;
}

async function stop(store, stream) {
  const name = nameOf(stream);
  const text = words.confirm.stopText;
  if (!(await ask({ title: words.confirm.stop(name), which: whichOf(stream), text, yes: words.confirm.stopYes }))) return;
  try {
    await rest.stop(stream.app, stream.id);
    tell(words.done.stopped(name));
  } catch (refusal) {
    // The service says no more than that nothing ran.
    if (refusal.status === 200) tell(words.done.notStopped(name));
    else complain(refusal, name);
  }
  store.touch(stream.app, stream.id);
}

async function start(store, stream) {
  try {
    await rest.start(stream.app, stream.id);
    tell(words.done.started(nameOf(stream)));
  } catch (refusal) {
    complain(refusal, nameOf(stream));
  }
  store.touch(stream.app, stream.id);
}

async function remove(store, stream) {
  const name = nameOf(stream);
  const live = stream.status === "broadcasting" ? `${words.confirm.removeLive} ` : "";
  const text = live + words.confirm.removeText(stream.endpoints.size);
  if (!(await ask({ title: words.confirm.remove(name), which: whichOf(stream), text, yes: words.confirm.removeYes }))) return;
  try {
    await rest.remove(stream.app, stream.id);
    tell(words.done.removed(name));
  } catch (refusal) {
    complain(refusal, name);
  }
  store.touch(stream.app, stream.id);
}

/** The commands of a stream, as they are possible now. */
export function commands(store, stream, { details } = {}) {
  const runs = stream.pulse !== null || stream.status === "broadcasting" || stream.status === "preparing";
  return [
    { text: words.menu.endpoints, run: () => openEndpoints(store, stream) },
    { text: words.menu.addresses, run: () => openAddresses(store, stream) },
    isPulled(stream) ? null : { text: words.menu.publish, href: publishPage(stream, store.ports) },
    details ? { text: words.menu.details, run: details } : null,
    isPulled(stream) && !runs ? { text: words.menu.start, run: () => start(store, stream) } : null,
    runs ? { text: words.menu.stop, run: () => stop(store, stream) } : null,
    { text: words.menu.remove, run: () => remove(store, stream), bad: true },
  ].filter(Boolean);
}
