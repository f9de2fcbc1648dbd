// The third part: train on a dataset, see how it goes, stop, go on.

import { api } from "./api.js";
import { chart } from "./chart.js";
import { $, clock, doing, exact, fill, make, note, several } from "./dom.js";
import { dataset } from "./correct.js";
import { on, store, tell } from "./store.js";

const RUNNING = new Set(["preparing", "training", "stopping"]);
const FEWEST = 2;
const chosen = { dataset: null, start: undefined, minutes: 10 };
let refresh = async () => {};
let use = () => {};
let timer = 0;
let live = null; // the progress that is shown

export function connect(actions) { ({ refresh, use } = actions); }
export const isRunning = () => RUNNING.has(store.state?.training.phase);

function option(value, text, selected) { return make("option", { value, selected }, text); }

function form() {
  const sets = store.state.datasets;
  const known = sets.find((set) => set.name === (chosen.dataset ?? dataset.name)) ?? sets[0];
  chosen.dataset = known.name;
  chosen.start ??= store.adapter;
  const few = known.photos.length < FEWEST;
  const start = make("button.button.wide", { type: "button", id: "train", disabled: few || isRunning() }, "Train");
  start.addEventListener("click", () => doing(start, async () => {
    store.state.training = await api.train({ dataset: chosen.dataset, start: chosen.start || null, minutes: chosen.minutes });
    tell("state");
    watch();
  }));
  return make("div.block", {}, make("h2", {}, "Train on your corrections"),
    make("label.field", {}, "Dataset", make("select", { id: "trainset", onchange: (event) => { chosen.dataset = event.target.value; render(); } }, ...sets.map((set) => option(set.name, `${set.name} (${several(set.photos.length, "photograph")})`, set === known)))),
    make("div.row", {},
      make("label.field", {}, "Start from", make("select", { id: "start", onchange: (event) => { chosen.start = event.target.value; } }, ...store.state.adapters.map((one) => option(one.name, one.name, one.name === chosen.start)), option("", "nothing", chosen.start === ""))),
      make("label.field", {}, "Minutes", make("input", { type: "number", id: "minutes", min: 0.1, max: 1440, step: "any", value: chosen.minutes, onchange: (event) => { chosen.minutes = Number(event.target.value); } }))),
    start, make("p.soft", {}, few ? `It takes ${FEWEST} saved photographs at least, and ten or more to learn much from.` : "Its best weights become a new adapter; the one that it starts from stays as it is."));
}

function progressCard(progress) {
  const share = progress.total ? progress.done / progress.total : 0;
  const left = share > 0.03 && progress.phase === "training" && !progress.part ? `, about ${clock((progress.seconds / share) * (1 - share))} left` : "";
  const bar = progress.phase === "training" || progress.phase === "stopping" ? make("progress", { max: 1, value: share, ariaLabel: "Training" }) : make("progress", { ariaLabel: "Preparing" });
  const stop = make("button.button.quiet", { type: "button", id: "stop", disabled: progress.phase === "stopping" }, progress.phase === "stopping" ? "Stopping" : "Stop");
  stop.addEventListener("click", () => doing(stop, async () => { store.state.training = await api.stopTraining(); tell("state"); }));
  const canvas = make("canvas", { ariaLabel: "Loss of each epoch" });
  const losses = progress.history.filter((row) => row[1] !== null);
  const card = make("div.card.lit", { id: "progress" }, make("div.row", {}, make("b.grow", {}, `Training ${progress.run}`), stop), bar,
    make("p.soft", {}, progress.phase === "training" ? `${progress.part ? `Measuring its error, ${progress.part}: ` : ""}${Math.round(100 * share)} % after ${clock(progress.seconds)}${left}` : `${progress.line || "Preparing"} …`),
    losses.length > 1 ? make("div.spark", {}, canvas) : null, losses.length > 1 ? make("p.soft", {}, `Loss over ${several(losses.length, "epoch")}, now ${losses.at(-1)[1].toPrecision(3)}`) : null);
  if (losses.length > 1) requestAnimationFrame(() => chart(canvas, losses.map((row, at) => [at, row[1], null, null]), { bare: true }));
  return card;
}

function outcome(progress) {
  if (progress.phase === "failed") return make("div.fault", { role: "alert" }, make("span", {}, "!"), make("span", {}, progress.line));
  if (progress.phase !== "done") return null;
  const { val_mae: mae, mean_mae: mean, folds } = progress.outcome;
  const told = mae === undefined ? "" : `On photographs that it did not see it is off by ${exact(mae)} heads on average${folds ? ` (${several(folds, "fold")})` : ""}; always saying the mean would be off by ${exact(mean)}.`;
  return make("div.card.lit", {}, make("b", {}, `${progress.run} is trained`), make("p.soft", {}, told), mae !== undefined && mae >= mean ? make("p.soft", {}, "Do not rely on it yet: more photographs, or more minutes.") : null,
    make("div.row", {}, make("button.button.small", { type: "button", id: "use", onclick: () => use(progress.run) }, "Use it"), make("button.button.quiet.small", { type: "button", onclick: () => $("tab-compare").click() }, "Compare")));
}

function stopped() {
  const runs = store.state.runs.filter((run) => run.resumable && !(isRunning() && run.name === store.state.training.run));
  if (!runs.length) return null;
  return make("div.block", {}, make("h2", {}, "Stopped"), make("ul.list", {}, ...runs.map((run) => {
    const resume = make("button.button.quiet.small", { type: "button", disabled: isRunning(), ariaLabel: `Go on with ${run.name}` }, "Go on");
    resume.addEventListener("click", () => doing(resume, async () => { store.state.training = await api.resume(run.name); tell("state"); watch(); }));
    return make("li", {}, make("div.grow", {}, make("b", {}, run.name), make("small", {}, `on ${run.dataset}; its state is saved`)), resume);
  })));
}

function render() {
  if (!store.state) return;
  const { training, datasets } = store.state;
  const card = isRunning() ? progressCard(training) : outcome(training);
  const parts = datasets.length ? form() : make("div.block", {}, make("h2", {}, "Train on your corrections"), make("p.soft", {}, "Correct the heads of a few photographs and save them: an adapter can be trained on them here."));
  const line = training.phase === "stopped" ? make("p.soft", {}, `${training.run}: ${training.line}`) : null;
  if (isRunning() && live && $("part-train").contains(document.activeElement) && document.activeElement.tagName !== "BUTTON") fill(live.parentElement, ...[...live.parentElement.children].map((child) => (child === live ? (live = card) : child)));
  else { live = card; fill($("part-train"), card, line, parts, stopped()); }
}
on("state adapter", render);

/** Ask how the training goes, until it has ended. */
export function watch() {
  clearTimeout(timer);
  if (!isRunning()) return;
  timer = setTimeout(async () => {
    try {
      const before = store.state.training.phase;
      store.state.training = await api.training();
      if (isRunning()) tell("state");
      else {
        await refresh();
        const { phase, run, line } = store.state.training;
        if (phase === "done") note(`${run} is trained and can be chosen.`, true);
        else if (phase === "failed" && before !== "failed") note(line);
      }
    } catch (error) {
      note(error.message);
      await new Promise((resume) => setTimeout(resume, 5000));
    }
    watch();
  }, 700);
}
