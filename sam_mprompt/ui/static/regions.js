// The parts of the photograph that are counted on their own: drawn, named, counted by the server.

import { exact, make } from "./dom.js";
import { on, result, store, tell } from "./store.js";
import { COLOURS, drafted } from "./view.js";

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

function row(region, index, counted) {
  const known = counted?.regions.find((one) => one.name === region.name);
  const value = region.ignore ? "ignored" : known ? exact(known.count) : "…";
  const density = !region.ignore && known?.per_m2 ? make("small", {}, `${known.per_m2.toFixed(2)} people per m²`) : null;
  const name = make("input", { type: "text", value: region.name, maxLength: 80, ariaLabel: `Name of region ${index + 1}`, onchange: (event) => rename(index, event.target) });
  const swatch = make("span.swatch");
  swatch.style.background = region.ignore ? "#a1a1aa" : COLOURS[index % COLOURS.length];
  return make("li", {}, swatch, make("div.grow", {}, name, density), make("span.value", {}, value),
    make("button.iconbutton.word", { type: "button", title: "Leave the people in it out of every count", ariaPressed: String(region.ignore), ariaLabel: `Ignore ${region.name}`, onclick: () => change(index, { ignore: !region.ignore }) }, "ignore"),
    make("button.iconbutton", { type: "button", title: "Remove", ariaLabel: `Remove ${region.name}`, onclick: () => remove(index) }, "×"));
}

/** The list of regions with their counts. */
export function regionList() {
  const counted = result()?.regions ?? null;
  const block = make("div.block", {}, make("h2", {}, "Regions"));
  if (!store.regions.length) {
    block.append(make("p.soft", {}, drafted.corners.length ? "Click on its first corner to close it; Esc forgets it." : "Choose Region below the photograph and click around a part of it to count the people inside."));
    return block;
  }
  block.append(make("ul.list", {}, ...store.regions.map((region, index) => row(region, index, counted)),
    ...(counted ? [make("li", {}, make("span.swatch"), make("div.grow", {}, make("b", {}, "elsewhere")), make("span.value", {}, exact(counted.elsewhere)))] : [])));
  return block;
}

on("photo", () => { if (!store.photo) store.regions = []; });
