// What is being done now, told over the photograph.

import { $, clock } from "./dom.js";

let watchers = 0;

/** Say that something is being done, with its seconds. */
export async function busy(text, action) {
  const [begun, number] = [performance.now(), ++watchers];
  const show = () => {
    const seconds = (performance.now() - begun) / 1000;
    $("veiltext").textContent = seconds < 2 ? text : `${text}, ${clock(seconds)}`;
  };
  show();
  const appears = setTimeout(() => { $("veil").hidden = false; }, 150);
  const timer = setInterval(show, 500);
  try {
    return await action();
  } finally {
    clearInterval(timer);
    clearTimeout(appears);
    if (number === watchers) $("veil").hidden = true;
  }
}
