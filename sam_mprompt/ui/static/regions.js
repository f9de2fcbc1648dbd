// The parts of the photograph that are counted on their own: drawn, named, counted by the server.

import { exact, fill, make } from "./dom.js";
import { COLOURS, drafted } from "./paint.js";
import { on, result, store, tell } from "./store.js";

let recount = () => {};
export const whenRegionsChange = (action) => { recount = action; };

/** Take a region whose outline was closed. */
export function finishRegion(corners) {
  const taken = new Set(store.regions.map((region) => region.name));
  let number = store.regions.length + 1;
  while (taken.has(`region ${number}`)) number += 1;
  store.regions = [...store.regions, { name: `region ${number}`, corners, ignore: false, area_m2: null }];
  tell("regions");
  recount();
}

function change(index, values) {
  store.regions = store.regions.map((region, at) => (at === index ? { ...region, ...values } : region));
  tell("regions");
  recount();
}

function remove(index) {
  store.regions = store.regions.filter((_, at) => at !== index);
  tell("regions");
  recount();
}

function rename(index, input) {
  const name = input.value.trim();
  if (!name || store.regions.some((region, at) => at !== index && region.name === name)) input.value = store.regions[index].name;
  else if (name !== store.regions[index].name) change(index, { name });
}

/** Make the row of a region once: drawn anew, its name would lose the caret of whoever types it when a count arrives. */
function row(index) {
  const [swatch, density, value] = [make("span.swatch"), make("small"), make("span.value")];
  const name = make("input", { type: "text", maxLength: 80, ariaLabel: `Name of region ${index + 1}`, onchange: () => rename(index, name) });
  const ignore = make("button.iconbutton.word", { type: "button", title: "Leave the people in it out of every count", onclick: () => change(index, { ignore: !store.regions[index].ignore }) }, "ignore");
  const gone = make("button.iconbutton", { type: "button", title: "Remove", onclick: () => remove(index) }, "×");
  const element = make("li", {}, swatch, make("div.grow", {}, name, density), value, ignore, gone);
  return { element, show(region, counted) {
    const known = region.ignore ? null : counted?.regions.find((one) => one.name === region.name);
    if (document.activeElement !== name) name.value = region.name;
    swatch.style.background = region.ignore ? "#a1a1aa" : COLOURS[index % COLOURS.length];
    value.textContent = region.ignore ? "ignored" : known ? exact(known.count) : "…";
    density.textContent = known?.per_m2 ? `${known.per_m2.toFixed(2)} people per m²` : "";
    ignore.ariaPressed = String(region.ignore);
    [ignore.ariaLabel, gone.ariaLabel] = [`Ignore ${region.name}`, `Remove ${region.name}`];
    return element;
  } };
}

const rows = [];
const elsewhere = make("span.value");
const [last, list, block] = [make("li", {}, make("span.swatch"), make("div.grow", {}, make("b", {}, "elsewhere")), elsewhere), make("ul.list"), make("div.block")];
const title = make("h2", {}, "Regions");

/** The list of regions with their counts. */
export function regionList() {
  const counted = result()?.regions ?? null;
  if (!store.regions.length) {
    fill(block, title, make("p.soft", {}, drafted.corners.length ? "Click on its first corner to close it; Esc forgets it." : "Choose Region below the photograph and click around a part of it to count the people inside."));
    return block;
  }
  elsewhere.textContent = counted ? exact(counted.elsewhere) : "";
  fill(list, ...store.regions.map((region, index) => (rows[index] ??= row(index)).show(region, counted)), counted ? last : null);
  fill(block, title, list);
  return block;
}

on("photo", () => { if (!store.photo) store.regions = []; });
