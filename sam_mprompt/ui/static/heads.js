// The heads of the photograph: those that were found, corrected by hand, with undo.

import { tell } from "./store.js";

let list = []; // { x, y, own } where own was added or moved by hand
let removed = 0;
let past = [];
let future = [];
let savedAt = 0;
let version = 0;

export const heads = {
  get list() { return list; },
  get added() { return list.filter((head) => head.own).length; },
  get removed() { return removed; },
  get edited() { return past.length > 0; },
  get unsaved() { return version !== savedAt; },
  get canUndo() { return past.length > 0; },
  get canRedo() { return future.length > 0; },
  points: () => list.map((head) => [head.x, head.y]),

  /** Begin anew, with points (x, y). */
  reset(points) {
    [list, removed, past, future] = [points.map(([x, y]) => ({ x, y, own: false })), 0, [], []];
    savedAt = ++version;
    tell("heads");
  },

  add(x, y) { change([...list, { x, y, own: true }], removed); },

  remove(head) { change(list.filter((other) => other !== head), removed + (head.own ? 0 : 1)); },

  /** Move a head; `first` begins a move that is undone as one. */
  move(head, x, y, first) {
    const moved = { x, y, own: true };
    const next = list.map((other) => (other === head ? moved : other));
    if (first) change(next, removed);
    else { list = next; tell("heads"); }
    return moved;
  },

  undo() { if (past.length) step(past, future); },
  redo() { if (future.length) step(future, past); },
  /** Note that these points, which outlived a reload, were not saved before it. */
  restore() { savedAt = -1; tell("heads"); },
  saved() { savedAt = version; tell("heads"); },

  /** The head that is nearest to a place, within a distance; null for none. */
  near(x, y, distance) {
    let best = null;
    let least = distance;
    for (const head of list) {
      const apart = Math.hypot(head.x - x, head.y - y);
      if (apart <= least) [best, least] = [head, apart];
    }
    return best;
  },
};

function change(next, gone) {
  past.push({ list, removed });
  if (past.length > 500) past.shift();
  [list, removed, future] = [next, gone, []];
  version += 1;
  tell("heads");
}

function step(from, to) {
  to.push({ list, removed });
  ({ list, removed } = from.pop());
  version += 1;
  tell("heads");
}
