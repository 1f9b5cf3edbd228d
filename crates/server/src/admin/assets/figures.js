// Figures over the last minutes: a tile for each subject, with a line for each
// figure (counters as their growth in a second) and what it is at the moment.
import { element } from "/map.js";

const SVG = "http://www.w3.org/2000/svg";
const TILES = [
  ["Replication lag", "ms", [["the worst live node", "lag_ms"]]],
  ["Multicast packets", "/s", [["sent", "+sent_packets"], ["received", "+received_packets"]]],
  ["NAKs and repairs", "/s", [["NAKs", "+naks"], ["repairs sent", "+repairs_sent"], ["repairs received", "+repairs_received"]]],
  ["Look-ups: who had it", "/s", [["this node", "+hits_own"], ["another", "+hits_other"], ["upstream", "+hits_upstream"], ["nobody", "+misses"]], "share"],
  ["TLS handshakes", "/s", [["full", "+full"], ["resumed here", "+resumed_here"], ["from elsewhere", "+resumed_elsewhere"]]],
  ["Live connections", "", [["here", "live"], ["handed over", "+handed_over"], ["taken over", "+taken_over"]]],
  ["Records in the cache", "", [["records", "records"]]],
  ["Memory of the cache", "B", [["bytes", "bytes"]]],
];
const WIDTH = 300;
const HEIGHT = 56;

export class Figures {
  constructor(tiles) {
    this.root = tiles;
    this.samples = [];
  }

  begin({ figures, samples, beat_ms }) {
    this.names = figures;
    this.samples = samples;
    this.limit = 300;
    this.beat = beat_ms / 1000;
    this.tiles = TILES.map(([title, unit, lines, share]) => this.tile(title, unit, lines, share));
    this.root.replaceChildren(...this.tiles.map(({ made }) => made));
  }

  add(sample) {
    this.samples.push(sample);
    if (this.samples.length > this.limit) this.samples.shift();
  }

  tile(title, unit, lines, share) {
    const plot = document.createElementNS(SVG, "svg");
    plot.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
    plot.setAttribute("preserveAspectRatio", "none");
    plot.setAttribute("role", "img");
    const base = document.createElementNS(SVG, "line");
    for (const [name, value] of [["x1", 0], ["x2", WIDTH], ["y1", HEIGHT], ["y2", HEIGHT], ["class", "base"]]) {
      base.setAttribute(name, value);
    }
    plot.append(base);
    const list = element("dl");
    const drawn = lines.map(([label, figure], number) => {
      const line = document.createElementNS(SVG, "polyline");
      line.setAttribute("class", `line-${number}`);
      plot.append(line);
      const now = element("dd", { className: "now" });
      const all = element("dd", { className: "all" });
      now.dataset.figure = figure.replace("+", "");
      all.dataset.all = figure.replace("+", "");
      list.append(element("dt", { className: `line-${number}`, textContent: label }), now, all);
      return { label, line, now, all, counts: figure.startsWith("+"), at: this.names.indexOf(figure) };
    });
    const most = element("span");
    const made = element("article", { className: "tile" }, element("h3", {}, title, most), plot, list);
    return { made, plot, title, unit, drawn, most, share };
  }

  draw() {
    for (const tile of this.tiles) this.drawTile(tile);
  }

  drawTile({ plot, title, unit, drawn, most, share }) {
    const last = this.samples.at(-1);
    const series = drawn.map(({ at, counts }) =>
      counts
        ? this.samples.slice(1).map((sample, i) => Math.max(0, sample[at] - this.samples[i][at]) / this.beat)
        : this.samples.map((sample) => sample[at]));
    const top = Math.max(1e-9, ...series.flat());
    most.textContent = top > 1e-6 ? `most ${shown(top, unit)}` : "";
    const total = drawn.reduce((sum, { at }) => sum + last[at], 0);
    drawn.forEach(({ line, now, all, counts, at }, number) => {
      const values = series[number];
      const step = WIDTH / (this.limit - 1);
      const start = WIDTH - (values.length - 1) * step;
      line.setAttribute("points", values.map((value, i) =>
        `${(start + i * step).toFixed(1)},${(HEIGHT - 1 - (value / top) * (HEIGHT - 3)).toFixed(1)}`).join(" "));
      now.textContent = shown(values.at(-1) ?? 0, unit);
      if (!counts) all.textContent = "";
      else if (share) all.textContent = total ? `${((last[at] / total) * 100).toFixed(1)} %` : "0 %";
      else all.textContent = `${count(last[at])} in all`;
    });
    plot.setAttribute("aria-label", `${title}: ${drawn.map(({ label, now }) => `${label} ${now.textContent}`).join(", ")}`);
  }
}

function count(value) {
  return Math.round(value).toLocaleString("en");
}

function shown(value, unit) {
  if (unit === "B") {
    const power = Math.min(3, value >= 1 ? Math.floor(Math.log2(value) / 10) : 0);
    return `${(value / 1024 ** power).toFixed(power ? 1 : 0)} ${["B", "KiB", "MiB", "GiB"][power]}`;
  }
  const text = value >= 100 || Number.isInteger(value) ? count(value) : value.toFixed(1);
  return unit === "/s" ? `${text}/s` : unit ? `${text} ${unit}` : text;
}
