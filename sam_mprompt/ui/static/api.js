// What the page asks its server for. Every failure is an Error of one sentence.

import { $ } from "./dom.js";

const KEY = "sam-mprompt-token";
let token = sessionStorage.getItem(KEY) ?? "";
const given = new URLSearchParams(location.hash.slice(1)).get("token");
if (given) {
  token = given;
  sessionStorage.setItem(KEY, token);
  history.replaceState(null, "", location.pathname);
}

export class Refused extends Error {
  constructor(status, text) {
    super(text);
    this.status = status;
  }
}

async function send(method, path, body, kind) {
  const headers = {};
  if (token) headers.Authorization = `Bearer ${token}`;
  if (kind) headers["Content-Type"] = kind;
  let response;
  try {
    response = await fetch(path, { method, headers, body });
  } catch {
    throw new Refused(0, "The page's server does not answer: is it still running in its terminal?");
  }
  if (response.ok) return response;
  if (response.status === 401) {
    await askForToken(token);
    return send(method, path, body, kind);
  }
  const problem = await response.json().catch(() => ({}));
  throw new Refused(response.status, problem.detail ?? `The server answered ${response.status}.`);
}

let asking = null;
function askForToken(refused) {
  asking ??= new Promise((resolve) => {
    const dialog = $("ask");
    $("refused").hidden = !refused;
    $("token").value = "";
    dialog.addEventListener("close", () => {
      token = $("token").value.trim();
      sessionStorage.setItem(KEY, token);
      asking = null;
      resolve();
    }, { once: true });
    dialog.showModal();
  });
  return asking;
}

const part = encodeURIComponent;
const json = async (response) => (await response).json();
const get = (path) => json(send("GET", path));
const post = (path, value = {}) => json(send("POST", path, JSON.stringify(value), "application/json"));

export const api = {
  state: () => get("/api/state"),
  photo(file) {
    const form = new FormData();
    form.append("image", file, file.name || "photograph");
    return json(send("POST", "/api/photos", form));
  },
  example: (name) => post("/api/examples", { name }),
  picture: async (id) => createImageBitmap(await (await send("GET", `/api/photos/${part(id)}/picture`)).blob()),
  count: (id, adapter, regions) => post(`/api/photos/${part(id)}/count`, { adapter, regions }),
  save: (dataset, photo, points) => post(`/api/datasets/${part(dataset)}/photos`, { photo, points }),
  openSaved: (dataset, file) => post(`/api/datasets/${part(dataset)}/open`, { file }),
  remove: (dataset, file) => json(send("DELETE", `/api/datasets/${part(dataset)}/photos/${part(file)}`)),
  compare: (dataset, file, adapters) => post(`/api/datasets/${part(dataset)}/photos/${part(file)}/compare`, { adapters }),
  train: (values) => post("/api/training", values),
  training: () => get("/api/training"),
  stopTraining: () => post("/api/training/stop"),
  resume: (name) => post(`/api/training/${part(name)}/resume`),
  video: (file, adapter, every) => json(send("POST", `/api/videos?name=${part(file.name)}&adapter=${part(adapter)}&every=${part(every)}`, file, "application/octet-stream")),
  videoSince: (id, since) => get(`/api/videos/${part(id)}?since=${since}`),
  stopVideo: (id) => post(`/api/videos/${part(id)}/stop`),
};
