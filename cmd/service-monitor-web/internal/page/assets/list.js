// The list has a row for each service. Only what changed is touched.

const items = new Map(); // by unit: { data, at, row, cell, visible }
const order = []; // the items as they are shown
let hours = 24; // of the timelines

const rank = (item) => (healths.indexOf(item.data.health) + healths.length + 1) % (healths.length + 1);
const before = (a, b) => rank(a) - rank(b) || (a.data.unit < b.data.unit ? -1 : a.data.unit > b.data.unit ? 1 : 0);

const seen = new IntersectionObserver((entries) => {
  for (const e of entries) {
    const item = items.get(e.target.dataset.unit);
    if (!item) continue;
    item.visible = e.isIntersecting;
    if (item.visible) show(item);
  }
}, { rootMargin: "300px" });

// unitChanged takes what is now known of a unit. It returns true if the health is another one.
function unitChanged(data) {
  const item = items.get(data.unit);
  if (!item) {
    const added = { data, at: Date.now() };
    items.set(data.unit, added);
    place(added);
    return data.needs_attention;
  }
  const was = item.data;
  item.data = data;
  item.at = Date.now();
  if (was.health !== data.health) {
    order.splice(order.indexOf(item), 1);
    place(item);
  }
  fill(item);
  if (was.health !== data.health || was.crashes !== data.crashes) flash(item.row);
  return was.health !== data.health;
}

// place puts an item where it belongs.
function place(item) {
  let low = 0, high = order.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (before(order[middle], item) < 0) low = middle + 1; else high = middle;
  }
  const focus = document.activeElement;
  order.splice(low, 0, item);
  if (!item.row) build(item);
  $("rows").insertBefore(item.row, order[low + 1]?.row ?? null);
  if (item.row.contains(focus)) focus.focus({ preventScroll: true }); // a node that moves loses it
}

function unitGone(unit) {
  const item = items.get(unit);
  if (!item) return;
  items.delete(unit);
  order.splice(order.indexOf(item), 1);
  seen.unobserve(item.row);
  item.row.remove();
}

// build makes the row of an item.
function build(item) {
  const row = $("row").content.firstElementChild.cloneNode(true), unit = item.data.unit;
  item.row = row;
  item.cell = {};
  for (const cell of row.children) item.cell[cell.className] = cell;
  row.dataset.unit = unit;
  const [mark, link] = item.cell.name.children, name = short(unit);
  item.mark = mark;
  // Names that are alike differ at their end. So a long one loses what is before that.
  const tail = name.length > 12 ? 6 : 0;
  link.firstChild.textContent = name.slice(0, name.length - tail);
  link.lastChild.textContent = name.slice(name.length - tail);
  link.href = "#" + encodeURIComponent(unit);
  link.title = plain(unit);
  if (tail) link.setAttribute("aria-label", name); // else there is a gap before its tail
  if (unit === report.unit) link.setAttribute("aria-current", "true");
  fill(item);
  seen.observe(row);
}

function fill(item) {
  const { data, cell, row } = item;
  row.className = `cells ${data.health}${data.needs_attention ? " attention" : ""}`;
  put(item.mark, plain(data.mark));
  put(cell.state, plain(data.health_text));
  put(cell.crashes, number(data.crashes) + (data.at_least ? "+" : ""));
  cell.crashes.dataset.word = plural(data.crashes, "crash").replace(/^\d+ /, ""); // for a phone
  put(cell.day, data.crashes_24h === undefined ? "–" : number(data.crashes_24h));
  cell.crashes.classList.toggle("zero", !data.crashes);
  cell.day.classList.toggle("zero", !data.crashes_24h);
  put(cell.up, percent(data.availability_24h));
  put(cell.why, plain(data.summary));
  cell.why.hidden = !data.summary;
  ages(item);
  row.hidden = !matches(item);
}

// since returns the present age of something. seconds is its age when it was told. Nobody knows what
// happens while there is no stream, so nothing gets older then.
const since = (item, seconds) => seconds + Math.max(0, (live.deaf() || Date.now()) - item.at) / 1000;

function ages(item) {
  const { data, cell } = item;
  put(cell.for, data.for_seconds === undefined ? "–" : ago(since(item, data.for_seconds)));
  const last = data.last_crash;
  put(cell.last, !last ? "–" : last.ago_seconds === undefined ? "unknown" : ago(since(item, last.ago_seconds)) + " ago");
  cell.last.classList.toggle("zero", !last);
}

// show brings a row that can be seen up to date.
function show(item) {
  ages(item);
  draw(item.cell.line, item.data.unit, hours);
}

const showVisible = () => order.forEach((item) => item.visible && show(item));

function flash(row) {
  row.classList.remove("changed");
  requestAnimationFrame(() => row.classList.add("changed"));
}

// fillList makes all rows: those that are seen first at once, the others in the breaks of the browser.
function fillList(units) {
  for (const data of units) items.set(data.unit, { data, at: Date.now() });
  order.push(...[...items.values()].sort(before));
  rest.from = 0;
  rest(50);
}

function rest(count) {
  const part = document.createDocumentFragment(), end = Math.min(rest.from + count, order.length);
  for (; rest.from < end; rest.from++) {
    build(order[rest.from]);
    part.append(order[rest.from].row);
  }
  $("rows").append(part);
  if (rest.from < order.length) setTimeout(() => rest(100), 0);
  else performance.mark("all rows");
}

// finishList makes the rows that are still missing.
function finishList() {
  if (rest.from < order.length) rest(order.length);
}

// --- search ---

let wanted = "";

// What is wanted may be a whole name. But without a dot in it, "service" must not find every one.
function matches({ data }) {
  const name = wanted.includes(".") ? plain(data.unit) : short(data.unit);
  return !wanted || name.toLowerCase().includes(wanted) || plain(data.health_text) === wanted;
}

function search() {
  wanted = $("search").value.trim().toLowerCase();
  finishList();
  for (const item of order) item.row.hidden = !matches(item);
  counted();
}

// counted says how many services there are of each health, and how many were found.
function counted() {
  const found = order.filter(matches).length, chips = $("healths");
  put($("found"), wanted ? `${found} of ${plural(order.length, "service")}` : "");
  const counts = new Map();
  for (const { data } of order) counts.set(data.health_text, [(counts.get(data.health_text)?.[0] ?? 0) + 1, data]);
  const wants = [...counts.keys()].join();
  if (chips.dataset.has !== wants) {
    chips.dataset.has = wants;
    chips.replaceChildren(...[...counts].map(([words, [, data]]) => {
      const chip = make("button", data.health, make("span", "mark", plain(data.mark)), " ", make("b"), " " + plain(words));
      chip.type = "button";
      chip.firstChild.setAttribute("aria-hidden", "true");
      chip.value = plain(words);
      return chip;
    }));
  }
  for (const chip of chips.children) {
    put(chip.querySelector("b"), number(counts.get(chip.value)?.[0] ?? 0));
    chip.setAttribute("aria-pressed", String(wanted === chip.value));
  }
  nothing(found);
}

// nothing says why the list is empty.
function nothing(found) {
  $("table").hidden = $("legend").hidden = !found;
  document.querySelector(".bar").hidden = !order.length;
  if (found) return $("none").replaceChildren();
  put($("none"), order.length ? "No service is called that, and none is in such a state." :
    "Name services in monitored_services of the configuration. service-monitor check-config says which file that is, and what is wrong with it. systemctl reload service-monitor has it read.");
}
