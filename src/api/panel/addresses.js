// The addresses that a stream can be published to, each with a line for FFmpeg and one for OBS. Owns their making.

import { isPulled, nameOf, publishPage } from "./actions.js";
import { openDialog, tell } from "./dialog.js";
import { el } from "./dom.js";
import { address } from "./rest.js";
import { words } from "./words.js";

/** A host as it stands in an address: IPv6 in brackets, as the browser has it. */
const host = () => location.hostname;

const at = (port, usual) => (port === usual ? host() : `${host()}:${port}`);

const quoted = (text) => `"${text}"`;

/** Everything that can be pasted, by the service's ports. */
export function addressesOf({ app, id }, ports) {
  const rtmp = `rtmp://${at(ports.rtmp, 1935)}/${app}`;
  const srt = `srt://${host()}:${ports.srt}?streamid=${app}/${id}`;
  const rtsp = `rtsp://${host()}:${ports.rtsp}/${app}/${id}`;
  const whip = address(`${app}/whip/${encodeURIComponent(id)}`);
  const encode = "-c:v libx264 -preset veryfast -tune zerolatency -g 50 -c:a aac";
  return [
    { kind: "whip", address: whip, obs: words.addresses.obsWhip(whip) },
    { kind: "rtmp", address: `${rtmp}/${id}`, ffmpeg: `ffmpeg -re -i INPUT ${encode} -f flv ${quoted(`${rtmp}/${id}`)}`, obs: words.addresses.obsRtmp(rtmp, id) },
    { kind: "srt", address: srt, ffmpeg: `ffmpeg -re -i INPUT ${encode} -f mpegts ${quoted(srt)}`, obs: words.addresses.obsSrt(srt) },
    { kind: "rtsp", address: rtsp, ffmpeg: `ffmpeg -re -i INPUT ${encode} -f rtsp -rtsp_transport tcp ${quoted(rtsp)}` },
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

export function openAddresses(store, stream) {
  const page = publishPage(stream, store.ports);
  const blocks = addressesOf(stream, store.ports).map(({ kind, ...lines }) => {
    const title = words.addresses.kinds[kind];
    return el(
      "section",
      { class: "address" },
      el("h3", {}, title),
      Object.entries(lines).map(([what, text]) => line(title, words.addresses[what], text)),
    );
  });
  openDialog(
    { title: words.addresses.title(nameOf(stream)), subtitle: words.addresses.text, wide: true, name: "addresses" },
    el(
      "div",
      { class: "dialog-body" },
      isPulled(stream) ? el("p", { class: "notice" }, words.addresses.pulled) : null,
      el("section", { class: "address" }, el("h3", {}, words.addresses.kinds.page), line(words.addresses.kinds.page, words.addresses.address, page)),
      blocks,
    ),
  );
}
