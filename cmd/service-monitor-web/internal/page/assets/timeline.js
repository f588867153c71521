// A timeline is drawn as a few paths. Time that nobody watched is where there is none: the hatched
// background shows there.

const lines = { 24: new Map(), 168: new Map() }; // by hours, then by unit: { spans, crashes, end } with times in ms

const wide = 1000, high = 20; // of the drawing; it is stretched to where it is shown

// keep takes what the server says of units.
function keep(hours, told) {
  const from = Date.parse(told.from), at = (s) => from + s * 1000, end = Date.parse(told.to);
  for (const u of told.units) {
    lines[hours].set(u.unit, {
      end,
      spans: u.spans.map((s) => ({ ...s, from: at(s.from), to: at(s.to) })),
      crashes: u.crashes.map((c) => ({ at: at(c.at), until: c.until === undefined ? 0 : at(c.until), count: c.count })),
    });
  }
}

// crashed adds a crash at once. The server tells the spans later.
function crashed(unit, at, until, count) {
  for (const hours of [24, 168]) lines[hours].get(unit)?.crashes.push({ at, until, count });
}

// rect returns a part of a path.
const rect = (x0, x1, y0, y1) => `M${x0.toFixed(2)} ${y0}H${x1.toFixed(2)}V${y1}H${x0.toFixed(2)}z`;

// shapes returns the paths of a timeline, and how much of the time each phase was.
function shapes(line, hours, now) {
  const begin = now - hours * 3600e3, x = (t) => Math.min(Math.max((t - begin) / (now - begin), 0), 1) * wide;
  const paths = { up: "", down: "", stopped: "", clear: "" }, share = { up: 0, down: 0, stopped: 0 };
  for (const s of line.spans) {
    // The last span goes on as long as nothing else is told, and the connection is there to tell it.
    const x0 = x(s.from), x1 = x(s.to > line.end - 1000 && live.watches() ? now : s.to);
    if (x1 <= x0 || s.phase === "unobserved") continue;
    if (s.mixed) {
      const up = s.up ?? 0.5, middle = 4 + 12 * up;
      paths.up += rect(x0, x1, 4, middle);
      paths.down += rect(x0, x1, middle, 16);
      share.up += (x1 - x0) * up;
      share.down += (x1 - x0) * (1 - up);
      continue;
    }
    if (s.phase === "stopped") paths.clear += rect(x0, x1, 4, 16);
    paths[s.phase] += s.phase === "stopped" ? rect(x0, x1, 8, 12) : rect(x0, x1, 4, 16);
    share[s.phase] += x1 - x0;
  }
  return { paths, share, ...marks(line, begin, now, x) };
}

// marks returns the crash marks. Each place that has a crash has a mark, and a mark is never thinner
// than a pixel. Only marks in the same place become one.
function marks(line, begin, now, x) {
  const places = new Set();
  let crashes = 0, last = 0;
  for (const c of line.crashes) {
    const until = c.until || c.at;
    if (until < begin || c.at > now + 5000) continue;
    crashes += c.count;
    last = Math.max(last, until);
    const x0 = x(c.at), x1 = x(until), steps = Math.min(c.count - 1, Math.ceil((x1 - x0) * 2));
    for (let i = 0; i <= steps; i++) places.add(Math.round((x0 + (steps ? (x1 - x0) * i / steps : 0)) * 2) / 2);
  }
  let path = "";
  for (const p of places) path += `M${Math.min(Math.max(p, 1), wide - 1)} 0V${high}`;
  return { path, crashes, last };
}

// inWords says what a timeline shows, for those who cannot see it.
function inWords(hours, { share, crashes, last }, now) {
  const part = (n) => (n / wide * 100).toFixed(1).replace(/\.0$/, "") + "%";
  const rest = wide - share.up - share.down - share.stopped;
  let text = `Last ${hours === 24 ? "24 h" : "7 d"}: up ${part(share.up)}`;
  if (share.down > 0) text += `, down ${part(share.down)}`;
  if (share.stopped > 0) text += `, stopped ${part(share.stopped)}`;
  if (rest > wide / 1000) text += `, not watched ${part(rest)}`;
  text += `; ${crashes ? plural(crashes, "crash") : "no crash"}`;
  return last ? `${text}, the last ${ago((now - last) / 1000)} ago` : text;
}

const svg = (tag, name) => {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  if (name) node.setAttribute("class", name);
  return node;
};

// draw draws the timeline of a unit into a place.
function draw(place, unit, hours) {
  const line = lines[hours].get(unit);
  if (!line) return place.replaceChildren();
  const now = gateway.now(), drawn = shapes(line, hours, now);
  let picture = place.firstElementChild;
  if (!picture) {
    picture = svg("svg", "timeline");
    picture.setAttribute("viewBox", `0 0 ${wide} ${high}`);
    picture.setAttribute("preserveAspectRatio", "none");
    picture.setAttribute("role", "img");
    for (const name of ["clear", "up", "stopped", "down", "crash"]) picture.append(svg("path", name));
    place.append(picture);
  }
  const words = inWords(hours, drawn, now);
  if (picture.getAttribute("aria-label") !== words) picture.setAttribute("aria-label", words);
  place.title = words;
  const paths = { ...drawn.paths, crash: drawn.path };
  for (const path of picture.children) {
    const d = paths[path.getAttribute("class")];
    if (path.getAttribute("d") !== d) path.setAttribute("d", d);
  }
}

// ticks returns the times at the axis of a timeline, and where they are, in percent.
function ticks(hours) {
  const now = gateway.now(), begin = now - hours * 3600e3, step = hours === 24 ? 6 * 3600e3 : 24 * 3600e3, off = gateway.offset();
  const list = [];
  for (let t = Math.ceil((begin + off) / step) * step - off; t < now; t += step) {
    const wall = gateway.wall(t);
    list.push([(t - begin) / (now - begin) * 100, hours === 24 ? wall.slice(11, 16) : wall.slice(5, 10)]);
  }
  return list;
}
