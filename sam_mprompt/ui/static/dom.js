// Small helpers: elements, numbers in words, notes.

export const $ = (id) => document.getElementById(id);

/** Make an element: `make("p.soft", { title: "..." }, "text", child)`. Handlers are given as `onclick`. */
export function make(kind, options, ...children) {
  const [tag, ...classes] = kind.split(".");
  const element = document.createElement(tag);
  element.className = classes.join(" ");
  for (const [name, value] of Object.entries(options ?? {})) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name in element && name !== "list") element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const tenths = new Intl.NumberFormat("en", { minimumFractionDigits: 1, maximumFractionDigits: 1 });

/** A number of heads to read: whole. */
export const heads = (value) => whole.format(Math.max(0, Math.round(value)));

/** A number of heads with one decimal. */
export const exact = (value) => tenths.format(value);

/** "1 head", "2 heads". */
export const several = (number, one, many = `${one}s`) => `${whole.format(number)} ${number === 1 ? one : many}`;

/** Seconds as m:ss or h:mm:ss. */
export function clock(seconds) {
  const all = Math.max(0, Math.round(seconds));
  const [hours, minutes, rest] = [Math.floor(all / 3600), Math.floor(all / 60) % 60, String(all % 60).padStart(2, "0")];
  return hours ? `${hours}:${String(minutes).padStart(2, "0")}:${rest}` : `${minutes}:${rest}`;
}

/** Show a sentence in the corner; a good one goes by itself, a bad one when it is closed or after a while. */
export function note(text, good = false) {
  const own = make("div.note" + (good ? ".good" : ""), {}, make("span", { ariaHidden: "true" }, good ? "✓" : "!"), make("span", {}, text),
    make("button", { type: "button", ariaLabel: "Close", onclick: () => own.remove() }, "×"));
  $("notes").append(own);
  while ($("notes").children.length > 3) $("notes").firstChild.remove();
  setTimeout(() => own.remove(), good ? 5000 : 20000);
}

/** What is outside of what an adapter knows, as a box. */
export function warned(lines) {
  if (!lines.length) return null;
  return make("div.warning", { role: "note" }, make("span", { ariaHidden: "true" }, "⚠"),
    make("div", {}, make("b", {}, "Expect a wrong count"), make("ul", {}, ...lines.map((line) => make("li", {}, line)))));
}

/** Run an action of a button: it cannot be pressed twice, and what fails is told. */
export async function doing(button, action) {
  if (button) button.disabled = true;
  try {
    return await action();
  } catch (error) {
    note(error.message);
    return undefined;
  } finally {
    if (button) button.disabled = false;
  }
}

/** Put new content into an element. What is there already stays untouched, and what had the keyboard's focus keeps it. */
export function fill(container, ...children) {
  const wanted = children.filter(Boolean);
  const active = container.contains(document.activeElement) ? document.activeElement : null;
  const [name, id] = [active?.getAttribute("aria-label"), active?.id];
  for (const old of [...container.childNodes]) if (!wanted.includes(old)) old.remove();
  wanted.forEach((child, at) => { if (container.childNodes[at] !== child) container.insertBefore(child, container.childNodes[at] ?? null); });
  if (!active || active.isConnected) return;
  const again = (id && document.getElementById(id)) || (name && container.querySelector(`[aria-label=${CSS.escape(name)}]`));
  again?.focus({ preventScroll: true });
}
