// The service as this page sees it: three questions, a token if one is asked for, and what can go wrong.

const TOKEN_KEY = "tenfold-token"; // of sessionStorage: gone with the tab
const ANSWER_MS = 5000;

/** An answer that is not one. `status` is 0 where there was none at all. */
export class ApiError extends Error {
  constructor(status) {
    super(status ? `HTTP ${status}` : "no answer");
    this.status = status;
  }
}

export class Api {
  #token = null;

  constructor() {
    try {
      this.#token = sessionStorage.getItem(TOKEN_KEY);
    } catch {
      // No storage: the token then lasts as long as the page.
    }
  }

  get hasToken() {
    return this.#token !== null;
  }

  /** Use a token from now on; null forgets it. Returns whether it could be one: it has to fit into a header. */
  setToken(token) {
    if (token !== null && !/^[\x21-\x7e]+$/.test(token)) return false;
    this.#token = token;
    try {
      if (token === null) sessionStorage.removeItem(TOKEN_KEY);
      else sessionStorage.setItem(TOKEN_KEY, token);
    } catch {
      // As above.
    }
    return true;
  }

  symbols() {
    return this.#get("symbols/");
  }

  /** All windows of a symbol, or null if it has just been deleted. */
  windows(symbol) {
    return this.#ofSymbol(`stats/all/?symbol=${encodeURIComponent(symbol)}`);
  }

  /** The newest prices of a symbol, so many or all that are held if fewer; or null as above. */
  prices(symbol, number) {
    return this.#ofSymbol(`prices/?symbol=${encodeURIComponent(symbol)}&last=${number}`);
  }

  async #ofSymbol(path) {
    try {
      return await this.#get(path);
    } catch (error) {
      if (error instanceof ApiError && error.status === 404) return null;
      throw error;
    }
  }

  async #get(path) {
    const headers = this.#token === null ? {} : { Authorization: `Bearer ${this.#token}` };
    let response;
    let body;
    try {
      response = await fetch(path, { headers, cache: "no-store", signal: AbortSignal.timeout(ANSWER_MS) });
      body = await response.text();
    } catch {
      throw new ApiError(0);
    }
    if (!response.ok) throw new ApiError(response.status);
    try {
      return JSON.parse(body);
    } catch {
      throw new ApiError(response.status);
    }
  }
}
