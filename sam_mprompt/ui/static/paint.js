// What is drawn on the canvas: the photograph under heat map, regions and heads; once a frame, when something changed.

import { $ } from "./dom.js";
import { heads } from "./heads.js";
import { on, result, store } from "./store.js";
import { onCanvas, view } from "./view.js";

const canvas = $("canvas");
const context = canvas.getContext("2d");
export const COLOURS = ["#38bdf8", "#f472b6", "#a3e635", "#fb923c", "#c084fc", "#facc15", "#2dd4bf", "#f87171"];
export const drafted = { corners: [], at: null }; // the region that is being drawn
export const cursor = { x: 0, y: 0, shown: false };
let due = false;

/** Draw as soon as the screen is ready for it. */
export function draw() {
  if (due) return;
  due = true;
  requestAnimationFrame(() => { due = false; paint(); });
}
on("photo results heads regions tool compared view", draw);
on("resized", paint); // at once, as its size has emptied the canvas

/** A copy that is darker and half grey, so that the colours laid over it are the only strong ones. */
export function dimmed(picture) {
  const scale = Math.min(1, 1600 / Math.max(picture.width, picture.height));
  const copy = new OffscreenCanvas(Math.max(1, picture.width * scale), Math.max(1, picture.height * scale));
  const own = copy.getContext("2d");
  own.filter = "grayscale(.6) brightness(.7)";
  own.drawImage(picture, 0, 0, copy.width, copy.height);
  return copy;
}

function paint() {
  const ratio = devicePixelRatio;
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, canvas.clientWidth, canvas.clientHeight);
  if (!store.photo?.picture) return;
  paintPhoto();
  for (const [index, region] of store.regions.entries()) paintRegion(region, COLOURS[index % COLOURS.length]);
  if (drafted.corners.length) paintDraft();
  if ($("showheads").checked) paintHeads();
  for (const [index, region] of store.regions.entries()) paintName(region, COLOURS[index % COLOURS.length]);
  if (cursor.shown && store.tool !== "look") paintCursor();
}

function paintPhoto() {
  const { width, height, picture } = store.photo;
  context.save();
  context.translate(view.x, view.y);
  context.scale(view.scale, view.scale);
  context.beginPath();
  context.rect(0, 0, width, height);
  context.clip();
  context.imageSmoothingQuality = "high";
  context.imageSmoothingEnabled = view.scale < 6;
  context.drawImage(picture, 0, 0, width, height);
  context.imageSmoothingEnabled = true;
  const opacity = $("opacity").value / 100;
  if (store.compared) {
    const at = width * store.compared.at;
    paintHeat(store.results.get(store.compared.first), opacity, 0, at);
    paintHeat(store.results.get(store.compared.second), opacity, at, width);
    context.fillStyle = "#fff";
    context.fillRect(at - 1 / view.scale, 0, 2 / view.scale, height);
  } else paintHeat(result(), opacity, 0, width);
  context.restore();
}

function paintHeat(counted, opacity, left, right) {
  if (!counted?.image || opacity === 0 || right <= left) return;
  context.save();
  context.beginPath();
  context.rect(left, 0, right - left, store.photo.height);
  context.clip();
  context.globalAlpha = opacity;
  context.drawImage(store.photo.dim, 0, 0, store.photo.width, store.photo.height);
  context.drawImage(counted.image, 0, 0, counted.heat.width, counted.heat.height);
  context.restore();
}

function path(corners) {
  context.beginPath();
  corners.forEach(([x, y], index) => context[index ? "lineTo" : "moveTo"](...onCanvas(x, y)));
}

function paintRegion(region, colour) {
  path(region.corners);
  context.closePath();
  context.globalAlpha = region.ignore ? 0.5 : 0.16;
  context.fillStyle = region.ignore ? "#18181b" : colour;
  context.fill();
  context.globalAlpha = 1;
  context.setLineDash(region.ignore ? [7, 5] : []);
  outline(region.ignore ? "#d4d4d8" : colour, 2.5);
  context.setLineDash([]);
}

function paintName(region, colour) {
  const [x, y] = onCanvas(...region.corners.reduce((a, b) => (b[1] < a[1] ? b : a)));
  label(region.ignore ? "ignored" : region.name, x, y - 8, region.ignore ? "#d4d4d8" : colour);
}

function outline(colour, width) {
  context.lineJoin = "round";
  context.lineWidth = width + 2;
  context.strokeStyle = "rgb(0 0 0 / .55)";
  context.stroke();
  context.lineWidth = width;
  context.strokeStyle = colour;
  context.stroke();
}

/** As much of a text as fits into a width. */
function fitting(text, width) {
  if (context.measureText(text).width <= width) return text;
  let length = text.length - 1;
  while (length > 1 && context.measureText(`${text.slice(0, length)}…`).width > width) length -= 1;
  return `${text.slice(0, length).trimEnd()}…`;
}

function label(text, x, y, colour) {
  context.font = "600 13px system-ui, sans-serif";
  const shown = fitting(text, Math.min(260, canvas.clientWidth - 22));
  const width = context.measureText(shown).width + 14;
  const left = Math.min(Math.max(x - width / 2, 4), canvas.clientWidth - width - 4);
  const top = Math.max(y - 20, 4);
  context.fillStyle = colour;
  context.beginPath();
  context.roundRect(left, top, width, 22, 6);
  context.fill();
  context.fillStyle = "#111";
  context.fillText(shown, left + 7, top + 15.5);
}

function paintDraft() {
  const colour = COLOURS[store.regions.length % COLOURS.length];
  path(drafted.at ? [...drafted.corners, drafted.at] : drafted.corners);
  outline(colour, 2.5);
  for (const corner of drafted.corners) dot(...onCanvas(...corner), 5.5, "#fff", colour);
}

function paintHeads() {
  const room = store.photo.width * store.photo.height * view.scale ** 2 / Math.max(heads.list.length, 1);
  const size = Math.min(6, Math.max(1.4, 0.085 * Math.sqrt(room)));
  for (const head of heads.list) dot(...onCanvas(head.x, head.y), head.own ? size + 1.2 : size, head.own ? "#fcd34d" : "#fff", "#10211f");
}

function dot(x, y, radius, fill, edge) {
  context.beginPath();
  context.arc(x, y, radius, 0, 7);
  context.lineWidth = Math.min(2.5, radius);
  context.strokeStyle = edge;
  context.stroke();
  context.fillStyle = fill;
  context.fill();
}

function paintCursor() {
  const [x, y] = onCanvas(cursor.x, cursor.y);
  context.beginPath();
  context.arc(x, y, 11, 0, 7);
  context.moveTo(x - 17, y); context.lineTo(x + 17, y);
  context.moveTo(x, y - 17); context.lineTo(x, y + 17);
  outline("#5eead4", 1.8);
}
