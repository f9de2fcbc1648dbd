// The page as a whole: opens what is dropped, counts it, and connects the parts.

import { api } from "./api.js";
import * as compare from "./compare.js";
import * as correct from "./correct.js";
import { counting } from "./count.js";
import { $, clock, doing, make, note } from "./dom.js";
import { closeFilm, openFilm } from "./film.js";
import { dropDraft } from "./gestures.js";
import { heads } from "./heads.js";
import { keep, recalled } from "./keep.js";
import { whenRegionsChange } from "./regions.js";
import { on, result, store, tell } from "./store.js";
import * as train from "./train.js";
import { dimmed, draw, fit, zoom } from "./view.js";
import "./tabs.js";

const VIDEO = /\.(3gp|asf|avi|flv|m2ts|m4v|mjpe?g|mkv|mov|mp4|mpe?g|mts|mxf|ogv|ts|vob|webm|wmv)$/i;
let opened = 0; // numbers what was opened, so that what comes late is passed over
let watchers = 0;

/** Say that something is being done, with its seconds. */
async function busy(text, action) {
  const [begun, number] = [performance.now(), ++watchers];
  const show = () => {
    const seconds = (performance.now() - begun) / 1000;
    $("veiltext").textContent = seconds < 2 ? text : `${text}, ${clock(seconds)}`;
  };
  show();
  const appears = setTimeout(() => { $("veil").hidden = false; }, 150);
  const timer = setInterval(show, 500);
  try {
    return await action();
  } finally {
    clearInterval(timer);
    clearTimeout(appears);
    if (number === watchers) $("veil").hidden = true;
  }
}

async function refresh() {
  store.state = await api.state();
  const names = store.state.adapters.map((one) => one.name);
  if (!names.includes(store.adapter)) store.adapter = names[0];
  $("adapter").replaceChildren(...store.state.adapters.map((one) => make("option", { value: one.name, selected: one.name === store.adapter }, one.name)));
  tell("state");
}

function mayLeave() {
  return !heads.unsaved || confirm("The corrections of this photograph are not saved. Open another one?");
}

/** Count what is open with an adapter. */
async function count(adapter = store.adapter) {
  const [photo, number] = [store.photo, opened];
  if (!photo) return;
  if (adapter === store.adapter) counting.fault = "";
  try {
    const counted = await busy(`Counting with ${adapter}`, () => api.count(photo.id, adapter, store.regions));
    const bytes = Uint8Array.from(atob(counted.heat.png), (letter) => letter.charCodeAt(0));
    counted.image = await createImageBitmap(new Blob([bytes], { type: "image/png" }));
    if (number !== opened) return;
    const first = !store.results.has(adapter);
    store.results.set(adapter, counted);
    if (adapter === store.adapter && first && !heads.edited && !photo.dataset && !photo.kept) heads.reset(counted.points);
  } catch (error) {
    if (number !== opened) return;
    if (adapter === store.adapter) counting.fault = error.message;
    else note(error.message);
  }
  tell("results");
}

/** Show a photograph that the server holds. */
async function show(photo, points = []) {
  const number = ++opened;
  closeFilm();
  photo.picture = await busy("Opening", () => api.picture(photo.id));
  photo.dim = dimmed(photo.picture);
  if (number !== opened) return;
  if (store.photo && (store.photo.width !== photo.width || store.photo.height !== photo.height)) store.regions = [];
  store.photo = photo;
  store.results = new Map();
  dropDraft();
  heads.reset(points);
  stage();
  tell("photo");
  fit();
  await count();
}

function stage() {
  const [photo, film] = [Boolean(store.photo) && !store.film, Boolean(store.film)];
  $("empty").hidden = photo || film;
  $("canvas").hidden = $("tools").hidden = !photo;
  $("film").hidden = !film;
  hint();
}

const HINTS = { heads: "Click to add or remove, drag to move", region: "Click around a part, then on its first corner" };
function hint() {
  $("hint").hidden = $("canvas").hidden || !HINTS[store.tool];
  $("hint").textContent = HINTS[store.tool] ?? "";
  $("canvas").dataset.tool = store.tool;
}

