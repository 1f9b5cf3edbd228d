// The farm as a picture: a card for each node, higher tiers above, and in each
// card a row of columns that shows what the node keeps. The same stands in tables.
const SVG = "http://www.w3.org/2000/svg";
const WORDS = {
  same: "keeps the same", includes: "includes it", within: "lies within it",
  overlaps: "overlaps", disjoint: "disjoint",
};
const SHORT = {
  same: "the same", includes: "includes it", within: "within it",
  overlaps: "overlaps", disjoint: "disjoint",
};

export function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

export async function order(path, what) {
  const answer = await fetch(path, {
    method: "POST",
    headers: { "content-type": "application/json", "x-segue-order": "1" },
    body: JSON.stringify(what),
  });
  if (!answer.ok) throw new Error((await answer.text()).trim() || `answered ${answer.status}`);
  return answer.status === 202 ? null : answer.json();
}

export class Farm {
  constructor(map, nodes, overlaps, hasDrill) {
    Object.assign(this, { map, nodes, overlaps, hasDrill });
    // By their place in the picture: a node that was started again is there twice.
    this.cards = [];
    this.shape = "";
    this.picture = null;
    this.pointed = null;
    // Cards move when the window does.
    new ResizeObserver(() => this.connect()).observe(map);
  }

  draw(picture) {
    this.picture = picture;
    // Cards stay while the nodes are the same, so that the focus does too.
    const shape = JSON.stringify(
      picture.nodes.map((node) => [node.name, node.address, node.tier, node.level, node.keeps.length]),
    );
    if (shape !== this.shape) this.lay(picture);
    this.shape = shape;
    picture.nodes.forEach((node, place) => this.fill(node, place));
    this.point(this.pointed);
    this.write(picture);
  }

  // Draws a line from each node of a higher tier to those whose records it keeps.
  connect() {
    if (!this.picture || !this.lines) return;
    const { nodes } = this.picture;
    const box = this.map.getBoundingClientRect();
    const places = this.cards.map(({ made }) => made.getBoundingClientRect());
    const paths = [];
    nodes.forEach((upper, from) => nodes.forEach((lower, to) => {
      const isAbove = upper.level > lower.level && ["includes", "same"].includes(upper.overlaps[to]);
      if (!isAbove || !lower.keeps.some(Boolean)) return;
      const [one, other] = [places[from], places[to]];
      const [x1, y1] = [one.left + one.width / 2 - box.left, one.bottom - box.top];
      const [x2, y2] = [other.left + other.width / 2 - box.left, other.top - box.top];
      const bend = (y2 - y1) / 2;
      const path = document.createElementNS(SVG, "path");
      path.setAttribute("d", `M${x1},${y1} C${x1},${y1 + bend} ${x2},${y2 - bend} ${x2},${y2}`);
      path.classList.toggle("both", this.pointed === from || this.pointed === to);
      paths.push(path);
    }));
    this.lines.replaceChildren(...paths);
  }

  // Rows by level, the highest above.
  lay(picture) {
    const focused = document.activeElement?.closest("#map .card")?.dataset.node;
    this.cards = [];
    const levels = new Map();
    picture.nodes.forEach((node, place) => {
      const row = levels.get(node.level) ?? [];
      row.push([node, place]);
      levels.set(node.level, row);
    });
    const rows = [...levels].sort(([one], [other]) => other - one).map(([level, row]) => {
      const tiers = [...new Set(row.map(([node]) => node.tier).filter(Boolean))];
      const title = tiers.length ? `tier ${tiers.join(", ")}` : level ? `level ${level}` : "nodes";
      const cards = element("ul", { className: "cards" });
      row.forEach(([node, place]) => cards.append(this.card(node, place)));
      return element("div", { className: "tier" }, element("h3", { textContent: title }), cards);
    });
    if (picture.more) rows.push(element("p", { textContent: `and ${picture.more} more nodes` }));
    this.lines = document.createElementNS(SVG, "svg");
    this.lines.setAttribute("class", "lines");
    this.lines.setAttribute("aria-hidden", "true");
    this.map.replaceChildren(this.lines, ...rows);
    if (focused !== undefined) this.cards.find(({ made }) => made.dataset.node === focused)?.made.focus();
  }

