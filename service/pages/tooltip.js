// The numbers of a window, beside it: where the mouse is, or else where the keyboard is.

import { element } from "./card.js";

const GAP = 6;

export class Tooltip {
  #node;
  #row = null;
  #anchor = null;

  constructor(node) {
    this.#node = node;
  }

  /** Show the numbers of a row; without one, nothing. */
  point(row) {
    this.#row = row;
    this.refresh();
  }

  /** Show what the row has by now. */
  refresh() {
    const details = this.#row?.node.isConnected ? this.#row.details : undefined;
    this.#node.hidden = details === undefined;
    this.#anchor?.classList.remove("pointed");
    if (details === undefined) return;
    this.#anchor = this.#row.node;
    this.#anchor.classList.add("pointed");
    const list = element("dl");
    for (const [name, number] of details.numbers) list.append(element("dt", {}, name), element("dd", {}, number));
    const title = element("p", { class: "tooltip-title" }, details.title);
    if (details.note) title.append(element("span", {}, ` ${details.note}`));
    this.#node.replaceChildren(title, list);
    this.#place(this.#anchor.getBoundingClientRect());
  }

  #place(row) {
    const { offsetWidth: width, offsetHeight: height } = this.#node;
    const below = row.bottom + GAP;
    const top = below + height <= innerHeight ? below : Math.max(GAP, row.top - GAP - height);
    const left = Math.min(Math.max(GAP, row.left + (row.width - width) / 2), innerWidth - width - GAP);
    this.#node.style.transform = `translate(${Math.round(left)}px, ${Math.round(top)}px)`;
  }
}
