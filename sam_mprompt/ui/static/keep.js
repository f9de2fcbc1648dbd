// What is open survives a reload of the page: kept in the browser's own memory of this tab.

import { heads } from "./heads.js";
import { store } from "./store.js";

const KEY = "sam-mprompt-open";
let timer = 0;

/** Keep what is open, a moment after its last change. */
export function keep() {
  clearTimeout(timer);
  timer = setTimeout(write, 250);
}
addEventListener("pagehide", write);

function write() {
  if (!store.photo) return sessionStorage.removeItem(KEY);
  const { picture, dim, kept, ...photo } = store.photo;
  try {
    sessionStorage.setItem(KEY, JSON.stringify({ photo, points: heads.points(), regions: store.regions, edited: heads.edited || Boolean(kept), unsaved: heads.unsaved }));
  } catch {
    sessionStorage.removeItem(KEY); // too much for it
  }
  return undefined;
}

/** What was open before the reload, or null. */
export function recalled() {
  try {
    const found = JSON.parse(sessionStorage.getItem(KEY));
    return found && { photo: { ...found.photo, kept: found.edited }, points: found.edited || found.photo.dataset ? found.points : [], unsaved: found.unsaved, regions: found.regions ?? [] };
  } catch {
    return null;
  }
}
