// The dashboard: asks the service what there is, shows it, and says so when it cannot.
//
// One loop, and one question at a time within it: a slow service is asked less often, never by two at once. A turn asks
// for the list of symbols, which has every count; then for the windows of a few symbols that are on screen and have new
// prices, those first that were not asked for the longest. A card that is new asks for its newest prices before.
//
// What stands behind the # of the address is the symbol whose own view is shown, if any: so links and "back" lead there.

import { Api, ApiError } from "./api.js";
import { Card, hashOf } from "./card.js";
import { bytes, rate, whole } from "./format.js";
import { Tooltip } from "./tooltip.js";

const TURN_MS = 250; // how often the list is asked for
const WINDOWS_MS = 1000; // how often, at most, the windows of one symbol are
const WINDOWS_A_TURN = 4; // of how many symbols, at most, in one turn
const FILTER_ABOVE = 10; // symbols, before a filter is worth its place
const HIDDEN_MS = 10_000; // between turns while nobody looks
const RETRY_MS = [500, 1000, 2000, 3000]; // after the first, second … turn in a row that failed

const byId = (id) => document.getElementById(id);

const api = new Api();
const cards = new Map(); // by symbol
const visible = new WeakSet(); // nodes of cards on screen
const tooltip = new Tooltip(byId("tooltip"));

let own = symbolOfAddress(); // the symbol whose own view is shown

let made = 0; // cards ever, for their ids
let failures = 0; // in a row
let lastGood = null; // when an answer last came
let wake = () => {};

const nap = (ms) =>
  new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    wake = () => {
      clearTimeout(timer);
      resolve();
    };
  });

// --- what is shown -------------------------------------------------------------------------------------------------

function say(id, text) {
  if (byId(id).textContent !== text) byId(id).textContent = text;
}

function state(name, text, notice = "") {
  byId("state").dataset.state = name;
  say("state-text", text);
  byId("notice").hidden = notice === "";
  say("notice", notice);
  document.title = [...(name === "live" ? [] : [text]), ...(own === null ? [] : [own]), "tenfold"].join(" – ");
}

/** Show one of the things that the page can be: cards, "no (such) symbol", or the question for a token. */
function only(name) {
  for (const id of ["token", "empty", "missing", "cards"]) byId(id).hidden = id !== name;
  byId("legend").hidden = name !== "cards";
  byId("way-back").hidden = own === null || name === "token";
  byId("find").hidden = own !== null || name !== "cards" || (cards.size <= FILTER_ABOVE && byId("filter").value === "");
  byId("forget").hidden = !api.hasToken || name === "token";
}

const seen = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    if (isIntersecting) visible.add(target);
    else visible.delete(target);
  }
});

function add(symbol, maxK) {
  made += 1;
  const card = new Card(symbol, made, maxK);
  cards.set(symbol, card);
  const names = [...cards.keys()].sort(alphabetical.compare);
  const next = cards.get(names[names.indexOf(symbol) + 1]);
  byId("cards").insertBefore(card.node, next?.node ?? null);
  seen.observe(card.node);
}

function remove(symbol) {
  const { node } = cards.get(symbol);
  seen.unobserve(node);
  node.remove();
  cards.delete(symbol);
}

const alphabetical = new Intl.Collator("en", { numeric: true });

function showList({ symbols, limits }, now) {
  const names = new Set(symbols.map((entry) => entry.symbol));
  for (const symbol of [...cards.keys()]) if (!names.has(symbol)) remove(symbol);
  for (const entry of symbols) {
    if (!cards.has(entry.symbol)) add(entry.symbol, limits.max_k);
    cards.get(entry.symbol).observe(entry, now);
  }
  arrange();
  const total = [...cards.values()].reduce((sum, card) => sum + (card.rate(now) ?? 0), 0);
  const held = symbols.reduce((sum, entry) => sum + entry.bytes, 0);
  say(
    "summary",
    `${whole(symbols.length)} of ${whole(limits.max_symbols)} symbols · ${rate(total)} prices/s · ${bytes(held)}`,
  );
}

