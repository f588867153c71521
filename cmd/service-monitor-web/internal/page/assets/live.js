// What happens comes as a stream of events. A stream that begins again goes on after the last id that came.

const live = {
  last: "0", // the id of the last event
  seq: 0, // of the last event that is in the status
  source: null,
  lost: 0, // since when there is no connection; 0 if there is one
  rests: 0, // since when the page has no stream because nobody sees it; 0 if it has one
  unseen: 30000, // how long nobody sees the page before that
  again: 1000, // how long to wait before a stream that was refused is asked for again
  loading: false, // the whole status is on its way, and what comes meanwhile waits in queue
  asked: false, // and it is wanted once more after that
  queue: [],
  deaf() { return this.rests || this.lost; }, // since when nothing is heard
  watches() { return !this.deaf() && page.monitor.running; },
};

function listen() {
  live.source?.close();
  const source = live.source = new EventSource(`events?after=${encodeURIComponent(live.last)}`);
  source.onopen = found;
  source.onerror = () => {
    if (live.source !== source) return;
    lose();
    if (source.readyState !== EventSource.CLOSED) return; // the browser tries again
    setTimeout(() => live.source === source && listen(), live.again);
    live.again = Math.min(live.again * 2, 30000);
  };
  for (const kind of ["event", "unit", "gone", "monitor", "reset"]) {
    source.addEventListener(kind, (e) => {
      if (live.source !== source) return;
      heard();
      if (kind === "reset") return reset();
      live.last = e.lastEventId || live.last;
      live.queue.push([kind, JSON.parse(e.data)]);
      if (!live.loading) applySoon();
    });
  }
}

// lose says that there is no connection.
function lose() {
  if (live.lost) return;
  live.lost = Date.now();
  banner();
}

function found() {
  live.again = 1000;
  heard();
  if (!live.deaf()) return;
  if (live.lost) say("connected again");
  live.lost = live.rests = 0;
  banner();
  load(); // events that were missed come with the stream, but not states in between
}

// Without HTTP/2, a browser has six connections to a server, and each stream keeps one of them. So a page
// that nobody sees gives its stream up after a while, or six forgotten tabs would lock out the seventh.
let resting = 0;
function sight() {
  clearTimeout(resting);
  if (document.hidden) resting = setTimeout(leave, live.unseen);
  else if (live.rests) wake();
}

function leave() {
  live.rests ||= live.lost || Date.now();
  live.lost = 0; // nobody tries again
  live.source?.close();
  live.source = null;
  clearTimeout(silence);
  banner();
}

// wake listens again. The page is of when it began to rest until the stream is there.
function wake() {
  live.again = 1000;
  listen();
  heard();
}

// A link may die without a word. So if nothing came for a minute, the page asks whether the server is
// there.
let silence = 0;
function heard() {
  clearTimeout(silence);
  silence = setTimeout(probe, 60000);
}

async function probe() {
  const { source } = live;
  if (!source) return; // the page rests
  try {
    await fetch("-/healthy", { cache: "no-store", signal: AbortSignal.timeout(10000) });
    if (live.source) heard();
  } catch {
    if (live.source !== source) return live.source && heard(); // it has begun anew meanwhile
    lose();
    listen();
    heard();
  }
}

function banner() {
  put($("lost"), live.lost ? `connection lost since ${gateway.clock(gateway.now(live.lost))}; trying again` : "");
  header();
  showVisible();
  drawReport();
}

// reset gets everything anew, because the history does not have what was missed.
function reset() {
  live.queue.length = 0;
  load();
}

// load gets everything again. What is asked for while an answer is on its way needs an answer of its own.
async function load() {
  live.asked = true;
  if (live.loading) return;
  live.loading = true;
  live.asked = false;
  try {
    const status = await get("api/status");
    take(status);
  } catch (failure) {
    if (live.source?.readyState === EventSource.OPEN) trouble(failure.message);
    setTimeout(() => !live.deaf() && load(), 5000);
  }
  live.loading = false;
  if (live.asked) load(); else applySoon();
}

