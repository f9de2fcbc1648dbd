// What fingers, mouse and keys do on the photograph: look, correct heads, draw a region.

import { $ } from "./dom.js";
import { heads } from "./heads.js";
import { cursor, drafted, draw } from "./paint.js";
import { finishRegion } from "./regions.js";
import { store, tell } from "./store.js";
import { fit, inPhoto, pan, pixels, reveal, zoom } from "./view.js";

const canvas = $("canvas");
const pointers = new Map();
const NEAR = 11; // pixels of the screen
let held = null; // the head that is dragged
let moved = false;
let pinch = 0;

const place = (event) => {
  const box = canvas.getBoundingClientRect();
  return [event.clientX - box.left, event.clientY - box.top];
};

canvas.addEventListener("pointerdown", (event) => {
  if (event.button !== 0 || !store.photo) return;
  canvas.setPointerCapture(event.pointerId);
  pointers.set(event.pointerId, place(event));
  [moved, cursor.shown] = [false, false];
  if (pointers.size === 2) [held, pinch] = [null, spread()];
  else if (store.tool === "heads" && $("showheads").checked) {
    const [x, y] = inPhoto(...place(event));
    held = heads.near(x, y, pixels(event.pointerType === "touch" ? 2 * NEAR : NEAR));
  }
});

canvas.addEventListener("pointermove", (event) => {
  const now = place(event);
  if (store.tool === "region" && drafted.corners.length && event.pointerType !== "touch") {
    drafted.at = inPhoto(...now);
    draw();
  }
  const before = pointers.get(event.pointerId);
  if (!before) return;
  const [dx, dy] = [now[0] - before[0], now[1] - before[1]];
  if (!moved && pointers.size === 1 && Math.hypot(dx, dy) < 4) return;
  const first = !moved;
  moved = true;
  pointers.set(event.pointerId, now);
  if (pointers.size === 2) return pinched(dx / 2, dy / 2);
  if (held) held = heads.move(held, ...inside(...inPhoto(...now)), first);
  else {
    canvas.classList.add("dragging");
    pan(dx, dy);
  }
});

function spread() {
  const [[ax, ay], [bx, by]] = [...pointers.values()];
  return Math.hypot(ax - bx, ay - by);
}

function pinched(dx, dy) {
  const [[ax, ay], [bx, by]] = [...pointers.values()];
  pan(dx, dy);
  const now = spread();
  if (pinch > 0) zoom(now / pinch, (ax + bx) / 2, (ay + by) / 2);
  pinch = now;
}

function lifted(event) {
  const single = pointers.size === 1 && pointers.has(event.pointerId);
  pointers.delete(event.pointerId);
  canvas.classList.remove("dragging");
  if (single && !moved && event.type === "pointerup") tapped(...inPhoto(...place(event)), held);
  if (!pointers.size) held = null;
}
canvas.addEventListener("pointerup", lifted);
canvas.addEventListener("pointercancel", lifted);

canvas.addEventListener("wheel", (event) => {
  if (!store.photo) return;
  event.preventDefault();
  const step = event.deltaMode === 1 ? 30 : 1;
  zoom(Math.exp(-Math.max(-240, Math.min(240, event.deltaY * step)) * 0.0022), ...place(event));
}, { passive: false });

const isInside = (x, y) => x >= 0 && y >= 0 && x < store.photo.width && y < store.photo.height;
const inside = (x, y) => [Math.min(Math.max(x, 0), store.photo.width - 0.01), Math.min(Math.max(y, 0), store.photo.height - 0.01)];
const rounded = (x, y) => inside(x, y).map((value) => Math.round(value * 100) / 100);

function tapped(x, y, head) {
  if (store.tool === "heads") {
    if (head) heads.remove(head);
    else if (isInside(x, y)) heads.add(...rounded(x, y));
  } else if (store.tool === "region") corner(x, y);
}

/** Add a corner to the region that is drawn; the first one again closes it. */
function corner(x, y) {
  const [first] = drafted.corners;
  const last = drafted.corners.at(-1);
  if (drafted.corners.length > 2 && Math.hypot(first[0] - x, first[1] - y) < pixels(16)) return close();
  if (last && Math.hypot(last[0] - x, last[1] - y) < pixels(3)) return drafted.corners.length > 2 ? close() : undefined;
  drafted.corners.push(rounded(x, y));
  tell("regions");
}

function close() {
  const corners = drafted.corners;
  [drafted.corners, drafted.at] = [[], null];
  finishRegion(corners);
}

/** Forget the region that is being drawn. */
export function dropDraft() {
  [drafted.corners, drafted.at] = [[], null];
  tell("regions");
}

const STEPS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

canvas.addEventListener("keydown", (event) => {
  if (!store.photo || event.ctrlKey || event.metaKey || event.altKey) return;
  const step = STEPS[event.key];
  if (step) {
    const far = event.shiftKey ? 40 : 8;
    if (store.tool === "look") pan(-step[0] * far, -step[1] * far);
    else {
      if (!cursor.shown) [cursor.x, cursor.y, cursor.shown] = [...inside(...inPhoto(canvas.clientWidth / 2, canvas.clientHeight / 2)), true];
      else [cursor.x, cursor.y] = inside(cursor.x + step[0] * pixels(far), cursor.y + step[1] * pixels(far));
      reveal(cursor.x, cursor.y);
      draw();
    }
  } else if (event.key === "Enter" || event.key === " ") {
    if (store.tool === "region" && event.key === "Enter" && drafted.corners.length > 2 && !cursor.shown) close();
    else if (cursor.shown) tapped(cursor.x, cursor.y, heads.near(cursor.x, cursor.y, pixels(NEAR)));
  } else if (event.key === "Escape") dropDraft();
  else if (event.key === "Backspace" && drafted.corners.length) { drafted.corners.pop(); tell("regions"); }
  else if (event.key === "+" || event.key === "=") zoom(1.3);
  else if (event.key === "-") zoom(1 / 1.3);
  else if (event.key === "0") fit();
  else return;
  event.preventDefault();
});

document.addEventListener("keydown", (event) => {
  if (!(event.ctrlKey || event.metaKey) || event.key.toLowerCase() !== "z" || /^(INPUT|TEXTAREA)$/.test(event.target.tagName) && event.target.type === "text") return;
  event.preventDefault();
  if (event.shiftKey) heads.redo();
  else heads.undo();
});