async function openFile(file) {
  if (!file || !mayLeave()) return;
  const { photo_bytes: photos, video_bytes: videos } = store.state?.limits ?? {};
  const video = file.type.startsWith("video/") || VIDEO.test(file.name);
  const most = video ? videos : photos;
  if (most && file.size > most) return note(`${file.name} has ${Math.round(file.size / 1e6)} MB: expected at most ${Math.round(most / 1e6)} MB.`);
  await doing(null, async () => {
    if (video) {
      opened += 1;
      closeFilm();
      await busy("Sending the video", () => openFilm(file, store.adapter));
      [store.photo, store.results] = [null, new Map()];
      heads.reset([]);
      tell("photo");
      tell("film");
      stage();
    } else await show(await busy("Sending the photograph", () => api.photo(file)));
  });
}

async function openSaved(dataset, file) {
  if (!mayLeave()) return;
  await doing(null, async () => {
    const { points, ...photo } = await api.openSaved(dataset, file);
    await show({ ...photo, file }, points);
  });
}

function use(adapter) {
  store.adapter = adapter;
  $("adapter").value = adapter;
  tell("adapter");
  if (store.photo && !store.film && !result()) count();
  else if (result() && !heads.edited && !store.photo.dataset) heads.reset(result().points);
  tell("results");
}

async function examples() {
  for (const name of store.state.examples) {
    const picture = make("canvas", { width: 208, height: 148 });
    const button = make("button", { type: "button", ariaLabel: `Open the example ${name}` }, picture, name);
    button.addEventListener("click", () => mayLeave() && doing(button, async () => show(await api.example(name))));
    $("examples").append(button);
    const photo = await api.example(name);
    const image = await api.picture(photo.id);
    const scale = Math.max(208 / image.width, 148 / image.height);
    picture.getContext("2d").drawImage(image, (208 - image.width * scale) / 2, (148 - image.height * scale) / 2, image.width * scale, image.height * scale);
  }
}

$("file").addEventListener("change", () => { openFile($("file").files[0]); $("file").value = ""; });
for (const id of ["open", "choose"]) $(id).addEventListener("click", () => $("file").click());
$("adapter").addEventListener("change", () => use($("adapter").value));
$("opacity").addEventListener("input", draw);
$("showheads").addEventListener("change", draw);
$("zoomin").addEventListener("click", () => zoom(1.4));
$("zoomout").addEventListener("click", () => zoom(1 / 1.4));
$("zoomfit").addEventListener("click", fit);
for (const radio of document.querySelectorAll("[name=tool]")) radio.addEventListener("change", () => { store.tool = radio.value; dropDraft(); hint(); tell("tool"); });

let over = 0;
addEventListener("dragenter", (event) => { event.preventDefault(); over += 1; $("dropping").hidden = false; });
addEventListener("dragleave", () => { over -= 1; if (over <= 0) $("dropping").hidden = true; });
addEventListener("dragover", (event) => event.preventDefault());
addEventListener("drop", (event) => { event.preventDefault(); over = 0; $("dropping").hidden = true; openFile(event.dataTransfer.files[0]); });
addEventListener("paste", (event) => { if (event.clipboardData?.files.length) openFile(event.clipboardData.files[0]); });

whenRegionsChange(() => count());
correct.connect({ refresh, openSaved });
train.connect({ refresh, use });
compare.connect({ count });
on("tab", () => {
  compare.chosen();
  const wanted = !$("part-correct").hidden ? "heads" : store.tool === "heads" ? "look" : store.tool;
  if (store.photo && wanted !== store.tool) document.querySelector(`[value=${wanted}]`).click();
});
on("heads photo regions", keep);

async function begin() {
  await refresh();
  tell("photo");
  train.watch();
  const kept = recalled();
  if (kept) {
    try {
      store.regions = kept.regions;
      await show(kept.photo, kept.points);
      if (kept.unsaved) heads.restore();
    } catch {
      stage();
    }
  }
  await examples();
}
doing(null, begin);
