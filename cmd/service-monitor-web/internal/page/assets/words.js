"use strict";

// The order in which services are shown is that of service-monitor status.
const healths = ["gave-up", "crash-loop", "failed", "not-loaded", "unknown", "starting", "stopped", "exited-ok", "running"];

const $ = (id) => document.getElementById(id);

// make returns an element. Text from the gateway goes in as text and never as HTML.
function make(tag, name, ...inside) {
  const node = document.createElement(tag);
  if (name) node.className = name;
  node.append(...inside);
  return node;
}

// put changes a text only if it differs. So nothing is laid out or read out for nothing.
function put(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

// plain replaces what would change how the text around it looks: control characters, and marks of
// writing direction.
function plain(text) {
  return String(text ?? "").replace(/[\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g, "\ufffd");
}

const short = (unit) => plain(unit).replace(/\.service$/, "");

const plural = (n, what) => `${number(n)} ${what}${n === 1 ? "" : what.endsWith("sh") ? "es" : "s"}`;

const number = (n) => String(n);

const two = (n, unit, rest, smaller) => Math.floor(n) + unit + (Math.floor(rest) ? ` ${Math.floor(rest)}${smaller}` : "");

// span says how long something is, in the words of the command.
function span(s) {
  if (s < 0) return "–";
  if (s < 1) return `${Math.floor(s * 1000)} ms`;
  if (s < 10) return s.toFixed(1).replace(/\.0$/, "") + " s";
  if (s < 100) return `${Math.floor(s)} s`;
  if (s < 3600) return two(s / 60, "m", s % 60, "s");
  if (s < 86400) return two(s / 3600, "h", s / 60 % 60, "m");
  return two(s / 86400, "d", s / 3600 % 24, "h");
}

// ago says how long ago something was, to the second.
const ago = (s) => s < 1 ? "0 s" : span(Math.floor(s));

// percent says 100 % only if that is exact.
function percent(part) {
  if (part === undefined || part === null || part < 0) return "–";
  return (part < 1 ? Math.min(part, 0.9999) * 100 : 100).toFixed(2) + "%";
}

// gateway knows what time it is there. The clock of this computer may be another one, so only what has
// passed since the gateway told its time is taken from it.
const gateway = {
  at: 0, told: 0, zone: "Z",
  set(time) {
    this.at = Date.parse(time);
    this.told = Date.now();
    this.zone = /(Z|[+-]\d\d:\d\d)$/.exec(time)?.[1] ?? "Z";
  },
  now(here = Date.now()) { return this.at + Math.max(0, here - this.told); },
  offset() {
    const [, sign, h, m] = /([+-])(\d\d):(\d\d)/.exec(this.zone) ?? [0, "+", 0, 0];
    return (sign === "-" ? -1 : 1) * (h * 60 + m * 1) * 60000;
  },
  // wall returns a time as the gateway's clock shows it.
  wall(ms) {
    const date = new Date(ms + this.offset());
    return isNaN(date) ? "–" : date.toISOString().slice(0, 19).replace("T", " ");
  },
  // clock leaves out the date if it is today.
  clock(ms) {
    const text = this.wall(ms);
    return text.slice(0, 10) === this.wall(this.now()).slice(0, 10) ? text.slice(11) : text;
  },
  zoneText() { return this.zone === "Z" ? "UTC" : this.zone.replace(/:00$/, ""); },
};

// get asks the server. An answer that is an error says what is wrong in words.
async function get(path) {
  const answer = await fetch(path, { cache: "no-store", signal: AbortSignal.timeout(20000) });
  const body = await answer.json().catch(() => ({ error: `${answer.status} ${answer.statusText}` }));
  if (!answer.ok || body?.error) throw Object.assign(new Error(body?.error ?? String(answer.status)), { status: answer.status });
  return body;
}
