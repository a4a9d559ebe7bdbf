// One symbol: its price, how fast prices come, the recent past, and its windows as bars on a common scale.

import { Decimals, rate, rough, seconds, shortPower, whole } from "./format.js";

const SVG = "http://www.w3.org/2000/svg";

const PAST_MS = 120_000; // what the line shows, if that is more than the prices that it begins with
const HISTORY = 1000; // prices that the line begins with,
const LONG_HISTORY = 10_000; // and in the symbol's own view; both of no known time
const RATE_MS = 5000; // what a rate is taken over,
const RATE_LEAST_MS = 500; // and at least
const STALE_MS = 10_000; // without a price, before that is worth a word
const MARGIN = 1.5; // per cent of the scale at either end, so that a mark at the end is not cut in half

/** An element; text is only ever set as text, and never read as markup. */
export function element(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

function drawing(name, attributes = {}, ...children) {
  const node = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

function set(node, attributes) {
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
}

function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** The part of the page's address that names a symbol's own view. No element's id begins with a slash. */
export function hashOf(symbol) {
  return `#/${encodeURIComponent(symbol)}`;
}

/** Where a price lies on the scale of a window. */
function scale({ min, max }) {
  return (x) => `${max > min ? MARGIN + ((x - min) / (max - min)) * (100 - 2 * MARGIN) : 50}%`;
}

/** A window's bar. Horizontal places are per cent of its width, vertical ones pixels from its middle. */
class Bar {
  constructor() {
    this.range = drawing("line", { class: "range" });
    this.ends = [drawing("line", { class: "end", y1: -3, y2: 3 }), drawing("line", { class: "end", y1: -3, y2: 3 })];
    this.band = drawing("rect", { class: "band", y: -4, height: 8 });
    this.average = drawing("line", { class: "average", y1: -4, y2: 4 });
    this.last = drawing("line", { class: "last", y1: "0", y2: "100%" });
    const middle = drawing("svg", { y: "50%", overflow: "visible" });
    middle.append(this.range, ...this.ends, this.band, this.average);
    this.node = drawing("svg", { class: "bar", "aria-hidden": "true" }, middle, this.last);
  }

  show(window, last, place) {
    const [from, to] = [place(window.min), place(window.max)];
    set(this.range, { x1: from, x2: to });
    set(this.ends[0], { x1: from, x2: from });
    set(this.ends[1], { x1: to, x2: to });
    // A skewed window's average may be nearer to an extreme than one standard deviation: the box ends where prices do.
    const deviation = Math.sqrt(window.var);
    const left = Math.max(window.avg - deviation, window.min);
    const right = Math.min(window.avg + deviation, window.max);
    set(this.band, { x: place(left), width: `${parseFloat(place(right)) - parseFloat(place(left))}%` });
    set(this.average, { x1: place(window.avg), x2: place(window.avg) });
    set(this.last, { x1: place(last), x2: place(last) });
  }
}

/** A row of the table: one window. */
class Row {
  constructor(k) {
    this.k = k;
    this.bar = new Bar();
    this.of = element("span", { class: "of" });
    this.spread = element("span", { class: "spread", "aria-hidden": "true" }); // which is among the numbers, too
    this.numbers = ["min", "avg", "max", "dev"].map((name) => element("span", { class: `number ${name}` }));
    this.ends = [element("span"), element("span")];
    this.node = element(
      "tr",
      { tabindex: "-1", "data-k": String(k) },
      element("th", { scope: "row", title: `last ${whole(10 ** k)}` }, shortPower(k)),
      element(
        "td",
        { class: "range-cell" },
        this.bar.node,
        element("div", { class: "axis", "aria-hidden": "true" }, ...this.ends),
      ),
      element("td", { class: "note" }, this.of, this.spread),
      ...this.numbers.map((number) => element("td", { class: "number-cell" }, number)),
    );
  }

  show(window, last, place, decimals) {
    const full = window.count === 10 ** this.k;
    this.bar.show(window, last, place);
    this.node.classList.toggle("partial", !full);
    const texts = [
      decimals.price(window.min),
      decimals.average(window.avg),
      decimals.price(window.max),
      rough(Math.sqrt(window.var)),
    ];
    texts.forEach((text, index) => say(this.numbers[index], text));
    const [min, avg, max, deviation] = texts;
    say(this.ends[0], min);
    say(this.ends[1], max);
    say(this.of, full ? "" : `of ${whole(window.count)}`);
    say(this.spread, `± ${deviation}`);
    this.details = {
      title: `Last ${whole(10 ** this.k)} prices`,
      note: full ? "" : `of ${whole(window.count)} there are so far`,
      numbers: [
        ["Minimum", min],
        ["Average", avg],
        ["Maximum", max],
        ["Standard deviation", deviation],
        ["Variance", rough(window.var)],
        ["Last", decimals.price(last)],
      ],
    };
    const spoken = this.details.numbers.map(([name, number]) => `${name.toLowerCase()} ${number}`).join(", ");
    const label = [this.details.title, this.details.note].filter(Boolean).join(", ");
    this.node.setAttribute("aria-label", `${label}: ${spoken}`);
  }
}

export class Card {
  #line = []; // {time, count, last} of prices, oldest first
  #counts = []; // {time, count} of late, oldest first
  #rows = [];
  #decimals = new Decimals();
  #count = -1; // the newest that is known
  #changed = 0;
  #stats = null; // all that is shown of prices and windows: one answer, so that it is of one moment
  #asked = -Infinity; // when that was asked for
  #history = 0; // prices that were asked for to begin the line with
  #isOwn = false;

  constructor(symbol, number, maxK) {
    this.symbol = symbol;
    this.price = element("p", { class: "price" }, "–");
    this.meta = element("p", { class: "meta" });
    this.path = drawing("path", { class: "spark-line" });
    this.dot = drawing("path", { class: "spark-dot" });
    this.spark = drawing(
      "svg",
      { class: "spark", viewBox: "0 0 100 40", preserveAspectRatio: "none", role: "img" },
      this.path,
      this.dot,
    );
    for (let k = 1; k <= maxK; k += 1) this.#rows.push(new Row(k));
    if (this.#rows.length) this.#rows[0].node.tabIndex = 0; // one stop a card; arrow keys go on from there
    this.low = element("span");
    this.high = element("span");
    this.link = element("a", { href: hashOf(symbol) }, symbol);
    this.caption = element("p", { class: "caption", "aria-hidden": "true" });
    const title = element("h2", { id: `symbol-${number}`, title: symbol }, this.link);
    const heads = ["Last", "Range", "", "Minimum", "Average", "Maximum", "Std deviation"];
    const kinds = ["", "", "note", "number-cell", "number-cell", "number-cell", "number-cell"];
    this.node = element(
      "section",
      { class: "card", "aria-labelledby": title.id },
      element(
        "div",
        { class: "card-inside" },
        element(
          "div",
          { class: "head" },
          element("div", { class: "now" }, title, this.price, this.meta),
          this.spark,
          this.caption,
        ),
        element(
          "table",
          { "aria-labelledby": title.id },
          element(
            "thead",
            {},
            element("tr", {}, ...heads.map((text, i) => element("th", { scope: "col", class: kinds[i] }, element("span", {}, text)))),
          ),
          element("tbody", {}, ...this.#rows.map((row) => row.node)),
          element(
            "tfoot",
            { "aria-hidden": "true" },
            element("tr", {}, element("td"), element("td", {}, element("div", { class: "axis" }, this.low, this.high))),
          ),
        ),
      ),
    );
  }

  /** Whether this card should be asked for: there are prices that it does not show, and the last time is a while ago. */
  wants(now, interval) {
    return (this.#count !== this.#stats?.count || this.missing > 0) && now - this.#asked >= interval;
  }

  /** How many prices its line should begin with; 0 where it has. */
  get missing() {
    const size = this.#isOwn ? LONG_HISTORY : HISTORY;
    return this.#history < size ? size : 0;
  }

  get isOwn() {
    return this.#isOwn;
  }

  /** Whether this is the symbol's own view: larger, and each window on a scale of its own. */
  set isOwn(own) {
    if (own === this.#isOwn) return;
    this.#isOwn = own;
    if (own) this.#history = 0; // its line may have been cut since
    this.node.classList.toggle("own", own);
    if (this.#stats) this.#draw();
  }

  get asked() {
    return this.#asked;
  }

  row(k) {
    return this.#rows[k - 1];
  }

  get rows() {
    return this.#rows;
  }

  /** Forget what was collected: what comes next may be another run of the service, or another symbol of this name. */
  reset() {
    this.#line = [];
    this.#counts = [];
    this.#decimals = new Decimals();
    this.#count = -1;
    this.#stats = null;
    this.#asked = -Infinity;
    this.#history = 0;
    this.node.classList.add("old"); // until its windows are known anew
  }

  /** Take this symbol's entry of a list of symbols. */
  observe({ count, last }, now) {
    this.#note(count, last, now);
    this.#counts.push({ time: now, count });
    while (this.#counts.length > 1 && this.#counts[1].time <= now - RATE_MS) this.#counts.shift();
    this.#sayMeta(now);
  }

  #note(count, last, now) {
    if (count < this.#count) this.reset();
    if (count === this.#count) return;
    this.#count = count;
    this.#changed = now;
    this.#line.push({ time: now, count, last });
  }

  #sayMeta(now) {
    const quiet = now - this.#changed;
    const perSecond = this.rate(now);
    const total = this.#stats ? ` · ${whole(this.#stats.count)} in all` : "";
    this.node.classList.toggle("stale", quiet >= STALE_MS);
    if (quiet >= STALE_MS) say(this.meta, `no new price for ${seconds(quiet / 1000)}`);
    else say(this.meta, `${perSecond === null ? "…" : rate(perSecond)} prices/s${total}`);
  }

  /** Prices a second, of late; null as long as that cannot be known. */
  rate(now) {
    const [since] = this.#counts;
    if (since === undefined || now - since.time < RATE_LEAST_MS) return null;
    return ((this.#count - since.count) / (now - since.time)) * 1000;
  }

  /** Take the answer to a question for the newest prices; it is drawn together with what ``show`` is given next. */
  begin(answer, time) {
    this.#history = this.missing;
    if (answer === null) return;
    const { from, prices } = answer;
    const known = prices.map((last, index) => ({ time, count: from + index + 1, last }));
    this.#note(answer.count, prices.at(-1), time);
    this.#line = [...this.#line.filter(({ count }) => count <= from), ...known];
  }

  /** Take the answer to a question for all windows, which was asked at a time. */
  show(stats, time) {
    if (stats === null) return;
    this.#note(stats.count, stats.last, time);
    this.#asked = time;
    this.#stats = stats;
    this.node.classList.remove("old");
    const windows = this.#rows.map((row) => stats.windows[row.k]);
    const spread = windows.map((window) => window.max - window.min).find((width) => width > 0) ?? 0;
    this.#decimals.observe([stats.last], 0);
    this.#decimals.observe(windows.flatMap((window) => [window.min, window.max]), spread);
    this.#draw();
    this.#sayMeta(time);
  }

  #draw() {
    const { windows, last } = this.#stats;
    const widest = windows[this.#rows.length];
    const { min, max } = widest;
    say(this.price, this.#decimals.price(last));
    for (const row of this.#rows) {
      row.show(windows[row.k], last, scale(this.#isOwn ? windows[row.k] : widest), this.#decimals);
    }
    say(this.low, this.#decimals.price(min));
    say(this.high, max > min ? this.#decimals.price(max) : "");
    this.#drawLine();
  }

  /** Say that what is shown is of the past. */
  age(clock) {
    this.node.classList.add("old");
    this.node.classList.remove("stale");
    say(this.meta, `as of ${clock}`);
  }

  #drawLine() {
    const newest = this.#line.at(-1);
    // The last one beyond the edge is kept: the line enters from there.
    const edge = newest.count - (this.#isOwn ? LONG_HISTORY : HISTORY);
    const first = this.#line.findLastIndex(({ count, time }) => count <= edge && time <= newest.time - PAST_MS);
    this.#line.splice(0, first);
    const prices = this.#line.map(({ last }) => last);
    const [low, high] = [Math.min(...prices), Math.max(...prices)];
    const width = newest.count - this.#line[0].count;
    const x = ({ count }) => (width > 0 ? 98 * (1 - (newest.count - count) / width) : 98);
    const y = ({ last }) => (high > low ? 36 - ((last - low) / (high - low)) * 32 : 20);
    const points = this.#line.map((point) => `${x(point).toFixed(2)} ${y(point).toFixed(2)}`);
    this.path.setAttribute("d", `M${points.join("L")}`);
    this.dot.setAttribute("d", `M${points.at(-1)}h0`);
    const [from, to] = [low, high].map((price) => this.#decimals.price(price));
    say(this.caption, `Line of the last ${whole(width + 1)} prices, between ${from} and ${to}`);
    this.spark.setAttribute("aria-label", this.caption.textContent);
  }
}
