// The first part of the panel: how many, how sure, and what to beware of.

import { $, exact, fill, heads, make, warned } from "./dom.js";
import { regionList } from "./regions.js";
import { on, result, store } from "./store.js";

export const counting = { fault: "" };

function interval(counted) {
  const bar = counted.interval;
  if (!bar) return make("p.soft", {}, `No error bar: ${counted.why_no_interval ?? "it is not known"}.`);
  const most = Math.max(bar.high * 1.12, 1);
  const [track, span, at] = [make("div.track"), make("div.span"), make("div.at")];
  span.style.left = `${(100 * bar.low) / most}%`;
  span.style.right = `${100 - (100 * bar.high) / most}%`;
  at.style.left = `${(100 * Math.min(Math.max(counted.count, 0), most)) / most}%`;
  track.append(span, at);
  return make("div.interval", {}, make("p", {}, make("b", {}, `${heads(bar.low)} to ${heads(bar.high)}`), ` for ${Math.round(100 * bar.level)} % of photographs like those of the calibration`), track);
}

function shown() {
  const counted = result();
  const whole = make("div.block", { ariaLive: "polite" }, make("p.eyebrow", {}, store.photo ? `People in ${store.photo.name}` : "People"));
  if (!counted) {
    whole.append(make("output.number.none", { id: "number" }, "–"), make("p.soft", {}, counting.fault ? "" : store.photo ? "It is being counted." : "Open a photograph, and the count stands here."));
    return [whole, counting.fault ? make("div.fault", { role: "alert" }, make("span", {}, "!"), make("span", {}, counting.fault)) : null, store.regions.length ? regionList() : null];
  }
  whole.append(make("output.number", { id: "number" }, heads(counted.count), make("small", {}, ` ${exact(counted.count)}`)), interval(counted));
  if (typeof counted.regions?.ignored === "number") whole.append(make("p.soft", {}, "Without the people in ignored regions."));
  return [whole, warned(counted.warnings), regionList()];
}

const render = () => {
  if (store.film) return;
  fill($("part-count"), ...shown());
};
on("photo results regions adapter", render);
