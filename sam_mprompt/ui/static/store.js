// What is on the page now, and who is told when it changes.

export const store = {
  state: null, // of the server: adapters, datasets, runs, examples, limits
  adapter: "",
  photo: null, // { id, name, width, height, picture, dataset? }
  results: new Map(), // adapter -> what it counted in this photograph
  regions: [], // { name, corners, ignore, area_m2 }
  film: null,
  tool: "look",
  compared: null, // { first, second, at } where two heat maps share the photograph
};

const listeners = new Map();

/** Call a function whenever one of these things has changed. */
export function on(names, listener) {
  for (const name of names.split(" ")) listeners.set(name, [...(listeners.get(name) ?? []), listener]);
}

/** Tell that something has changed. */
export function tell(name) {
  for (const listener of listeners.get(name) ?? []) listener();
}

/** What the chosen adapter counted, or null. */
export const result = () => store.results.get(store.adapter) ?? null;