  card(node, place) {
    const own = place === 0;
    const bar = document.createElementNS(SVG, "svg");
    bar.setAttribute("class", "keeps");
    bar.setAttribute("viewBox", `0 0 ${node.keeps.length * 10} 10`);
    bar.setAttribute("preserveAspectRatio", "none");
    bar.setAttribute("aria-hidden", "true");
    node.keeps.forEach((_, column) => {
      const rect = document.createElementNS(SVG, "rect");
      for (const [name, value] of [["x", column * 10 + 0.4], ["y", 0], ["width", 9.2], ["height", 10]]) {
        rect.setAttribute(name, value);
      }
      bar.append(rect);
    });
    const parts = {
      bar,
      state: element("span", { className: "state" }),
      keeps: element("p"),
      lag: element("p"),
      relation: element("p", { className: "relation" }),
    };
    const name = element("h4", {}, node.name);
    const notes = [node.tier, own ? "this node" : ""].filter(Boolean).join(", ");
    if (notes) name.append(element("small", { textContent: notes }));
    const made = element("li", { tabIndex: 0 }, name, parts.state, parts.keeps, bar, parts.lag, parts.relation);
    made.dataset.node = node.name;
    if (this.hasDrill) made.append(this.drill(node));
    const point = () => this.point(place);
    const leave = () => this.point(null);
    made.addEventListener("pointerenter", point);
    made.addEventListener("pointerleave", leave);
    made.addEventListener("focusin", point);
    made.addEventListener("focusout", leave);
    this.cards[place] = { made, ...parts };
    return made;
  }

  drill({ name, address }) {
    const button = element("button", { type: "button", className: "danger", textContent: "Kill it" });
    button.setAttribute("aria-label", `Kill node ${name}`);
    button.addEventListener("click", async () => {
      button.disabled = true;
      // A node that kills itself does not answer any more.
      await order("/api/drill", { address }).catch(() => {});
    });
    return button;
  }

  fill(node, place) {
    const { made, bar, state, keeps, lag } = this.cards[place];
    const text = (part, words) => { if (part.textContent !== words) part.textContent = words; };
    made.className = `card ${node.state}${place === 0 ? " itself" : ""}`;
    text(state, node.state);
    text(keeps, keepsWhat(node.portion));
    text(lag, place === 0 ? node.address : lagOf(node));
    [...bar.children].forEach((rect, column) => rect.classList.toggle("kept", node.keeps[column]));
  }

  // Shows what of the others' a node keeps too.
  point(chosen) {
    this.pointed = chosen;
    const { nodes } = this.picture;
    nodes.forEach((node, place) => {
      const { bar, relation } = this.cards[place];
      const words = !nodes[chosen] || chosen === place || isGone(node) || isGone(nodes[chosen]) ? "" : WORDS[node.overlaps[chosen]];
      if (relation.textContent !== words) relation.textContent = words;
      [...bar.children].forEach((rect, column) => {
        const both = words && node.keeps[column] && nodes[chosen].keeps[column];
        rect.classList.toggle("both", Boolean(both));
      });
    });
    this.connect();
  }

  write({ nodes }) {
    const rows = nodes.map((node) => [
      node.name, node.state, node.tier || "none", node.portion,
      node.lag_ms === null ? "" : `${node.lag_ms.toFixed(1)} ms`, node.address,
    ]);
    this.nodes.replaceChildren(...rows.map(row));
    const head = element("tr", {}, element("td"), ...nodes.map((node) => headCell(node.name)));
    const cells = nodes.map((node, place) =>
      row([node.name, ...node.overlaps.map((it, other) => (other === place ? "" : SHORT[it]))]));
    this.overlaps.tHead.replaceChildren(head);
    this.overlaps.tBodies[0].replaceChildren(...cells);
  }
}

function isGone({ state }) {
  return state === "dead" || state === "left";
}

function lagOf(node) {
  if (isGone(node)) return node.state === "dead" ? "not heard any more" : "has taken leave";
  return node.lag_ms === null ? "no lag measured yet" : `lag ${node.lag_ms.toFixed(1)} ms`;
}

function keepsWhat(portion) {
  if (portion === "share") return "keeps a share";
  return portion.startsWith("of ") ? `keeps what ${portion.slice(3)} keep` : `keeps ${portion}`;
}

function headCell(textContent) {
  return element("th", { scope: "col", textContent });
}

function row([name, ...cells]) {
  const first = element("th", { scope: "row", textContent: name });
  return element("tr", {}, first, ...cells.map((textContent) => element("td", { textContent })));
}
