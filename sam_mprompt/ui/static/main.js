// The page as a whole: the adapters to choose from, what the bar and the tools do, and how the parts are connected.

import { api } from "./api.js";
import * as compare from "./compare.js";
import * as correct from "./correct.js";
import { $, doing, make } from "./dom.js";
import { dropDraft } from "./gestures.js";
import { heads } from "./heads.js";
import { keep } from "./keep.js";
import { count, examples, hint, openFile, openSaved, reopen } from "./open.js";
import { draw } from "./paint.js";
import { whenRegionsChange } from "./regions.js";
import { on, result, store, tell } from "./store.js";
import * as train from "./train.js";
import { fit, zoom } from "./view.js";
import "./tabs.js";

async function refresh() {
  store.state = await api.state();
  const names = store.state.adapters.map((one) => one.name);
  if (!names.includes(store.adapter)) store.adapter = names[0];
  $("adapter").replaceChildren(...store.state.adapters.map((one) => make("option", { value: one.name, selected: one.name === store.adapter }, one.name)));
  tell("state");
}

function use(adapter) {
  store.adapter = adapter;
  $("adapter").value = adapter;
  tell("adapter");
  if (store.photo && !store.film && !result()) count();
  else if (result() && !heads.edited && !store.photo.dataset) heads.reset(result().points);
  tell("results");
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
  await reopen();
  await examples();
}
doing(null, begin);