/** Show the cards that are to be seen: those that the filter finds, or the one whose own view this is. */
function arrange() {
  const wanted = byId("filter").value.trim().toLowerCase();
  let shown = 0;
  for (const card of cards.values()) {
    const isShown = own === null ? card.symbol.toLowerCase().includes(wanted) : card.symbol === own;
    card.isOwn = card.symbol === own;
    card.node.hidden = !isShown;
    shown += isShown;
  }
  byId("cards").dataset.count = String(Math.min(shown, 7));
  say("found", wanted === "" ? "" : `${whole(shown)} of ${whole(cards.size)} symbols`);
  if (own !== null) {
    say("missing-title", `No symbol ${own}`);
    only(cards.has(own) ? "cards" : "missing");
  } else {
    if (cards.size === 0) say("curl", example());
    only(cards.size === 0 ? "empty" : "cards");
  }
}

function example() {
  const token = api.hasToken ? ` \\\n     -H 'Authorization: Bearer A-TOKEN-TO-WRITE'` : "";
  const url = new URL("add_batch/", location.href);
  const body = `{"symbol": "EURUSD", "values": [1.25, 1.5, 1.0, 1.25]}`;
  return `curl ${url} -H 'Content-Type: application/json'${token} \\\n     -d '${body}'`;
}

// --- asking --------------------------------------------------------------------------------------------------------

async function turn() {
  const list = await api.symbols();
  if (failures > 0) for (const card of cards.values()) card.reset();
  failures = 0;
  lastGood = new Date();
  const now = performance.now();
  showList(list, now);
  state("live", "live");
  const wanting = [...cards.values()]
    .filter((card) => visible.has(card.node) && card.wants(now, WINDOWS_MS))
    .sort((one, other) => one.asked - other.asked)
    .slice(0, WINDOWS_A_TURN);
  for (const card of wanting) {
    if (card.missing > 0) card.begin(await api.prices(card.symbol, card.missing), now);
    card.show(await api.windows(card.symbol), now);
  }
  tooltip.refresh();
}

/** Say what is wrong; returns how long to wait before the next turn. */
function trouble({ status }) {
  if (status === 401 || status === 403) {
    askForToken();
    return 2 ** 31 - 1; // until a token is given
  }
  const pause = RETRY_MS[Math.min(failures, RETRY_MS.length - 1)];
  failures += 1;
  const what = {
    0: "The service does not answer.",
    503: "The service has no connection to spare.",
  }[status] ?? `The service gave an answer that this page cannot read (HTTP ${status}).`;
  const clock = lastGood?.toLocaleTimeString("en-GB");
  const since = cards.size > 0 && clock ? ` What you see below is of ${clock}.` : "";
  for (const card of cards.values()) card.age(clock);
  state("lost", "disconnected", `${what} Trying again.${since}`);
  say("summary", "");
  tooltip.point(null);
  return pause;
}

async function run() {
  for (;;) {
    const started = performance.now();
    let pause = document.hidden ? HIDDEN_MS : TURN_MS;
    try {
      await turn();
      pause -= performance.now() - started;
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      pause = trouble(error);
    }
    await nap(Math.max(pause, TURN_MS / 2));
  }
}

document.addEventListener("visibilitychange", () => {
  if (!document.hidden && byId("token").hidden) wake();
});

// --- the token -----------------------------------------------------------------------------------------------------

function askForToken() {
  const refused = api.hasToken;
  api.setToken(null);
  for (const symbol of [...cards.keys()]) remove(symbol);
  state("locked", "locked");
  say("summary", "");
  only("token");
  say("token-error", refused ? "The service does not know this token, or it may not read." : "");
  byId("token-input").focus();
}

byId("token-form").addEventListener("submit", (event) => {
  event.preventDefault();
  if (!api.setToken(byId("token-input").value.trim())) {
    say("token-error", "A token has letters, digits and signs of ASCII, and no spaces.");
    return;
  }
  byId("token-input").value = "";
  wake();
});

