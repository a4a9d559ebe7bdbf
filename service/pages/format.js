// Numbers for people: grouped by thousands, and as many digits as tell one price from the next.

const GROUPED = new Map();

function grouped(decimals) {
  if (!GROUPED.has(decimals)) {
    const options = { minimumFractionDigits: decimals, maximumFractionDigits: decimals };
    GROUPED.set(decimals, new Intl.NumberFormat("en", options));
  }
  return GROUPED.get(decimals);
}

const SCIENTIFIC = new Intl.NumberFormat("en", { notation: "scientific", maximumFractionDigits: 5 });
const THREE_DIGITS = new Intl.NumberFormat("en", { minimumSignificantDigits: 3, maximumSignificantDigits: 3 });
const WHOLE = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

// Beyond these, a row of zeros says less than an exponent.
const LARGE = 1e15;
const SMALL = 1e-6;

// 15 significant digits are the most that a double always keeps.
const DOUBLE_DIGITS = 15;

// What a price gets that nothing is known of but itself.
const MOST_AT_FIRST = 6;

const typographic = (text) => text.replaceAll("-", "−");

/** The power of ten of a number's first digit. */
const magnitude = (x) => Math.floor(Math.log10(Math.abs(x)));

/** How many digits after the point a number has, in the shortest form that reads back as the same double. */
function decimalsOf(x) {
  const [mantissa, exponent = "0"] = String(x).split("e");
  const [, fraction = ""] = mantissa.split(".");
  return Math.max(0, fraction.length - Number(exponent));
}

function fixed(x, decimals) {
  const size = Math.abs(x);
  if (size >= LARGE || (size > 0 && size < SMALL)) return typographic(SCIENTIFIC.format(x));
  const most = x === 0 ? DOUBLE_DIGITS : DOUBLE_DIGITS - 1 - magnitude(x);
  return typographic(grouped(Math.max(0, Math.min(decimals, most))).format(x));
}

/**
 * How many decimals the numbers of one symbol get.
 *
 * A price shows the decimals that it came with, unless they are finer than a thousandth of what prices differ by. An
 * average lies between prices, so it gets its decimals from that difference alone. Neither ever loses one again, or
 * numbers would change their width all the time.
 */
export class Decimals {
  #ofPrice = 0;
  #ofAverage = 0;

  /** Take note of prices, and of the least difference between extremes that is not zero (zero: none is known). */
  observe(prices, spread) {
    const bySpread = spread > 0 ? 3 - magnitude(spread) : MOST_AT_FIRST;
    this.#ofPrice = Math.max(this.#ofPrice, Math.min(Math.max(...prices.map(decimalsOf)), bySpread));
    this.#ofAverage = Math.max(this.#ofAverage, this.#ofPrice, spread > 0 ? 2 - magnitude(spread) : 0);
  }

  price(x) {
    return fixed(x, this.#ofPrice);
  }

  average(x) {
    return fixed(x, this.#ofAverage);
  }
}

/** A standard deviation, a variance: three significant digits. */
export function rough(x) {
  const size = Math.abs(x);
  const scientific = size >= LARGE || (size > 0 && size < SMALL);
  if (x === 0) return "0";
  return typographic((scientific ? SCIENTIFIC : THREE_DIGITS).format(x));
}

export function whole(n) {
  return WHOLE.format(n);
}

/** A rate, whose tenths only matter while it is small. */
export function rate(perSecond) {
  return perSecond > 0 && perSecond < 10 ? grouped(1).format(perSecond) : WHOLE.format(perSecond);
}

/** 10^k in few characters: 10, 100, 1 k … 100 M. */
export function shortPower(k) {
  const digits = String(10 ** (k % 3));
  return digits + ["", " k", " M"][Math.floor(k / 3)];
}

export function bytes(n) {
  const units = ["B", "KB", "MB", "GB"];
  const step = n < 1000 ? 0 : Math.min(3, Math.floor(magnitude(n) / 3));
  return `${step === 0 ? n : THREE_DIGITS.format(n / 1000 ** step)} ${units[step]}`;
}

export function seconds(s) {
  if (s < 120) return `${Math.floor(s)} s`;
  return s < 7200 ? `${Math.floor(s / 60)} min` : `${Math.floor(s / 3600)} h`;
}
