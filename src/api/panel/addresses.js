// The addresses that a stream can be published to, each with a line for FFmpeg and one for OBS. Owns their making.

import { isPulled, nameOf, publishPage } from "./actions.js";
import { openDialog, tell } from "./dialog.js";
import { el, freshId, setAttribute, setText } from "./dom.js";
import { address } from "./rest.js";
import { words } from "./words.js";

/** Where the page is opened through a tunnel or on the machine itself, its own host name leads nobody else here. */
const LOOPBACK = /^(localhost|127\.[0-9.]+|\[::1\])$/;

/** What stands for the service there, as it was typed; kept while the page is open. */
let typed = "";

/** A host as it stands in an address: IPv6 in brackets, as the browser has it. */
const host = () => typed || location.hostname;

const at = (port, usual) => (port === usual ? host() : `${host()}:${port}`);

const quoted = (text) => `"${text}"`;

/** A path of the service as others reach it: by this page's own way, or by the host that was typed and its own port. */
function reached(path, ports, secure) {
  if (!typed) return address(path);
  return secure ? `https://${at(ports.https, 443)}/${path}` : `http://${at(ports.http, 80)}/${path}`;
}

/** Everything that can be pasted, by the service's ports. */
export function addressesOf(stream, ports) {
  const { app, id } = stream;
  const rtmp = `rtmp://${at(ports.rtmp, 1935)}/${app}`;
  const srt = `srt://${host()}:${ports.srt}?streamid=${app}/${id}`;
  const rtsp = `rtsp://${at(ports.rtsp, 554)}/${app}/${id}`;
  const rtsps = ports.rtsps ? `rtsps://${at(ports.rtsps, 322)}/${app}/${id}` : null;
  const whip = reached(`${app}/whip/${encodeURIComponent(id)}`, ports, location.protocol === "https:");
  const page = typed ? reached(`${app}/?id=${encodeURIComponent(id)}`, ports, true) : publishPage(stream, ports);
  const video = "-c:v libx264 -preset veryfast -tune zerolatency -g 50";
  const encode = `${video} -c:a aac`;
  return [
    { kind: "page", address: page },
    { kind: "whip", address: whip, ffmpeg: `ffmpeg -re -i INPUT ${video} -c:a libopus -ar 48000 -ac 2 -f whip ${quoted(whip)}`, obs: words.addresses.obsWhip(whip), note: words.addresses.whipNote },
    { kind: "rtmp", address: `${rtmp}/${id}`, ffmpeg: `ffmpeg -re -i INPUT ${encode} -f flv ${quoted(`${rtmp}/${id}`)}`, obs: words.addresses.obsRtmp(rtmp, id) },
    { kind: "srt", address: srt, ffmpeg: `ffmpeg -re -i INPUT ${encode} -f mpegts ${quoted(srt)}`, obs: words.addresses.obsSrt(srt) },
    { kind: "rtsp", address: rtsp, ffmpeg: `ffmpeg -re -i INPUT ${encode} -f rtsp -rtsp_transport tcp ${quoted(rtsp)}`, note: words.addresses.rtspNote },
    ...(rtsps ? [{ kind: "rtsps", address: rtsps, ffmpeg: `ffmpeg -re -i INPUT ${encode} -f rtsp -rtsp_transport tcp ${quoted(rtsps)}`, note: words.addresses.rtspNote }] : []),
  ];
}

/** Copies a text; where the browser gives no clipboard (plain HTTP from afar), by the selection. */
async function copy(input) {
  try {
    await navigator.clipboard.writeText(input.value);
  } catch {
    input.select();
    if (!document.execCommand("copy")) return tell(words.copyFailed);
  }
  return tell(words.copied);
}

function line(kind, what, text) {
  const name = words.addresses.copyOf(what, kind);
  const input = el("input", { type: "text", readonly: true, value: text, "aria-label": `${kind}: ${what}`, class: "code", on: { focus: () => input.select() } });
  return el(
    "div",
    { class: "copy-line" },
    el("span", { class: "muted small" }, what),
    input,
    el("button", { type: "button", class: "button small", "aria-label": name, on: { click: () => copy(input) } }, words.copy),
  );
}

/** The field for the host, where the page's own one is of this machine alone. */
function hostField(changed) {
  const id = freshId("host");
  const input = el("input", { type: "text", id, name: "host", value: typed, placeholder: location.hostname, autocomplete: "off", spellcheck: "false", autocapitalize: "off" });
  const hint = el("p", { class: "hint", id: `${id}-hint` }, words.addresses.hostHint);
  input.setAttribute("aria-describedby", hint.id);
  input.addEventListener("input", () => {
    const text = input.value.trim();
    // An IPv6 address stands in brackets in every address.
    typed = /^[0-9a-f:.]*:[0-9a-f:.]*:[0-9a-f:.]*$/i.test(text) ? `[${text}]` : text;
    const bad = /[^A-Za-z0-9.:[\]_-]/.test(typed);
    if (bad) typed = "";
    setAttribute(input, "aria-invalid", bad ? "true" : null);
    setAttribute(hint, "data-bad", bad);
    setText(hint, bad ? words.addresses.hostBad : words.addresses.hostHint);
    changed();
  });
  return el("div", { class: "notice" }, el("p", {}, words.addresses.loopback(location.hostname)), el("div", { class: "field f-host" }, el("label", { for: id }, words.addresses.host), input, hint));
}

export function openAddresses(store, stream) {
  const list = el("div", { class: "addresses" });
  const show = () => {
    const blocks = addressesOf(stream, store.ports).map(({ kind, note, ...lines }) => {
      const title = words.addresses.kinds[kind];
      return el(
        "section",
        { class: "address" },
        el("h3", {}, title),
        Object.entries(lines).map(([what, text]) => line(title, words.addresses[what], text)),
        note ? el("p", { class: "muted small" }, note) : null,
      );
    });
    list.replaceChildren(...blocks);
  };
  openDialog(
    { title: words.addresses.title(nameOf(stream)), subtitle: `${stream.app}/${stream.id} · ${words.addresses.text}`, wide: true, name: "addresses" },
    el(
      "div",
      { class: "dialog-body" },
      isPulled(stream) ? el("p", { class: "notice" }, words.addresses.pulled) : null,
      LOOPBACK.test(location.hostname) ? hostField(show) : null,
      list,
    ),
  );
  show();
}
