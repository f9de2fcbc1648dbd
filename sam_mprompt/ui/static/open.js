// What is open: a file, a photograph of a dataset, an example, or what was open before a reload; shown, and counted.

import { api } from "./api.js";
import { busy } from "./busy.js";
import { counting } from "./count.js";
import { $, doing, make, note } from "./dom.js";
import { closeFilm, openFilm } from "./film.js";
import { dropDraft } from "./gestures.js";
import { heads } from "./heads.js";
import { recalled } from "./keep.js";
import { dimmed } from "./paint.js";
import { store, tell } from "./store.js";
import { fit } from "./view.js";

const VIDEO = /\.(3gp|asf|avi|flv|m2ts|m4v|mjpe?g|mkv|mov|mp4|mpe?g|mts|mxf|ogv|ts|vob|webm|wmv)$/i;
let opened = 0; // numbers what was opened, so that what comes late is passed over

function mayLeave() {
  return !heads.unsaved || confirm("The corrections of this photograph are not saved. Open another one?");
}

/** Count what is open with an adapter. */
export async function count(adapter = store.adapter) {
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

const CLICK = matchMedia("(pointer: coarse)").matches ? "Tap" : "Click";
const HINTS = { heads: `${CLICK} to add or remove, drag to move`, region: `${CLICK} around a part, then on its first corner` };
/** Say what a click does with the tool that is chosen. */
export function hint() {
  $("hint").hidden = $("canvas").hidden || !HINTS[store.tool];
  $("hint").textContent = HINTS[store.tool] ?? "";
  $("canvas").dataset.tool = store.tool;
}

/** Open a photograph or a video of the browser's machine. */
export async function openFile(file) {
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

/** Open a photograph of a dataset. */
export async function openSaved(dataset, file) {
  if (!mayLeave()) return;
  await doing(null, async () => {
    const { points, ...photo } = await api.openSaved(dataset, file);
    await show({ ...photo, file }, points);
  });
}

/** Show the examples as buttons. */
export async function examples() {
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

/** Open what was open before a reload. */
export async function reopen() {
  const kept = recalled();
  if (!kept) return;
  try {
    store.regions = kept.regions;
    await show(kept.photo, kept.points);
    if (kept.unsaved) heads.restore();
  } catch {
    stage();
  }
}