// take takes a whole status: what is new, what has changed, and what is gone.
function take(status) {
  page.failed = "";
  page.monitor = status.monitor;
  gateway.set(status.monitor.now ?? status.monitor.as_of);
  live.seq = status.seq ?? 0;
  live.last = String(live.seq);
  if (!items.size) {
    fillList(status.units);
  } else {
    finishList();
    const there = new Set(status.units.map((u) => u.unit));
    for (const unit of [...items.keys()]) if (!there.has(unit)) unitGone(unit);
    for (const u of status.units) unitChanged(u);
  }
  header();
  counted();
  askLines();
  askSoon();
  if (!report.unit) return;
  axes(); // what time it is may have become another one
  drawReport();
  askLine(report.unit, hours === 24 ? 168 : 24);
}

// What comes in a burst is shown at once.
let applying = 0;
function applySoon() {
  applying ||= setTimeout(apply, 30);
}

function apply() {
  applying = 0;
  if (live.loading || !live.queue.length) return;
  finishList();
  const dirty = new Set();
  for (const [kind, data] of live.queue.splice(0)) {
    if (kind === "event" && data.seq <= live.seq) continue; // it is in the status already
    if (kind === "unit") {
      if (unitChanged(data)) changed(data);
      dirty.add(data.unit);
    } else if (kind === "gone") {
      unitGone(data.unit);
    } else if (kind === "monitor") {
      monitorChanged(data);
    } else if (kind === "event") {
      happened(data);
      dirty.add(data.unit);
    }
  }
  header();
  counted();
  if (dirty.has(report.unit)) askSoon();
  dirtyLines(dirty);
}

function happened(e) {
  if (e.kind === "clock") load(); // all times have moved
  if (e.kind === "crash" && e.unit) {
    crashed(e.unit, Date.parse(e.time), e.until ? Date.parse(e.until) : 0, e.count ?? 1);
    const item = items.get(e.unit);
    if (item) {
      flash(item.row);
      if (item.visible) show(item);
    }
  }
  if (e.unit !== report.unit) return;
  report.events.push(e);
  if (report.told) tellHistory(report.events);
  drawReport();
}

function monitorChanged(monitor) {
  const ran = page.monitor.running;
  page.monitor = { host: page.monitor.host, history_since: page.monitor.history_since, ...monitor };
  if (monitor.now) gateway.set(monitor.now);
  if (ran !== monitor.running) {
    say(monitor.running ? "the monitor is running again" : "the monitor is not running");
    if (monitor.running) load();
  }
}

// --- what is said to a screen reader ---

// Changes of a few seconds become one sentence, and only those of how a service is are told.
let sayings = [], saying = 0;
function say(text) {
  sayings.push(text);
  saying ||= setTimeout(() => {
    saying = 0;
    const list = [...new Set(sayings.splice(0))];
    put($("said"), list.length > 4 ? `${list.slice(0, 3).join("; ")}; and ${list.length - 3} more changes` : list.join("; "));
  }, 1500);
}

const changed = (data) => say(`${short(data.unit)}: ${plain(data.health_text)}`);

// --- timelines ---

async function askLines() {
  const all = hours;
  try {
    keep(all, await get(`api/timeline?hours=${all}`));
    showVisible();
    drawReport();
  } catch { /* the next change asks again */ }
}

async function askLine(unit, hours) {
  try {
    keep(hours, await get(`api/timeline?hours=${hours}&unit=${encodeURIComponent(unit)}`));
    const item = items.get(unit);
    if (item?.visible) show(item);
    drawReport();
  } catch { /* the next change asks again */ }
}

// Timelines of services that changed are asked for after a pause. Only their spans wait for it: a crash
// mark is drawn at once.
const late = new Set();
let lateTimer = 0;
function dirtyLines(units) {
  for (const unit of units) if (unit) late.add(unit);
  if (!late.size) return;
  lateTimer ||= setTimeout(() => {
    lateTimer = 0;
    const list = [...late].filter((unit) => items.get(unit)?.visible || unit === report.unit);
    late.clear();
    if (list.length > 12) return askLines();
    for (const unit of list) {
      askLine(unit, hours);
      if (unit === report.unit) askLine(unit, hours === 24 ? 168 : 24);
    }
  }, 2000);
}
