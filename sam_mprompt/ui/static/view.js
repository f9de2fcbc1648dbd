// Where the photograph lies on its canvas: enlarged, moved, shown whole.

import { $ } from "./dom.js";
import { store, tell } from "./store.js";

const canvas = $("canvas");
export const view = { scale: 1, x: 0, y: 0, fit: 1 };

/** From a place on the canvas to one in the photograph, and back. */
export const inPhoto = (x, y) => [(x - view.x) / view.scale, (y - view.y) / view.scale];
export const onCanvas = (x, y) => [x * view.scale + view.x, y * view.scale + view.y];
export const pixels = (distance) => distance / view.scale;

/** Show the whole photograph. */
export function fit() {
  if (!store.photo) return;
  const { clientWidth: width, clientHeight: height } = canvas;
  const below = $("tools").offsetHeight + 28;
  const [roomX, roomY] = [width - 24, height - 24 - below];
  view.fit = Math.min(roomX / store.photo.width, roomY / store.photo.height);
  view.scale = view.fit;
  view.x = (width - store.photo.width * view.scale) / 2;
  view.y = (height - below - store.photo.height * view.scale) / 2 + 6;
  tell("view");
}

/** Enlarge by a factor around a place on the canvas, by default its middle. */
export function zoom(factor, x = canvas.clientWidth / 2, y = canvas.clientHeight / 2) {
  const next = Math.min(Math.max(view.scale * factor, view.fit * 0.5), Math.max(view.fit * 40, 8));
  const [px, py] = inPhoto(x, y);
  view.scale = next;
  [view.x, view.y] = [x - px * next, y - py * next];
  tell("view");
}

export function pan(dx, dy) {
  view.x += dx;
  view.y += dy;
  tell("view");
}

/** Bring a place of the photograph into sight. */
export function reveal(x, y) {
  const [cx, cy] = onCanvas(x, y);
  if (cx < 20 || cx > canvas.clientWidth - 20) view.x += canvas.clientWidth / 2 - cx;
  if (cy < 20 || cy > canvas.clientHeight - 90) view.y += canvas.clientHeight / 2 - cy;
}

new ResizeObserver(() => {
  const whole = Math.abs(view.scale - view.fit) < 1e-9;
  canvas.width = Math.round(canvas.clientWidth * devicePixelRatio);
  canvas.height = Math.round(canvas.clientHeight * devicePixelRatio);
  if (whole) fit();
  tell("resized");
}).observe(canvas);
