// The fourth part: what two adapters count, side by side, on this photograph and on a whole dataset.

import { api } from "./api.js";
import { $, doing, exact, fill, heads as spoken, make, several } from "./dom.js";
import { heads } from "./heads.js";
import { on, store, tell } from "./store.js";

const pair = { first: "", second: "" };
const table = { dataset: "", rows: [], pair: "", running: false };
let count = async () => {};
export function connect(actions) { ({ count } = actions); }

const isOpen = () => !$("part-compare").hidden;
const names = () => store.state.adapters.map((one) => one.name);

function settle() {
  const known = names();
  if (!known.includes(pair.first)) pair.first = known[0];
  if (!known.includes(pair.second) || pair.second === pair.first) pair.second = known.findLast((name) => name !== pair.first) ?? "";
}

function picker(key, text) {
  return make("label.field", {}, text, make("select", { id: `compare-${key}`, onchange: (event) => { pair[key] = event.target.value; show(); } }, ...names().map((name) => make("option", { value: name, selected: name === pair[key] }, name))));
}

function here() {
  if (!store.photo) return make("p.soft", {}, "Open a photograph to compare on it.");
  const [first, second] = [pair.first, pair.second].map((name) => store.results.get(name));
  const side = (name, counted) => make("div", {}, make("b", {}, counted ? exact(counted.count) : "…"), make("span", { title: name }, name));
  const at = make("input", { type: "range", id: "divider", min: 0, max: 100, value: 100 * (store.compared?.at ?? 0.5), ariaLabel: "Where one heat map ends and the other begins", oninput: (event) => { if (store.compared) { store.compared.at = event.target.value / 100; tell("compared"); } } });
  at.style.width = "100%";
  const marked = store.photo.dataset || heads.edited ? make("p.soft", {}, `${several(heads.list.length, "head")} marked by hand.`) : null;
  return make("div.block", {}, make("h2", {}, "This photograph"), make("div.versus", {}, side(pair.first, first), side(pair.second, second)), at, marked);
}

function whole() {
  const sets = store.state.datasets;
  if (!sets.length) return null;
  if (!sets.some((set) => set.name === table.dataset)) table.dataset = sets[0].name;
  const stale = table.pair !== `${table.dataset}\n${pair.first}\n${pair.second}`;
  const start = make("button.button.quiet", { type: "button", id: "compare-all", disabled: table.running }, table.running ? "Counting" : "Count all");
  start.addEventListener("click", () => doing(null, measure));
  return make("div.block", {}, make("h2", {}, "A whole dataset"), make("div.row", {}, make("div.field", {}, make("select", { ariaLabel: "Dataset to compare on", onchange: (event) => { table.dataset = event.target.value; render(); } }, ...sets.map((set) => make("option", { value: set.name, selected: set.name === table.dataset }, set.name)))), start),
    stale || !table.rows.length ? make("p.soft", {}, "What both count in every photograph, beside the heads that were saved. Photographs that were trained on flatter.") : rows());
}

function rows() {
  const errors = [0, 1].map((at) => table.rows.reduce((sum, row) => sum + Math.abs(row.counts[at] - row.heads), 0) / table.rows.length);
  const cell = (at) => make(errors[at] < errors[1 - at] ? "td.better" : "td", {}, exact(errors[at]));
  return make("table", {}, make("thead", {}, make("tr", {}, ...["photograph", "marked", pair.first, pair.second].map((text) => make("th", { scope: "col" }, text)))),
    make("tbody", {}, ...table.rows.map((row) => make("tr", {}, make("td", {}, row.file), make("td", {}, spoken(row.heads)), ...row.counts.map((value) => make("td", {}, exact(value)))))),
    make("tfoot", {}, make("tr", {}, make("td", { colSpan: 2 }, "mean error"), cell(0), cell(1))));
}

async function measure() {
  const set = store.state.datasets.find((one) => one.name === table.dataset);
  const [wanted, adapters] = [`${table.dataset}\n${pair.first}\n${pair.second}`, [pair.first, pair.second]];
  Object.assign(table, { rows: [], running: true, pair: wanted });
  try {
    for (const photo of set.photos) {
      table.rows.push(await api.compare(set.name, photo.file, adapters));
      if (table.pair !== wanted) break;
      render();
    }
  } finally {
    table.running = false;
    render();
  }
}

function render() {
  if (!store.state || !isOpen()) return;
  settle();
  if (!pair.second) return fill($("part-compare"), make("div.block", {}, make("h2", {}, "Before and after"), make("p.soft", {}, "Train an adapter, or start the page with several: two of them stand side by side here.")));
  return fill($("part-compare"), make("div.block", {}, make("h2", {}, "Before and after"), make("div.row", {}, picker("first", "Before"), picker("second", "After"))), here(), whole());
}

async function show() {
  if (!store.state || !isOpen()) return;
  settle();
  const photo = store.photo;
  store.compared = photo && pair.second ? { first: pair.first, second: pair.second, at: store.compared?.at ?? 0.5 } : null;
  tell("compared");
  render();
  if (!store.compared) return;
  for (const name of [pair.first, pair.second]) if (!store.results.has(name) && store.photo === photo) await count(name);
}

/** Called when a part of the panel was chosen. */
export function chosen() {
  if (isOpen()) show();
  else if (store.compared) { store.compared = null; tell("compared"); }
}
on("results state heads", render);
on("photo", show);
