// The report says why a service crashed, as service-monitor why does. Its address is #SERVICE, or
// #SERVICE/NUMBER for an older crash.

const report = { unit: "", crash: "", asked: 0, told: null, events: [] };

// address returns what the address of the page asks for. A name may lack ".service".
function address() {
  const [unit, crash] = location.hash.slice(1).split("/").map((part) => {
    try { return decodeURIComponent(part); } catch { return part; }
  });
  return { unit: unit && !items.has(unit) && items.has(unit + ".service") ? unit + ".service" : unit, crash: /^\d+$/.test(crash ?? "") ? crash : "" };
}

// goTo shows what the address asks for.
function goTo() {
  const { unit, crash } = address(), was = report.unit;
  if (unit === was && crash === report.crash) return;
  Object.assign(report, { unit, crash, told: null, events: [] });
  $("report").hidden = !unit;
  document.body.classList.toggle("open", !!unit);
  for (const row of document.querySelectorAll("[aria-current]")) row.removeAttribute("aria-current");
  if (!unit) {
    const row = items.get(was)?.row;
    if (!row?.hidden) row?.querySelector("a").focus();
    return title();
  }
  const item = items.get(unit);
  item?.row?.querySelector("a").setAttribute("aria-current", "true");
  put($("title"), plain(unit));
  for (const id of ["headline", "failed"]) put($(id), "");
  for (const id of ["timelines", "fields", "words", "commands", "history"]) $(id).replaceChildren();
  title();
  axes();
  $("title").focus({ preventScroll: true });
  $("report").scrollTop = 0;
  if (getComputedStyle($("report")).position === "static") scrollTo(0, 0);
  ask();
  askLine(unit, 168);
  askLine(unit, 24);
}

const close = () => { location.hash = ""; history.replaceState(null, "", location.pathname + location.search); goTo(); };

// ask asks for the report and the history. An answer that comes late, when another service is shown, is
// for nobody.
async function ask() {
  const { unit, crash } = report, turn = ++report.asked, name = encodeURIComponent(unit);
  try {
    const [told, events] = await Promise.all([
      get(`api/why?unit=${name}${crash ? `&crash=${crash}` : ""}`),
      get(`api/history?unit=${name}&n=50`).catch(() => []),
    ]);
    if (turn !== report.asked) return;
    put($("failed"), "");
    report.told = told;
    report.events = events;
    tellReport(told);
    tellHistory(events);
  } catch (failure) {
    if (turn !== report.asked) return;
    put($("failed"), plain(failure.message));
  }
}

// Changes of a service come in bursts, and each report reads the whole history.
let asking = 0;
function askSoon() {
  if (report.unit) asking ||= setTimeout(() => { asking = 0; ask(); }, 300);
}

function tellReport(told) {
  const asOf = `as of ${gateway.clock(Date.parse(told.monitor.now ?? told.monitor.as_of))}`;
  const mark = make("span", "mark", plain(told.unit.mark));
  mark.setAttribute("aria-hidden", "true");
  $("headline").className = told.unit.health;
  $("headline").replaceChildren(mark, " " + plain(told.summary.replace(told.unit.unit, "").trim()), " ", make("small", "", asOf));
  fields(told.report ?? []);
  lastWords(told.last_words);
  commands(told);
}

function fields(list) {
  const groups = [];
  for (const { name, text } of list) {
    if (name || !groups.length) groups.push([name, [text]]); else groups.at(-1)[1].push(text);
  }
  $("fields").replaceChildren(...groups.map(([name, texts]) =>
    make("div", "", make("dt", "", plain(name)), ...texts.map((text) => make("dd", "", plain(text))))));
}

function lastWords(words) {
  const place = $("words"), has = JSON.stringify(words ?? "");
  if (place.firstChild && place.dataset.has === has) return; // they may be scrolled
  place.dataset.has = has;
  if (!words) return place.replaceChildren();
  const said = words.lines.map(({ time, from, text }) => {
    const line = from === "systemd[1]" ? text.replace(/^.*?\.service: (?=.)/, "") : text; // PID 1 writes the name of the unit first
    return make("li", "", make("time", "", gateway.wall(Date.parse(time)).slice(11)), " ", make("b", "", plain(from)), ": ", make("span", "", plain(line)));
  });
  const list = make("ol", "said", ...said);
  list.tabIndex = 0; // it may be scrolled by keys
  list.setAttribute("role", "list");
  list.setAttribute("aria-label", "Last words");
  place.replaceChildren(make("h3", "", `Last words of ${plain(words.whose ?? "the run that crashed")}`), list);
}

