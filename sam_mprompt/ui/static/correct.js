// The second part: correct the heads that were found, and save them as a dataset.

import { api } from "./api.js";
import { $, doing, fill, heads as spoken, make, note, several } from "./dom.js";
import { heads } from "./heads.js";
import { on, store, tell } from "./store.js";

let refresh = () => {};
let openSaved = () => {};
export function connect(actions) { ({ refresh, openSaved } = actions); }

const KEY = "sam-mprompt-dataset";
export const dataset = { get name() { return localStorage.getItem(KEY) || "photographs"; }, set name(value) { localStorage.setItem(KEY, value); } };

function tally() {
  const cell = (value, word) => make("div", {}, make("b", {}, spoken(value)), word);
  return make("div.tally", {}, cell(heads.list.length, "marked"), cell(heads.added, "by hand"), cell(heads.removed, "removed"));
}

function buttons() {
  const button = (text, able, action) => make("button.button.quiet.small", { type: "button", disabled: !able, ariaLabel: text, onclick: action }, text);
  const found = store.results.get(store.adapter)?.points;
  return make("div.row", {}, button("Undo", heads.canUndo, () => heads.undo()), button("Redo", heads.canRedo, () => heads.redo()),
    button("Start over", heads.edited && found, () => heads.reset(found)));
}

// Made once: drawn anew, the name would lose the caret of whoever types it, whenever a count or a training tells something.
const [name, save, told] = [make("input", { type: "text", id: "dataset", maxLength: 64, autocomplete: "off", spellcheck: false, ariaLabel: "Name of the dataset" }), make("button.button", { type: "button", id: "save" }, "Save"), make("p.soft")];
const form = make("div.block", {}, make("h2", {}, "Save as a dataset"), make("div.row", {}, make("label.field", { htmlFor: "dataset" }, name), save), told);
name.addEventListener("input", () => { dataset.name = name.value.trim(); });
save.addEventListener("click", () => doing(save, async () => {
  dataset.name = name.value.trim();
  const saved = await api.save(dataset.name, store.photo.id, heads.points());
  Object.assign(store.photo, { dataset: saved.dataset, file: saved.file });
  heads.saved();
  await refresh();
  note(`${saved.file} is saved in ${saved.dataset}, with ${several(saved.heads, "head")}.`, true);
}));

function saving() {
  if (document.activeElement !== name) name.value = dataset.name;
  told.textContent = heads.unsaved ? "These corrections are not saved yet." : store.photo.dataset ? `Saved in ${store.photo.dataset}.` : "Saved photographs can be trained on, here and on the command line.";
  return form;
}

function photoRow(set, photo) {
  const here = store.photo?.dataset === set.name && store.photo?.file === photo.file;
  const open = make("button.link", { type: "button", ariaLabel: `Open ${photo.file} of ${set.name}`, onclick: () => openSaved(set.name, photo.file) }, photo.file);
  const remove = make("button.iconbutton", { type: "button", title: "Remove from the dataset", ariaLabel: `Remove ${photo.file} from ${set.name}` }, "×");
  remove.addEventListener("click", () => {
    if (confirm(`Remove ${photo.file} and its ${several(photo.heads, "head")} from ${set.name}?`)) doing(remove, async () => { await api.remove(set.name, photo.file); await refresh(); });
  });
  return make("li", {}, make("div.grow", {}, open, here ? make("small", {}, "open now") : null), make("span.value", {}, spoken(photo.heads)), remove);
}

function saved() {
  const sets = store.state?.datasets ?? [];
  if (!sets.length) return null;
  const opened = new Set([...$("part-correct").querySelectorAll("details[open]")].map((one) => one.dataset.name));
  return make("div.block", {}, make("h2", {}, "Datasets"), ...sets.map((set) => {
    const details = make("details", { open: opened.size ? opened.has(set.name) : set.name === dataset.name }, make("summary", {}, `${set.name}, ${several(set.photos.length, "photograph")}`), make("ul.list", {}, ...set.photos.map((photo) => photoRow(set, photo))));
    details.dataset.name = set.name;
    return details;
  }));
}

function render() {
  const parts = store.photo && !store.film
    ? [make("div.block", {}, make("h2", {}, "Heads"), make("p.soft", {}, "Click on a head to remove its mark, beside it to add one; drag a mark to move it."), tally(), buttons()), saving()]
    : [make("div.block", {}, make("h2", {}, "Heads"), make("p.soft", {}, "Open a photograph to correct the heads that were found in it."))];
  fill($("part-correct"), ...parts, saved());
}

let due = false;
on("photo heads state film results", () => {
  if (due) return;
  due = true;
  requestAnimationFrame(() => { due = false; render(); });
});
on("saved", () => tell("heads"));
