// SRT addresses: read, checked and written as somebody types. Pure. The service has the last word; this says the same
// earlier. `docs/endpoint-url.md` has the rules.

import { words } from "./words.js";

const STREAMID_BYTES_MAX = 512;
const PASSPHRASE_MIN = 10;
const PASSPHRASE_MAX = 79;
const LATENCY_MS_MAX = 60_000;
const MODES = ["caller", "listener", "rendezvous"];

/** What stands for a stored secret. */
export const HIDDEN = "***";

const OTHER_NAMES = { srt_streamid: "streamid" };

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return null;
  }
}

/** As little as has to be: `#!::r=live/x,m=publish` stays readable. */
export function encoded(text) {
  return text.replace(/[%&#\s]|[^\x21-\x7e]/gu, (letter) => encodeURIComponent(letter));
}

/** The parts of a text; what can't be read is left as it is. */
export function split(text) {
  const trimmed = text.trim();
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(trimmed);
  const rest = scheme ? trimmed.slice(scheme[0].length) : trimmed;
  const query = rest.indexOf("?");
  const authority = (query < 0 ? rest : rest.slice(0, query)).replace(/\/$/, "");
  const port = /:(\d*[^\]:]*)$/.exec(authority);
  const host = port ? authority.slice(0, port.index) : authority;
  const pairs = query < 0 ? [] : rest.slice(query + 1).split("&").filter(Boolean).map((pair) => {
    const equals = pair.indexOf("=");
    return equals < 0 ? [pair, null] : [OTHER_NAMES[pair.slice(0, equals)] ?? pair.slice(0, equals), pair.slice(equals + 1)];
  });
  return { scheme: scheme ? scheme[1].toLowerCase() : null, host, port: port ? port[1] : "", pairs };
}

export function join({ host, port, pairs }) {
  const query = pairs.map(([key, value]) => (value === null ? key : `${key}=${value}`)).join("&");
  return `srt://${host}${port ? `:${port}` : ""}${query ? `?${query}` : ""}`;
}

/** The decoded value of a key, or an empty text. */
export function value(parts, key) {
  const pair = parts.pairs.find(([name]) => name === key);
  return pair?.[1] ? decoded(pair[1]) ?? pair[1] : "";
}

/** With this value for a key; without it when the value is empty. */
export function withValue(parts, key, text) {
  const pairs = parts.pairs.filter(([name], at) => name !== key || parts.pairs.findIndex(([other]) => other === key) === at);
  const at = pairs.findIndex(([name]) => name === key);
  if (text === "") return { ...parts, pairs: pairs.filter(([name]) => name !== key) };
  const pair = [key, text === HIDDEN ? HIDDEN : encoded(text)];
  if (at < 0) return { ...parts, pairs: [...pairs, pair] };
  return { ...parts, pairs: pairs.map((old, index) => (index === at ? pair : old)) };
}

const wholeNumber = (text, min, max) => /^\d+$/.test(text) && Number(text) >= min && Number(text) <= max;

/** What is wrong with an address: `{ field, text }`, or null when nothing is. */
export function problem(text, passphrase) {
  const wrong = (field, why) => ({ field, text: why });
  const words_ = words.url;
  if (!text.trim()) return wrong("url", words_.empty);
  const parts = split(text);
  if (parts.scheme !== "srt") return wrong("url", words_.scheme);
  const keys = parts.pairs.map(([key]) => key);
  const twice = keys.find((key, at) => keys.indexOf(key) !== at);
  if (twice) return wrong("url", words_.twice(twice));
  for (const [key, raw] of parts.pairs) {
    if (raw === null) return wrong("url", words_.pair);
    if (raw === "") return wrong("url", words_.noValue(key));
    if (decoded(raw) === null) return wrong("url", words_.percent);
  }
  const mode = value(parts, "mode") || "caller";
  if (!MODES.includes(mode)) return wrong("mode", words_.mode);
  if (parts.host.includes("/")) return wrong("url", words_.path);
  if (!parts.host && mode !== "listener") return wrong("host", words_.host);
  if (parts.host && !/^(\[[0-9a-f:.]+\]|[^\s/?#@[\]:]+)$/i.test(parts.host)) return wrong("host", words_.hostChars);
  if (parts.port && !wholeNumber(parts.port, 1, 65535)) return wrong("port", words_.port);
  if (new TextEncoder().encode(value(parts, "streamid")).length > STREAMID_BYTES_MAX) return wrong("streamid", words_.streamid);
  const length = new TextEncoder().encode(passphrase).length;
  if (passphrase && passphrase !== HIDDEN && (length < PASSPHRASE_MIN || length > PASSPHRASE_MAX)) {
    return wrong("passphrase", words_.passphrase(length));
  }
  const latency = value(parts, "latency");
  if (latency && !wholeNumber(latency, 0, LATENCY_MS_MAX)) {
    const micros = wholeNumber(latency, LATENCY_MS_MAX + 1, LATENCY_MS_MAX * 1000);
    return wrong("latency", micros ? words_.latencyMicros(Math.round(Number(latency) / 1000)) : words_.latency);
  }
  return null;
}