byId("forget").addEventListener("click", () => {
  api.setToken(null);
  wake();
});

// --- a symbol's own view, and the filter ---------------------------------------------------------------------------

function symbolOfAddress() {
  try {
    return location.hash.startsWith("#/") ? decodeURIComponent(location.hash.slice(2)) || null : null;
  } catch {
    return null; // not what this page would write
  }
}

function follow() {
  const before = own;
  own = symbolOfAddress();
  tooltip.point(null);
  if (lastGood === null || !byId("token").hidden) return; // nothing is shown yet
  arrange();
  if (own === null) cards.get(before)?.link.focus();
  else byId("back").focus();
}

function leave() {
  history.pushState(null, "", location.pathname + location.search);
  follow();
}

addEventListener("hashchange", follow);
byId("back").addEventListener("click", leave);
byId("filter").addEventListener("input", arrange);

byId("cards").addEventListener("click", (event) => {
  const symbol = cardOf(event.target)?.symbol;
  const isLink = event.target.closest("a") !== null; // which the browser follows by itself, in a new tab if told to
  if (symbol !== undefined && own === null && !isLink && String(getSelection()) === "") location.hash = hashOf(symbol);
});

// --- numbers of a window: mouse, touch and keyboard ----------------------------------------------------------------

function cardOf(target) {
  return [...cards.values()].find((card) => card.node.contains(target));
}

function rowOf(target) {
  const node = target instanceof Element ? target.closest("tr[data-k]") : null;
  const card = node && cardOf(node);
  return card ? { card, row: card.row(Number(node.dataset.k)) } : null;
}

const focused = () => rowOf(document.activeElement)?.row ?? null;

byId("cards").addEventListener("pointerover", (event) => tooltip.point(rowOf(event.target)?.row ?? focused()));
byId("cards").addEventListener("pointerleave", () => tooltip.point(focused()));
byId("cards").addEventListener("focusin", (event) => tooltip.point(rowOf(event.target)?.row ?? null));
byId("cards").addEventListener("focusout", () => tooltip.point(null));
addEventListener("scroll", () => tooltip.refresh(), { passive: true });
addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  tooltip.point(null);
  if (!byId("way-back").hidden) leave();
});

byId("cards").addEventListener("keydown", (event) => {
  const here = rowOf(event.target);
  if (!here || event.ctrlKey || event.altKey || event.metaKey) return;
  if (event.key === "Enter") location.hash = hashOf(here.card.symbol);
  const last = here.card.rows.length;
  const { k } = here.row;
  const to = { ArrowUp: k - 1, ArrowDown: k + 1, Home: 1, End: last }[event.key];
  if (to === undefined) return;
  event.preventDefault();
  const row = here.card.row(Math.min(Math.max(to, 1), last));
  here.row.node.tabIndex = -1;
  row.node.tabIndex = 0;
  row.node.focus();
});

// --- odds and ends -------------------------------------------------------------------------------------------------

function isDark() {
  const { theme } = document.documentElement.dataset;
  return theme ? theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

byId("theme").setAttribute("aria-pressed", String(isDark()));
byId("theme").addEventListener("click", () => {
  const theme = isDark() ? "light" : "dark";
  document.documentElement.dataset.theme = theme;
  byId("theme").setAttribute("aria-pressed", String(theme === "dark"));
  try {
    localStorage.setItem("tenfold-theme", theme);
  } catch {
    // Then it is chosen for as long as the page is open.
  }
});

byId("copy").hidden = !navigator.clipboard; // which a page has over HTTPS and on its own machine
byId("copy").addEventListener("click", async () => {
  await navigator.clipboard.writeText(byId("curl").textContent);
  say("copy", "Copied");
  setTimeout(() => say("copy", "Copy"), 2000);
});

run().catch((error) => {
  state("lost", "stopped", "This page has met a defect of its own and has stopped. Please reload it.");
  throw error;
});
