// Endpoints that are being removed: switched off at once, deleted when the time to take that back is over. A passphrase
// that was deleted could not be put back from here.
//
// Owns what is pending, for the whole page: a dialog may be closed and opened again meanwhile, and the endpoint may be
// changed by somebody else. So the deletion names the revision that it was switched off with, and whoever has changed
// it since keeps it. Knows no row: who shows one listens to `change`.

import { complain, tell, undoable } from "./dialog.js";
import { rest } from "./rest.js";
import { words } from "./words.js";

const pending = new Set();

/** Tells `change` with `{ app, id, endpoint, back }` when one begins or ends; `back`: it was kept. */
export const removals = new EventTarget();

const keyOf = (app, id, endpoint) => [app, id, endpoint].join("/");

export const isRemoved = (app, id, endpoint) => pending.has(keyOf(app, id, endpoint));

function tellChange(app, id, endpoint, back) {
  removals.dispatchEvent(new CustomEvent("change", { detail: { app, id, endpoint, back } }));
}

/** Removes an endpoint as it was seen. `focus` and `lost` are `undoable`'s. */
export async function removeEndpoint(app, id, endpoint, name, { focus, lost }) {
  const key = keyOf(app, id, endpoint.id);
  if (pending.has(key)) return;
  pending.add(key);
  tellChange(app, id, endpoint.id, false);
  const ends = (back) => {
    pending.delete(key);
    tellChange(app, id, endpoint.id, back);
  };
  const keeps = (refusal) => {
    if (refusal.status === 412) complain(words.endpoints.changedMeanwhile(name));
    else if (refusal.status !== 404) complain(refusal, name);
    ends(refusal.status !== 404);
  };
  const switches = endpoint.enabled && !endpoint.unreadable;
  let { revision } = endpoint;
  if (switches) {
    try {
      ({ revision } = await rest.changeEndpoint(app, id, endpoint.id, { enabled: false }, { revision }));
    } catch (refusal) {
      return keeps(refusal);
    }
  }
  return undoable(words.endpoints.removed(name), {
    focus: focus(),
    lost,
    async finish(leaving) {
      try {
        await rest.removeEndpoint(app, id, endpoint.id, { revision, keepalive: leaving });
        ends(false);
      } catch (refusal) {
        keeps(refusal);
      }
    },
    async back() {
      try {
        if (switches) await rest.changeEndpoint(app, id, endpoint.id, { enabled: true }, { revision });
        tell(words.endpoints.kept(name));
      } catch (refusal) {
        return keeps(refusal);
      }
      return ends(true);
    },
  });
}
