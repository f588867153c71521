// The page begins with the status that came with it, and goes on with what happens.

const page = { monitor: { running: false }, failed: "" };

function summary() {
  const n = order.filter((item) => item.data.needs_attention).length, unseen = order.filter((item) => item.data.health === "unknown").length;
  const [is, are] = page.monitor.running && !page.monitor.blind ? ["is", "are"] : ["was", "were"], all = plural(order.length, "service");
  if (!order.length) return `no service ${is} monitored`;
  if (n) return `${n} of ${all} need${n === 1 ? "s" : ""} attention`;
  if (unseen) return `${unseen} of ${all} not seen yet`;
  return order.length === 1 ? `the service ${is} well` : `all ${all} ${are} well`;
}

// header says how all is, and what is wrong with the monitor itself.
function header() {
  const { monitor } = page, words = summary(), bad = order.some((item) => item.data.needs_attention);
  put($("host"), plain(monitor.host ?? location.hostname));
  put($("summary"), page.failed ? "nothing is known" : words);
  document.body.classList.toggle("bad", bad);
  document.body.dataset.is = page.failed || live.deaf() || !order.length ? "unknown" : !monitor.running || monitor.troubles?.length ? "troubled" : bad ? "bad" : "well";
  asOf();
  const list = [];
  if (page.failed) list.push(page.failed);
  else if (!monitor.running) list.push(notRunning());
  for (const trouble of monitor.troubles ?? []) list.push("THE MONITOR: " + plain(trouble));
  fresh($("troubles"), list, (text) => make("p", "trouble", text));
  remedies();
  notes();
  title();
}

function notRunning() {
  const { stopped } = page.monitor;
  return stopped ? `THE MONITOR IS NOT RUNNING since ${gateway.wall(Date.parse(stopped))}` : "THE MONITOR IS NOT RUNNING";
}

// asOf says of when all this is: of now, as long as the monitor runs and the stream is there.
function asOf() {
  const { monitor } = page, then = monitor.running ? gateway.now(live.deaf() || undefined) : Date.parse(monitor.as_of);
  let text = `as of ${gateway.wall(then)} ${gateway.zoneText()}`;
  if (!monitor.running) text += ` (${ago((gateway.now() - then) / 1000)} ago)`;
  put($("asof"), page.failed ? "" : text);
}

// fresh puts a list into a place, unless it is there already. So a text that somebody has marked stays so.
function fresh(place, list, toNode) {
  const has = JSON.stringify(list);
  if (place.dataset.has === has) return;
  place.dataset.has = has;
  place.replaceChildren(...list.map(toNode));
}

// remedies says what to type if something is wrong with the monitor itself.
function remedies() {
  const { monitor } = page, list = [];
  if (!page.failed && !monitor.running) list.push(["Why the monitor stopped: ", "systemctl status service-monitor"], ["To go on counting: ", "systemctl start service-monitor"]);
  else if (!page.failed && monitor.troubles?.length) list.push(["More about the monitor: ", "journalctl -x -u service-monitor"]);
  fresh($("next"), list, ([text, command]) => make("p", "", text, make("code", "", command)));
}

// notes says what there is to know about the numbers.
function notes() {
  const { monitor } = page, list = [];
  if (order.some((item) => item.data.at_least)) list.push("+ at least: something happened that nobody saw and that no record tells.");
  const began = Date.parse(monitor.history_since);
  if (began <= gateway.now()) list.push(`The history goes back to ${gateway.wall(began).slice(0, 16)} (${span((gateway.now() - began) / 1000)}).`);
  fresh($("notes"), list, (text) => make("p", "", text));
}

const trouble = (text) => { page.failed = plain(text); header(); };

const icons = { bad: "%23d93a3f", troubled: "%23d93a3f", well: "%232e8b57", unknown: "%23888" };

function title() {
  const n = order.filter((item) => item.data.needs_attention).length, what = report.unit ? short(report.unit) : plain(page.monitor.host ?? "service-monitor");
  document.title = `${live.lost ? "… " : n && !live.rests ? `(${n}) ` : ""}${what} – services`;
  const icon = `data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'><circle cx='8' cy='8' r='7' fill='${icons[document.body.dataset.is]}'/></svg>`;
  if ($("icon").getAttribute("href") !== icon) $("icon").href = icon;
}

// --- keys and clicks ---

function keys(e) {
  if (e.ctrlKey || e.metaKey || e.altKey || e.defaultPrevented) return;
  const typing = e.target === $("search");
  if (e.key === "/" && !typing) {
    e.preventDefault();
    $("search").focus();
    $("search").select();
  } else if (e.key === "Escape") {
    if (typing && $("search").value) { $("search").value = ""; search(); e.preventDefault(); } else if (report.unit) close();
  } else if (["ArrowDown", "ArrowUp", "Home", "End", "j", "k"].includes(e.key) && (e.target.closest?.("#rows") || typing && e.key === "ArrowDown")) {
    e.preventDefault();
    step(e.key, e.target.closest("#rows [role=row]"));
  } else if (typing && e.key === "Enter") {
    order.find(matches)?.row?.querySelector("a").click();
  }
}

// step moves the focus from row to row.
function step(key, row) {
  const next = { ArrowDown: "nextElementSibling", j: "nextElementSibling", Home: "nextElementSibling" }[key] ?? "previousElementSibling";
  let to = key === "Home" || !row ? $("rows").firstElementChild : key === "End" ? $("rows").lastElementChild : row[next];
  while (to?.hidden) to = to[next];
  to?.querySelector("a").focus();
}

function clicks(e) {
  const row = e.target.closest("#rows [role=row]"), chip = e.target.closest("#healths button");
  if (row && !e.target.closest("a") && getSelection().isCollapsed) location.hash = encodeURIComponent(row.dataset.unit);
  if (chip) {
    $("search").value = wanted === chip.value ? "" : chip.value;
    search();
  }
}

function tick() {
  if (document.hidden) return;
  asOf();
  for (const item of order) if (item.visible) ages(item);
  if (Date.now() - tick.drawn < 30000) return;
  tick.drawn = Date.now();
  notes();
  showVisible();
  drawReport();
}
tick.drawn = Date.now();

function begin() {
  performance.mark("begun");
  const status = JSON.parse($("status").textContent);
  $("search").addEventListener("input", search);
  $("hours").addEventListener("change", (e) => {
    hours = Number(e.target.value);
    put($("begin"), hours === 24 ? "24 h ago" : "7 d ago");
    showVisible();
    askLines();
  });
  $("close").addEventListener("click", close);
  $("skip").addEventListener("click", (e) => { e.preventDefault(); $("rows").querySelector("a")?.focus(); });
  addEventListener("keydown", keys);
  $("table").addEventListener("click", clicks);
  $("healths").addEventListener("click", clicks);
  addEventListener("hashchange", goTo);
  addEventListener("online", probe);
  addEventListener("visibilitychange", sight);
  addEventListener("pagehide", leave); // the browser may keep it for the way back
  addEventListener("pageshow", sight);
  addEventListener("beforeprint", () => { finishList(); order.forEach(show); });
  if (status.error) {
    trouble(status.error);
    live.lost = 0;
    load();
  } else {
    take(status);
  }
  listen();
  heard();
  goTo();
  setInterval(tick, 1000);
  performance.mark("shown");
}

begin();
