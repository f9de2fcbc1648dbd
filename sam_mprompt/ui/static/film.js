// A video: its counts over time, as they come.

import { api } from "./api.js";
import { chart } from "./chart.js";
import { $, clock, doing, exact, fill, heads, make, warned } from "./dom.js";
import { on, store, tell } from "./store.js";

let timer = 0;
let drawn = null;

const plot = make("canvas", { id: "plot", ariaLabel: "People over time" });
const tip = make("p.soft", { id: "tip" }, "");
const title = make("h2", {}, "");
const box = make("div.plot", {}, plot);
const fault = (line) => make("div.fault", { role: "alert" }, make("span", {}, "!"), make("span", {}, line));

function draw() {
  const film = store.film;
  if (film) drawn = chart(plot, film.rows, { x: [0, Math.max(film.length ?? 0, film.rows.at(-1)?.[0] ?? 1, 1)], label: clock });
}
new ResizeObserver(draw).observe(plot);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);

plot.addEventListener("pointermove", (event) => {
  const rows = store.film?.rows;
  if (!rows?.length || !drawn) return;
  const nearest = rows.reduce((best, row) => (Math.abs(drawn.px(row[0]) - event.offsetX) < Math.abs(drawn.px(best[0]) - event.offsetX) ? row : best));
  tip.textContent = `${clock(nearest[0])}: ${exact(nearest[1])} people${nearest[2] === null ? "" : `, ${heads(nearest[2])} to ${heads(nearest[3])}`}`;
});

/** Show a video that is counted by an adapter. */
export async function openFilm(file, adapter) {
  const film = { ...(await api.video(file, adapter, "1s")), rows: [] };
  store.film = film;
  tell("film");
  fill($("film"), title, box, tip);
  title.textContent = title.title = film.name;
  tip.textContent = "People in the picture, once a second.";
  poll(film);
}

export function closeFilm() {
  clearTimeout(timer);
  if (store.film?.state === "counting") api.stopVideo(store.film.id).catch(() => {});
  store.film = null;
}

async function poll(film) {
  try {
    const { rows, ...rest } = await api.videoSince(film.id, film.rows.length);
    if (store.film !== film) return;
    Object.assign(film, rest);
    film.rows.push(...rows);
  } catch (error) {
    if (store.film === film) Object.assign(film, { state: "failed", line: error.message });
  }
  render();
  draw();
  if (film.state === "counting") timer = setTimeout(() => poll(film), 500);
  else if (film.state === "failed" && !film.rows.length) fill($("film"), title, fault(film.line));
}

function table(film) {
  const text = ["seconds,count,low,high", ...film.rows.map((row) => row.map((value) => value ?? "").join(","))].join("\n");
  const link = make("a", { href: URL.createObjectURL(new Blob([`${text}\n`], { type: "text/csv" })), download: `${film.name.replace(/\.[^.]*$/, "")}.csv` });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

function render() {
  const film = store.film;
  if (!film) return;
  const stop = make("button.button.quiet.small", { type: "button", ariaLabel: "Stop counting" }, "Stop");
  stop.addEventListener("click", () => doing(stop, () => api.stopVideo(film.id)));
  const last = film.rows.at(-1);
  const share = film.length && last ? Math.min(1, last[0] / film.length) : undefined;
  const cell = (value, word) => make("div", {}, make("b", {}, value), word);
  const known = film.frames > 0;
  fill($("part-count"), make("div.block", {}, make("p.eyebrow", {}, film.state === "counting" ? "People now" : known ? "People on average" : "People"),
    make(known ? "output.number" : "output.number.none", { id: "number" }, known ? heads(film.state === "counting" ? last[1] : film.mean) : "–"),
    film.state === "counting" ? make("div.row", {}, make("progress", share === undefined ? {} : { max: 1, value: share }), stop) : null,
    film.state === "failed" ? (known ? fault(film.line) : make("p.soft", {}, "Nothing was counted.")) : film.line ? make("p.soft", {}, film.line) : null),
  known ? make("div.tally", {}, cell(heads(film.minimum[0]), `least, ${clock(film.minimum[1])}`), cell(exact(film.mean), "on average"), cell(heads(film.peak[0]), `most, ${clock(film.peak[1])}`)) : null,
  known ? make("p.soft", {}, "How many are in the picture at a time, not how many pass by.") : null,
  warned(film.warnings),
  known && film.state !== "counting" ? make("button.button.quiet", { type: "button", onclick: () => table(film) }, "Download as CSV") : null);
}
on("film", render);