// commands shows what to type next. The buttons stay as long as the commands do, so that the focus stays.
function commands(told) {
  const place = $("commands"), groups = [["Look further", told.look_further], ["To start it when it is mended", told.to_start]], has = JSON.stringify(groups);
  if (place.firstChild && place.dataset.has === has) return;
  place.dataset.has = has;
  place.replaceChildren();
  for (const [name, list] of groups) {
    if (!list?.length) continue;
    place.append(make("h3", "", name), make("ul", "commands", ...list.map((text) => {
      const button = make("button", "copy", "Copy");
      button.type = "button";
      button.setAttribute("aria-label", "Copy " + plain(text));
      button.onclick = () => copy(text, button);
      return make("li", "", make("code", "", plain(text)), button);
    })));
  }
}

// copy copies a text. The clipboard is there only for pages of this machine or with TLS, the older way
// for all.
async function copy(text, button) {
  let done = true;
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = make("textarea", "unseen");
    area.value = text;
    document.body.append(area);
    area.select();
    done = document.execCommand("copy");
    area.remove();
    button.focus();
  }
  put(button, done ? "Copied" : "Not copied");
  say(done ? "copied" : "not copied");
  setTimeout(() => put(button, "Copy"), 2000);
}

const kinds = { start: "started", stop: "stopped", "unknown-end": "ended", restart: "restart", "gave-up": "GAVE UP", seen: "first seen", forgotten: "forgotten", monitor: "the monitor", clock: "the clock was set", gap: "the journal" };

function tellHistory(events) {
  const rows = events.filter((e) => e.unit).slice(-50).reverse().map((e) => {
    const many = e.count > 1, words = [];
    if (e.status_text && e.kind !== "start" && e.status_text !== "success") words.push(e.status_text);
    if (many && e.until) words.push(`until ${gateway.clock(Date.parse(e.until))}`);
    if (e.kind === "seen") words.push(e.to);
    if (e.at_least) words.push("there may have been more");
    if (e.untrusted) words.push("the clock was not set");
    if (e.recovered) words.push("read in the journal later");
    const what = e.kind === "crash" ? (many ? `crash ×${e.count}` : `crash ${e.crashes}`) : (kinds[e.kind] ?? e.kind) + (many ? ` ×${e.count}` : "");
    let cell = make("td", "", plain(what));
    if (e.kind === "crash") {
      const link = make("a", "", plain(what));
      link.href = `#${encodeURIComponent(e.unit)}/${e.crashes}`;
      cell = make("td", "", link);
    }
    return make("tr", e.kind, make("td", "", gateway.wall(Date.parse(e.time))), cell, make("td", "", plain(words.join("; "))));
  });
  const head = make("tr", "unseen", ...["Time", "Event", "How"].map((text) => Object.assign(make("th", "", text), { scope: "col" })));
  const focus = $("history").contains(document.activeElement) ? document.activeElement.hash : "";
  $("history").replaceChildren(make("h3", "", "History, the newest first"),
    rows.length ? make("table", "", make("thead", "", head), make("tbody", "", ...rows)) : make("p", "", "nothing happened that the history has"));
  if (focus) [...$("history").querySelectorAll("a")].find((a) => a.hash === focus)?.focus({ preventScroll: true });
}

// axes makes room for the timelines of the report, with times at them.
function axes() {
  $("timelines").replaceChildren(...[24, 168].map((hours) => {
    const axis = make("div", "axis");
    axis.setAttribute("aria-hidden", "true");
    for (const [at, text] of ticks(hours)) {
      const tick = make("span", "", text);
      tick.style.left = at + "%";
      if (at > 4 && at < 96) axis.append(tick);
    }
    const box = make("figure", "", make("figcaption", "", hours === 24 ? "24 h" : "7 d"), make("div", "line"), axis);
    box.dataset.hours = hours;
    return box;
  }));
}

function drawReport() {
  if (!report.unit) return;
  for (const box of $("timelines").children) draw(box.querySelector(".line"), report.unit, Number(box.dataset.hours));
}
